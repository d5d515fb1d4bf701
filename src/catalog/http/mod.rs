//! The catalogue over HTTP.

mod answer;
mod brands;
mod categories;
mod list;
mod read;
mod stock;
mod types;
pub(super) mod write;

use actix_web::{
    dev::RequestHead,
    http::{Method, header::AUTHORIZATION},
};
use utoipa_actix_web::service_config::ServiceConfig as Table;

use super::Catalog;
use crate::http::Ready;

/// Where the products are.
const PRODUCTS: &str = "/api/products";
/// One of them.
const PRODUCT: &str = "/api/products/{id}";

/// The answer to a stranger's request for a product or a list that is at hand, and its route; `None`: the router finds
/// who answers. The answers are those of the routes, without the way to them.
pub async fn at_hand(catalog: &Catalog, request: &RequestHead) -> Option<Ready> {
    let rest = request.uri.path().strip_prefix(PRODUCTS)?;
    if request.method != Method::GET || request.headers.contains_key(AUTHORIZATION) {
        return None;
    }
    if rest.is_empty() {
        let generation = catalog
            .is_ready()
            .then(|| catalog.shared.live.generation())?;
        let page = list::page_at_hand(request, catalog, generation).await?;
        return Some((page, PRODUCTS));
    }
    let name = rest.strip_prefix('/')?;
    let product = read::product_at_hand(request, catalog, name).await?;
    Some((product, PRODUCT))
}

/// Registers the room's routes. Those with a word in a product's place come before `{id}`; beyond that what is
/// asked for most comes first, since the router tries one after the other.
pub fn routes(table: &mut Table) {
    table
        .service(list::list_products)
        .service(list::suggest_products)
        .service(super::import::export_products)
        .service(read::read_product)
        .service(read::related_products)
        .service(read::price_history);
    super::import::routes(table);
    super::images::routes(table);
    super::bulk::routes(table);
    table
        .service(write::create_product)
        .service(write::replace_product)
        .service(write::patch_product)
        .service(write::archive_product)
        .service(stock::change_stock)
        .service(types::list_types)
        .service(types::infer_type)
        .service(types::read_type)
        .service(types::create_type)
        .service(types::replace_type)
        .service(types::delete_type)
        .service(categories::list_categories)
        .service(categories::create_category)
        .service(categories::move_category)
        .service(categories::change_category)
        .service(categories::delete_category)
        .service(brands::list_brands);
}
