//! What carts and checkouts need to know of a variant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    id::{ProductId, VariantId},
    money::Money,
};

/// Chosen options, such as `color: black`, by option name.
pub type Options = BTreeMap<String, String>;

/// A picture of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Where it is.
    pub url: String,
    /// What it shows, for those who do not see it.
    #[serde(default)]
    pub alt: String,
}

/// A variant as it can be bought now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The product.
    pub product: ProductId,
    /// The variant.
    pub variant: VariantId,
    /// The variant's SKU.
    pub sku: String,
    /// The product's title.
    pub title: String,
    /// The variant's own picture, else the product's first.
    pub image: Option<Image>,
    /// The variant's own options; empty for a product without options.
    pub options: Options,
    /// The catalogue's price for one.
    pub unit_price: Money,
    /// How many can be bought now.
    pub available: u32,
    /// Whether it is on sale at all: the product is active.
    pub on_sale: bool,
}
