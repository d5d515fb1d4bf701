//! Answers from encoded bodies: 304 where the client has them, compressed as it takes that best.

use actix_web::{
    HttpResponse,
    dev::RequestHead,
    http::header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, VARY,
    },
};

use crate::{
    catalog::view::Encoded,
    http::{NOT_KEPT, not_modified},
};

/// Who may keep an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept<'a> {
    /// Everyone, as this header says.
    Shared(&'a HeaderValue),
    /// Nobody: staff see more under the same address, and under the same tag where nothing is reserved.
    Private,
}

impl Kept<'_> {
    fn header(self) -> HeaderValue {
        match self {
            Self::Shared(header) => header.clone(),
            Self::Private => NOT_KEPT.1,
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const BROTLI: HeaderValue = HeaderValue::from_static("br");
/// Staff see more than others under the same address.
const VARIES: HeaderValue = HeaderValue::from_static("accept-encoding, authorization");

/// Answers with a body that stands ready.
pub(super) fn answer(request: &RequestHead, encoded: &Encoded, kept: Kept<'_>) -> HttpResponse {
    let tag = encoded.tag.to_str().unwrap_or_default();
    if not_modified(request.headers(), tag) {
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
    let (coding, body) = if takes(request, "br") {
        (BROTLI, encoded.brotli())
    } else if takes(request, "gzip") {
        (GZIP, encoded.gzip())
    } else {
        return response.body(encoded.plain.clone());
    };
    let Some(compressed) = body else {
        return response.body(encoded.plain.clone());
    };
    response.insert_header((CONTENT_ENCODING, coding));
    response.body(compressed.clone())
}

/// Whether the client takes a coding (RFC 9110, 12.5.3): named, and not with a weight of zero.
fn takes(request: &RequestHead, wanted: &str) -> bool {
    let header = request.headers().get(ACCEPT_ENCODING);
    let Some(list) = header.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    list.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|coding| coding.eq_ignore_ascii_case(wanted));
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
    fn a_coding_is_sent_to_those_who_take_it() {
        let gzip = |accepted: &'static str| {
            let request = TestRequest::default().insert_header((ACCEPT_ENCODING, accepted));
            takes(request.to_http_request().head(), "gzip")
        };
        assert!(gzip("gzip") && gzip("br, GZIP;q=0.5") && gzip("deflate,gzip; q=1"));
        assert!(!gzip("br") && !gzip("gzip;q=0") && !gzip("gzip; q=0.0") && !gzip(""));
        assert!(!takes(
            TestRequest::default().to_http_request().head(),
            "gzip"
        ));
    }

    #[test]
    fn each_coding_brings_the_same_body() {
        use std::io::Read;

        let plain = "a body that is long enough to be worth it. ".repeat(100);
        let encoded = Encoded::by_content(plain.clone().into_bytes());
        let mut read = String::new();
        let mut gzip = flate2::read::GzDecoder::new(&encoded.gzip().unwrap()[..]);
        gzip.read_to_string(&mut read).unwrap();
        assert_eq!(read, plain);
        read.clear();
        let mut brotli = brotli::Decompressor::new(&encoded.brotli().unwrap()[..], 4_096);
        brotli.read_to_string(&mut read).unwrap();
        assert_eq!(read, plain);
        assert!(Encoded::by_content(b"short".to_vec()).brotli().is_none());
    }
}
