//! The catalogue's rules, without I/O: what a product and a product type are, and what may be written.
//!
//! A [`WriteProduct`] is what REST and importers hand in; [`ProductDraft::check`] decides whether it
//! may be stored, and [`ProductDraft::create`] or [`ProductDraft::replace`] make the [`Product`].

mod attributes;
mod categories;
mod draft;
mod patch;
mod prices;
mod product;
mod product_type;
mod references;
mod schema;
mod slug;
#[cfg(test)]
mod tests;
mod variants;
mod write;

pub use attributes::{check_attributes, check_key, pointer_token};
pub use categories::{
    Categories, CategoryNode, MAX_CATEGORY_PATH, OpenMove, TreeFault, is_category_path,
};
pub use draft::{ProductDraft, StockPlan};
pub use patch::{PatchProduct, merge_patch};
pub use prices::{PRICE_WINDOW, PriceMark, PricePeriod, prices_move, reprice};
pub use product::{Attributes, Product, Source, Status, Variant};
pub use product_type::{
    Field, GENERIC, InvalidTypeId, ProductType, TypeId, Types, WriteProductType, check_type,
};
pub use schema::{BrokenSchema, Schema, Schemas};
pub use slug::{InvalidSlug, check_slug, derive_slug, slugify, with_suffix};
pub use variants::DraftVariant;
pub use write::{WriteProduct, WriteStock, WriteVariant};

/// The most variants of a product.
pub const MAX_VARIANTS: usize = 1_000;
/// The most option axes of a product.
pub const MAX_OPTIONS: usize = 5;
/// The most categories of a product.
pub const MAX_CATEGORIES: usize = 20;
/// The most levels of a category path.
pub const MAX_CATEGORY_DEPTH: usize = 8;
/// The most pictures of a product.
pub const MAX_IMAGES: usize = 50;
/// The most characters of a SKU.
pub const MAX_SKU: usize = 100;
/// The most characters of a title.
pub const MAX_TITLE: usize = 300;
/// The most characters of what a picture shows.
pub const MAX_ALT: usize = 600;
/// The most characters of a description.
pub const MAX_DESCRIPTION: usize = 50_000;
/// The most characters of a brand or an option's value.
pub const MAX_SHORT_TEXT: usize = 200;
/// The most bytes of a whole product, encoded as JSON; MongoDB would take 16 MiB.
pub const MAX_PRODUCT_BYTES: usize = 1024 * 1024;
/// The most units of a variant in the warehouse.
pub const MAX_ON_HAND: u32 = 1_000_000_000;
