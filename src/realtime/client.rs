//! The browser client, from the binary: one ES module without dependencies, and its types
//! (`web/packages/realtime`).

use std::fmt::Write;

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
};
use sha2::{Digest, Sha256};

use crate::http::not_modified;

const MODULE: &str = include_str!("../../web/packages/realtime/realtime.js");
const TYPES: &str = include_str!("../../web/packages/realtime/realtime.d.ts");

/// The client of live streams for browsers, an ES module.
#[utoipa::path(tag = "realtime", responses(
    (status = OK, body = String, content_type = "text/javascript", headers(("ETag" = String))),
    (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
))]
#[get("/realtime.js")]
pub(super) async fn module(request: HttpRequest) -> HttpResponse {
    file(&request, MODULE, "text/javascript; charset=utf-8")
}

/// The types of the client, for TypeScript.
#[utoipa::path(tag = "realtime", responses(
    (status = OK, body = String, content_type = "text/plain", headers(("ETag" = String))),
    (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
))]
#[get("/realtime.d.ts")]
pub(super) async fn types(request: HttpRequest) -> HttpResponse {
    file(&request, TYPES, "text/plain; charset=utf-8")
}

/// The path stays the same from release to release: kept by browsers, and asked about each time.
fn file(request: &HttpRequest, text: &'static str, kind: &'static str) -> HttpResponse {
    let tag = tag(text);
    let mut response = if not_modified(request.headers(), &tag) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        // Weak: it is compressed on the way, to other bytes of the same meaning.
        .insert_header((ETAG, format!("W/{tag}")))
        .insert_header((CACHE_CONTROL, "public, no-cache"));
    if not_modified(request.headers(), &tag) {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, kind)).body(text)
}

fn tag(text: &str) -> String {
    let mut tag = String::from("\"");
    for byte in Sha256::digest(text).iter().take(12) {
        // Writing to a string does not fail.
        let _written = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}
