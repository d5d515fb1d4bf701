//! Answers from encoded bodies: 304 where the client has them, compressed where it takes that.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, VARY,
    },
};

use crate::{catalog::view::Encoded, http::not_modified};

/// Who may keep an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept {
    /// Everyone, and asks before each use.
    Shared,
    /// The one who asked, and asks before each use.
    Private,
}

impl Kept {
    const fn header(self) -> HeaderValue {
        match self {
            Self::Shared => HeaderValue::from_static("public, no-cache"),
            Self::Private => HeaderValue::from_static("private, no-cache"),
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// Staff see more than others under the same address.
const VARIES: HeaderValue = HeaderValue::from_static("accept-encoding, authorization");

/// Answers with a body that stands ready.
pub(super) fn answer(request: &HttpRequest, encoded: &Encoded, kept: Kept) -> HttpResponse {
    let tag = encoded.tag.to_str().unwrap_or_default();
    if not_modified(request, tag) {
        return HttpResponse::NotModified()
            .insert_header((ETAG, encoded.tag.clone()))
            .insert_header((CACHE_CONTROL, kept.header()))
            .insert_header((VARY, VARIES))
            .finish();
    }
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, JSON))
        .insert_header((ETAG, encoded.tag.clone()))
        .insert_header((CACHE_CONTROL, kept.header()))
        .insert_header((VARY, VARIES));
    if takes_gzip(request)
        && let Some(compressed) = encoded.gzip()
    {
        response.insert_header((CONTENT_ENCODING, GZIP));
        return response.body(compressed.clone());
    }
    response.body(encoded.plain.clone())
}

/// Whether the client takes gzip (RFC 9110, 12.5.3): named, and not with a weight of zero.
fn takes_gzip(request: &HttpRequest) -> bool {
    let header = request.headers().get(ACCEPT_ENCODING);
    let Some(list) = header.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    list.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        named && !parts.any(refuses)
    })
}

/// `q=0`, `q=0.0`, …
fn refuses(parameter: &str) -> bool {
    parameter
        .strip_prefix("q=")
        .is_some_and(|weight| weight.bytes().all(|b| matches!(b, b'0' | b'.')))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let takes = |accepted: &'static str| {
            let request = TestRequest::default().insert_header((ACCEPT_ENCODING, accepted));
            takes_gzip(&request.to_http_request())
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.5") && takes("deflate,gzip; q=1"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("gzip; q=0.0") && !takes(""));
        assert!(!takes_gzip(&TestRequest::default().to_http_request()));
    }
}
