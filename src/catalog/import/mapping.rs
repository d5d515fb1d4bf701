//! A mapping: how rows of somebody else's shape become products. Read from a TOML file; the files of
//! `config/import/` explain every key by use.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// The whole mapping.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Its name, kept with each product.
    pub name: String,
    /// Which field is the SKU.
    pub sku: SkuRule,
    /// The title: text with pointers in braces, such as `{/brand} {/name}`.
    pub title: String,
    /// The description, likewise.
    #[serde(default)]
    pub description: String,
    /// The brand, likewise.
    #[serde(default)]
    pub brand: String,
    /// Whether spellings of a brand that differ in case only become the most frequent one.
    #[serde(default)]
    pub unify_brands: bool,
    /// The product type, likewise, made a slug.
    #[serde(default, rename = "type")]
    pub product_type: String,
    /// Category paths, likewise; each part between slashes is made a slug.
    #[serde(default)]
    pub categories: Vec<String>,
    /// The price.
    pub price: PriceRule,
    /// Units on hand.
    #[serde(default)]
    pub stock: StockRule,
    /// Attributes.
    #[serde(default)]
    pub attributes: AttributeRules,
    /// Variants.
    #[serde(default)]
    pub variants: Option<VariantRules>,
    /// Whether product types are made from the data.
    #[serde(default)]
    pub infer_types: bool,
}

/// Where a SKU comes from.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct SkuRule {
    /// Pointer to the field that is unique; none: a digest of the row.
    #[serde(default)]
    pub from: Option<String>,
    /// Fields that may change without making another product of the row.
    #[serde(default)]
    pub digest_without: Vec<String>,
    /// Put before it.
    #[serde(default)]
    pub prefix: String,
}

/// Where a price comes from.
#[derive(Debug, Clone, Default, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct PriceRule {
    /// Pointer to a price in major units, as a number or text.
    #[serde(default)]
    pub from: Option<String>,
    /// The rule where the data has none: a price between these, the same each time for the same SKU.
    /// Minor units.
    #[serde(default)]
    pub low: i64,
    /// The upper end of the rule. Minor units.
    #[serde(default)]
    pub high: i64,
    /// Ends of the rule by product type.
    #[serde(default)]
    pub by_type: BTreeMap<String, [i64; 2]>,
    /// Pointer (into the variant) to a number that is paid for by the unit, on top.
    #[serde(default)]
    pub per: Option<String>,
    /// Minor units for each of those.
    #[serde(default)]
    pub per_amount: i64,
    /// The status of a product whose price is by rule.
    #[serde(default)]
    pub status_by_rule: super::super::model::Status,
}

/// Where units on hand come from: a number between these, the same each time for the same SKU.
#[derive(Debug, Clone, Default, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct StockRule {
    /// Pointer to the units.
    #[serde(default)]
    pub from: Option<String>,
    /// The rule's lower end.
    #[serde(default)]
    pub low: u32,
    /// The rule's upper end.
    #[serde(default)]
    pub high: u32,
}

/// Which fields become attributes, and what is done to them. Fields are named by their path with dots.
#[derive(Debug, Clone, Default, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeRules {
    /// Pointers to objects whose fields are taken; the empty pointer is the row.
    #[serde(default)]
    pub take: Vec<String>,
    /// Fields of those that are something else already.
    #[serde(default)]
    pub leave: BTreeSet<String>,
    /// Further attributes by name: pointers.
    #[serde(default)]
    pub also: BTreeMap<String, String>,
    /// Lists of what every variant says: pointers into the variant.
    #[serde(default)]
    pub collect: BTreeMap<String, String>,
    /// Fields in which zero means that nobody knows.
    #[serde(default)]
    pub zero_is_unknown: BTreeSet<String>,
    /// Fields whose numbers and lists become text.
    #[serde(default)]
    pub text: BTreeSet<String>,
    /// Fields that are a list even where the data has a single value.
    #[serde(default)]
    pub list: BTreeSet<String>,
    /// Fields that are a number or a pair `[least, most]`: they become `{min, max}`.
    #[serde(default)]
    pub range: BTreeSet<String>,
    /// Fields that are a pair with a meaning by place: the names of both; a single number is the first.
    #[serde(default)]
    pub pair: BTreeMap<String, [String; 2]>,
    /// Fields that must lie between two numbers; what does not is left out.
    #[serde(default)]
    pub within: BTreeMap<String, [i64; 2]>,
    /// Texts that stand where a value should: field, then the words.
    #[serde(default)]
    pub not_a_value: BTreeMap<String, BTreeSet<String>>,
    /// Whether text that reads as a number or as true or false becomes one; for CSV, where all is text.
    #[serde(default)]
    pub read_scalars: bool,
}

/// How variants are found.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct VariantRules {
    /// Pointers to lists, each inside the last: `["/variants", "/sizes"]` makes a variant of each size of
    /// each variant. A variant's pointers see the innermost element first, then those around it.
    pub each: Vec<String>,
    /// Its SKU, as text with pointers in braces.
    pub sku: String,
    /// Option axes: name and text with pointers in braces; in this order.
    pub options: Vec<OptionRule>,
    /// The axis that tells apart variants which share every option.
    pub distinguish: String,
}

/// One option axis.
#[derive(Debug, Clone, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct OptionRule {
    /// Its name.
    pub name: String,
    /// Its value: text with pointers in braces.
    pub value: String,
    /// Other words for values, such as `true = "refill"`.
    #[serde(default)]
    pub words: BTreeMap<String, String>,
}

/// The mapping cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("mapping: {0}")]
pub struct BrokenMapping(String);

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    /// One line that names the key.
    pub fn parse(text: &str) -> Result<Self, BrokenMapping> {
        let mapping: Self =
            toml::from_str(text).map_err(|error| BrokenMapping(one_line(&error)))?;
        mapping.check()?;
        Ok(mapping)
    }

    fn check(&self) -> Result<(), BrokenMapping> {
        let rule = |holds: bool, line: &str| {
            if holds {
                Ok(())
            } else {
                Err(BrokenMapping(line.into()))
            }
        };
        rule(!self.title.is_empty(), "title: must not be empty")?;
        rule(
            self.price.low <= self.price.high,
            "price: low must not be above high",
        )?;
        rule(self.price.low >= 0, "price: low must not be negative")?;
        rule(
            self.stock.low <= self.stock.high,
            "stock: low must not be above high",
        )?;
        let ends = self
            .price
            .by_type
            .values()
            .all(|[low, high]| 0 <= *low && low <= high);
        rule(ends, "price.by_type: low must not be above high")?;
        let depth = self
            .variants
            .as_ref()
            .is_none_or(|v| (1..=3).contains(&v.each.len()));
        rule(depth, "variants.each: one to three lists")
    }
}

fn one_line(error: &toml::de::Error) -> String {
    error
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
