//! One product.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    dev::RequestHead,
    get,
    http::header::{CACHE_CONTROL, LOCATION},
    web,
};
use serde::{Deserialize, Serialize};

use super::answer::{Kept, answer};
use crate::{
    accounts::{Caller, Staff},
    catalog::{
        Catalog, CatalogError,
        view::{Audience, Encoded, ProductView, Shelved, tag},
    },
    clock::Timestamp,
    http::{Params, invalid_parameter},
    id::VariantId,
    money::Money,
    page::Limit,
    problem::{Problem, ProblemBody},
};

/// Shows a product, by id or slug.
///
/// Drafts and archived products exist for staff only, who also see what is reserved. The entity tag is
/// the version; once stock has moved since that version, a digest of the stock follows it.
#[utoipa::path(tag = "products",
    params(("id" = String, Path, description = "Id or slug")),
    security((), ("bearer" = [])),
    responses(
        (status = OK, body = ProductView, headers(("ETag" = String))),
        (status = MOVED_PERMANENTLY, headers(("Location" = String)), description = "The product had this slug before"),
        (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
    ))]
#[get("/api/products/{id}")]
pub(super) async fn read_product(
    request: HttpRequest,
    caller: Caller,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let name = request.match_info().get("id").unwrap_or_default();
    if caller.0.is_some_and(|principal| principal.is_staff()) {
        return Box::pin(read_as_staff(&request, &catalog, name)).await;
    }
    let found = catalog.shelved_by_name(name).await?;
    match found.filter(|product| product.active) {
        Some(product) => Ok(shown(request.head(), &catalog, &product)),
        None => Box::pin(moved(&catalog, name, Audience::Public)).await,
    }
}

fn shown(request: &RequestHead, catalog: &Catalog, product: &Shelved) -> HttpResponse {
    let kept = Kept::Shared(&catalog.shared.cache_control);
    answer(request, &product.body, kept)
}

/// A product that is at hand, as everyone sees it.
pub(super) async fn product_at_hand(
    request: &RequestHead,
    catalog: &Catalog,
    name: &str,
) -> Option<HttpResponse> {
    let product = catalog.at_hand(name).await?;
    product.active.then(|| shown(request, catalog, &product))
}

/// Sends whoever asks for a former slug to the present one; 404 where nobody had it.
async fn moved(catalog: &Catalog, name: &str, audience: Audience) -> Result<HttpResponse, Problem> {
    let found = catalog.formerly(name, audience).await?;
    let product = found.ok_or(CatalogError::ProductNotFound)?;
    Ok(HttpResponse::MovedPermanently()
        .insert_header((LOCATION, format!("/api/products/{}", product.slug)))
        // Not for ever: another product may take the slug one day.
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .finish())
}

/// How many related products are wanted.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RelatedParams {
    /// The most products.
    #[serde(default)]
    #[param(value_type = u32, minimum = 1, maximum = 100, default = 20)]
    limit: Limit,
}

/// Products of the same kind.
#[derive(Debug, utoipa::ToSchema)]
#[expect(
    dead_code,
    reason = "describes what is put together from encoded products"
)]
struct RelatedProducts<'a> {
    /// The nearest first.
    items: Vec<ProductView<'a>>,
}

/// Lists products that stand in the same categories: the narrowest category first, what can be bought
/// before what cannot.
#[utoipa::path(tag = "products",
    params(("id" = String, Path, description = "Id or slug"), RelatedParams),
    responses(
        (status = OK, body = RelatedProducts, headers(("ETag" = String))),
        (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
        (status = NOT_FOUND, body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
        (status = SERVICE_UNAVAILABLE, body = ProblemBody, description = "The index is being loaded"),
    ))]
#[get("/api/products/{id}/related")]
pub(super) async fn related_products(
    request: HttpRequest,
    name: web::Path<String>,
    Params(wanted): Params<RelatedParams>,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    let ids = catalog.related(&name, wanted.limit).await?;
    let shelved = catalog.shelved_all(&ids).await?;
    let shown = ids.iter().filter_map(|id| shelved.get(id));
    let bodies = shown.filter(|product| product.active);
    let bodies: Vec<&[u8]> = bodies.map(|product| product.body.plain.as_ref()).collect();
    let mut body = b"{\"items\":[".to_vec();
    body.extend(bodies.join(&b','));
    body.extend_from_slice(b"]}");
    Ok(answer(
        request.head(),
        &Encoded::by_content(body),
        Kept::Shared(&catalog.shared.cache_control),
    ))
}

/// How far back prices are shown.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PriceParams {
    /// Days back from now.
    #[param(minimum = 1, maximum = 3650, default = 90)]
    days: Option<u32>,
}

/// Which prices applied when.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct PriceHistory {
    /// The periods that have ended, the last one first.
    items: Vec<PeriodView>,
}

/// A time in which a price applied.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PricePeriod)]
#[serde(rename_all = "camelCase")]
struct PeriodView {
    /// The variant; absent: the product's price in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    variant_id: Option<VariantId>,
    price: Money,
    from: Timestamp,
    until: Timestamp,
}

/// Shows which prices of a product applied when, while it was on sale: the proof behind
/// `lowestPrice30Days`.
#[utoipa::path(tag = "products", security(("bearer" = [])),
    params(("id" = String, Path, description = "Id or slug"), PriceParams),
    responses(
        (status = OK, body = PriceHistory),
        (status = UNAUTHORIZED, body = ProblemBody),
        (status = FORBIDDEN, body = ProblemBody),
        (status = NOT_FOUND, body = ProblemBody),
        (status = UNPROCESSABLE_ENTITY, body = ProblemBody),
    ))]
#[get("/api/products/{id}/prices")]
pub(super) async fn price_history(
    _staff: Staff,
    name: web::Path<String>,
    Params(wanted): Params<PriceParams>,
    catalog: web::Data<Catalog>,
) -> Result<web::Json<PriceHistory>, Problem> {
    let days = wanted.days.unwrap_or(90);
    if !(1..=3_650).contains(&days) {
        return Err(invalid_parameter("days", "range", "must be from 1 to 3650"));
    }
    let product = catalog.find_by_name(&name).await?;
    let then = Timestamp::now().before(Duration::from_hours(u64::from(days) * 24));
    let periods = catalog.shared.prices.since(product.id, then).await?;
    let items = periods.into_iter().map(|period| PeriodView {
        variant_id: period.variant,
        price: period.price,
        from: period.from,
        until: period.until,
    });
    Ok(web::Json(PriceHistory {
        items: items.collect(),
    }))
}

/// What staff see is read from the primary: it shows what is reserved now.
async fn read_as_staff(
    request: &HttpRequest,
    catalog: &Catalog,
    name: &str,
) -> Result<HttpResponse, Problem> {
    let product = match catalog.find_by_name(name).await {
        Ok(product) => product,
        Err(CatalogError::ProductNotFound) => return moved(catalog, name, Audience::Staff).await,
        Err(error) => return Err(error.into()),
    };
    let levels = catalog.levels(&product).await?;
    let view = ProductView::new(&product, &levels, Audience::Staff);
    let body = serde_json::to_vec(&view).map_err(Problem::internal)?;
    let encoded = Encoded::new(tag(&product, &levels, Audience::Staff), body);
    Ok(answer(request.head(), &encoded, Kept::Private))
}
