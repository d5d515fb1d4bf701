//! Product types over HTTP.

use std::sync::Arc;

use actix_web::{
    HttpResponse, HttpResponseBuilder, delete, get,
    http::header::{CACHE_CONTROL, ETAG, LOCATION},
    post, put, web,
};
use serde::Deserialize;

use crate::{
    accounts::Staff,
    catalog::{
        Catalog, CatalogError,
        model::{ProductType, TypeId, WriteProductType},
    },
    http::{Body, IfMatch, Params, etag},
    page::{Limit, Page, decode_cursor, encode_cursor},
    problem::{Problem, ProblemBody},
};

/// The name of the list, which its cursors carry.
const LIST: &str = "product-types";

/// A page of product types.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Rows of the page.
    #[serde(default)]
    #[param(value_type = u32, minimum = 1, maximum = 100, default = 20)]
    limit: Limit,
    /// Where the page begins.
    cursor: Option<String>,
}

/// What is no id names no type.
fn parsed(id: &str) -> Result<TypeId, CatalogError> {
    id.parse().map_err(|_invalid| CatalogError::TypeNotFound)
}

fn shown(mut response: HttpResponseBuilder, product_type: &ProductType) -> HttpResponse {
    response
        .insert_header((ETAG, etag(product_type.version)))
        .insert_header((CACHE_CONTROL, "public, no-cache"))
        .json(product_type)
}

/// Lists the product types, by id; the built-in `generic` is one of them.
#[utoipa::path(tag = "product types", params(ListParams), responses(
    (status = OK, body = Page<ProductType>),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[get("/api/product-types")]
pub(super) async fn list_types(
    Params(wanted): Params<ListParams>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    if !catalog.is_ready() {
        return Err(CatalogError::Loading.into());
    }
    let table = catalog.types();
    let after: Option<String> = match &wanted.cursor {
        Some(cursor) => Some(decode_cursor(LIST, cursor)?),
        None => None,
    };
    let rest = table.types().iter().filter(|t| match &after {
        Some(after) => t.id.as_str() > after.as_str(),
        None => true,
    });
    let mut items: Vec<&Arc<ProductType>> = rest.take(wanted.limit.row_count() + 1).collect();
    let more = items.len() > wanted.limit.row_count();
    items.truncate(wanted.limit.row_count());
    let next_cursor = match items.last().filter(|_| more) {
        Some(last) => Some(encode_cursor(LIST, last.id.as_str())?),
        None => None,
    };
    Ok(HttpResponse::Ok().json(Page {
        items: items
            .into_iter()
            .map(AsRef::as_ref)
            .collect::<Vec<&ProductType>>(),
        next_cursor,
        total: u64::try_from(table.types().iter().count()).unwrap_or(u64::MAX),
    }))
}

/// Shows a product type.
#[utoipa::path(tag = "product types", params(("id" = String, Path)), responses(
    (status = OK, body = ProductType, headers(("ETag" = String))),
    (status = NOT_FOUND, body = ProblemBody),
))]
#[get("/api/product-types/{id}")]
pub(super) async fn read_type(
    id: web::Path<String>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let product_type = catalog.find_type(&parsed(&id)?).await?;
    Ok(shown(HttpResponse::Ok(), &product_type))
}

/// Adds a product type.
///
/// `attributes` is a JSON Schema (2020-12) of at most 64 KiB; it refers to itself only, by JSON
/// pointer, and patterns are of the linear-time kind (no look-around, no back references).
#[utoipa::path(tag = "product types", request_body = WriteProductType, security(("bearer" = [])), responses(
    (status = CREATED, body = ProductType, headers(("Location" = String), ("ETag" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`product_type_taken`"),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[post("/api/product-types")]
pub(super) async fn create_type(
    _staff: Staff,
    Body(product_type): Body<WriteProductType>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let created = catalog.create_type(product_type).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("/api/product-types/{}", created.id)));
    Ok(shown(response, &created))
}

/// Replaces a product type.
///
/// Refused where present products would break it: `products` lists up to 20 of them, each with what
/// it breaks.
#[utoipa::path(tag = "product types", request_body = WriteProductType,
    params(
        ("id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The tag of the version to be replaced"),
    ),
    security(("bearer" = [])), responses(
    (status = OK, body = ProductType, headers(("ETag" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`product_type_in_use` with `products`; `conflict` for the built-in type"),
    (status = PRECONDITION_FAILED, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[put("/api/product-types/{id}")]
pub(super) async fn replace_type(
    _staff: Staff,
    id: web::Path<String>,
    condition: IfMatch,
    Body(product_type): Body<WriteProductType>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let replaced = catalog
        .replace_type(&parsed(&id)?, condition, product_type)
        .await?;
    Ok(shown(HttpResponse::Ok(), &replaced))
}

/// Removes a product type that no product has.
#[utoipa::path(tag = "product types", params(("id" = String, Path)), security(("bearer" = [])), responses(
    (status = NO_CONTENT),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`product_type_in_use` with `products`; `conflict` for the built-in type"),
))]
#[delete("/api/product-types/{id}")]
pub(super) async fn delete_type(
    _staff: Staff,
    id: web::Path<String>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    catalog.delete_type(&parsed(&id)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
