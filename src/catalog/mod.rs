//! The catalogue: products of any shape, their types, categories, variants, prices and stock.
//!
//! What is sold is a *variant*; a product without options has exactly one. Stock stands apart from
//! products, so that a hot item does not make the catalogue contend.

mod offer;
mod stock;

pub use offer::{Image, Offer, Options};
pub use stock::{HoldLine, Shortage, Stock, StockLevel};

use crate::mongo::schema;

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    vec![stock::collection()]
}
