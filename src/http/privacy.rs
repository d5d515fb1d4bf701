//! Who may keep an answer: what was asked for with credentials is its asker's alone, unless its handler says otherwise.

use actix_web::{
    HttpRequest,
    http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, ETAG, HeaderMap, HeaderValue},
};

use super::gate::API;

/// The header by which a guest without cookies names the own cart.
const CART_TOKEN: &str = "x-cart-token";

/// Whether `request` shows who asks.
pub(super) fn is_personal(request: &HttpRequest) -> bool {
    let headers = request.headers();
    request.path().starts_with(API)
        && (headers.contains_key(AUTHORIZATION)
            || headers.contains_key(COOKIE)
            || headers.contains_key(CART_TOKEN))
}

/// Says who may keep the answer to a personal request, where its handler has not: nobody, or the asker's browser as
/// long as it asks each time whether the version is the present one (RFC 9111, 5.2.2).
pub(super) fn keep_private(headers: &mut HeaderMap) {
    if headers.contains_key(CACHE_CONTROL) {
        return;
    }
    let kept = if headers.contains_key(ETAG) {
        "private, no-cache"
    } else {
        "private, no-store"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
}
