//! The shop's own shape as CSV, one row a product, both ways without loss. Texts, prices and counts stand in
//! plain cells; what has a structure stands in its cell as JSON. An empty cell says that there is nothing; a
//! column that a file does not have says nothing, and leaves a present product as it is.

use serde_json::{Map, Value, json};

use super::{
    super::model::{WriteProduct, WriteStock},
    report::RowFault,
};
use crate::money::{Currency, Money};

/// Columns of plain text, by the member's name.
const TEXTS: [&str; 7] = [
    "sku",
    "slug",
    "title",
    "description",
    "type",
    "brand",
    "status",
];
/// Columns of JSON.
const STRUCTURES: [&str; 4] = ["attributes", "options", "variants", "images"];
/// Columns of prices, in major units of `currency`.
const PRICES: [&str; 2] = ["price", "compareAtPrice"];

/// Every column, in the order of an export.
pub(super) const COLUMNS: [&str; 16] = [
    "sku",
    "slug",
    "title",
    "description",
    "type",
    "categories",
    "brand",
    "price",
    "compareAtPrice",
    "currency",
    "stock",
    "status",
    "attributes",
    "options",
    "variants",
    "images",
];

/// The cells of a product, in the order of [`COLUMNS`].
pub(super) fn cells(product: &WriteProduct) -> Result<Vec<String>, serde_json::Error> {
    let form = serde_json::to_value(product)?;
    let member = |name: &str| form.get(name).unwrap_or(&Value::Null);
    let price = |price: Option<Money>| price.map(major).unwrap_or_default();
    let currency = product.price.or(product.compare_at_price);
    let cells = COLUMNS.map(|column| match column {
        "categories" => product.categories.join("|"),
        "price" => price(product.price),
        "compareAtPrice" => price(product.compare_at_price),
        "currency" => currency.map(|p| p.currency.to_string()).unwrap_or_default(),
        "stock" => product
            .stock
            .map(|s| s.on_hand.to_string())
            .unwrap_or_default(),
        structure if STRUCTURES.contains(&structure) => {
            let text = member(structure).to_string();
            // An empty cell says the same, and so does a member that is left out.
            let says_nothing = matches!(text.as_str(), "[]" | "{}" | "null");
            if says_nothing { String::new() } else { text }
        }
        text => member(text).as_str().unwrap_or_default().to_owned(),
    });
    Ok(cells.to_vec())
}

/// An amount in major units, without its currency.
fn major(price: Money) -> String {
    let shown = price.to_string();
    shown.split(' ').next().unwrap_or_default().to_owned()
}

/// Whether the row's file has every column that says something of a product.
pub(super) fn is_whole(row: &Value) -> bool {
    telling().all(|column| row.get(column).is_some())
}

/// The columns that say something of a product.
fn telling() -> impl Iterator<Item = &'static str> {
    COLUMNS.into_iter().filter(|column| *column != "currency")
}

/// A row as the members of a patch: `null` for an empty cell, nothing for a column that is not there.
///
/// # Errors
/// Names the cell that cannot be read.
pub(super) fn patch_of(
    line: u64,
    row: &Value,
    shop: Currency,
) -> Result<Map<String, Value>, RowFault> {
    let said = product_of(line, row, shop)?;
    let members = telling().filter_map(|column| {
        row.get(column)?;
        let member = said.get(column).cloned().unwrap_or(Value::Null);
        Some((column.to_owned(), member))
    });
    Ok(members.collect())
}

/// A row of such a file as the JSON of a written product.
///
/// # Errors
/// Names the cell that cannot be read.
pub(super) fn product_of(line: u64, row: &Value, shop: Currency) -> Result<Value, RowFault> {
    let nothing = Map::new();
    let row = row.as_object().unwrap_or(&nothing);
    let cell = |name: &str| row.get(name).and_then(Value::as_str);
    let fault = |name: &str, message: String| RowFault::new(line, "cell", name, message);
    if let Some(unknown) = row.keys().find(|name| !COLUMNS.contains(&name.as_str())) {
        let message = format!(
            "there is no such column; those known are {}",
            COLUMNS.join(", ")
        );
        return Err(RowFault::new(line, "unknown_column", unknown, message));
    }
    let currency = match cell("currency") {
        Some(code) => code
            .trim()
            .parse()
            .map_err(|_unknown| fault("currency", "expected a code of ISO 4217".into()))?,
        None => shop,
    };
    let mut product = Map::new();
    for name in TEXTS {
        if let Some(text) = cell(name) {
            product.insert(name.into(), json!(text));
        }
    }
    for name in PRICES {
        if let Some(text) = cell(name) {
            let amount = minor(text.trim(), currency)
                .ok_or_else(|| fault(name, format!("expected an amount of {currency}")))?;
            product.insert(name.into(), json!(Money::new(amount, currency)));
        }
    }
    for name in STRUCTURES {
        if let Some(text) = cell(name) {
            let value: Value =
                serde_json::from_str(text).map_err(|error| fault(name, error.to_string()))?;
            product.insert(name.into(), value);
        }
    }
    if let Some(paths) = cell("categories") {
        let paths: Vec<&str> = paths.split('|').map(str::trim).collect();
        product.insert("categories".into(), json!(paths));
    }
    if let Some(units) = cell("stock") {
        let on_hand = units
            .trim()
            .parse()
            .map_err(|_unreadable| fault("stock", "expected a whole number".into()))?;
        product.insert("stock".into(), json!(WriteStock { on_hand }));
    }
    Ok(Value::Object(product))
}

/// Minor units of an amount in major ones; exactly, or not at all.
fn minor(text: &str, currency: Currency) -> Option<i64> {
    let decimals = usize::try_from(currency.exponent()).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > decimals {
        return None;
    }
    format!("{whole}{part:0<decimals$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_exactly() {
        let usd = |text| minor(text, Currency::USD);
        assert_eq!(
            [
                usd("12.99"),
                usd("12"),
                usd("0.5"),
                usd("12."),
                usd("12.999"),
                usd("-1"),
                usd("1,5")
            ],
            [
                Some(1_299),
                Some(1_200),
                Some(50),
                Some(1_200),
                None,
                None,
                None
            ]
        );
        assert_eq!(minor("500", "JPY".parse().unwrap()), Some(500));
        assert_eq!(minor("500.0", "JPY".parse().unwrap()), None);
    }

    #[test]
    fn a_product_comes_back_as_it_was() {
        let product = json!({
            "sku": "=1+1", "slug": "a", "title": "A \"b\", c\nd", "description": " x ",
            "type": "generic", "categories": ["a/b", "c"], "brand": "Ünder",
            "price": {"amount": 1299, "currency": "USD"}, "attributes": {"a": [1, {"b": null}]},
            "options": ["n"], "status": "draft",
            "variants": [{"sku": "v", "options": {"n": "1"}, "stock": {"onHand": 3}}],
            "images": [{"url": "/x.png", "alt": ""}],
        });
        let written: WriteProduct = serde_json::from_value(product).unwrap();
        let cells = cells(&written).unwrap();
        let cell = |cell: String| {
            if cell.is_empty() {
                Value::Null
            } else {
                json!(cell)
            }
        };
        let row = COLUMNS.iter().zip(cells);
        let row: Map<_, _> = row
            .map(|(name, text)| ((*name).to_owned(), cell(text)))
            .collect();
        let back = product_of(2, &Value::Object(row), Currency::USD).unwrap();
        assert_eq!(
            serde_json::from_value::<WriteProduct>(back).unwrap(),
            written
        );
        let wrong = product_of(7, &json!({"sku": "1", "colour": "x"}), Currency::USD).unwrap_err();
        assert_eq!(
            (wrong.code.as_str(), wrong.field.as_str()),
            ("unknown_column", "colour")
        );
    }
}
