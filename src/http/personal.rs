//! Answers that are one person's and have a version as their tag.

use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};

/// Keeps an answer out of every cache, the browser's own included; to be sent with a 304 too.
///
/// A version is no name: two persons' profiles are both at `"1"`. A browser that had kept one person's
/// answer would confirm it with the next person's token, be told 304, and show it (RFC 9111, 4.3.4). A
/// client that keeps what it was shown itself may still ask with `If-None-Match`.
pub const NOT_KEPT: (HeaderName, HeaderValue) =
    (CACHE_CONTROL, HeaderValue::from_static("no-store"));
