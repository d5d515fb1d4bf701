//! Who may keep an answer: what was asked for with credentials is its asker's alone, unless its handler says otherwise.

use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue,
};

/// The header by which a guest without cookies names the own cart.
pub const CART_TOKEN: HeaderName = HeaderName::from_static("x-cart-token");

/// Whether a request with these headers shows who asks.
pub(super) fn is_personal(asked: &HeaderMap) -> bool {
    asked.contains_key(AUTHORIZATION)
        || asked.contains_key(COOKIE)
        || asked.contains_key(CART_TOKEN)
}

/// Keeps an answer out of every cache, the browser's own included; to be sent with a 304 too.
///
/// A version is no name: two persons' profiles are both at `"1"`. A browser that had kept one person's
/// answer would confirm it with the next person's token, be told 304, and show it (RFC 9111, 4.3.4). A
/// client that keeps what it was shown itself may still ask with `If-None-Match`.
pub const NOT_KEPT: (HeaderName, HeaderValue) =
    (CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// Says that nobody keeps the answer to a personal request, where its handler has said nothing.
pub(super) fn keep_private(headers: &mut HeaderMap) {
    if !headers.contains_key(CACHE_CONTROL) {
        let (name, value) = NOT_KEPT;
        headers.insert(name, value);
    }
}
