//! Rows become products.

use serde_json::json;

use super::*;

fn mapped(mapping: &str, row: &Value) -> Result<Mapped, RowFault> {
    map_row(
        &Mapping::parse(mapping).unwrap(),
        &Brands::new(),
        Currency::USD,
        7,
        row,
    )
}

const FLAT: &str = "name = \"t\"\nsku = { from = \"/id\", prefix = \"T-\" }\ntitle = \"{/brand} {/name}\"\n\
    categories = [\"parts//{/kind}\"]\ntype = \"{/kind}\"\nprice = { from = \"/price\", low = 100, high = 900 }\n\
    attributes = { take = [\"\"], leave = [\"id\", \"brand\", \"name\", \"kind\", \"price\"] }\n";

#[test]
fn a_row_becomes_a_product() {
    let row = json!({ "id": 5, "brand": " Ä-Co ", "name": "Fan\t12", "kind": "Case Fan", "price": 12.5, "rpm": 900 });
    let product = mapped(FLAT, &row).unwrap().product;
    assert_eq!(
        (product.sku.as_str(), product.title.as_str()),
        ("T-5", "Ä-Co Fan 12")
    );
    assert_eq!(product.categories, ["parts/case-fan"]);
    assert_eq!(product.product_type.as_deref(), Some("case-fan"));
    assert_eq!(product.price, Some(Money::new(1_250, Currency::USD)));
    assert_eq!(
        serde_json::Value::Object(product.attributes),
        json!({ "rpm": 900 })
    );
}

#[test]
fn a_missing_price_follows_the_rule_the_same_each_time() {
    let row = json!({ "id": "a", "name": "x", "kind": "k", "price": null });
    let (one, two) = (mapped(FLAT, &row).unwrap(), mapped(FLAT, &row).unwrap());
    assert_eq!(one.product.price, two.product.price);
    let amount = one.product.price.unwrap().amount;
    assert!(
        (100..=909).contains(&amount) && amount % 10 == 9,
        "{amount}"
    );
    assert!(one.notes.codes().any(|code| code == "price_by_rule"));
}

#[test]
fn prices_are_read_digit_by_digit() {
    let cents = |price: Value| minor_units(&price, Currency::USD);
    assert_eq!(
        [cents(json!(19.99)), cents(json!("5")), cents(json!(24_100))],
        [Some(1_999), Some(500), Some(2_410_000)]
    );
    for bad in [
        json!("1.999"),
        json!("-1"),
        json!("1e3"),
        json!(""),
        json!("1,5"),
        json!(true),
        json!("９"),
    ] {
        assert_eq!(cents(bad.clone()), None, "{bad}");
    }
    assert_eq!(
        minor_units(&json!("500"), "JPY".parse().unwrap()),
        Some(500)
    );
}

#[test]
fn rows_that_cannot_be_are_refused_with_the_field() {
    let refused = |row: Value| mapped(FLAT, &row).unwrap_err();
    assert_eq!(refused(json!([])).code, "not_an_object");
    assert_eq!(refused(json!({ "name": "x" })).field, "/id");
    assert_eq!(refused(json!({ "id": 1 })).code, "no_title");
    assert_eq!(
        refused(json!({ "id": 1, "name": "x", "price": "cheap" })).code,
        "bad_price"
    );
}

const NESTED: &str = "name = \"n\"\nsku = { from = \"/id\" }\ntitle = \"{/id}\"\nprice = { low = 100, high = 100, per = \"/grams\", per_amount = 2 }\n\
    [variants]\neach = [\"/colors\", \"/sizes\"]\nsku = \"{/id}\"\ndistinguish = \"edition\"\n\
    options = [{ name = \"color\", value = \"{/color}\" }, { name = \"weight\", value = \"{/grams} g\" }]\n";

#[test]
fn nested_lists_become_variants_and_dull_axes_vanish() {
    let row = json!({ "id": "f", "colors": [
        { "color": "red", "sizes": [{ "id": "a", "grams": 500 }, { "id": "b", "grams": 1_000 }] },
        { "color": "blue", "sizes": [{ "id": "c", "grams": 500 }] },
    ] });
    let product = mapped(NESTED, &row).unwrap().product;
    assert_eq!(product.options, ["color", "weight"]);
    let of = |place: usize| &product.variants[place];
    assert_eq!(of(1).sku.as_deref(), Some("b"));
    assert_eq!(of(1).options["weight"], "1000 g");
    assert_eq!(of(1).price.unwrap().amount, 2_109);
}

#[test]
fn variants_alike_in_every_option_are_told_apart() {
    let row = json!({ "id": "f", "colors": [{ "color": "red", "sizes": [
        { "id": "a", "grams": 500 }, { "id": "b", "grams": 500 },
    ] }] });
    let mapped = mapped(NESTED, &row).unwrap();
    assert_eq!(mapped.product.options, ["edition"]);
    assert!(
        mapped
            .notes
            .codes()
            .any(|code| code == "variants_share_every_option")
    );
    let row = json!({ "id": "f", "colors": [{ "color": "red", "sizes": [{ "id": "a", "grams": 500 }] }] });
    let single = self::mapped(NESTED, &row).unwrap().product;
    assert!(single.options.is_empty() && single.variants.is_empty());
    assert_eq!(single.price.unwrap().amount, 1_109);
}
