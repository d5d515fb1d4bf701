//! Brands: who makes what is on sale.

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Serialize;

use super::answer::{Kept, answer};
use crate::{
    catalog::{Catalog, CatalogError, view::Encoded},
    problem::{Problem, ProblemBody},
};

/// A brand.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Brand {
    /// Its name, as `brand` of a product list takes it.
    name: String,
    /// Active products of it.
    count: u64,
}

/// The brands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Brands {
    /// By name.
    items: Vec<Brand>,
}

/// Lists the brands of active products, each with its number of them.
#[utoipa::path(tag = "products", responses(
    (status = OK, body = Brands, headers(("ETag" = String))),
    (status = NOT_MODIFIED, description = "The client has it (`If-None-Match`)"),
    (status = SERVICE_UNAVAILABLE, body = ProblemBody),
))]
#[get("/api/brands")]
pub(super) async fn list_brands(
    request: HttpRequest,
    catalog: web::Data<Catalog>,
) -> Result<HttpResponse, Problem> {
    if !catalog.is_ready() {
        return Err(CatalogError::Loading.into());
    }
    let brands = catalog.shared.live.brands(|counts| {
        let items = counts.iter();
        let items = items.map(|(name, count)| Brand {
            name: name.to_string(),
            count: *count,
        });
        let brands = Brands {
            items: items.collect(),
        };
        let body = serde_json::to_vec(&brands);
        Encoded::by_content(body.unwrap_or_else(|_| b"{\"items\":[]}".to_vec()))
    });
    Ok(answer(
        request.head(),
        &brands,
        Kept::Shared(&catalog.shared.cache_control),
    ))
}
