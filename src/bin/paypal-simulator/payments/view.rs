//! Captures, refunds and disputes as the API and the events show them.

use serde_json::{Map, Value, json};

use super::model::{Capture, CaptureStatus, Dispute, Origin, Payments, Refund};
use crate::{clock, orders::model::Unit};

fn put(map: &mut Map<String, Value>, name: &str, text: Option<&String>) {
    if let Some(text) = text {
        map.insert(name.to_owned(), Value::from(text.clone()));
    }
}

/// A capture, as it stands within an order.
pub(crate) fn capture(base: &str, capture: &Capture) -> Value {
    let own = format!("{base}/v2/payments/captures/{}", capture.id);
    let mut shown = Map::new();
    shown.insert("id".to_owned(), Value::from(capture.id.clone()));
    shown.insert("status".to_owned(), Value::from(capture.status.word()));
    shown.insert("amount".to_owned(), capture.amount.json());
    shown.insert("final_capture".to_owned(), Value::from(true));
    shown.insert("disbursement_mode".to_owned(), Value::from("INSTANT"));
    if let Some(reason) = &capture.reason {
        shown.insert("status_details".to_owned(), json!({ "reason": reason }));
    }
    put(&mut shown, "custom_id", capture.custom_id.as_ref());
    put(&mut shown, "invoice_id", capture.invoice_id.as_ref());
    shown.insert(
        "seller_protection".to_owned(),
        json!({
            "status": "ELIGIBLE",
            "dispute_categories": ["ITEM_NOT_RECEIVED", "UNAUTHORIZED_TRANSACTION"]
        }),
    );
    if capture.status != CaptureStatus::Pending {
        let fee = capture.amount.fee();
        shown.insert(
            "seller_receivable_breakdown".to_owned(),
            json!({
                "gross_amount": capture.amount.json(),
                "paypal_fee": fee.json(),
                "net_amount": capture.amount.of(capture.amount.minor - fee.minor).json()
            }),
        );
    }
    shown.insert(
        "create_time".to_owned(),
        Value::from(clock::stamp(capture.created)),
    );
    shown.insert(
        "update_time".to_owned(),
        Value::from(clock::stamp(capture.updated)),
    );
    shown.insert(
        "links".to_owned(),
        json!([
            { "href": own, "rel": "self", "method": "GET" },
            { "href": format!("{own}/refund"), "rel": "refund", "method": "POST" },
            {
                "href": format!("{base}/v2/checkout/orders/{}", capture.order_id),
                "rel": "up", "method": "GET"
            }
        ]),
    );
    Value::Object(shown)
}

/// A capture, as `GET /v2/payments/captures/{id}` and the events show it.
pub(crate) fn capture_alone(base: &str, one: &Capture, payee: &Value, related: bool) -> Value {
    let mut shown = capture(base, one);
    if let Some(map) = shown.as_object_mut() {
        map.insert("payee".to_owned(), payee.clone());
        if related {
            map.insert(
                "supplementary_data".to_owned(),
                json!({ "related_ids": { "order_id": one.order_id } }),
            );
        }
    }
    shown
}

/// A refund, or a reversal in a refund's shape.
pub(crate) fn refund(base: &str, refund: &Refund) -> Value {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), Value::from(refund.id.clone()));
    shown.insert("status".to_owned(), Value::from(refund.status.word()));
    shown.insert("amount".to_owned(), refund.amount.json());
    put(&mut shown, "custom_id", refund.custom_id.as_ref());
    put(&mut shown, "invoice_id", refund.invoice_id.as_ref());
    put(&mut shown, "note_to_payer", refund.note.as_ref());
    shown.insert(
        "seller_payable_breakdown".to_owned(),
        json!({
            "gross_amount": refund.amount.json(),
            "paypal_fee": refund.amount.of(0).json(),
            "net_amount": refund.amount.json(),
            "total_refunded_amount": refund.amount.of(refund.total).json()
        }),
    );
    if refund.origin == Origin::Reversal {
        shown.insert("note_to_payer".to_owned(), Value::from("Payment reversed"));
    }
    shown.insert(
        "create_time".to_owned(),
        Value::from(clock::stamp_pacific(refund.created)),
    );
    shown.insert(
        "update_time".to_owned(),
        Value::from(clock::stamp_pacific(refund.updated)),
    );
    shown.insert(
        "links".to_owned(),
        json!([
            {
                "href": format!("{base}/v2/payments/refunds/{}", refund.id),
                "rel": "self", "method": "GET"
            },
            {
                "href": format!("{base}/v2/payments/captures/{}", refund.capture_id),
                "rel": "up", "method": "GET"
            }
        ]),
    );
    Value::Object(shown)
}

/// `payments` of a purchase unit.
pub(crate) fn collection(base: &str, unit: &Unit, payments: &Payments) -> Value {
    let captures: Vec<&Capture> = unit
        .captures
        .iter()
        .filter_map(|id| payments.captures.get(id))
        .collect();
    let refunds: Vec<Value> = captures
        .iter()
        .flat_map(|one| one.refunds.iter())
        .filter_map(|id| payments.refunds.get(id))
        .map(|one| refund(base, one))
        .collect();
    let captures: Vec<Value> = captures.into_iter().map(|one| capture(base, one)).collect();
    if refunds.is_empty() {
        return json!({ "captures": captures });
    }
    json!({ "captures": captures, "refunds": refunds })
}

/// A dispute, as the API and the events show it.
pub(crate) fn dispute(base: &str, dispute: &Dispute, merchant_id: &str) -> Value {
    let own = format!("{base}/v1/customer/disputes/{}", dispute.id);
    let mut shown = json!({
        "dispute_id": dispute.id,
        "create_time": clock::stamp_millis(dispute.created),
        "update_time": clock::stamp_millis(dispute.updated),
        "disputed_transactions": [{
            "seller_transaction_id": dispute.capture_id,
            "seller": { "merchant_id": merchant_id, "name": "Test Store" }
        }],
        "reason": dispute.reason,
        "status": dispute.status,
        "dispute_amount": dispute.amount.json(),
        "dispute_life_cycle_stage": "INQUIRY",
        "dispute_channel": "INTERNAL",
        "links": [{ "href": own, "rel": "self", "method": "GET" }]
    });
    if let (Some(map), Some(outcome)) = (shown.as_object_mut(), &dispute.outcome) {
        map.insert(
            "dispute_outcome".to_owned(),
            json!({ "outcome_code": outcome }),
        );
    }
    shown
}
