//! The catalogue: products of any shape, their types, categories, variants, prices and stock.
//!
//! What is sold is a *variant*; a product without options has exactly one. Stock stands apart from
//! products, so that a hot item does not make the catalogue contend.
//!
//! Each node keeps a picture of the catalogue in memory (`live`): an index that finds products, their
//! encoded bodies, list pages. A write of this node is in the picture before it is answered; the follower
//! takes in what other nodes write, from the change feed. The database stays the only truth.
//!
//! A stock document outlives its variant: orders and returns keep pointing at it.

mod bulk;
mod cache;
mod category_editor;
mod editor;
mod error;
mod follower;
mod handle;
mod http;
mod images;
mod import;
pub mod index;
mod journal;
mod live;
pub mod model;
mod offer;
mod progress;
mod registry;
mod related;
mod room;
mod stock;
mod store;
#[cfg(test)]
mod tests;
mod turns;
mod type_editor;
mod units;
mod view;
mod worker;

pub use error::{CatalogError, Offender};
pub use handle::Catalog;
pub use http::{at_hand, routes};
pub use images::{ImageSweeper, Images, ImagesError, Showing};
pub use import::{
    BrokenMapping, Counts, Difference, Exporter, Format, ImportError, ImportJob, ImportPlan,
    ImportState, Importer, Level, Mapping, Progress, ReportLine, StoredFile,
};
pub use model::WriteProductType;
pub use offer::{Image, Offer, Options};
pub use room::StockRoom;
pub use stock::{HoldLimits, HoldLine, Holder, Shortage, Stock, StockLevel};
pub use worker::JobWorker;

use crate::mongo::schema;

/// The collections whose changes the catalogue follows.
pub const FED: [&str; 4] = [
    store::PRODUCTS,
    store::PRODUCT_TYPES,
    store::CATEGORIES,
    stock::COLLECTION,
];

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    [
        vec![stock::collection(), images::collection()],
        import::collections(),
        bulk::collections(),
        store::collections(),
    ]
    .concat()
}
