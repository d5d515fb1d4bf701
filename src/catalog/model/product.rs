//! A product as stored.

use serde::{Deserialize, Serialize};

use super::{PriceMark, TypeId};
use crate::{
    catalog::{Image, Options},
    clock::Timestamp,
    id::{ProductId, VariantId},
    money::Money,
};

/// A product's attributes: any JSON that its type's schema allows.
pub type Attributes = serde_json::Map<String, serde_json::Value>;

/// A product. One document; its stock stands apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Product {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: ProductId,
    /// Its stock keeping unit, unique over products and variants.
    pub sku: String,
    /// Its name in addresses, unique.
    pub slug: String,
    /// Its name for people.
    pub title: String,
    /// What it is, in plain text.
    pub description: String,
    /// Its product type.
    #[serde(rename = "type")]
    pub product_type: TypeId,
    /// Category paths such as `tv-and-audio/tvs`.
    pub categories: Vec<String>,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Its price, in lists and filters; what a buyer pays is the variant's.
    pub price: Money,
    /// What it cost before, for sale labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Money>,
    /// What its type's schema describes.
    pub attributes: Attributes,
    /// The axes that its variants differ in; none for a product with one variant.
    pub options: Vec<String>,
    /// What is sold; at least one.
    pub variants: Vec<Variant>,
    /// Pictures, the first one first.
    pub images: Vec<Image>,
    /// Who may see it.
    pub status: Status,
    /// Counts its changes from 1; stock has none.
    pub version: u64,
    /// A digest of its stock when this version was written (`Stamp`): the entity tag tells whether
    /// stock has changed since.
    #[serde(default)]
    pub stock_stamp: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// What an importer made it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Slugs that it had before, oldest first: they lead to it until another product takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_slugs: Vec<String>,
    /// Since when it has its price.
    #[serde(default, skip_serializing_if = "PriceMark::is_empty")]
    pub price_mark: PriceMark,
}

impl Product {
    /// Every SKU that stands for it or a variant of it, each once.
    #[must_use]
    pub fn skus(&self) -> Vec<&str> {
        let mut skus: Vec<&str> = self
            .variants
            .iter()
            .map(|variant| variant.sku.as_str())
            .chain([self.sku.as_str()])
            .collect();
        skus.sort_unstable();
        skus.dedup();
        skus
    }

    /// The variant of that id.
    #[must_use]
    pub fn variant(&self, id: VariantId) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.id == id)
    }

    /// The picture that stands for a variant.
    #[must_use]
    pub fn image_of<'a>(&'a self, variant: &'a Variant) -> Option<&'a Image> {
        variant.image.as_ref().or(self.images.first())
    }

    /// The ids of its variants, in order.
    #[must_use]
    pub fn variant_ids(&self) -> Vec<VariantId> {
        self.variants.iter().map(|variant| variant.id).collect()
    }
}

/// What is sold, priced and stocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its id.
    pub id: VariantId,
    /// Its stock keeping unit.
    pub sku: String,
    /// Its value on each of the product's axes.
    pub options: Options,
    /// What a buyer pays for one.
    pub price: Money,
    /// Its own picture; none: the product's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Since when it has its price.
    #[serde(default, skip_serializing_if = "PriceMark::is_empty")]
    pub price_mark: PriceMark,
}

/// Who may see a product.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everyone, and it can be bought.
    #[default]
    Active,
    /// Staff: it is not on sale yet.
    Draft,
    /// Staff: it is not on sale any more; orders keep pointing at it.
    Archived,
}

impl Status {
    /// The status as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draft => "draft",
            Self::Archived => "archived",
        }
    }
}

/// What an importer made a product from, so that a second run changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The mapping's name.
    pub mapping: String,
    /// A digest of the row and its mapping, in hexadecimal digits.
    pub hash: String,
}
