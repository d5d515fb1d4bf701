//! Product types over HTTP.

use std::sync::Arc;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, delete, get,
    http::header::{CACHE_CONTROL, ETAG, LOCATION},
    post, put, web,
};
use serde::Deserialize;

use crate::{
    accounts::Staff,
    audit::Actor,
    catalog::{
        Catalog, CatalogError,
        error::TypeReport,
        import::infer_from_lines,
        model::{InvalidTypeId, ProductType, TypeId, WriteProductType},
    },
    http::{Body, IfMatch, Params, invalid_parameter, not_modified, read_at_most},
    page::{Limit, Page, cut, decode_cursor},
    problem::{Code, Problem, ProblemBody},
};

/// The name of the list, which its cursors carry.
const LIST: &str = "product-types";

/// How a type may be kept: it is asked for each time whether it is still so.
const REVALIDATED: &str = "public, no-cache";

/// The most bytes of data that a type is made from.
const MAX_SAMPLE: usize = 8 * 1024 * 1024;

/// Names of JSON Lines.
const JSON_LINES: [&str; 2] = ["application/x-ndjson", "application/jsonl"];

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

/// The tag of a version of this very type: another one may be made under its id.
fn tag(product_type: &ProductType) -> String {
    let (version, made) = (product_type.version, product_type.created_at.millis());
    format!("\"{version}.{made:x}\"")
}

fn shown(mut response: HttpResponseBuilder, product_type: &ProductType) -> HttpResponse {
    response
        .insert_header((ETAG, tag(product_type)))
        .insert_header((CACHE_CONTROL, REVALIDATED))
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
    let next_cursor = cut(LIST, &mut items, wanted.limit, |last| last.id.as_str())?;
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
    (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
    (status = NOT_FOUND, body = ProblemBody),
))]
#[get("/api/product-types/{id}")]
pub(super) async fn read_type(
    request: HttpRequest,
    id: web::Path<String>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let product_type = catalog.find_type(&parsed(&id)?).await?;
    let tag = tag(&product_type);
    if not_modified(request.headers(), &tag) {
        return Ok(HttpResponse::NotModified()
            .insert_header((ETAG, tag))
            .insert_header((CACHE_CONTROL, REVALIDATED))
            .finish());
    }
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
    Staff(principal): Staff,
    Body(product_type): Body<WriteProductType>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let created = catalog
        .create_type(product_type, Actor::User(principal.user))
        .await?;
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("/api/product-types/{}", created.id)));
    Ok(shown(response, &created))
}

/// Replaces a product type.
///
/// Nothing is rewritten silently. Refused where present products would break it: `broken` of `checked`
/// products, `faults` by place, and in `products` the first 20 with what each breaks. With `dryRun=true`
/// the same report is the answer and nothing is written; with `force=true` the type is replaced, and the
/// products stay as they are until they are next written.
#[utoipa::path(tag = "product types", request_body = WriteProductType,
    params(
        ("id" = String, Path),
        ReplaceParams,
        ("If-Match" = Option<String>, Header, description = "The tag of the version to be replaced"),
    ),
    security(("bearer" = [])), responses(
    (status = OK, body = Replaced, headers(("ETag" = String))),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`product_type_in_use` with the report; `conflict` for the built-in type"),
    (status = PRECONDITION_FAILED, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
))]
#[put("/api/product-types/{id}")]
pub(super) async fn replace_type(
    Staff(principal): Staff,
    id: web::Path<String>,
    Params(how): Params<ReplaceParams>,
    condition: IfMatch,
    Body(product_type): Body<WriteProductType>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let id = parsed(&id)?;
    if how.dry_run {
        let report = catalog.try_type(&id, condition, product_type).await?;
        return Ok(HttpResponse::Ok().json(report));
    }
    let by = Actor::User(principal.user);
    let replaced = catalog.replace_type(&id, condition, product_type, how.force, by);
    Ok(shown(HttpResponse::Ok(), &*replaced.await?))
}

/// How a type is replaced.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct ReplaceParams {
    /// Only say which products would break it.
    #[serde(default)]
    dry_run: bool,
    /// Replace it though products break it.
    #[serde(default)]
    force: bool,
}

/// The type, or the report of a dry run.
#[derive(Debug, utoipa::ToSchema)]
#[schema(as = ReplacedProductType)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the two forms of the answer")]
enum Replaced {
    /// What stands now.
    Type(ProductType),
    /// What would break.
    Report(TypeReport),
}

/// From what a type is made.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InferParams {
    /// The id of the type to be made.
    #[param(example = "t-shirt")]
    id: String,
    /// Make it from the products that have this type, instead of from the body.
    from: Option<String>,
}

/// Makes a product type from data, and writes nothing: JSON Schema, labels, which fields to filter by.
///
/// The data is the body, JSON Lines of at most 8 MiB, each line the attributes of one product; or, with
/// `from`, the attributes of the products that have that type now (`generic`, for those that were written
/// before there was a type). The answer can be changed and posted to `/api/product-types`.
#[utoipa::path(tag = "product types", params(InferParams), security(("bearer" = [])),
    request_body(content = Option<String>, content_type = "application/x-ndjson"), responses(
    (status = OK, body = WriteProductType),
    (status = BAD_REQUEST, body = ProblemBody),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = PAYLOAD_TOO_LARGE, body = ProblemBody),
    (status = UNSUPPORTED_MEDIA_TYPE, body = ProblemBody),
    (status = UNPROCESSABLE_ENTITY, body = ProblemBody, description = "A line is no object: `/lines/<number>`"),
))]
#[post("/api/product-types/infer")]
pub(super) async fn infer_type(
    _staff: Staff,
    Params(wanted): Params<InferParams>,
    request: HttpRequest,
    payload: web::Payload,
    catalog: web::Data<Catalog>,
) -> Result<web::Json<WriteProductType>, Problem> {
    let id: TypeId = wanted
        .id
        .parse()
        .map_err(|error: InvalidTypeId| invalid_parameter("id", "type_id", error.to_string()))?;
    let made = if let Some(from) = &wanted.from {
        catalog.infer_from_products(&id, &parsed(from)?).await?
    } else {
        if !JSON_LINES.contains(&request.content_type()) {
            return Err(
                Problem::new(Code::UnsupportedMediaType).detail("send application/x-ndjson")
            );
        }
        let body = read_at_most(payload.into_inner(), MAX_SAMPLE).await?;
        infer_from_lines(&id, &body)?
    };
    Ok(web::Json(made))
}

/// Removes a product type that no product has.
#[utoipa::path(tag = "product types",
    params(
        ("id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The tag of the version to be removed"),
    ),
    security(("bearer" = [])), responses(
    (status = NO_CONTENT),
    (status = UNAUTHORIZED, body = ProblemBody),
    (status = FORBIDDEN, body = ProblemBody),
    (status = NOT_FOUND, body = ProblemBody),
    (status = CONFLICT, body = ProblemBody, description = "`product_type_in_use` with `products`; `conflict` for the built-in type"),
    (status = PRECONDITION_FAILED, body = ProblemBody),
))]
#[delete("/api/product-types/{id}")]
pub(super) async fn delete_type(
    Staff(principal): Staff,
    id: web::Path<String>,
    condition: IfMatch,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    catalog
        .delete_type(&parsed(&id)?, condition, Actor::User(principal.user))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
