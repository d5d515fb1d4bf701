//! Who may keep an answer: what was asked for with credentials is its asker's alone, unless its handler says otherwise.

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderMap, HeaderValue};

/// The header by which a guest without cookies names the own cart.
const CART_TOKEN: &str = "x-cart-token";

/// Whether a request with these headers shows who asks.
pub(super) fn is_personal(asked: &HeaderMap) -> bool {
    asked.contains_key(AUTHORIZATION)
        || asked.contains_key(COOKIE)
        || asked.contains_key(CART_TOKEN)
}

/// Says that nobody keeps the answer to a personal request, where its handler has said nothing (RFC 9111, 5.2.2.5). Not
/// even the asker's browser: it would ask about what it keeps, by its version, for the next person who signs in there.
pub(super) fn keep_private(headers: &mut HeaderMap) {
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
