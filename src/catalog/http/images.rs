//! The demo catalogue's pictures, from the binary.

use std::fmt::Write;

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
    web,
};
use rust_embed::RustEmbed;

use crate::{
    http::not_modified,
    problem::{Problem, ProblemBody},
};

#[derive(RustEmbed)]
#[folder = "config/demo/images"]
struct Pictures;

/// Shows a picture of the demo catalogue.
#[utoipa::path(tag = "demo", params(("file" = String, Path)), responses(
    (status = OK, body = String, content_type = "image/svg+xml", headers(("ETag" = String))),
    (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
    (status = NOT_FOUND, body = ProblemBody),
))]
#[get("/demo/images/{file}")]
pub(super) async fn demo_image(
    request: HttpRequest,
    file: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    // A lookup among the names that were built in: no path of the machine can be reached.
    let picture = Pictures::get(&file).ok_or_else(Problem::not_found)?;
    let mut tag = String::from("\"");
    for byte in picture.metadata.sha256_hash().iter().take(12) {
        // Writing to a string does not fail.
        let _written = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let mut response = if not_modified(&request, &tag) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((ETAG, tag.clone()))
        .insert_header((CACHE_CONTROL, "public, max-age=86400"));
    if not_modified(&request, &tag) {
        return Ok(response.finish());
    }
    response.insert_header((CONTENT_TYPE, "image/svg+xml"));
    Ok(match picture.data {
        std::borrow::Cow::Borrowed(bytes) => response.body(web::Bytes::from_static(bytes)),
        std::borrow::Cow::Owned(bytes) => response.body(bytes),
    })
}
