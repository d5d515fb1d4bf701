//! The catalogue's documents: products, product types, and what the warehouse was told.

mod products;
mod stock_moves;
mod types;

pub(super) use products::{Products, Taken};
pub(super) use stock_moves::{StockMove, StockMoves};
pub(super) use types::ProductTypes;

use crate::mongo::schema;

/// The name of the products' collection.
pub(super) const PRODUCTS: &str = "products";
/// The name of the product types' collection.
pub(super) const PRODUCT_TYPES: &str = "product_types";
/// The name of the warehouse's journal.
pub(super) const STOCK_MOVES: &str = "stock_moves";

/// The collections of these stores.
pub(super) fn collections() -> Vec<schema::Collection> {
    vec![
        products::collection(),
        types::collection(),
        stock_moves::collection(),
    ]
}
