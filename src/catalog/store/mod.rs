//! The catalogue's documents: products, product types, and what the warehouse was told.

mod categories;
mod prices;
mod products;
mod shown;
mod stock_moves;
mod types;

pub(super) use categories::CategoryTrees;
pub(super) use prices::Prices;
pub(super) use products::{Holding, Products, Revision, Taken};
pub(super) use shown::ShownProducts;
pub(super) use stock_moves::{StockMove, StockMoves};
pub(super) use types::{ProductTypes, TypeChange, TypeDoor};

use crate::mongo::schema;

/// The name of the products' collection.
pub(super) const PRODUCTS: &str = "products";
/// The name of the product types' collection.
pub(super) const PRODUCT_TYPES: &str = "product_types";
/// The name of the category tree's collection.
pub(super) const CATEGORIES: &str = "categories";
/// The name of the warehouse's journal.
pub(super) const STOCK_MOVES: &str = "stock_moves";

/// The collections of these stores.
pub(super) fn collections() -> Vec<schema::Collection> {
    vec![
        products::collection(),
        categories::collection(),
        prices::collection(),
        types::collection(),
        stock_moves::collection(),
    ]
}
