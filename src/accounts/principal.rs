//! Who is calling, and what that allows: extractors.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::AUTHORIZATION, web};
use serde::{Deserialize, Serialize};

use super::Tokens;
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    problem::{Code, Problem},
};

/// What a user may do; each role may do what those before it may.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buys.
    Customer,
    /// Runs catalogue and orders.
    Staff,
    /// Runs everything.
    Admin,
}

impl Role {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }
}

/// A signed-in user, as the access token says.
///
/// As an extractor: 401 without a valid token. Where guests are welcome, [`Caller`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub user: UserId,
    /// On which sign-in.
    pub session: SessionId,
    /// With which rights.
    pub role: Role,
    /// Until when the token holds.
    pub expires_at: Timestamp,
}

impl Principal {
    /// Whether the user is staff or admin.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        self.role >= Role::Staff
    }
}

/// A caller who may be a guest; a token that is sent must be valid (401).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller(pub Option<Principal>);

/// A caller with the rights of staff: 401 without a token, 403 for customers.
#[derive(Debug, Clone, Copy)]
pub struct Staff(pub Principal);

/// A caller with the rights of an admin: 401 without a token, 403 for everyone else.
#[derive(Debug, Clone, Copy)]
pub struct Admin(pub Principal);

fn caller(request: &HttpRequest) -> Result<Option<Principal>, Problem> {
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        return Ok(None);
    };
    let refused = || Problem::new(Code::InvalidToken);
    let token = header
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(refused)?;
    let tokens = request
        .app_data::<web::Data<Tokens>>()
        .ok_or_else(|| Problem::internal("the token reader is not wired"))?;
    tokens.read(token).map(Some).map_err(|_invalid| refused())
}

fn at_least(request: &HttpRequest, role: Role) -> Result<Principal, Problem> {
    let principal = caller(request)?.ok_or(Code::Unauthenticated)?;
    if principal.role >= role {
        Ok(principal)
    } else {
        Err(Code::Forbidden.into())
    }
}

macro_rules! extracted {
    ($($extractor:ty: $request:ident => $extracted:expr;)+) => {$(
        impl FromRequest for $extractor {
            type Error = Problem;
            type Future = Ready<Result<Self, Problem>>;

            fn from_request($request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
                ready($extracted)
            }
        }
    )+};
}

extracted! {
    Caller: request => caller(request).map(Self);
    Principal: request => at_least(request, Role::Customer);
    Staff: request => at_least(request, Role::Staff).map(Self);
    Admin: request => at_least(request, Role::Admin).map(Self);
}
