//! The cookie that carries the refresh token, and nothing else of ours.

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time::Duration},
};
use secrecy::{ExposeSecret, SecretString};

use crate::config::Config;

/// The cookie's name.
const NAME: &str = "bodega_refresh";
/// Only these endpoints see it.
const PATH: &str = "/api/auth";

fn cookie(value: String, life: Duration, config: &Config) -> Cookie<'static> {
    Cookie::build(NAME, value)
        .path(PATH)
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(config.server.public_url.starts_with("https://"))
        .max_age(life)
        .finish()
}

/// The cookie that hands `token` to the browser.
pub(super) fn carrying(token: &SecretString, config: &Config) -> Cookie<'static> {
    let life = Duration::seconds(config.auth.refresh_seconds.into());
    cookie(token.expose_secret().to_owned(), life, config)
}

/// The cookie that makes the browser forget.
pub(super) fn cleared(config: &Config) -> Cookie<'static> {
    cookie(String::new(), Duration::ZERO, config)
}

/// The token that the browser sent.
pub(super) fn sent(request: &HttpRequest) -> Option<String> {
    let cookie = request.cookie(NAME)?;
    Some(cookie.value().to_owned())
}
