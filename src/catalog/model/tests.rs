//! The rules of products, and the demo catalogue held against them.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{clock::Timestamp, money::Currency, problem::FieldError};

fn usd(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

fn check_against(
    written: Value,
    product_type: &ProductType,
) -> Result<ProductDraft, Vec<FieldError>> {
    let written: WriteProduct = serde_json::from_value(written).unwrap();
    let schema = Schema::compile(&product_type.attributes, product_type.axes()).unwrap();
    ProductDraft::check(written, product_type, &schema, Currency::USD)
}

fn check(written: Value) -> Result<ProductDraft, Vec<FieldError>> {
    check_against(written, &ProductType::generic())
}

fn made(written: Value) -> (Product, StockPlan) {
    let draft = check(written).unwrap();
    let slug = draft.derived_slug();
    draft.create(slug, Timestamp::from_millis(1))
}

fn pointers(written: Value) -> Vec<(String, String)> {
    let faults = check(written).unwrap_err();
    let mut named: Vec<_> = faults.into_iter().map(|f| (f.pointer, f.code)).collect();
    named.sort();
    named
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(p, c)| ((*p).to_owned(), (*c).to_owned()))
        .collect()
}

fn shirt() -> Value {
    json!({
        "sku": "TEE", "title": "Tee", "options": ["color", "size"],
        "variants": [
            {"options": {"color": "black", "size": "M"}, "price": usd(2_000), "stock": {"onHand": 3}},
            {"options": {"color": "white", "size": "M"}, "price": usd(1_500)},
        ],
    })
}

#[test]
fn a_product_without_options_has_one_variant_of_its_own_sku_and_price() {
    let (product, plan) = made(json!({
        "sku": "MUG", "title": " Mug ", "price": usd(900), "stock": {"onHand": 4}
    }));
    assert_eq!(
        (product.title.as_str(), product.slug.as_str()),
        ("Mug", "mug")
    );
    let [variant] = product.variants.as_slice() else {
        panic!("one variant");
    };
    assert_eq!((variant.sku.as_str(), variant.price.amount), ("MUG", 900));
    assert_eq!(plan.opened, [(variant.id, 4)]);
    assert_eq!(product.skus(), ["MUG"]);
}

#[test]
fn a_product_with_options_costs_what_its_cheapest_variant_costs() {
    let (product, plan) = made(shirt());
    assert_eq!(product.price.amount, 1_500);
    let skus: Vec<_> = product.variants.iter().map(|v| v.sku.as_str()).collect();
    assert_eq!(skus, ["TEE-BLACK-M", "TEE-WHITE-M"]);
    let units: Vec<_> = plan.opened.iter().map(|(_, units)| *units).collect();
    assert_eq!(units, [3, 0]);
}

/// The prices of a product of one, after a patch: its own, and those of its variants.
fn patched_prices(patch: Value) -> Result<(i64, Vec<i64>), Vec<FieldError>> {
    let variant = |size: &str| json!({"options": {"size": size}});
    let (mut shirt, mut dear) = (shirt(), variant("L"));
    dear["price"] = usd(3_000);
    shirt["options"] = json!(["size"]);
    shirt["price"] = usd(1_000);
    shirt["variants"] = json!([variant("S"), variant("M"), dear]);
    let (old, _) = made(shirt);
    let patch: PatchProduct = serde_json::from_value(patch).unwrap();
    let draft = check(patch.apply(&old)?)?;
    let (new, _) = draft.replace(&old, old.slug.clone(), Timestamp::from_millis(2))?;
    let prices = new.variants.iter().map(|variant| variant.price.amount);
    Ok((new.price.amount, prices.collect()))
}

#[test]
fn a_patch_of_the_price_moves_the_variants_that_have_it_from_the_product() {
    let moved = patched_prices(json!({"price": usd(800)})).unwrap();
    assert_eq!(moved, (800, vec![800, 800, 3_000]));
    // Half of a price is merged with the other half, as of every object.
    let moved = patched_prices(json!({"price": {"amount": 1_200}})).unwrap();
    assert_eq!(moved, (1_200, vec![1_200, 1_200, 3_000]));
    let named = json!({"price": usd(500), "variants": [
        {"options": {"size": "S"}}, {"options": {"size": "L"}, "price": usd(900)},
    ]});
    assert_eq!(patched_prices(named).unwrap(), (500, vec![500, 900]));
    let untouched = patched_prices(json!({"title": "Other"})).unwrap();
    assert_eq!(untouched, (1_000, vec![1_000, 1_000, 3_000]));
    let above = patched_prices(json!({"price": usd(3_500)})).unwrap();
    assert_eq!(above, (3_500, vec![3_500, 3_500, 3_000]));
}

#[test]
fn variants_that_do_not_agree_with_the_options_are_named() {
    let wrong = json!({
        "sku": "A", "title": "A", "price": usd(1), "options": ["color", "size", "color"],
        "attributes": {"size": "all"}, "stock": {"onHand": 1},
        "variants": [
            {"sku": "A-1", "options": {"color": "black"}},
            {"sku": "A-1", "options": {"color": "black", "size": " ", "weight": "1"}},
        ],
    });
    assert_eq!(
        pointers(wrong),
        named(&[
            ("/options/1", "duplicate"),
            ("/options/2", "duplicate"),
            ("/stock", "misplaced"),
            ("/variants/0/options/size", "required"),
            ("/variants/1/options/size", "length"),
            ("/variants/1/options/weight", "unknown_field"),
            ("/variants/1/sku", "duplicate"),
        ])
    );
    let twice = json!({
        "sku": "A", "title": "A", "price": usd(1), "options": ["color"],
        "variants": [{"sku": "x", "options": {"color": "b"}}, {"sku": "y", "options": {"color": "b"}}],
    });
    assert_eq!(
        pointers(twice),
        named(&[("/variants/1/options", "duplicate")])
    );
    let too_many: Vec<_> = (0..=MAX_VARIANTS)
        .map(|n| json!({"options": {"n": n.to_string()}, "price": usd(1)}))
        .collect();
    let too_many = json!({"sku": "A", "title": "A", "options": ["n"], "variants": too_many});
    assert_eq!(pointers(too_many), named(&[("/variants", "length")]));
}

#[test]
fn each_faulty_member_is_named() {
    let wrong = json!({
        "sku": " A", "slug": "No Slug", "title": "\u{0}", "brand": "",
        "categories": ["Ok", "a//b"], "price": {"amount": -1, "currency": "EUR"},
        "compareAtPrice": {"amount": i64::MAX, "currency": "USD"},
        "images": [{"url": "javascript:alert(1)"}, {"url": "//evil.example"}, {"url": "https://a.example/b"}],
        "attributes": {"$where": 1, "a.b": 1}, "stock": {"onHand": 4_000_000_000_u32},
    });
    assert_eq!(
        pointers(wrong),
        named(&[
            ("/attributes/$where", "key"),
            ("/attributes/a.b", "key"),
            ("/brand", "length"),
            ("/categories/0", "category"),
            ("/categories/1", "category"),
            ("/compareAtPrice/amount", "range"),
            ("/images/0/url", "url"),
            ("/images/1/url", "url"),
            ("/price/amount", "range"),
            ("/price/currency", "unknown_value"),
            ("/sku", "characters"),
            ("/slug", "slug"),
            ("/stock/onHand", "range"),
            ("/title", "characters"),
        ])
    );
    assert_eq!(
        pointers(json!({"sku": "A", "title": "A"})),
        named(&[("/variants/0/price", "required")])
    );
}

#[test]
fn variants_keep_their_ids_by_id_sku_or_options() {
    let (old, _) = made(shirt());
    let id = |index: usize| old.variants[index].id;
    let mut next = shirt();
    next["variants"] = json!([
        {"sku": "NEW", "options": {"color": "white", "size": "M"}, "price": usd(1), "stock": {"onHand": 7}},
        {"sku": "RED", "options": {"color": "red", "size": "M"}, "price": usd(1), "stock": {"onHand": 8}},
        {"id": id(0), "sku": "BLACK", "options": {"color": "black", "size": "L"}, "price": usd(1)},
    ]);
    let draft = check(next.clone()).unwrap();
    let (new, plan) = draft
        .replace(&old, old.slug.clone(), Timestamp::from_millis(2))
        .unwrap();
    assert_eq!((new.id, new.version), (old.id, 2));
    assert_eq!((new.variants[0].id, new.variants[2].id), (id(1), id(0)));
    assert!(old.variant(new.variants[1].id).is_none());
    assert_eq!(plan.set, [(id(1), 7)]);
    next["variants"][1]["id"] = json!("662e41f09c1d4c3a8f0b7a11");
    let refused = check(next)
        .unwrap()
        .replace(&old, old.slug.clone(), Timestamp::from_millis(2))
        .unwrap_err();
    assert_eq!(refused[0].pointer, "/variants/1/id");
}

#[test]
fn the_written_form_of_a_product_makes_the_same_product_again() {
    for written in [
        shirt(),
        json!({"sku": "MUG", "title": "Mug", "price": usd(900), "attributes": {"a": [1, {"b": null}]}}),
    ] {
        let (old, _) = made(written);
        let form = serde_json::to_value(WriteProduct::from(&old)).unwrap();
        let draft = check(form).unwrap();
        let (mut new, plan) = draft
            .replace(&old, old.slug.clone(), old.updated_at)
            .unwrap();
        assert_eq!(plan.set, []);
        new.version = old.version;
        assert_eq!(new, old);
    }
}

#[test]
fn a_stored_product_reads_back_as_it_was() {
    let (product, _) = made(json!({
        "sku": "MUG", "title": "Mug", "price": usd(900),
        "attributes": {"whole": 3, "half": 0.5, "one": 1.0, "big": i64::MAX, "none": null,
            "list": [true, "x", {"deep": [1]}]},
    }));
    let stored = bson::serialize_to_vec(&product).unwrap();
    let read: Product = bson::deserialize_from_slice(&stored).unwrap();
    assert_eq!(read, product);
}

/// The types and products that a first start loads.
#[test]
fn the_demo_catalogue_is_acceptable() {
    let types: Vec<WriteProductType> =
        serde_json::from_str(include_str!("../../../config/demo/product-types.json")).unwrap();
    let types: Vec<_> = types
        .into_iter()
        .map(|written| {
            check_type(&written).unwrap();
            ProductType {
                id: written.id.as_deref().unwrap().parse().unwrap(),
                name: written.name,
                attributes: written.attributes,
                fields: written.fields,
                version: 1,
                created_at: Timestamp::from_millis(0),
                updated_at: Timestamp::from_millis(0),
            }
        })
        .map(std::sync::Arc::new)
        .collect();
    let types = Types::new(types);
    let mut skus = HashSet::new();
    let lines = include_str!("../../../config/demo/products.jsonl").lines();
    let mut products = 0;
    for line in lines {
        let written: Value = serde_json::from_str(line).unwrap();
        let id: TypeId = written["type"].as_str().unwrap().parse().unwrap();
        let draft = check_against(written.clone(), types.get(&id).unwrap())
            .unwrap_or_else(|faults| panic!("{}: {faults:?}", written["sku"]));
        let slug = draft.wanted_slug().unwrap().to_owned();
        let (product, _) = draft.create(slug, Timestamp::from_millis(0));
        assert!(
            product
                .skus()
                .into_iter()
                .all(|sku| skus.insert(sku.to_owned()))
        );
        products += 1;
    }
    assert_eq!(products, 219);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[$.a-z\u{0}]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[$.a-z\u{0}]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Whether any key would be an operator or a path to the database.
fn has_operator(value: &Value) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(k, v)| k.starts_with('$') || k.contains(['.', '\0']) || has_operator(v)),
        Value::Array(items) => items.iter().any(has_operator),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

proptest! {
    #[test]
    fn accepted_attributes_hold_no_operators_and_survive_storing(attributes in any_json()) {
        let Value::Object(attributes) = attributes else { return Ok(()) };
        let written = json!({"sku": "A", "title": "A", "price": usd(1), "attributes": attributes});
        let clean = !has_operator(&Value::Object(attributes.clone()))
            && !attributes.keys().any(String::is_empty);
        if let Ok(draft) = check(written) {
            prop_assert!(clean);
            let (product, _) = draft.create("a".into(), Timestamp::from_millis(1));
            let stored = bson::serialize_to_vec(&product).unwrap();
            let read: Product = bson::deserialize_from_slice(&stored).unwrap();
            prop_assert_eq!(read, product);
        }
    }

    #[test]
    fn every_variant_keeps_its_id_when_variants_are_shuffled(
        order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
        renamed in prop::collection::vec(any::<bool>(), 12),
    ) {
        let variants = |order: &[usize], renamed: &[bool]| -> Vec<Value> {
            order.iter().map(|n| {
                let sku = if renamed[*n] { format!("R-{n}") } else { format!("S-{n}") };
                json!({"sku": sku, "options": {"n": n.to_string()}, "price": usd(1)})
            }).collect()
        };
        let written = |variants: Vec<Value>| {
            json!({"sku": "A", "title": "A", "options": ["n"], "variants": variants})
        };
        let first: Vec<usize> = (0..12).collect();
        let (old, _) = made(written(variants(&first, &[false; 12])));
        let draft = check(written(variants(&order, &renamed))).unwrap();
        let (new, _) = draft.replace(&old, "a".into(), Timestamp::from_millis(2)).unwrap();
        for (place, n) in order.iter().enumerate() {
            prop_assert_eq!(new.variants[place].id, old.variants[*n].id);
        }
    }
}
