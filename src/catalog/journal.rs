//! What the audit log is told of the catalogue.

use bson::oid::ObjectId;
use serde_json::{Value, json};

use super::{
    StockLevel,
    model::{Product, ProductType, Status, WriteProduct},
    store::StockMove,
};
use crate::audit::{Action, Actor, Changes, Entry, Subject, difference};

/// A product as the log compares it.
fn form(product: &Product) -> Value {
    let written = WriteProduct::from(product);
    serde_json::to_value(written).unwrap_or(Value::Null)
}

/// What differs between two versions of a product.
pub(super) fn product_changes(old: Option<&Product>, new: &Product) -> Changes {
    difference(&old.map_or(Value::Null, form), &form(new))
}

/// Who made the product or its next version, and what differs.
pub(super) fn product_entry(
    by: Actor,
    old: Option<&Product>,
    new: &Product,
    job: Option<ObjectId>,
) -> Entry {
    let archived = old.is_some_and(|old| old.status != new.status);
    let action = match old {
        None => Action::Created,
        Some(_) if archived && new.status == Status::Archived => Action::Archived,
        Some(_) => Action::Updated,
    };
    let subject = (Subject::Product, new.id.to_string(), new.sku.clone());
    Entry::new(by, action, subject, product_changes(old, new)).of_job(job)
}

/// A movement of stock.
pub(super) fn stock_entry(product: &Product, moved: &StockMove, level: StockLevel) -> Entry {
    let mut changes = Changes::default();
    let told = [("delta", moved.delta), ("onHand", moved.on_hand)];
    for (name, units) in told {
        if let Some(units) = units {
            let pointer = format!("/variants/{}/stock/{name}", moved.variant);
            changes.note(&pointer, None, Some(&json!(units)));
        }
    }
    let pointer = format!("/variants/{}/stock/available", moved.variant);
    let before = moved
        .delta
        .map(|delta| json!(moved.available.saturating_sub(delta)));
    changes.note(&pointer, before.as_ref(), Some(&json!(level.available)));
    let subject = (
        Subject::Product,
        product.id.to_string(),
        product.sku.clone(),
    );
    let mut entry = Entry::new(Actor::User(moved.by), Action::Stocked, subject, changes);
    entry.reason = Some(moved.reason.clone());
    entry
}

/// A change of a product type.
pub(super) fn type_entry(
    by: Actor,
    action: Action,
    old: Option<&ProductType>,
    new: Option<&ProductType>,
) -> Entry {
    let form = |product_type: Option<&ProductType>| {
        product_type.map_or(
            Value::Null,
            |t| json!({ "name": t.name, "attributes": t.attributes, "fields": t.fields }),
        )
    };
    let id = new.or(old).map(|t| t.id.to_string()).unwrap_or_default();
    let subject = (Subject::ProductType, id.clone(), id);
    Entry::new(by, action, subject, difference(&form(old), &form(new)))
}
