//! The catalogue over HTTP.

mod answer;
mod brands;
mod categories;
mod list;
mod read;
mod stock;
mod types;
pub(super) mod write;

use utoipa_actix_web::service_config::ServiceConfig as Table;

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
