//! Orders as the API and the events show them.

use serde_json::{Map, Value, json};

use super::model::{Order, OrderStatus, Payer, Source};
use crate::{clock, payments, world::World};

/// How much of a resource an answer carries (`Prefer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// `return=minimal`, PayPal's default.
    Minimal,
    /// `return=representation`.
    Full,
}

/// The approval page of an order.
pub(crate) fn approval_url(world: &World, id: &str) -> String {
    format!("{}/checkoutnow?token={id}", world.page)
}

fn link(href: &str, rel: &str, method: &str) -> Value {
    json!({ "href": href, "rel": rel, "method": method })
}

fn links(world: &World, order: &Order) -> Vec<Value> {
    let own = format!("{}/v2/checkout/orders/{}", world.base, order.id);
    let mut links = vec![link(&own, "self", "GET")];
    match order.status {
        OrderStatus::Created | OrderStatus::PayerActionRequired => {
            let page = approval_url(world, &order.id);
            match order.draft.source {
                Source::Wallet => links.push(link(&page, "payer-action", "GET")),
                Source::Context => {
                    links.push(link(&page, "approve", "GET"));
                    links.push(link(&own, "update", "PATCH"));
                    links.push(link(&format!("{own}/capture"), "capture", "POST"));
                }
            }
        }
        OrderStatus::Approved => {
            links.push(link(&own, "update", "PATCH"));
            links.push(link(&format!("{own}/capture"), "capture", "POST"));
        }
        OrderStatus::Completed | OrderStatus::Voided => {}
    }
    links
}

fn units(world: &World, order: &Order, extent: Extent) -> Value {
    let shown = order.draft.units.iter().map(|unit| {
        let mut body = match extent {
            Extent::Full => unit.body.clone(),
            Extent::Minimal => unit
                .body
                .iter()
                .filter(|(name, _)| matches!(name.as_str(), "reference_id" | "shipping"))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Map<_, _>>(),
        };
        if !unit.captures.is_empty() {
            body.insert(
                "payments".to_owned(),
                payments::view::collection(&world.base, unit, &world.payments),
            );
        }
        Value::Object(body)
    });
    Value::Array(shown.collect())
}

/// The order as a JSON object.
pub(crate) fn order(world: &World, order: &Order, extent: Extent) -> Value {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), Value::from(order.id.clone()));
    shown.insert("status".to_owned(), Value::from(order.status.word()));
    shown.insert("links".to_owned(), Value::Array(links(world, order)));
    if order.draft.source == Source::Wallet || order.payer.is_some() {
        let wallet = order
            .payer
            .as_ref()
            .map_or_else(|| json!({}), Payer::wallet);
        shown.insert("payment_source".to_owned(), json!({ "paypal": wallet }));
    }
    let captured = order
        .draft
        .units
        .iter()
        .any(|unit| !unit.captures.is_empty());
    if extent == Extent::Full || captured {
        shown.insert("purchase_units".to_owned(), units(world, order, extent));
        if let Some(payer) = &order.payer {
            shown.insert("payer".to_owned(), payer.json());
        }
    }
    if extent == Extent::Full {
        shown.insert("intent".to_owned(), Value::from(order.draft.intent.word()));
        shown.insert(
            "create_time".to_owned(),
            Value::from(clock::stamp(order.created)),
        );
        shown.insert(
            "update_time".to_owned(),
            Value::from(clock::stamp(order.updated)),
        );
    }
    Value::Object(shown)
}
