//! Checks a create request as PayPal's specification does, and turns it into a [`Draft`].
//!
//! Syntax is 400, sense is 422; all findings of the graver kind are reported at once.

mod amount;
mod node;
mod source;
mod unit;

use serde_json::Value;

pub(crate) use self::amount::{Bound, money};
pub(crate) use self::node::{Findings, Node};
use super::model::{Draft, Intent, Unit};
use crate::problem::Problem;

/// The merchant, as it stands in every purchase unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payee<'a> {
    /// E-mail address.
    pub(crate) email: &'a str,
    /// Account id.
    pub(crate) merchant_id: &'a str,
}

/// Checks a whole create request.
pub(crate) fn draft(body: &Value, payee: Payee<'_>) -> Result<Draft, Problem> {
    let mut found = Findings::default();
    let root = Node::root(body);
    if !body.is_object() {
        return Err(Problem::malformed());
    }
    let intent = intent(&root, &mut found);
    let units = units(&root, payee, &mut found);
    if units.len() > 1 && intent == Some(Intent::Authorize) {
        found.sense("UNSUPPORTED_INTENT", &root.member("intent"));
    }
    let experience = source::experience(&root, &mut found);
    found.verdict()?;
    Ok(Draft {
        intent: intent.unwrap_or(Intent::Capture),
        units,
        source: experience.source,
        return_url: experience.return_url,
        cancel_url: experience.cancel_url,
        brand: experience.brand,
        shipping_from_file: experience.shipping_from_file,
    })
}

fn intent(root: &Node<'_>, found: &mut Findings) -> Option<Intent> {
    let node = root.member("intent");
    match node.word(&["CAPTURE", "AUTHORIZE"], true, found)? {
        "AUTHORIZE" => Some(Intent::Authorize),
        _ => Some(Intent::Capture),
    }
}

/// Checks the purchase units alone; also used after a patch.
pub(crate) fn units(root: &Node<'_>, payee: Payee<'_>, found: &mut Findings) -> Vec<Unit> {
    let list = root.member("purchase_units");
    let Some(members) = list.list(1, 10, true, found) else {
        return Vec::new();
    };
    let several = members.len() > 1;
    let units: Vec<Unit> = members
        .iter()
        .filter_map(|node| unit::unit(node, several, payee, found))
        .collect();
    for (index, one) in units.iter().enumerate() {
        if units
            .iter()
            .take(index)
            .any(|other| other.reference_id == one.reference_id)
        {
            found.sense(
                "DUPLICATE_REFERENCE_ID",
                &list.item(index).member("reference_id"),
            );
        }
        if units
            .first()
            .is_some_and(|first| first.amount.currency != one.amount.currency)
        {
            found.sense(
                "MULTI_CURRENCY_ORDER",
                &list.item(index).member("amount").member("currency_code"),
            );
        }
    }
    units
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    const PAYEE: Payee<'_> = Payee {
        email: "merchant@example.com",
        merchant_id: "QKRY6BTWMQQ8C",
    };

    /// The request of the shop's own shape: two items, shipping, tax, discount.
    pub(crate) fn request() -> Value {
        json!({
            "intent": "CAPTURE",
            "purchase_units": [{
                "reference_id": "default",
                "custom_id": "checkout-1",
                "invoice_id": "1001",
                "amount": {
                    "currency_code": "USD", "value": "32.50",
                    "breakdown": {
                        "item_total": { "currency_code": "USD", "value": "30.00" },
                        "shipping": { "currency_code": "USD", "value": "4.00" },
                        "tax_total": { "currency_code": "USD", "value": "1.50" },
                        "discount": { "currency_code": "USD", "value": "3.00" }
                    }
                },
                "items": [{
                    "name": "Mug", "sku": "MUG-1", "quantity": "2",
                    "unit_amount": { "currency_code": "USD", "value": "15.00" },
                    "category": "PHYSICAL_GOODS"
                }],
                "shipping": {
                    "name": { "full_name": "Jörg Weiß" },
                    "address": {
                        "address_line_1": "1 Main St", "admin_area_2": "San Jose",
                        "admin_area_1": "CA", "postal_code": "95131", "country_code": "US"
                    }
                }
            }],
            "payment_source": { "paypal": { "experience_context": {
                "return_url": "https://shop.example/return",
                "cancel_url": "https://shop.example/cancel",
                "user_action": "PAY_NOW", "shipping_preference": "SET_PROVIDED_ADDRESS",
                "brand_name": "Bodega"
            } } }
        })
    }

    fn issues(change: impl FnOnce(&mut Value)) -> (u16, Vec<String>) {
        let mut body = request();
        change(&mut body);
        match draft(&body, PAYEE) {
            Ok(_) => (201, Vec::new()),
            Err(problem) => problem.summary(),
        }
    }

    #[test]
    fn a_full_request_becomes_a_draft() {
        let draft = draft(&request(), PAYEE).unwrap();
        assert_eq!(draft.units[0].amount.value(), "32.50");
        assert_eq!(draft.units[0].text("custom_id"), Some("checkout-1"));
        assert_eq!(
            draft.units[0].body["payee"]["email_address"],
            "merchant@example.com"
        );
        assert_eq!(
            draft.return_url.as_deref(),
            Some("https://shop.example/return")
        );
        assert!(!draft.shipping_from_file);
    }

    #[test]
    fn sums_must_add_up() {
        let cases: [(&str, &str, &str); 4] = [
            ("/purchase_units/0/amount/value", "32.49", "AMOUNT_MISMATCH"),
            (
                "/purchase_units/0/amount/breakdown/discount/value",
                "3.01",
                "AMOUNT_MISMATCH",
            ),
            (
                "/purchase_units/0/items/0/quantity",
                "3",
                "ITEM_TOTAL_MISMATCH",
            ),
            (
                "/purchase_units/0/items/0/unit_amount/value",
                "15.01",
                "ITEM_TOTAL_MISMATCH",
            ),
        ];
        for (pointer, value, issue) in cases {
            let (status, issues) =
                issues(|body| *body.pointer_mut(pointer).unwrap() = json!(value));
            assert_eq!(
                (status, issues.first().map(String::as_str)),
                (422, Some(issue)),
                "{pointer}"
            );
        }
    }

    #[test]
    fn amounts_are_strings_of_the_right_precision_and_size() {
        let cases = [
            (json!(32.5), 400, "INVALID_PARAMETER_SYNTAX"),
            (json!("32,50"), 400, "INVALID_PARAMETER_SYNTAX"),
            (json!("32.505"), 422, "DECIMAL_PRECISION"),
            (json!("0.00"), 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
            (json!("-1.00"), 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
            (json!("1000000000000000.00"), 422, "MAX_VALUE_EXCEEDED"),
            (json!("1".repeat(33)), 400, "INVALID_STRING_LENGTH"),
            (json!(null), 400, "MISSING_REQUIRED_PARAMETER"),
        ];
        for (value, status, issue) in cases {
            let got = issues(|body| body["purchase_units"][0]["amount"]["value"] = value.clone());
            assert_eq!(
                (got.0, got.1.first().map(String::as_str)),
                (status, Some(issue)),
                "{value}"
            );
        }
    }

    #[test]
    fn currencies_are_known_and_one() {
        let unknown = issues(|b| b["purchase_units"][0]["amount"]["currency_code"] = json!("KWD"));
        assert_eq!(
            (unknown.0, unknown.1[0].as_str()),
            (422, "INVALID_CURRENCY_CODE")
        );
        let long = issues(|b| b["purchase_units"][0]["amount"]["currency_code"] = json!("DOLLAR"));
        assert_eq!((long.0, long.1[0].as_str()), (400, "INVALID_STRING_LENGTH"));
        let mixed = issues(|b| {
            b["purchase_units"][0]["amount"]["breakdown"]["shipping"]["currency_code"] =
                json!("EUR");
        });
        assert_eq!(
            (mixed.0, mixed.1[0].as_str()),
            (422, "MULTI_CURRENCY_ORDER")
        );
        let yen = issues(|b| {
            b["purchase_units"] =
                json!([{ "amount": { "currency_code": "JPY", "value": "1200.00" } }]);
        });
        assert_eq!((yen.0, yen.1[0].as_str()), (422, "DECIMAL_PRECISION"));
    }

    #[test]
    fn lengths_and_words_are_limited() {
        let long = "x".repeat(128);
        for (pointer, value, issue) in [
            (
                "/purchase_units/0/custom_id",
                long.as_str(),
                "INVALID_STRING_LENGTH",
            ),
            ("/purchase_units/0/invoice_id", "", "INVALID_STRING_LENGTH"),
            (
                "/purchase_units/0/items/0/name",
                long.as_str(),
                "INVALID_STRING_LENGTH",
            ),
            (
                "/purchase_units/0/items/0/sku",
                long.as_str(),
                "INVALID_STRING_LENGTH",
            ),
            (
                "/purchase_units/0/items/0/quantity",
                "0",
                "INVALID_PARAMETER_SYNTAX",
            ),
            (
                "/purchase_units/0/items/0/quantity",
                "1.5",
                "INVALID_PARAMETER_SYNTAX",
            ),
            (
                "/purchase_units/0/items/0/category",
                "FOOD",
                "INVALID_PARAMETER_VALUE",
            ),
            (
                "/purchase_units/0/shipping/address/country_code",
                "USA",
                "INVALID_COUNTRY_CODE",
            ),
            ("/intent", "SALE", "INVALID_PARAMETER_VALUE"),
            (
                "/payment_source/paypal/experience_context/return_url",
                "shop",
                "INVALID_PARAMETER_SYNTAX",
            ),
            (
                "/payment_source/paypal/experience_context/user_action",
                "GO",
                "INVALID_PARAMETER_VALUE",
            ),
        ] {
            let got = issues(|body| *body.pointer_mut(pointer).unwrap() = json!(value));
            assert_eq!(
                (got.0, got.1.first().map(String::as_str)),
                (400, Some(issue)),
                "{pointer}"
            );
        }
    }

    #[test]
    fn what_is_required_is_missed() {
        for path in ["intent", "purchase_units"] {
            let got = issues(|body| {
                body.as_object_mut().unwrap().remove(path);
            });
            assert_eq!(
                (got.0, got.1[0].as_str()),
                (400, "MISSING_REQUIRED_PARAMETER"),
                "{path}"
            );
        }
        let none = issues(|body| body["purchase_units"] = json!([]));
        assert_eq!(
            (none.0, none.1[0].as_str()),
            (400, "INVALID_ARRAY_MIN_ITEMS")
        );
        let many = issues(|body| {
            let unit = body["purchase_units"][0].clone();
            body["purchase_units"] = json!(vec![unit; 11]);
        });
        assert_eq!(
            (many.0, many.1[0].as_str()),
            (400, "INVALID_ARRAY_MAX_ITEMS")
        );
        let total = issues(|body| {
            body["purchase_units"][0]["amount"]
                .as_object_mut()
                .unwrap()
                .remove("breakdown");
        });
        assert_eq!((total.0, total.1[0].as_str()), (422, "ITEM_TOTAL_REQUIRED"));
    }

    #[test]
    fn several_units_need_different_names() {
        let twins = issues(|body| {
            let unit = body["purchase_units"][0].clone();
            body["purchase_units"] = json!([unit.clone(), unit]);
        });
        assert_eq!(
            (twins.0, twins.1[0].as_str()),
            (422, "DUPLICATE_REFERENCE_ID")
        );
        let nameless = issues(|body| {
            let mut unit = body["purchase_units"][0].clone();
            unit.as_object_mut().unwrap().remove("reference_id");
            body["purchase_units"] = json!([unit.clone(), unit]);
        });
        assert!(
            nameless
                .1
                .iter()
                .any(|issue| issue == "REFERENCE_ID_REQUIRED")
        );
    }
}
