//! Money as PayPal, the bank and the dashboard move it.

use actix_web::web;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refusal, amount, ok, read};
use crate::{
    money::Currency,
    payments::{
        capture,
        dispute::{self, Complaint},
        model::{Origin, RefundStatus},
        refund, view,
    },
    world::{Simulator, World},
};

fn shown(world: &World, id: &str) -> Result<Value, Refusal> {
    let capture = world.payments.captures.get(id);
    let capture = capture.ok_or_else(|| Refusal::from(format!("no capture `{id}`")))?;
    Ok(view::capture_alone(
        &world.base,
        capture,
        &world.payee_json(),
        true,
    ))
}

fn currency(world: &World, id: &str) -> Result<Currency, Refusal> {
    let capture = world.payments.captures.get(id);
    capture
        .map(|capture| capture.amount.currency)
        .ok_or_else(|| Refusal::from(format!("no capture `{id}`")))
}

/// `POST /control/captures/{id}/complete`: a pending capture is paid.
pub(super) async fn complete(id: web::Path<String>, sim: web::Data<Simulator>) -> Answer {
    let mut world = sim.lock();
    capture::settle_pending(&mut world, &id, true)?;
    Ok(ok(&shown(&world, &id)?))
}

/// `POST /control/captures/{id}/deny`: a pending capture is not paid.
pub(super) async fn deny(id: web::Path<String>, sim: web::Data<Simulator>) -> Answer {
    let mut world = sim.lock();
    capture::settle_pending(&mut world, &id, false)?;
    Ok(ok(&shown(&world, &id)?))
}

/// `POST /control/captures/{id}/again`: the buyer is charged once more.
pub(super) async fn take_again(id: web::Path<String>, sim: web::Data<Simulator>) -> Answer {
    let mut world = sim.lock();
    let made = capture::take_again(&mut world, &id)?;
    Ok(ok(&shown(&world, &made)?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Back {
    #[serde(default)]
    amount: Option<Value>,
    #[serde(default)]
    pending: bool,
    #[serde(default)]
    note: Option<String>,
}

/// `POST /control/captures/{id}/reverse`: a chargeback.
pub(super) async fn reverse(
    id: web::Path<String>,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Answer {
    let asked: Back = read(&body)?;
    let mut world = sim.lock();
    let amount = amount(asked.amount.as_ref(), currency(&world, &id)?)?;
    let made = refund::reverse(&mut world, &id, amount)?;
    Ok(ok(
        &json!({ "refundId": made, "capture": shown(&world, &id)? }),
    ))
}

/// `POST /control/captures/{id}/cancel-reversal`: the last chargeback is called off.
pub(super) async fn cancel_reversal(id: web::Path<String>, sim: web::Data<Simulator>) -> Answer {
    let mut world = sim.lock();
    let made = refund::cancel_reversal(&mut world, &id)?;
    Ok(ok(
        &json!({ "refundId": made, "capture": shown(&world, &id)? }),
    ))
}

/// `POST /control/captures/{id}/refund`: the merchant refunds in PayPal's dashboard.
pub(super) async fn refund(
    id: web::Path<String>,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Answer {
    let asked: Back = read(&body)?;
    let mut world = sim.lock();
    let amount = amount(asked.amount.as_ref(), currency(&world, &id)?)?;
    let request = refund::Wish {
        amount,
        note: asked.note,
        ..refund::Wish::default()
    };
    let status = if asked.pending {
        RefundStatus::Pending
    } else {
        RefundStatus::Completed
    };
    let made = refund::refund(&mut world, &id, request, status, Origin::Dashboard)
        .map_err(|problem| Refusal::unfit(problem.to_string()))?;
    Ok(ok(
        &json!({ "refundId": made, "capture": shown(&world, &id)? }),
    ))
}

/// `POST /control/refunds/{id}/complete|fail|cancel`: a pending refund ends.
pub(super) async fn end_refund(
    path: web::Path<(String, String)>,
    sim: web::Data<Simulator>,
) -> Answer {
    let (id, end) = path.into_inner();
    let status = match end.as_str() {
        "complete" => RefundStatus::Completed,
        "fail" => RefundStatus::Failed,
        "cancel" => RefundStatus::Cancelled,
        other => return Err(Refusal::from(format!("no end `{other}`"))),
    };
    let mut world = sim.lock();
    refund::settle_pending(&mut world, &id, status)?;
    let made = world
        .payments
        .refunds
        .get(&id)
        .map(|one| view::refund(&world.base, one));
    Ok(ok(&json!(made)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewDispute {
    capture_id: String,
    #[serde(default)]
    amount: Option<Value>,
    #[serde(default = "not_received")]
    reason: String,
}

fn not_received() -> String {
    "MERCHANDISE_OR_SERVICE_NOT_RECEIVED".to_owned()
}

fn dispute_shown(world: &World, id: &str) -> Value {
    json!(world.payments.disputes.get(id).map(|one| view::dispute(
        &world.base,
        one,
        &world.merchant_id
    )))
}

/// `POST /control/disputes`.
pub(super) async fn open_dispute(body: web::Bytes, sim: web::Data<Simulator>) -> Answer {
    let asked: NewDispute = read(&body)?;
    let mut world = sim.lock();
    let amount = amount(asked.amount.as_ref(), currency(&world, &asked.capture_id)?)?;
    let complaint = Complaint {
        capture_id: asked.capture_id,
        amount,
        reason: asked.reason,
    };
    let id = dispute::open(&mut world, complaint)?;
    Ok(ok(&dispute_shown(&world, &id)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DisputeUpdate {
    #[serde(default = "under_review")]
    status: String,
}

fn under_review() -> String {
    "UNDER_REVIEW".to_owned()
}

/// `POST /control/disputes/{id}/update`.
pub(super) async fn update_dispute(
    id: web::Path<String>,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Answer {
    let asked: DisputeUpdate = read(&body)?;
    let mut world = sim.lock();
    dispute::update(&mut world, &id, asked.status)?;
    Ok(ok(&dispute_shown(&world, &id)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DisputeEnd {
    #[serde(default = "sellers_favour")]
    outcome: String,
}

fn sellers_favour() -> String {
    "RESOLVED_SELLER_FAVOUR".to_owned()
}

/// `POST /control/disputes/{id}/resolve`.
pub(super) async fn resolve_dispute(
    id: web::Path<String>,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Answer {
    let asked: DisputeEnd = read(&body)?;
    let mut world = sim.lock();
    dispute::resolve(&mut world, &id, asked.outcome)?;
    Ok(ok(&dispute_shown(&world, &id)))
}
