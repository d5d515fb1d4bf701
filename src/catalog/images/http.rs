//! Pictures over HTTP: uploaded ones, and the demo catalogue's from the binary.

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse, delete, get,
    http::header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
        ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS,
    },
    post,
    web::{self, Bytes},
};
use rust_embed::RustEmbed;
use serde::Deserialize;
use utoipa_actix_web::service_config::ServiceConfig as Table;

use super::{ImageName, Images, check::Kind};
use crate::{
    accounts::Staff,
    audit::Actor,
    catalog::{
        Catalog, CatalogError, Image,
        http::write::{named, written},
        import::hex,
        model::{MAX_ALT, Product, WriteProduct},
        view::ProductView,
    },
    http::{IfMatch, Params, invalid_parameter, not_modified, read_at_most},
    problem::{Code, Problem, ProblemBody},
};

/// A name is a digest: what it names never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const FOR_A_DAY: &str = "public, max-age=86400";

/// Registers the routes.
pub(in crate::catalog) fn routes(table: &mut Table) {
    table
        .service(add_image)
        .service(remove_image)
        .service(show_image)
        .service(demo_image);
}

/// What goes with an uploaded picture.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NewImage {
    /// What it shows, for those who do not see it; 600 characters at most.
    #[serde(default)]
    alt: String,
}

/// Adds a picture to a product: the body is the file.
///
/// PNG, JPEG, WebP and GIF are taken, told from the content, which must be what `Content-Type` says. The picture
/// is kept under the digest of its bytes and served at `/images/…`, which `Location` and the product's last
/// image name. One that the product has already takes the new `alt` where it stands. What follows the end of the
/// image in the file is not kept.
#[utoipa::path(tag = "products",
    request_body(content((String = "image/png"), (String = "image/jpeg"), (String = "image/webp"), (String = "image/gif"))),
    params(
        ("id" = String, Path, description = "Id or slug"),
        ("If-Match" = Option<String>, Header, description = "The tag of the version to be changed"),
        NewImage,
    ),
    security(("bearer" = [])), responses(
    (status = CREATED, body = ProductView, headers(("Location" = String), ("ETag" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = PRECONDITION_FAILED, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody, description = "More bytes than `images.max_mib`"),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody, description = "Another type, or a content of another type than was said"),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody, description = "`image_invalid`, `image_too_large`; `validation_failed` for `alt` and a product with too many images"),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "`unavailable`: the database or the store of images does not answer; `busy`: too much is under way"),
))]
#[post("/api/products/{id}/images")]
#[expect(
    clippy::too_many_arguments,
    reason = "each is a part of the request, or what serves it"
)]
async fn add_image(
    Staff(principal): Staff,
    name: web::Path<String>,
    condition: IfMatch,
    query: Params<NewImage>,
    request: HttpRequest,
    body: web::Payload,
    catalog: web::Data<Catalog>,
    images: web::Data<Images>,
) -> Result<HttpResponse, Problem> {
    let said = said(&request)?;
    let alt = query.0.alt;
    if alt.chars().count() > MAX_ALT {
        let message = format!("at most {MAX_ALT} characters");
        return Err(invalid_parameter("alt", "length", message));
    }
    // What the write below would refuse is refused before anything is kept.
    let id = named(&catalog, &name).await?;
    condition.check(catalog.find(id).await?.version)?;
    announced(&request, images.max_bytes)?;
    let bytes = read_at_most(body.into_inner(), images.max_bytes).await?;
    let (picture, bytes) = images.checked(bytes.freeze(), said).await?;
    // Known before it is there, so that no file is left that nobody removes.
    let known = &catalog.shared.pictures;
    known.note(&[picture.to_string()]).await?;
    images.store.put(&picture, bytes).await?;
    let url = format!("/images/{picture}");
    let by = Actor::User(principal.user);
    let added = catalog.rewrite(id, condition, by, |old| Ok(with_image(old, &url, &alt)));
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, url.clone()));
    Ok(written(response, &added.await?))
}

fn with_image(product: &Product, url: &str, alt: &str) -> WriteProduct {
    let mut form = WriteProduct::from(product);
    match form.images.iter_mut().find(|image| image.url == url) {
        Some(present) => alt.clone_into(&mut present.alt),
        None => form.images.push(Image {
            url: url.to_owned(),
            alt: alt.to_owned(),
        }),
    }
    form
}

/// What the body is said to be.
fn said(request: &HttpRequest) -> Result<Kind, Problem> {
    let header = |name| request.headers().get(name);
    let refused = |detail: &str| Problem::new(Code::UnsupportedMediaType).detail(detail);
    if header(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(refused("send the body without Content-Encoding"));
    }
    let written = header(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = written.unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim();
    let mut kinds = Kind::ALL.into_iter();
    kinds
        .find(|kind| kind.content_type().eq_ignore_ascii_case(essence))
        .ok_or_else(|| refused("send image/png, image/jpeg, image/webp or image/gif"))
}

/// Refuses a body that is said to be too large before it is read.
fn announced(request: &HttpRequest, most: usize) -> Result<(), Problem> {
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let most_bytes = u64::try_from(most).unwrap_or(u64::MAX);
    if length.is_some_and(|length| length > most_bytes) {
        return Err(
            Problem::new(Code::BodyTooLarge).detail(format!("an image may have {most} bytes"))
        );
    }
    Ok(())
}

/// Takes a picture from a product, by its place in `images`, counted from 0. The file stays for others that
/// show it; `images.unused_days` after the last of them it is removed.
///
/// A place means something in one version only: `If-Match` must name it.
#[utoipa::path(tag = "products",
    params(
        ("id" = String, Path, description = "Id or slug"),
        ("place" = usize, Path, description = "From 0"),
        ("If-Match" = String, Header, description = "The tag of the version in which the place is counted"),
    ),
    security(("bearer" = [])), responses(
    (status = OK, body = ProductView, headers(("ETag" = String))),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = PRECONDITION_FAILED, body = ProblemBody),
    (status = PRECONDITION_REQUIRED, body = ProblemBody),
))]
#[delete("/api/products/{id}/images/{place}")]
async fn remove_image(
    Staff(principal): Staff,
    path: web::Path<(String, usize)>,
    condition: IfMatch,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let (name, place) = path.into_inner();
    if condition == IfMatch::Any {
        return Err(Problem::new(Code::PreconditionRequired)
            .detail("name the version in which the place is counted with If-Match"));
    }
    let id = named(&catalog, &name).await?;
    let by = Actor::User(principal.user);
    let removed = catalog.rewrite(id, condition, by, |old| {
        let mut form = WriteProduct::from(old);
        if place >= form.images.len() {
            let missing = Problem::not_found().detail("the product has no such image");
            return Err(CatalogError::Refused(missing));
        }
        form.images.remove(place);
        Ok(form)
    });
    Ok(written(HttpResponse::Ok(), &removed.await?))
}

/// Shows an uploaded picture.
#[utoipa::path(tag = "products", params(("file" = String, Path)), responses(
    (status = OK, content((String = "image/png"), (String = "image/jpeg"), (String = "image/webp"), (String = "image/gif")), headers(("ETag" = String))),
    (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
    (status = NOT_FOUND, body = ProblemBody),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "The store of images does not answer"),
))]
#[get("/images/{file}")]
async fn show_image(
    request: HttpRequest,
    file: web::Path<String>,
    images: web::Data<Images>,
) -> Result<HttpResponse, Problem> {
    let name: ImageName = file.parse().map_err(|()| Problem::not_found())?;
    let found = images.store.get(&name).await?;
    let picture = Picture {
        tag: format!("\"{}\"", name.digest),
        content_type: name.kind.content_type(),
        cache_control: FOR_EVER,
        bytes: found.ok_or_else(Problem::not_found)?,
    };
    Ok(picture.show(&request))
}

#[derive(RustEmbed)]
#[folder = "config/demo/images"]
struct Demo;

/// Shows a picture of the demo catalogue.
#[utoipa::path(tag = "demo", params(("file" = String, Path)), responses(
    (status = OK, body = String, content_type = "image/svg+xml", headers(("ETag" = String))),
    (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
    (status = NOT_FOUND, body = ProblemBody),
))]
#[get("/demo/images/{file}")]
async fn demo_image(
    request: HttpRequest,
    file: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    // A lookup among the names that were built in: no path of the machine can be reached.
    let file = Demo::get(&file).ok_or_else(Problem::not_found)?;
    let picture = Picture {
        tag: format!("\"{}\"", hex(&file.metadata.sha256_hash(), 12)),
        content_type: "image/svg+xml",
        cache_control: FOR_A_DAY,
        bytes: match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        },
    };
    Ok(picture.show(&request))
}

/// A picture as it is sent, wherever it comes from.
struct Picture {
    tag: String,
    content_type: &'static str,
    cache_control: &'static str,
    bytes: Bytes,
}

impl Picture {
    fn show(self, request: &HttpRequest) -> HttpResponse {
        let held = not_modified(request.headers(), &self.tag);
        let mut response = if held {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        response
            .insert_header((ETAG, self.tag))
            .insert_header((CACHE_CONTROL, self.cache_control));
        if held {
            return response.finish();
        }
        response
            .insert_header((CONTENT_TYPE, self.content_type))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            // Whatever it may be taken for, it runs nothing and loads nothing.
            .insert_header((
                CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; sandbox",
            ))
            .body(self.bytes)
    }
}
