//! Options and variants: each variant has each axis once, no combination stands twice.

use std::collections::HashMap;

use super::{
    MAX_OPTIONS, MAX_SHORT_TEXT, MAX_SKU, MAX_VARIANTS, ProductType, Schema, WriteProduct,
    WriteVariant, check_key, pointer_token, slugify,
};
use crate::{
    catalog::{Image, Options},
    id::VariantId,
    money::Money,
    problem::FieldError,
};

/// A variant that may be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftVariant {
    /// Which present variant it claims to be.
    pub id: Option<VariantId>,
    /// Its SKU.
    pub sku: String,
    /// Its value on each axis.
    pub options: Options,
    /// What a buyer pays for one.
    pub price: Money,
    /// Its own picture.
    pub image: Option<Image>,
    /// Units on hand, where they are to be set.
    pub on_hand: Option<u32>,
}

/// Checks the axes of a product.
pub(super) fn check_options(
    written: &WriteProduct,
    product_type: &ProductType,
    faults: &mut Vec<FieldError>,
) {
    if written.options.len() > MAX_OPTIONS {
        let message = format!("a product has {MAX_OPTIONS} options at most");
        faults.push(FieldError::new("/options", "length", message));
    }
    for (index, axis) in written.options.iter().enumerate() {
        let pointer = format!("/options/{index}");
        let before = written.options.iter().take(index);
        if let Err(message) = check_key(axis) {
            faults.push(FieldError::new(pointer, "key", message));
        } else if before.into_iter().any(|other| other == axis) {
            faults.push(FieldError::new(
                pointer,
                "duplicate",
                "this option stands twice",
            ));
        } else if !product_type.has_axis(axis) {
            let message = "the product type does not declare this field as a variant axis";
            faults.push(FieldError::new(pointer, "unknown_value", message));
        } else if written.attributes.contains_key(axis) {
            let message = "an attribute of this name stands on the product too";
            faults.push(FieldError::new(pointer, "duplicate", message));
        }
    }
}

/// Makes the variants of a product of that SKU and price (where it has one of its own).
pub(super) fn check_variants(
    written: &WriteProduct,
    sku: &str,
    price: Option<Money>,
    schema: &Schema,
    faults: &mut Vec<FieldError>,
) -> Vec<DraftVariant> {
    if written.options.is_empty() {
        return single_variant(written, sku, price, faults)
            .into_iter()
            .collect();
    }
    if written.stock.is_some() {
        let message = "a product with options has its stock on each variant";
        faults.push(FieldError::new("/stock", "misplaced", message));
    }
    if written.variants.is_empty() || written.variants.len() > MAX_VARIANTS {
        let message = format!("a product with options has 1 to {MAX_VARIANTS} variants");
        faults.push(FieldError::new("/variants", "length", message));
        return Vec::new();
    }
    let variants = written.variants.iter().enumerate();
    let variants: Vec<_> = variants
        .filter_map(|(index, variant)| {
            let pointer = format!("/variants/{index}");
            check_combination(written, variant, &pointer, schema, faults);
            let price = checked_price(variant.price.or(price), &pointer, faults)?;
            Some(DraftVariant {
                id: variant.id,
                sku: variant_sku(written, variant, sku, &pointer, faults),
                options: variant.options.clone(),
                price,
                image: variant.image.clone(),
                on_hand: variant.stock.map(|stock| stock.on_hand),
            })
        })
        .collect();
    unique(&variants, "sku", |v| Some(v.sku.clone()), faults);
    let combination = |v: &DraftVariant| v.options.values().cloned().collect::<Vec<_>>();
    unique(&variants, "options", |v| Some(combination(v)), faults);
    unique(&variants, "id", |v| v.id, faults);
    variants
}

/// The one variant of a product without options: the product itself.
fn single_variant(
    written: &WriteProduct,
    sku: &str,
    price: Option<Money>,
    faults: &mut Vec<FieldError>,
) -> Option<DraftVariant> {
    let (first, more) = match written.variants.split_first() {
        Some((first, more)) => (first.clone(), more.len()),
        None => (WriteVariant::default(), 0),
    };
    if more > 0 {
        let message = "a product without options has exactly one variant";
        faults.push(FieldError::new("/variants", "length", message));
    }
    if let Some(axis) = first.options.keys().next() {
        let pointer = format!("/variants/0/options/{}", pointer_token(axis));
        let message = "the product has no such option";
        faults.push(FieldError::new(pointer, "unknown_field", message));
    }
    if written.stock.is_some() && first.stock.is_some() {
        let message = "stock stands on the product already";
        faults.push(FieldError::new("/variants/0/stock", "duplicate", message));
    }
    let sku = match &first.sku {
        Some(given) => checked_sku(given, "/variants/0/sku", faults),
        None => sku.to_owned(),
    };
    let price = match (price, first.price) {
        (Some(product), Some(variant)) if product != variant => {
            let message = "a product without options has the price of its one variant";
            faults.push(FieldError::new("/variants/0/price", "mismatch", message));
            product
        }
        (Some(price), _) => price,
        (None, price) => checked_price(price, "/variants/0", faults)?,
    };
    Some(DraftVariant {
        id: first.id,
        sku,
        options: Options::new(),
        price,
        image: first.image,
        on_hand: written.stock.or(first.stock).map(|stock| stock.on_hand),
    })
}

fn checked_price(
    price: Option<Money>,
    pointer: &str,
    faults: &mut Vec<FieldError>,
) -> Option<Money> {
    if price.is_none() {
        let message = "a price is required here or on the product";
        faults.push(FieldError::new(
            format!("{pointer}/price"),
            "required",
            message,
        ));
    }
    price
}

/// Each axis once, no other, and values that the axis' schema allows.
fn check_combination(
    written: &WriteProduct,
    variant: &WriteVariant,
    pointer: &str,
    schema: &Schema,
    faults: &mut Vec<FieldError>,
) {
    let place = |axis: &str| format!("{pointer}/options/{}", pointer_token(axis));
    for axis in &written.options {
        if !variant.options.contains_key(axis) {
            let message = "each variant has a value on each of the product's options";
            faults.push(FieldError::new(place(axis), "required", message));
        }
    }
    for (axis, value) in &variant.options {
        if !written.options.contains(axis) {
            let message = "the product has no such option";
            faults.push(FieldError::new(place(axis), "unknown_field", message));
        } else if value.trim().is_empty() || value.chars().count() > MAX_SHORT_TEXT {
            let message = format!("must have 1 to {MAX_SHORT_TEXT} characters");
            faults.push(FieldError::new(place(axis), "length", message));
        } else if !schema.allows_option(axis, value) {
            let message = "the product type does not allow this value";
            faults.push(FieldError::new(place(axis), "unknown_value", message));
        }
    }
}

/// The variant's SKU: as given, or the product's with the options' values.
fn variant_sku(
    written: &WriteProduct,
    variant: &WriteVariant,
    sku: &str,
    pointer: &str,
    faults: &mut Vec<FieldError>,
) -> String {
    if let Some(given) = &variant.sku {
        return checked_sku(given, &format!("{pointer}/sku"), faults);
    }
    let values = written.options.iter().filter_map(|axis| {
        let value = slugify(variant.options.get(axis)?);
        (!value.is_empty()).then(|| value.to_ascii_uppercase())
    });
    let made = [sku.to_owned()].into_iter().chain(values);
    let made = made.collect::<Vec<_>>().join("-");
    checked_sku(&made, &format!("{pointer}/sku"), faults)
}

/// Checks a SKU: visible characters, single spaces inside at most.
pub(super) fn checked_sku(sku: &str, pointer: &str, faults: &mut Vec<FieldError>) -> String {
    let characters = sku.chars().count();
    if characters == 0 || characters > MAX_SKU {
        let message = format!("must have 1 to {MAX_SKU} characters");
        faults.push(FieldError::new(pointer, "length", message));
    } else if sku.trim() != sku || sku.chars().any(char::is_control) {
        let message = "may not begin or end with white space or hold control characters";
        faults.push(FieldError::new(pointer, "characters", message));
    }
    sku.to_owned()
}

/// Names every variant whose `key` stands before it already.
fn unique<K: std::hash::Hash + Eq>(
    variants: &[DraftVariant],
    field: &str,
    key: impl Fn(&DraftVariant) -> Option<K>,
    faults: &mut Vec<FieldError>,
) {
    let mut seen = HashMap::new();
    for (index, variant) in variants.iter().enumerate() {
        let Some(key) = key(variant) else { continue };
        if let Some(first) = seen.insert(key, index) {
            let message = format!("the same as that of variant {first}");
            let pointer = format!("/variants/{index}/{field}");
            faults.push(FieldError::new(pointer, "duplicate", message));
        }
    }
}
