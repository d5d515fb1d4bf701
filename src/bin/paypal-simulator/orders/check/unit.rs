//! One purchase unit: texts, items, shipping.

use serde_json::{Map, Value, json};

use super::{
    Payee,
    amount::total,
    node::{Findings, Node},
};
use crate::orders::model::Unit;

/// Members of a purchase unit that are kept and shown.
const KEPT: [&str; 8] = [
    "description",
    "custom_id",
    "invoice_id",
    "soft_descriptor",
    "items",
    "shipping",
    "payment_instruction",
    "supplementary_data",
];

/// Checks one purchase unit.
pub(crate) fn unit(
    node: &Node<'_>,
    several: bool,
    payee: Payee<'_>,
    found: &mut Findings,
) -> Option<Unit> {
    let node = node.object(true, found)?;
    let name = node.member("reference_id");
    let reference_id = name.text((1, 256), false, found);
    if several && name.value.is_none() {
        found.sense("REFERENCE_ID_REQUIRED", &name);
    }
    for (member, longest) in [
        ("description", 127),
        ("custom_id", 127),
        ("invoice_id", 127),
        ("soft_descriptor", 22),
    ] {
        node.member(member).text((1, longest), false, found);
    }
    items(&node, found);
    shipping(&node, found);
    let amount = total(&node, found)?;
    let reference_id = reference_id.unwrap_or("default").to_owned();
    let mut body = Map::new();
    body.insert("reference_id".to_owned(), Value::from(reference_id.clone()));
    for member in KEPT {
        if let Some(value) = node.member(member).value {
            body.insert(member.to_owned(), value.clone());
        }
    }
    let mut shown = amount.json();
    if let (Some(map), Some(breakdown)) = (
        shown.as_object_mut(),
        node.member("amount").member("breakdown").value,
    ) {
        map.insert("breakdown".to_owned(), breakdown.clone());
    }
    body.insert("amount".to_owned(), shown);
    body.insert(
        "payee".to_owned(),
        json!({ "email_address": payee.email, "merchant_id": payee.merchant_id }),
    );
    Some(Unit {
        reference_id,
        amount,
        body,
        captures: Vec::new(),
    })
}

fn items(unit: &Node<'_>, found: &mut Findings) {
    let Some(items) = unit.member("items").list(0, usize::MAX, false, found) else {
        return;
    };
    for item in items {
        item.member("name").text((1, 127), true, found);
        item.member("sku").text((0, 127), false, found);
        item.member("description").text((0, 127), false, found);
        item.member("category").word(
            &["DIGITAL_GOODS", "PHYSICAL_GOODS", "DONATION"],
            false,
            found,
        );
        let quantity = item.member("quantity");
        if let Some(text) = quantity.text((1, 10), true, found) {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || text.starts_with('0') {
                found.syntax("INVALID_PARAMETER_SYNTAX", &quantity);
            }
        }
    }
}

fn shipping(unit: &Node<'_>, found: &mut Findings) {
    let Some(shipping) = unit.member("shipping").object(false, found) else {
        return;
    };
    if let Some(name) = shipping.member("name").object(false, found) {
        name.member("full_name").text((0, 300), false, found);
    }
    let Some(address) = shipping.member("address").object(false, found) else {
        return;
    };
    for (member, longest) in [
        ("address_line_1", 300),
        ("address_line_2", 300),
        ("admin_area_1", 300),
        ("admin_area_2", 120),
        ("postal_code", 60),
    ] {
        address.member(member).text((0, longest), false, found);
    }
    let country = address.member("country_code");
    if let Some(code) = country.any_text(true, found) {
        let letters = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        if !letters && code != "C2" {
            found.syntax("INVALID_COUNTRY_CODE", &country);
        }
        let missing = |name: &str| {
            address
                .member(name)
                .value
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
        };
        if code == "US" && missing("postal_code") {
            found.sense("POSTAL_CODE_REQUIRED", &address.member("postal_code"));
        }
        if code == "US" && missing("admin_area_2") {
            found.sense("CITY_REQUIRED", &address.member("admin_area_2"));
        }
    }
}
