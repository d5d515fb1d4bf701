//! What the audit log is told of the catalogue.

use bson::oid::ObjectId;
use serde_json::{Value, json};

use super::{
    StockLevel,
    model::{Product, ProductType, Status, WriteProduct},
    stock::Booked,
    store::StockMove,
    view::Levels,
};
use crate::{
    audit::{Action, Actor, Changes, Entry, Subject, difference},
    id::VariantId,
};

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

/// Who made the product, and with how many units: they are there once it is.
pub(super) fn created_entry(by: Actor, product: &Product, opened: &[(VariantId, u32)]) -> Entry {
    let mut entry = product_entry(by, None, product, None);
    for (variant, units) in opened.iter().filter(|(_, units)| *units > 0) {
        note_units(&mut entry.changes, *variant, None, *units);
    }
    entry
}

fn note_units(changes: &mut Changes, variant: VariantId, before: Option<u32>, after: u32) {
    let pointer = format!("/variants/{variant}/stock/onHand");
    let before = before.map(|units| json!(units));
    changes.note(&pointer, before.as_ref(), Some(&json!(after)));
}

/// How many units of a variant there were, those held by checkouts included.
pub(super) fn on_hand(levels: &Levels, variant: VariantId) -> Option<u32> {
    let level = levels.get(&variant)?;
    Some(level.available.saturating_add(level.reserved))
}

/// Units that were counted anew with a change of the product; `None` where none were.
pub(super) fn recount_entry(
    by: Actor,
    product: &Product,
    before: &Levels,
    counted: &[(VariantId, u32)],
    job: Option<ObjectId>,
) -> Option<Entry> {
    let mut changes = Changes::default();
    for (variant, units) in counted {
        note_units(&mut changes, *variant, on_hand(before, *variant), *units);
    }
    let subject = (
        Subject::Product,
        product.id.to_string(),
        product.sku.clone(),
    );
    let entry = Entry::new(by, Action::Stocked, subject, changes).of_job(job);
    (!counted.is_empty()).then_some(entry)
}

/// A movement of stock, as the variant stood before and after it.
pub(super) fn stock_entry(product: &Product, moved: &StockMove, booked: Booked) -> Entry {
    let Booked { before, after } = booked;
    let mut changes = Changes::default();
    if let Some(units) = moved.delta {
        let pointer = format!("/variants/{}/stock/delta", moved.variant);
        changes.note(&pointer, None, Some(&json!(units)));
    } else {
        let units = |level: StockLevel| level.available.saturating_add(level.reserved);
        note_units(
            &mut changes,
            moved.variant,
            Some(units(before)),
            units(after),
        );
    }
    let pointer = format!("/variants/{}/stock/available", moved.variant);
    let free = |level: StockLevel| json!(level.available);
    changes.note(&pointer, Some(&free(before)), Some(&free(after)));
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
