//! A product as it is written: by REST and by importers.

use serde::{Deserialize, Serialize};
use validator::{Validate, ValidationErrors};

use super::{Attributes, Product, Status, Variant};
use crate::{
    catalog::{Image, Options},
    id::VariantId,
    money::Money,
};

/// A product to be created, or to replace one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteProduct {
    /// Stock keeping unit, unique over products and variants.
    #[schema(example = "TEE-01", min_length = 1, max_length = 100)]
    pub sku: String,
    /// Its name in addresses; made from the title where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "harbour-tee")]
    pub slug: Option<String>,
    /// Its name for people.
    #[schema(example = "Harbour tee", min_length = 1, max_length = 300)]
    pub title: String,
    /// What it is, in plain text.
    #[serde(default)]
    #[schema(max_length = 50_000)]
    pub description: String,
    /// Id of its product type; `generic` where it is left out.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub product_type: Option<String>,
    /// Category paths.
    #[serde(default)]
    #[schema(example = json!(["clothing/t-shirts"]), max_items = 20)]
    pub categories: Vec<String>,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Its price, which variants have that name none of their own; that of the cheapest variant where it is left
    /// out. A patch of it moves the variants that had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// What it cost before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Money>,
    /// What its type's schema describes.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub attributes: Attributes,
    /// The axes that its variants differ in.
    #[serde(default)]
    #[schema(example = json!(["color", "size"]), max_items = 5)]
    pub options: Vec<String>,
    /// What is sold; may be left out for a product without options.
    #[serde(default)]
    #[schema(max_items = 1_000)]
    pub variants: Vec<WriteVariant>,
    /// Pictures.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub images: Vec<Image>,
    /// Who may see it; `active` where it is left out.
    #[serde(default)]
    pub status: Status,
    /// Units on hand, for a product without options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<WriteStock>,
}

/// A variant to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteVariant {
    /// Which variant of the present product it is; found by `sku` or options where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<VariantId>,
    /// Its SKU; made from the product's and the options where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Its value on each of the product's axes.
    #[serde(default)]
    #[schema(example = json!({"color": "black"}))]
    pub options: Options,
    /// What a buyer pays for one; the product's price where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// Its own picture; the product's first where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Units on hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<WriteStock>,
}

/// Units in the warehouse, those held for open checkouts included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteStock {
    /// Units.
    #[schema(maximum = 1_000_000_000)]
    pub on_hand: u32,
}

/// Every rule needs the product's type, so that `ProductDraft::check` has them all.
impl Validate for WriteProduct {
    fn validate(&self) -> Result<(), ValidationErrors> {
        Ok(())
    }
}

impl From<&Product> for WriteProduct {
    /// The product as it could have been written: what a merge patch is applied to. What follows from
    /// other parts is left out, so that it follows them after the patch too.
    fn from(product: &Product) -> Self {
        let single = product.options.is_empty();
        // The one variant of a product without options stands for it, unless it has something of its own.
        let own =
            |variant: &&Variant| !single || variant.image.is_some() || variant.sku != product.sku;
        let cheapest = product.variants.iter().map(|v| v.price.amount).min();
        let derived = !single && cheapest == Some(product.price.amount);
        let variants = product
            .variants
            .iter()
            .filter(own)
            .map(|variant| WriteVariant {
                id: Some(variant.id),
                sku: Some(variant.sku.clone()),
                options: variant.options.clone(),
                price: (!single).then_some(variant.price),
                image: variant.image.clone(),
                stock: None,
            });
        Self {
            sku: product.sku.clone(),
            slug: Some(product.slug.clone()),
            title: product.title.clone(),
            description: product.description.clone(),
            product_type: Some(product.product_type.to_string()),
            categories: product.categories.clone(),
            brand: product.brand.clone(),
            price: (!derived).then_some(product.price),
            compare_at_price: product.compare_at_price,
            attributes: product.attributes.clone(),
            options: product.options.clone(),
            variants: variants.collect(),
            images: product.images.clone(),
            status: product.status,
            stock: None,
        }
    }
}
