//! What events look like, by kind, and how their bytes are laid out.

use actix_web::web::Bytes;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::{
    clock,
    config::EventFormat,
    ids,
    money::Amount,
    orders::{self, view::Extent},
    payments,
    world::World,
};

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Order,
    Approval,
    Capture,
    Refund,
    Dispute,
}

/// An event that is to be made from the present state.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    kind: &'static str,
    subject: Subject,
    id: String,
}

impl Event {
    /// `CHECKOUT.ORDER.*`: the resource is the order.
    pub(crate) fn order(kind: &'static str, id: &str) -> Self {
        Self {
            kind,
            subject: Subject::Order,
            id: id.to_owned(),
        }
    }

    /// `CHECKOUT.PAYMENT-APPROVAL.REVERSED`: the resource has `order_id` and no id of its own.
    pub(crate) fn approval_reversed(order_id: &str) -> Self {
        Self {
            kind: "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
            subject: Subject::Approval,
            id: order_id.to_owned(),
        }
    }

    /// `PAYMENT.CAPTURE.COMPLETED`, `PENDING`, `DENIED`: the resource is the capture.
    pub(crate) fn capture(kind: &'static str, id: &str) -> Self {
        Self {
            kind,
            subject: Subject::Capture,
            id: id.to_owned(),
        }
    }

    /// `PAYMENT.CAPTURE.REFUNDED`, `REVERSED`: the resource is the refund.
    pub(crate) fn refund(kind: &'static str, id: &str) -> Self {
        Self {
            kind,
            subject: Subject::Refund,
            id: id.to_owned(),
        }
    }

    /// `CUSTOMER.DISPUTE.*`: the resource is the dispute.
    pub(crate) fn dispute(kind: &'static str, id: &str) -> Self {
        Self {
            kind,
            subject: Subject::Dispute,
            id: id.to_owned(),
        }
    }

    /// Its type.
    pub(crate) const fn kind(&self) -> &'static str {
        self.kind
    }

    /// The id of its resource.
    pub(crate) fn resource_id(&self) -> &str {
        &self.id
    }

    /// The order that it belongs to.
    pub(crate) fn order_id(&self, world: &World) -> Option<String> {
        let payments = &world.payments;
        let of_capture = |id: &str| payments.captures.get(id).map(|one| one.order_id.clone());
        match self.subject {
            Subject::Order | Subject::Approval => Some(self.id.clone()),
            Subject::Capture => of_capture(&self.id),
            Subject::Refund => of_capture(&payments.refunds.get(&self.id)?.capture_id),
            Subject::Dispute => of_capture(&payments.disputes.get(&self.id)?.capture_id),
        }
    }

    /// Makes the event's id and bytes; `None` when its resource does not exist.
    pub(crate) fn build(&self, world: &World, now: OffsetDateTime) -> Option<(String, Bytes)> {
        let (resource, summary) = self.resource(world)?;
        let id = ids::event();
        let own = format!("{}/v1/notifications/webhooks-events/{id}", world.base);
        let mut event = json!({
            "id": id,
            "event_version": "1.0",
            "create_time": clock::stamp_millis(now),
            "event_type": self.kind,
            "summary": summary,
            "resource": resource,
            "links": [
                { "href": own, "rel": "self", "method": "GET" },
                { "href": format!("{own}/resend"), "rel": "resend", "method": "POST" }
            ]
        });
        if let (Some(map), Some(resource_type)) = (event.as_object_mut(), self.resource_type()) {
            map.insert("resource_type".to_owned(), Value::from(resource_type));
            if self.subject != Subject::Dispute {
                map.insert("resource_version".to_owned(), Value::from("2.0"));
            }
        }
        Some((id, layout(&event, world.settings.event_format)))
    }

    const fn resource_type(&self) -> Option<&'static str> {
        match self.subject {
            Subject::Order => Some("checkout-order"),
            Subject::Approval => None,
            Subject::Capture => Some("capture"),
            Subject::Refund => Some("refund"),
            Subject::Dispute => Some("dispute"),
        }
    }

    fn resource(&self, world: &World) -> Option<(Value, String)> {
        let verb = self
            .kind
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_lowercase();
        match self.subject {
            Subject::Order => {
                let order = world.orders.get(&self.id)?;
                let shown = orders::view::order(world, order, Extent::Full);
                let who = if verb == "approved" { " by buyer" } else { "" };
                Some((shown, format!("An order has been {verb}{who}")))
            }
            Subject::Approval => {
                let order = world.orders.get(&self.id)?;
                let units: Vec<Value> = order
                    .draft
                    .units
                    .iter()
                    .map(|unit| {
                        json!({
                            "reference_id": unit.reference_id,
                            "custom_id": unit.text("custom_id"),
                            "invoice_id": unit.text("invoice_id")
                        })
                    })
                    .collect();
                let shown = json!({ "order_id": order.id, "purchase_units": units });
                Some((
                    shown,
                    "A payment has been reversed after approval.".to_owned(),
                ))
            }
            Subject::Capture => {
                let one = world.payments.captures.get(&self.id)?;
                let related = world.settings.event_related_ids;
                let shown =
                    payments::view::capture_alone(&world.base, one, &world.payee_json(), related);
                Some((
                    shown,
                    format!("Payment {verb} for {}", readable(one.amount)),
                ))
            }
            Subject::Refund => {
                let one = world.payments.refunds.get(&self.id)?;
                let shown = payments::view::refund(&world.base, one);
                Some((
                    shown,
                    format!("A {} capture payment was {verb}", readable(one.amount)),
                ))
            }
            Subject::Dispute => {
                let one = world.payments.disputes.get(&self.id)?;
                let shown = payments::view::dispute(&world.base, one, &world.merchant_id);
                Some((
                    shown,
                    format!("A dispute was {verb} with case # {}", one.id),
                ))
            }
        }
    }
}

/// An amount as PayPal's summaries write it: `€ 32.50 EUR`, with the sign raw.
fn readable(amount: Amount) -> String {
    let sign = match amount.currency.code {
        "EUR" => "€ ",
        "GBP" => "£ ",
        "JPY" | "CNY" => "¥ ",
        "USD" | "AUD" | "CAD" | "HKD" | "NZD" | "SGD" | "MXN" | "TWD" => "$ ",
        _ => "",
    };
    format!("{sign}{} {}", amount.value(), amount.currency.code)
}

/// The bytes of an event.
fn layout(event: &Value, format: EventFormat) -> Bytes {
    match format {
        EventFormat::Plain => Bytes::from(event.to_string()),
        EventFormat::Odd => {
            let mut event = event.clone();
            if let Some(Value::String(summary)) = event.get_mut("summary") {
                summary.push_str(" – Zoë, 東京, 100 €");
            }
            // The pretty form breaks lines between tokens only: inside strings JSON escapes them.
            let lines = format!("{event:#}").replace("https://", "https:\\/\\/");
            let odd: Vec<String> = lines
                .lines()
                .map(|line| {
                    let text = line.trim_start_matches(' ');
                    let depth = line.len().saturating_sub(text.len());
                    format!("{}{text}", "\t".repeat(depth))
                })
                .collect();
            Bytes::from(odd.join(" \r\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_bytes_are_the_same_json_but_other_bytes() {
        let event = json!({ "id": "WH-1", "summary": "x", "links": [{ "href": "https://a.b/c" }] });
        let odd = layout(&event, EventFormat::Odd);
        let back: Value = serde_json::from_slice(&odd).unwrap();
        assert_eq!(back["links"], event["links"]);
        assert!(back["summary"].as_str().unwrap().contains("東京"));
        assert_ne!(back.to_string().as_bytes(), &odd[..]);
        assert!(odd.windows(4).any(|part| part == b" \r\n\t"), "odd spacing");
    }
}
