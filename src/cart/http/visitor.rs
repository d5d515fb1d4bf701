//! Whose cart a request is about, and over which version.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    dev::Payload,
    http::header::HeaderValue,
};

use crate::{
    accounts::Caller,
    cart::{Carts, token::GuestToken},
    http::{CART_TOKEN, IfMatch},
    id::UserId,
    problem::Problem,
};

/// The cookie that names a guest's cart; [`CART_TOKEN`] does for clients without cookies.
const COOKIE: &str = "bodega_cart";

/// A guest who shows a token; whether it names a cart is seen later.
pub struct Guest {
    pub(in crate::cart) token: GuestToken,
    pub(in crate::cart) by_cookie: bool,
}

impl Guest {
    /// Whether the browser's cookie names the guest's cart.
    #[must_use]
    pub const fn is_by_cookie(&self) -> bool {
        self.by_cookie
    }
}

/// Whose cart a request is about.
pub enum Visitor {
    /// A signed-in user; a guest's token beside it counts for nothing.
    User(UserId),
    /// A guest with a token.
    Guest(Guest),
    /// A guest without one, or with one that cannot be read.
    Nobody,
}

/// The guest of a request: by the header's token, or where that is none, by the cookie's.
#[must_use]
pub fn shown_guest(request: &HttpRequest) -> Option<Guest> {
    let header = request.headers().get(CART_TOKEN);
    let header = header.and_then(|value| value.to_str().ok());
    let by_header = header.and_then(GuestToken::parse);
    let cookie = request.cookie(COOKIE);
    let by_cookie = cookie.and_then(|cookie| GuestToken::parse(cookie.value()));
    let is_same = by_header.is_none() || by_header == by_cookie;
    let token = by_header.or(by_cookie)?;
    Some(Guest {
        token,
        by_cookie: is_same,
    })
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(
            Caller::from_request(request, payload)
                .into_inner()
                .map(|Caller(principal)| {
                    if let Some(principal) = principal {
                        return Self::User(principal.user);
                    }
                    shown_guest(request).map_or(Self::Nobody, Self::Guest)
                }),
        )
    }
}

/// The versions that `If-Match` names, if it is there.
pub(super) struct Expected(pub(super) Option<Vec<u64>>);

impl Expected {
    /// Whether a change over `version` may go on.
    pub(super) fn allows(&self, version: u64) -> bool {
        self.0
            .as_ref()
            .is_none_or(|wanted| wanted.contains(&version))
    }
}

impl FromRequest for Expected {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let condition = IfMatch::from_request(request, payload).into_inner();
        ready(condition.map(|condition| match condition {
            IfMatch::Any => Self(None),
            IfMatch::OneOf(versions) => Self(Some(versions)),
        }))
    }
}

/// Gives the guest the token: in the cookie, whose life begins anew, and in the header when it is new.
pub(super) fn hand_over(
    carts: &Carts,
    token: &GuestToken,
    is_new: bool,
    response: &mut HttpResponse,
) -> Result<(), Problem> {
    let seconds = i64::try_from(carts.0.guest_life.as_secs()).unwrap_or(i64::MAX);
    let cookie = cookie(carts, token.text(), Duration::seconds(seconds));
    response
        .add_cookie(&cookie)
        .map_err(|error| Problem::internal(error.to_string()))?;
    if is_new {
        let value = HeaderValue::try_from(token.text()).map_err(Problem::internal)?;
        response.headers_mut().insert(CART_TOKEN, value);
    }
    Ok(())
}

/// The cookie that makes a browser forget the guest's cart, once it is merged.
#[must_use]
pub fn forget_guest(carts: &Carts) -> Cookie<'static> {
    cookie(carts, String::new(), Duration::ZERO)
}

fn cookie(carts: &Carts, value: String, life: Duration) -> Cookie<'static> {
    Cookie::build(COOKIE, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(carts.0.secure_cookies)
        .max_age(life)
        .finish()
}
