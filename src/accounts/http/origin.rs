//! Requests that a browser makes for a foreign page are refused where a cookie alone gives power.
//!
//! `SameSite=Strict` keeps the cookie away from them, but not the answer: it could clear the cookie.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::ORIGIN, web};

use crate::{
    config::Config,
    faults::{Plant, planted},
    http::own_site,
    problem::{Code, Problem},
};

/// The request comes from a page of the shop, or from no browser; 403 `foreign_origin` otherwise.
#[derive(Debug, Clone, Copy)]
pub struct OwnPage;

fn is_own(request: &HttpRequest) -> Result<bool, Problem> {
    let Some(origin) = request.headers().get(ORIGIN) else {
        // Browsers name the origin of every request that could change something (Fetch, 3.1).
        return Ok(true);
    };
    let Ok(origin) = origin.to_str() else {
        return Ok(false);
    };
    let config = request
        .app_data::<web::Data<Config>>()
        .ok_or_else(|| Problem::internal("the configuration is not wired"))?;
    let allowed = &config.server.allowed_origins;
    let own = own_site(request, &config.server);
    Ok(is_origin_of(origin, &own) || allowed.iter().any(|own| own == origin))
}

/// Whether `origin` is the origin of `url`: scheme, host and port.
fn is_origin_of(origin: &str, url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.origin().ascii_serialization() == origin)
}

impl FromRequest for OwnPage {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let own = is_own(request).and_then(|own| {
            if own || planted(Plant::OriginUnchecked) {
                Ok(Self)
            } else {
                Err(Code::ForeignOrigin.into())
            }
        });
        std::future::ready(own)
    }
}
