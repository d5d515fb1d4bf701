//! Writing products.

use actix_web::{
    HttpResponse, HttpResponseBuilder, delete,
    http::header::{ETAG, LOCATION},
    patch, post, put, web,
};

use crate::{
    accounts::Staff,
    audit::Actor,
    catalog::{
        Catalog, CatalogError,
        editor::Written,
        model::{PatchProduct, WriteProduct},
        view::{Audience, ProductView, tag},
    },
    http::{Body, IfMatch, etag, parse_json},
    id::ProductId,
    problem::{Problem, ProblemBody},
};

/// The most bytes of a written product: somewhat more than it may have once it is decoded, so that one of
/// a thousand variants may be written as people format it.
const MAX_WRITTEN: usize = 2 * 1024 * 1024;

/// The product that an address names, by id or slug.
pub(in crate::catalog) async fn named(
    catalog: &Catalog,
    name: &str,
) -> Result<ProductId, CatalogError> {
    match name.parse() {
        Ok(id) => Ok(id),
        Err(_slug) => Ok(catalog.find_by_name(name).await?.id),
    }
}

/// Answers with a product as staff see it.
pub(in crate::catalog) fn written(
    mut response: HttpResponseBuilder,
    (product, levels): &Written,
) -> HttpResponse {
    response
        .insert_header((ETAG, tag(product, levels, Audience::Staff)))
        .json(ProductView::new(product, levels, Audience::Staff))
}

/// Adds a product.
///
/// Without `slug`, one is made from the title. Stock is `{onHand}` on the product, or on each variant
/// where it has options; left out, it begins with none.
#[utoipa::path(tag = "products", request_body = WriteProduct, security(("bearer" = [])), responses(
    (status = CREATED, body = ProductView, headers(("Location" = String), ("ETag" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`sku_taken`, `slug_taken`"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody, description = "Each faulty place, attributes included"),
))]
#[post("/api/products")]
pub(super) async fn create_product(
    Staff(principal): Staff,
    Body(product): Body<WriteProduct, MAX_WRITTEN>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let created = catalog.create(product, Actor::User(principal.user)).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("/api/products/{}", created.0.id)));
    Ok(written(response, &created))
}

/// Replaces a product.
///
/// What is left out takes its default, but the slug, which stays, and stock, which is left alone.
/// Variants keep their ids by `id`, else `sku`, else options. A variant that is left out is gone from
/// sale; open checkouts that hold it go on.
#[utoipa::path(tag = "products", request_body = WriteProduct,
    params(
        ("id" = String, Path, description = "Id or slug"),
        ("If-Match" = Option<String>, Header, description = "The tag of the version to be replaced"),
    ),
    security(("bearer" = [])), responses(
    (status = OK, body = ProductView, headers(("ETag" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`sku_taken`, `slug_taken`, `insufficient_stock` where open checkouts hold more than `onHand`"),
    (status = PRECONDITION_FAILED, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[put("/api/products/{id}")]
pub(super) async fn replace_product(
    Staff(principal): Staff,
    name: web::Path<String>,
    condition: IfMatch,
    Body(product): Body<WriteProduct, MAX_WRITTEN>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let id = named(&catalog, &name).await?;
    let by = Actor::User(principal.user);
    let replaced = catalog.rewrite(id, condition, by, |_old| Ok(product.clone()));
    Ok(written(HttpResponse::Ok(), &replaced.await?))
}

/// Changes members of a product (JSON Merge Patch, RFC 7396): `null` removes, objects are merged,
/// lists are replaced.
///
/// A patch of `price` moves the variants that cost what the product cost too, unless it names `variants`.
#[utoipa::path(tag = "products",
    request_body(content = Object, content_type = "application/merge-patch+json", description = "Members of a product to set, `null` for those to remove; `application/json` is taken too"),
    params(
        ("id" = String, Path, description = "Id or slug"),
        ("If-Match" = Option<String>, Header, description = "The tag of the version to be changed"),
    ),
    security(("bearer" = [])), responses(
    (status = OK, body = ProductView, headers(("ETag" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`sku_taken`, `slug_taken`, `insufficient_stock` where open checkouts hold more than `onHand`"),
    (status = PRECONDITION_FAILED, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[patch("/api/products/{id}")]
pub(super) async fn patch_product(
    Staff(principal): Staff,
    name: web::Path<String>,
    condition: IfMatch,
    Body(patch): Body<PatchProduct, MAX_WRITTEN>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let id = named(&catalog, &name).await?;
    let by = Actor::User(principal.user);
    let patched = catalog.rewrite(id, condition, by, |old| {
        let form = patch.apply(old).map_err(CatalogError::Invalid)?;
        // Decoded like a body, so that each faulty place is named alike.
        Ok(parse_json::<WriteProduct>(form.to_string().as_bytes())?)
    });
    Ok(written(HttpResponse::Ok(), &patched.await?))
}

/// Archives a product: it is off sale, and orders keep pointing at it.
#[utoipa::path(tag = "products",
    params(
        ("id" = String, Path, description = "Id or slug"),
        ("If-Match" = Option<String>, Header, description = "The tag of the version to be archived"),
    ),
    security(("bearer" = [])), responses(
    (status = NO_CONTENT, headers(("ETag" = String))),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = PRECONDITION_FAILED, body = ProblemBody),
))]
#[delete("/api/products/{id}")]
pub(super) async fn archive_product(
    Staff(principal): Staff,
    name: web::Path<String>,
    condition: IfMatch,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let id = named(&catalog, &name).await?;
    let archived = catalog
        .archive(id, condition, Actor::User(principal.user))
        .await?;
    Ok(HttpResponse::NoContent()
        .insert_header((ETAG, etag(archived.version)))
        .finish())
}
