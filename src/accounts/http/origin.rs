//! Requests that a browser makes for a foreign page are refused where a cookie alone gives power.
//!
//! `SameSite=Strict` keeps the cookie away from them, but not the answer: it could clear the cookie.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::ORIGIN, web};

use crate::{
    config::Config,
    faults::{Plant, planted},
    problem::{Code, Problem},
};

/// The request comes from a page of the shop, or from no browser; 403 `foreign_origin` otherwise.
#[derive(Debug, Clone, Copy)]
pub struct OwnPage;

fn is_own(request: &HttpRequest) -> bool {
    let Some(origin) = request.headers().get(ORIGIN) else {
        // Browsers name the origin of every request that could change something (Fetch, 3.1).
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let config = request.app_data::<web::Data<Config>>();
    let configured = config.is_some_and(|config| {
        let url = &config.server.public_url;
        let allowed = &config.server.allowed_origins;
        (!url.is_empty() && same_site(url, origin)) || allowed.iter().any(|own| own == origin)
    });
    // The host that the browser itself asked for; behind a proxy that changes it, `public_url` counts.
    let host = origin.split_once("://").map(|(_, host)| host);
    configured || host.is_some_and(|host| host == request.connection_info().host())
}

/// Whether the origin of `url` is `origin`.
fn same_site(url: &str, origin: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.origin().ascii_serialization() == origin)
}

impl FromRequest for OwnPage {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        std::future::ready(if is_own(request) || planted(Plant::OriginUnchecked) {
            Ok(Self)
        } else {
            Err(Code::ForeignOrigin.into())
        })
    }
}
