//! Webhook events, put into hints.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    amount::Amount,
    wire::{CaptureWire, RefundWire, lenient},
};
use crate::{
    clock::Timestamp,
    payments::{CaptureId, Dispute, Hint, ProviderOrderId},
};

/// The longest id of an event that is taken as one; PayPal's have 40 characters.
const MAX_ID: usize = 100;
/// A provider's word is kept up to this length.
const MAX_WORD: usize = 200;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `WH-…`; the same for every delivery. `None` where it has none.
    pub id: Option<String>,
    /// Such as `PAYMENT.CAPTURE.COMPLETED`.
    pub kind: String,
    /// What it tells: nothing, where it is of no concern to the shop; an error, where it should but
    /// cannot be read.
    pub hint: Result<Option<Hint>, EventError>,
}

/// The event is of a kind that concerns the shop, and not of its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event's resource is not of the known shape")]
pub struct EventError;

#[derive(Debug, Deserialize)]
struct EventWire {
    #[serde(default, deserialize_with = "lenient")]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    event_type: Option<String>,
    #[serde(default)]
    resource: Value,
}

#[derive(Debug, Deserialize)]
struct OrderResource {
    id: String,
    #[serde(default)]
    purchase_units: Option<Vec<UnitResource>>,
}

/// The one event that calls the order `order_id`.
#[derive(Debug, Deserialize)]
struct ApprovalResource {
    order_id: String,
    #[serde(default)]
    purchase_units: Option<Vec<UnitResource>>,
}

#[derive(Debug, Deserialize)]
struct UnitResource {
    #[serde(default, deserialize_with = "lenient")]
    custom_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct DisputeResource {
    dispute_id: String,
    disputed_transactions: Vec<TransactionResource>,
    #[serde(default, deserialize_with = "lenient")]
    reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    dispute_amount: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    dispute_outcome: Option<OutcomeResource>,
    #[serde(default, deserialize_with = "lenient")]
    create_time: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    update_time: Option<String>,
}

#[derive(Debug, Deserialize)]
struct TransactionResource {
    seller_transaction_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct OutcomeResource {
    outcome_code: Option<String>,
}

/// Reads an event; `None` where `body` is no JSON object.
pub(super) fn read(body: &[u8]) -> Option<Event> {
    // A list would pass for a struct of optional fields.
    let object: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
    let event: EventWire = serde_json::from_value(Value::Object(object)).ok()?;
    let kind = word(event.event_type.unwrap_or_default());
    let id = event.id.filter(|id| {
        (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    });
    Some(Event {
        id,
        hint: hint(&kind, event.resource),
        kind,
    })
}

fn hint(kind: &str, resource: Value) -> Result<Option<Hint>, EventError> {
    let hint = match kind {
        "CHECKOUT.ORDER.APPROVED" | "CHECKOUT.ORDER.COMPLETED" => {
            let order: OrderResource = shaped(resource)?;
            Hint::Order {
                order: order_id(&order.id)?,
                checkout: checkout(order.purchase_units),
            }
        }
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED" => {
            let approval: ApprovalResource = shaped(resource)?;
            Hint::ApprovalReversed {
                order: order_id(&approval.order_id)?,
                checkout: checkout(approval.purchase_units),
            }
        }
        "PAYMENT.CAPTURE.COMPLETED"
        | "PAYMENT.CAPTURE.PENDING"
        | "PAYMENT.CAPTURE.DENIED"
        | "PAYMENT.CAPTURE.DECLINED" => {
            let capture: CaptureWire = shaped(resource)?;
            let capture = capture.into_capture().map_err(|_bad_id| EventError)?;
            Hint::Capture {
                capture: capture.id,
                order: capture.order,
                checkout: capture
                    .reference
                    .and_then(|reference| reference.parse().ok()),
                // An event is a hint; how much was captured is read from PayPal.
                claimed: None,
            }
        }
        "PAYMENT.CAPTURE.REFUNDED" | "PAYMENT.CAPTURE.REVERSED" => {
            let refund: RefundWire = shaped(resource)?;
            let refund = refund.into_refund().map_err(|_bad_id| EventError)?;
            let capture = refund.capture.ok_or(EventError)?;
            if kind == "PAYMENT.CAPTURE.REVERSED" {
                Hint::Reversal {
                    capture,
                    refund: Some(refund.id),
                    amount: refund.amount,
                }
            } else {
                Hint::Refund {
                    capture,
                    refund: Some(refund.id),
                    total_refunded: refund.total_refunded,
                }
            }
        }
        "CUSTOMER.DISPUTE.CREATED" | "CUSTOMER.DISPUTE.UPDATED" | "CUSTOMER.DISPUTE.RESOLVED" => {
            Hint::Dispute(dispute(shaped(resource)?)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(hint))
}

fn shaped<T: DeserializeOwned>(resource: Value) -> Result<T, EventError> {
    serde_json::from_value(resource).map_err(|_other_shape| EventError)
}

fn order_id(text: &str) -> Result<ProviderOrderId, EventError> {
    ProviderOrderId::parse(text).ok_or(EventError)
}

/// Our reference; an order that is not ours has another's, or none.
fn checkout(units: Option<Vec<UnitResource>>) -> Option<crate::id::CheckoutId> {
    let mut references = units
        .into_iter()
        .flatten()
        .filter_map(|unit| unit.custom_id);
    references.find_map(|reference| reference.parse().ok())
}

fn dispute(dispute: DisputeResource) -> Result<Dispute, EventError> {
    let transactions = dispute.disputed_transactions.into_iter();
    let captures: Vec<CaptureId> = transactions
        .filter_map(|transaction| CaptureId::parse(&transaction.seller_transaction_id?))
        .collect();
    if captures.is_empty() {
        return Err(EventError);
    }
    Ok(Dispute {
        id: word(dispute.dispute_id),
        captures,
        reason: dispute.reason.map(word),
        status: dispute.status.map(word),
        outcome: dispute
            .dispute_outcome
            .and_then(|outcome| outcome.outcome_code)
            .map(word),
        amount: dispute.dispute_amount.and_then(|amount| amount.money()),
        updated_at: dispute
            .update_time
            .or(dispute.create_time)
            .and_then(|time| Timestamp::parse(&time).ok()),
    })
}

fn word(text: String) -> String {
    if text.chars().count() <= MAX_WORD {
        return text;
    }
    text.chars().take(MAX_WORD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::{
        ProviderRefundId,
        paypal::testing::{shared, usd},
    };

    fn sample(name: &str) -> Hint {
        let body = shared(&format!("paypal/samples/webhooks/{name}.json"));
        let event = read(&body).unwrap();
        assert_eq!(event.kind, name);
        assert!(event.id.unwrap().starts_with("WH-"));
        event.hint.unwrap().unwrap()
    }

    fn capture(id: &str) -> CaptureId {
        CaptureId::parse(id).unwrap()
    }

    fn order(id: &str) -> ProviderOrderId {
        ProviderOrderId::parse(id).unwrap()
    }

    #[test]
    fn each_event_says_what_to_look_at() {
        assert_eq!(
            sample("CHECKOUT.ORDER.APPROVED"),
            Hint::Order {
                order: order("8D5278164K216725B"),
                checkout: None
            }
        );
        assert_eq!(
            sample("CHECKOUT.PAYMENT-APPROVAL.REVERSED"),
            Hint::ApprovalReversed {
                order: order("5O190127TN364715T"),
                checkout: None
            }
        );
        assert_eq!(
            sample("PAYMENT.CAPTURE.COMPLETED"),
            Hint::Capture {
                capture: capture("5B223658W54364539"),
                order: Some(order("0PF373004F060160X")),
                checkout: None,
                claimed: None
            }
        );
        assert_eq!(
            sample("PAYMENT.CAPTURE.DENIED"),
            Hint::Capture {
                capture: capture("7NW873794T343360M"),
                order: None,
                checkout: None,
                claimed: None
            }
        );
        assert_eq!(
            sample("PAYMENT.CAPTURE.REFUNDED"),
            Hint::Refund {
                capture: capture("0JF852973C016714D"),
                refund: ProviderRefundId::parse("1Y107995YT783435V"),
                total_refunded: Some(usd(1_000))
            }
        );
        assert_eq!(
            sample("PAYMENT.CAPTURE.REVERSED"),
            Hint::Reversal {
                capture: capture("4L335234718889942"),
                refund: ProviderRefundId::parse("09E71677NS257044M"),
                amount: Some(usd(251)),
            }
        );
        let Hint::Dispute(created) = sample("CUSTOMER.DISPUTE.CREATED") else {
            panic!()
        };
        assert_eq!(created.captures, [capture("6T496768GW863311H")]);
        assert_eq!(
            (created.status.as_deref(), created.amount),
            (Some("OPEN"), Some(usd(300)))
        );
        let Hint::Dispute(resolved) = sample("CUSTOMER.DISPUTE.RESOLVED") else {
            panic!()
        };
        assert_eq!(resolved.outcome.as_deref(), Some("CANCELED_BY_BUYER"));
    }

    #[test]
    fn our_reference_is_found() {
        let body = br#"{"id":"WH-1","event_type":"PAYMENT.CAPTURE.PENDING","resource":{"id":"C1","status":"PENDING",
            "custom_id":"662e41f09c1d4c3a8f0b7a11","supplementary_data":{"related_ids":{"order_id":"O1"}}}}"#;
        let expected = Hint::Capture {
            capture: capture("C1"),
            order: Some(order("O1")),
            checkout: "662e41f09c1d4c3a8f0b7a11".parse().ok(),
            claimed: None,
        };
        assert_eq!(read(body).unwrap().hint, Ok(Some(expected)));
    }

    #[test]
    fn other_events_tell_nothing_and_odd_ones_are_not_guessed_at() {
        let hint = |body: &str| read(body.as_bytes()).unwrap().hint;
        assert_eq!(
            hint(r#"{"event_type":"BILLING.PLAN.CREATED","resource":5}"#),
            Ok(None)
        );
        assert_eq!(hint("{}"), Ok(None));
        for resource in ["{}", "5", "null", r#"{"id":"../x","status":"COMPLETED"}"#] {
            for kind in [
                "CHECKOUT.ORDER.APPROVED",
                "PAYMENT.CAPTURE.REFUNDED",
                "CUSTOMER.DISPUTE.CREATED",
            ] {
                let body = format!(r#"{{"event_type":"{kind}","resource":{resource}}}"#);
                assert_eq!(hint(&body), Err(EventError), "{body}");
            }
        }
        for body in ["", "[]", "null", "{", "\"x\""] {
            assert!(read(body.as_bytes()).is_none(), "{body}");
        }
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(101));
        assert_eq!(read(long.as_bytes()).unwrap().id, None);
    }
}
