//! Disputes: opened, moved on and resolved over the control API.

use serde_json::{Value, json};

use super::{
    model::{Capture, Dispute},
    refund,
};
use crate::{events::shape::Event, ids, money::Amount, world::World};

/// What the control API may say about a new dispute.
#[derive(Debug, Clone)]
pub(crate) struct Complaint {
    /// The capture it is about.
    pub(crate) capture_id: String,
    /// How much; all of it where it is absent.
    pub(crate) amount: Option<Amount>,
    /// Such as `MERCHANDISE_OR_SERVICE_NOT_RECEIVED`.
    pub(crate) reason: String,
}

/// Opens a dispute.
pub(crate) fn open(world: &mut World, complaint: Complaint) -> Result<String, String> {
    let now = world.now();
    let one = world
        .payments
        .captures
        .get_mut(&complaint.capture_id)
        .ok_or_else(|| format!("no capture `{}`", complaint.capture_id))?;
    one.disputed = true;
    let dispute = Dispute {
        id: ids::dispute(),
        capture_id: complaint.capture_id,
        amount: complaint.amount.unwrap_or(one.amount),
        reason: complaint.reason,
        status: "OPEN".to_owned(),
        outcome: None,
        created: now,
        updated: now,
    };
    let id = dispute.id.clone();
    world.payments.disputes.insert(id.clone(), dispute);
    world.record("dispute", line(world, &id));
    world.emit(&Event::dispute("CUSTOMER.DISPUTE.CREATED", &id));
    Ok(id)
}

/// Moves a dispute to another status, short of its end.
pub(crate) fn update(world: &mut World, id: &str, status: String) -> Result<(), String> {
    change(world, id, status, None)?;
    world.emit(&Event::dispute("CUSTOMER.DISPUTE.UPDATED", id));
    Ok(())
}

/// Resolves a dispute; `RESOLVED_BUYER_FAVOUR` takes the money back.
pub(crate) fn resolve(world: &mut World, id: &str, outcome: String) -> Result<(), String> {
    let lost = outcome == "RESOLVED_BUYER_FAVOUR";
    let (capture_id, amount) = change(world, id, "RESOLVED".to_owned(), Some(outcome))?;
    let left = world.payments.captures.get_mut(&capture_id).map(|one| {
        one.disputed = false;
        Capture::left(one)
    });
    world.emit(&Event::dispute("CUSTOMER.DISPUTE.RESOLVED", id));
    if let (true, Some(left)) = (lost, left)
        && left.minor > 0
    {
        refund::reverse(
            world,
            &capture_id,
            Some(amount.of(amount.minor.min(left.minor))),
        )?;
    }
    Ok(())
}

fn change(
    world: &mut World,
    id: &str,
    status: String,
    outcome: Option<String>,
) -> Result<(String, Amount), String> {
    let now = world.now();
    let dispute = world
        .payments
        .disputes
        .get_mut(id)
        .ok_or_else(|| format!("no dispute `{id}`"))?;
    if dispute.outcome.is_some() {
        return Err("dispute is resolved".to_owned());
    }
    dispute.status = status;
    dispute.outcome = outcome;
    dispute.updated = now;
    let about = (dispute.capture_id.clone(), dispute.amount);
    world.record("dispute.updated", line(world, id));
    Ok(about)
}

fn line(world: &World, id: &str) -> Value {
    let Some(dispute) = world.payments.disputes.get(id) else {
        return json!({ "id": id });
    };
    json!({
        "id": dispute.id,
        "captureId": dispute.capture_id,
        "amount": dispute.amount.value(),
        "currency": dispute.amount.currency.code,
        "reason": dispute.reason,
        "status": dispute.status,
        "outcome": dispute.outcome,
    })
}
