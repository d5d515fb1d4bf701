//! Messages without the person they name: what the shop reads of them, and nothing else.
//!
//! What is kept is listed, not what is left out: a field that PayPal adds tomorrow is not kept.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The fields of an event that stay, wherever they stand in it; within one that does not stay nothing does.
const KEPT_OF_EVENTS: [&str; 46] = [
    "amount",
    "amount_refunded",
    "authorization_id",
    "capture_id",
    "captures",
    "create_time",
    "currency_code",
    "custom_id",
    "dispute_amount",
    "dispute_id",
    "dispute_life_cycle_stage",
    "dispute_outcome",
    "disputed_transactions",
    "event_type",
    "event_version",
    "final_capture",
    "gross_amount",
    "href",
    "id",
    "intent",
    "invoice_id",
    "links",
    "method",
    "net_amount",
    "order_id",
    "outcome_code",
    "payments",
    "paypal_fee",
    "purchase_units",
    "reason",
    "reference_id",
    "refunds",
    "rel",
    "related_ids",
    "resource",
    "resource_type",
    "resource_version",
    "seller_payable_breakdown",
    "seller_receivable_breakdown",
    "seller_transaction_id",
    "status",
    "status_details",
    "supplementary_data",
    "total_refunded_amount",
    "update_time",
    "value",
];

/// The fields of an IPN message that stay.
const KEPT_OF_IPN: [&str; 17] = [
    "business",
    "charset",
    "custom",
    "invoice",
    "ipn_track_id",
    "mc_currency",
    "mc_fee",
    "mc_gross",
    "parent_txn_id",
    "payment_date",
    "payment_status",
    "pending_reason",
    "reason_code",
    "receiver_email",
    "receiver_id",
    "test_ipn",
    "txn_id",
];

/// The fields of either kind that name what a message is about.
const REFERENCES: [&str; 12] = [
    "capture_id",
    "custom",
    "custom_id",
    "dispute_id",
    "id",
    "invoice",
    "invoice_id",
    "invoice_number",
    "order_id",
    "parent_txn_id",
    "seller_transaction_id",
    "txn_id",
];

/// As many references of a message are remembered; those of one purchase are half a dozen.
const MOST_REFERENCES: usize = 24;
/// No id is longer.
const MAX_REFERENCE: usize = 64;

/// The event as far as the shop reads it; an empty one where `body` is none.
pub(in crate::payments) fn event_without_person(body: &[u8]) -> Vec<u8> {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let kept = match event {
        Value::Object(fields) => reduced(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    };
    Value::Object(kept).to_string().into_bytes()
}

fn reduced(fields: Map<String, Value>) -> Map<String, Value> {
    let kept = fields
        .into_iter()
        .filter(|(name, _)| KEPT_OF_EVENTS.contains(&name.as_str()));
    kept.map(|(name, value)| (name, within(value))).collect()
}

fn within(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(reduced(fields)),
        Value::Array(values) => Value::Array(values.into_iter().map(within).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

/// The IPN message as far as the shop reads it, byte for byte.
pub(in crate::payments) fn ipn_without_person(body: &[u8]) -> Vec<u8> {
    let kept: Vec<&[u8]> = pairs(body)
        .filter(|(name, _, _)| KEPT_OF_IPN.contains(&name.as_str()))
        .map(|(_, _, pair)| pair)
        .collect();
    kept.join(&b'&')
}

/// Everything that an event says it is about: ids of ours and of PayPal's.
pub(in crate::payments) fn event_references(body: &[u8]) -> Vec<String> {
    let mut found = BTreeSet::new();
    if let Ok(event) = serde_json::from_slice::<Value>(body) {
        collect(&event, &mut found);
    }
    found.into_iter().take(MOST_REFERENCES).collect()
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(text) = value.as_str() {
                    if name == "href" {
                        let ids = text.split('/').filter(|part| is_provider_id(part));
                        found.extend(ids.map(str::to_owned));
                    } else if REFERENCES.contains(&name.as_str()) {
                        note(text, found);
                    }
                } else {
                    collect(value, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Everything that an IPN message says it is about.
pub(in crate::payments) fn ipn_references(body: &[u8]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (name, value, _) in pairs(body) {
        if REFERENCES.contains(&name.as_str()) {
            note(&value, &mut found);
        }
    }
    found.into_iter().take(MOST_REFERENCES).collect()
}

fn note(text: &str, found: &mut BTreeSet<String>) {
    if (1..=MAX_REFERENCE).contains(&text.len()) {
        found.insert(text.to_owned());
    }
}

/// Whether a part of a link's path is one of PayPal's ids.
fn is_provider_id(part: &str) -> bool {
    let letters = part
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    letters && (10..=MAX_REFERENCE).contains(&part.len())
}

/// A form's names and values, each with the bytes that it was.
fn pairs(body: &[u8]) -> impl Iterator<Item = (String, String, &[u8])> {
    let each = body
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty());
    each.map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let mut text = || {
            let half = halves.next().unwrap_or_default();
            let text = percent_encoding::percent_decode(half);
            text.decode_utf8_lossy().into_owned()
        };
        (text(), text(), pair)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::paypal::{event, testing::shared};

    const EVENTS: [&str; 8] = [
        "CHECKOUT.ORDER.APPROVED",
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
        "CUSTOMER.DISPUTE.CREATED",
        "CUSTOMER.DISPUTE.RESOLVED",
        "PAYMENT.CAPTURE.COMPLETED",
        "PAYMENT.CAPTURE.DENIED",
        "PAYMENT.CAPTURE.REFUNDED",
        "PAYMENT.CAPTURE.REVERSED",
    ];

    #[test]
    fn an_event_without_its_person_tells_the_shop_the_same() {
        for name in EVENTS {
            let whole = shared(&format!("paypal/samples/webhooks/{name}.json"));
            let reduced = event_without_person(&whole);
            assert_eq!(event::read(&reduced), event::read(&whole), "{name}");
            let text = String::from_utf8(reduced).unwrap();
            for person in ["buyer", "name", "payer", "address", "1 Main St", "qwqw"] {
                assert!(!text.contains(person), "{person} in {text}");
            }
        }
        assert_eq!(event_without_person(b"[1]"), b"{}");
    }

    #[test]
    fn an_event_names_what_it_is_about() {
        let refund = shared("paypal/samples/webhooks/PAYMENT.CAPTURE.REFUNDED.json");
        let about = event_references(&refund);
        for id in ["0JF852973C016714D", "1Y107995YT783435V"] {
            assert!(about.iter().any(|found| found == id), "{id} in {about:?}");
        }
        let ours = br#"{"resource":{"id":"C1","custom_id":"662e41f09c1d4c3a8f0b7a11","payer":{"name":"x"}}}"#;
        assert_eq!(event_references(ours), ["662e41f09c1d4c3a8f0b7a11", "C1"]);
    }

    #[test]
    fn a_form_without_its_person_keeps_its_bytes() {
        let form = b"txn_id=T1&first_name=Ada+B&custom=abc&address_street=1%20Main&mc_gross=1.00&memo=x&receiver_email=shop%40example.com";
        let kept = b"txn_id=T1&custom=abc&mc_gross=1.00&receiver_email=shop%40example.com";
        assert_eq!(ipn_without_person(form), kept);
        assert_eq!(ipn_references(form), ["T1", "abc"]);
    }
}
