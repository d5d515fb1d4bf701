//! From a row of somebody else's shape to a product as it is written. Pure: the same row and mapping
//! make the same product each time.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    super::model::{MAX_SKU, WriteProduct, WriteStock, WriteVariant, slugify},
    mapping::{AttributeRules, Mapping, OptionRule, VariantRules},
    report::{Notes, RowFault},
    values,
};
use crate::money::{Currency, MAX_AMOUNT, Money};

/// What a row became.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) product: WriteProduct,
    /// The product type as the row spells it.
    pub(super) type_name: String,
    pub(super) notes: Notes,
}

/// Brands by their lower-case spelling: the spelling that stands for all.
pub(super) type Brands = BTreeMap<String, String>;

/// Applies `mapping` to the row on `line`.
pub(super) fn map_row(
    mapping: &Mapping,
    brands: &Brands,
    currency: Currency,
    line: u64,
    row: &Value,
) -> Result<Mapped, RowFault> {
    if !row.is_object() {
        return Err(RowFault::new(
            line,
            "not_an_object",
            "",
            "expected an object",
        ));
    }
    let mut notes = Notes::default();
    let scope = [row];
    let sku = sku_of(mapping, line, row)?;
    let title = filled(&mapping.title, &scope, Some(("title", &mut notes)));
    if title.is_empty() {
        return Err(RowFault::new(
            line,
            "no_title",
            &mapping.title,
            "the title is empty",
        ));
    }
    let type_name = filled(&mapping.product_type, &scope, None);
    let product_type = slugify(&type_name);
    let brand = brand_of(mapping, brands, &scope, &mut notes);
    let categories = mapping.categories.iter().map(|path| category(path, &scope));
    let attributes = attributes_of(
        &mapping.attributes,
        row,
        mapping.variants.as_ref(),
        &mut notes,
    );
    if attributes.is_empty() {
        notes.say("no_attributes", "attributes");
    }
    let mut product = WriteProduct {
        slug: Some(slug_of(&title, &sku)),
        title,
        description: filled(&mapping.description, &scope, None),
        product_type: (!product_type.is_empty()).then_some(product_type),
        categories: categories.filter(|path| !path.is_empty()).collect(),
        brand,
        attributes,
        sku,
        ..WriteProduct::default()
    };
    price_and_stock(mapping, currency, line, row, &mut product, &mut notes)?;
    Ok(Mapped {
        product,
        type_name,
        notes,
    })
}

fn sku_of(mapping: &Mapping, line: u64, row: &Value) -> Result<String, RowFault> {
    let rule = &mapping.sku;
    let Some(pointer) = &rule.from else {
        let mut kept = row.clone();
        for field in &rule.digest_without {
            if let Some(object) = kept.as_object_mut() {
                object.remove(field.trim_start_matches('/'));
            }
        }
        let digest = Sha256::digest(kept.to_string());
        let short = values::hex(&digest, 10);
        return Ok(format!("{}{short}", rule.prefix));
    };
    let found = row.pointer(pointer).map(plain).unwrap_or_default();
    let found = values::cleaned(&found).unwrap_or(found);
    if found.is_empty() {
        return Err(RowFault::new(
            line,
            "no_sku",
            pointer,
            "the field that is the SKU is empty",
        ));
    }
    let sku = format!("{}{found}", rule.prefix);
    if sku.chars().count() > MAX_SKU {
        return Err(RowFault::new(
            line,
            "long_sku",
            pointer,
            format!("a SKU has {MAX_SKU} characters at most"),
        ));
    }
    Ok(sku)
}

fn brand_of(
    mapping: &Mapping,
    brands: &Brands,
    scope: &[&Value],
    notes: &mut Notes,
) -> Option<String> {
    if mapping.brand.is_empty() {
        return None;
    }
    let brand = filled(&mapping.brand, scope, Some(("brand", &mut *notes)));
    if brand.is_empty() {
        notes.say("no_brand", "brand");
        return None;
    }
    match brands.get(&brand.to_lowercase()) {
        Some(usual) if *usual != brand => {
            notes.say("brand_respelled", "brand");
            Some(usual.clone())
        }
        _ => Some(brand),
    }
}

/// The title's slug, and something of the SKU's digest, so that equal titles do not meet.
fn slug_of(title: &str, sku: &str) -> String {
    let digest = Sha256::digest(sku);
    let tail = values::hex(&digest, 4);
    let mut slug = slugify(title);
    slug.truncate(60);
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        tail
    } else {
        format!("{slug}-{tail}")
    }
}

/// A path whose parts are slugs: `{/material}` of "PLA+ Silk" is `pla-silk`.
fn category(path: &str, scope: &[&Value]) -> String {
    let parts = path.split("//").flat_map(|part| {
        // A pointer holds slashes itself, so that parts are told apart by two.
        let filled = filled(part, scope, None);
        filled.split('/').map(slugify).collect::<Vec<_>>()
    });
    parts
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}

/// A scalar as text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// Fills pointers in braces from the innermost scope that has them, and cleans the outcome.
fn filled(template: &str, scope: &[&Value], notes: Option<(&str, &mut Notes)>) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((pointer, tail)) = after.split_once('}') else {
            break;
        };
        let found = scope.iter().find_map(|value| value.pointer(pointer));
        text.push_str(&found.map(plain).unwrap_or_default());
        rest = tail;
    }
    text.push_str(rest);
    match values::cleaned(&text) {
        None => text,
        Some(clean) => {
            if let Some((field, notes)) = notes {
                notes.say("text_cleaned", field);
            }
            clean
        }
    }
}

fn attributes_of(
    rules: &AttributeRules,
    row: &Value,
    variants: Option<&VariantRules>,
    notes: &mut Notes,
) -> Map<String, Value> {
    let mut attributes = Map::new();
    for pointer in &rules.take {
        let fields = row.pointer(pointer).and_then(Value::as_object);
        for (name, value) in fields.into_iter().flatten() {
            if rules.leave.contains(name) {
                continue;
            }
            if let Some(value) = values::attribute(name, value, rules, notes) {
                attributes.insert(values::key(name), value);
            }
        }
    }
    for (name, pointer) in &rules.also {
        let value = row
            .pointer(pointer)
            .and_then(|value| values::attribute(name, value, rules, notes));
        if let Some(value) = value {
            attributes.insert(name.clone(), value);
        }
    }
    let Some(variants) = variants else {
        return attributes;
    };
    let elements = elements(variants, row);
    for (name, pointer) in &rules.collect {
        let all: Vec<Value> = elements
            .iter()
            .filter_map(|scope| scope.iter().find_map(|value| value.pointer(pointer)))
            .flat_map(|value| {
                value
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![value.clone()])
            })
            .collect();
        let mut quiet = Notes::default();
        let value = values::attribute(name, &Value::Array(all), rules, &mut quiet);
        if let Some(value) = value {
            attributes.insert(name.clone(), value);
        }
    }
    attributes
}

/// Every element of the nested lists, each with what lies around it, innermost first.
fn elements<'r>(rules: &VariantRules, row: &'r Value) -> Vec<Vec<&'r Value>> {
    let mut scopes = vec![vec![row]];
    for pointer in &rules.each {
        let inner = scopes.iter().flat_map(|scope| {
            let lists = scope
                .first()
                .and_then(|value| value.pointer(pointer))
                .and_then(Value::as_array);
            lists.into_iter().flatten().map(move |element| {
                let mut inner = vec![element];
                inner.extend(scope);
                inner
            })
        });
        scopes = inner.collect();
    }
    scopes
}

fn price_and_stock(
    mapping: &Mapping,
    currency: Currency,
    line: u64,
    row: &Value,
    product: &mut WriteProduct,
    notes: &mut Notes,
) -> Result<(), RowFault> {
    let given = mapping
        .price
        .from
        .as_deref()
        .and_then(|pointer| row.pointer(pointer));
    let given = match given.filter(|price| !price.is_null()) {
        Some(price) => Some(minor_units(price, currency).ok_or_else(|| {
            RowFault::new(
                line,
                "bad_price",
                mapping.price.from.as_deref().unwrap_or_default(),
                "not a price",
            )
        })?),
        None => None,
    };
    if given.is_none() {
        notes.say("price_by_rule", "price");
        product.status = mapping.price.status_by_rule;
    }
    let price_of = |product: &WriteProduct, sku: &str, scope: &[&Value]| {
        let amount = given.unwrap_or_else(|| ruled_price(mapping, product, sku, scope));
        Money::new(amount, currency)
    };
    let stock_of = |sku: &str, scope: &[&Value]| WriteStock {
        on_hand: units(mapping, sku, scope),
    };
    if let Some(rules) = &mapping.variants {
        add_variants(rules, line, row, product, notes)?;
        let scopes = elements(rules, row);
        for (place, scope) in scopes.iter().enumerate() {
            let Some(sku) = product.variants.get(place).and_then(|v| v.sku.clone()) else {
                continue;
            };
            let (price, stock) = (price_of(product, &sku, scope), stock_of(&sku, scope));
            if let Some(variant) = product.variants.get_mut(place) {
                variant.price = Some(price);
                variant.stock = Some(stock);
            }
        }
        if product.options.is_empty() {
            // One thing is sold: the product itself.
            let only = product.variants.pop();
            product.price = only.as_ref().and_then(|variant| variant.price);
            product.stock = only.and_then(|variant| variant.stock);
            product.variants.clear();
        }
        return Ok(());
    }
    let sku = product.sku.clone();
    product.price = Some(price_of(product, &sku, &[row]));
    product.stock = Some(stock_of(&sku, &[row]));
    Ok(())
}

/// A price in major units as minor units: exact, by its decimal digits.
fn minor_units(price: &Value, currency: Currency) -> Option<i64> {
    let text = plain(price);
    let text = text.trim();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let exponent = usize::try_from(currency.exponent()).ok()?;
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (kept, cut) = decimals
        .split_at_checked(exponent)
        .unwrap_or((decimals, ""));
    let exact =
        digits(whole) && !whole.is_empty() && digits(decimals) && cut.bytes().all(|b| b == b'0');
    if !exact {
        return None;
    }
    let amount: i64 = format!("{whole}{kept:0<exponent$}").parse().ok()?;
    (amount <= MAX_AMOUNT).then_some(amount)
}

/// A number from 0 to `span`, the same each time for the same text and purpose.
fn spread(purpose: &str, text: &str, span: u64) -> u64 {
    let digest = Sha256::digest(format!("{purpose}:{text}"));
    let number = digest
        .iter()
        .take(8)
        .fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
    number % span.saturating_add(1)
}

fn ruled_price(mapping: &Mapping, product: &WriteProduct, sku: &str, scope: &[&Value]) -> i64 {
    let rule = &mapping.price;
    let of_type = product
        .product_type
        .as_ref()
        .and_then(|id| rule.by_type.get(id));
    let [low, high] = of_type.copied().unwrap_or([rule.low, rule.high]);
    let span = u64::try_from(high - low).unwrap_or_default();
    let base = low.saturating_add(i64::try_from(spread("price", sku, span)).unwrap_or_default());
    let pieces = rule
        .per
        .as_deref()
        .and_then(|pointer| scope.iter().find_map(|v| v.pointer(pointer)));
    let pieces = pieces
        .map(plain)
        .and_then(|text| text.split('.').next()?.parse::<i64>().ok());
    let amount = base.saturating_add(rule.per_amount.saturating_mul(pieces.unwrap_or_default()));
    // Prices of shops end in 9: the last digit is made one where there is more than one.
    if amount >= 10 {
        amount - amount % 10 + 9
    } else {
        amount
    }
}

fn units(mapping: &Mapping, sku: &str, scope: &[&Value]) -> u32 {
    let given = mapping
        .stock
        .from
        .as_deref()
        .and_then(|p| scope.iter().find_map(|v| v.pointer(p)));
    if let Some(units) = given.map(plain).and_then(|text| text.parse().ok()) {
        return units;
    }
    let span = u64::from(mapping.stock.high - mapping.stock.low);
    let over = u32::try_from(spread("stock", sku, span)).unwrap_or_default();
    mapping.stock.low.saturating_add(over)
}

fn add_variants(
    rules: &VariantRules,
    line: u64,
    row: &Value,
    product: &mut WriteProduct,
    notes: &mut Notes,
) -> Result<(), RowFault> {
    let scopes = elements(rules, row);
    if scopes.is_empty() {
        let each = rules.each.join(" ");
        return Err(RowFault::new(
            line,
            "no_variants",
            &each,
            "nothing of it is sold",
        ));
    }
    let mut seen: BTreeMap<Vec<(String, String)>, u32> = BTreeMap::new();
    for scope in &scopes {
        let mut options: Vec<(String, String)> = rules
            .options
            .iter()
            .map(|rule| (rule.name.clone(), option(rule, scope)))
            .collect();
        let count = seen
            .entry(options.clone())
            .and_modify(|count| *count += 1)
            .or_insert(1);
        options.push((rules.distinguish.clone(), count.to_string()));
        product.variants.push(WriteVariant {
            sku: Some(filled(&rules.sku, scope, None)),
            options: options.into_iter().collect(),
            ..WriteVariant::default()
        });
    }
    if seen.values().any(|count| *count > 1) {
        notes.say("variants_share_every_option", &rules.distinguish);
    }
    // An axis on which everything is the same tells nothing apart.
    let names = rules
        .options
        .iter()
        .map(|rule| &rule.name)
        .chain([&rules.distinguish]);
    for name in names {
        let mut values = product
            .variants
            .iter()
            .map(|variant| variant.options.get(name));
        let first = values.next().flatten().cloned();
        if values.any(|value| value != first.as_ref()) {
            product.options.push(name.clone());
        } else {
            for variant in &mut product.variants {
                variant.options.remove(name);
            }
        }
    }
    Ok(())
}

fn option(rule: &OptionRule, scope: &[&Value]) -> String {
    let value = filled(&rule.value, scope, None);
    let value = rule.words.get(&value).cloned().unwrap_or(value);
    if value.is_empty() {
        "-".to_owned()
    } else {
        value
    }
}
