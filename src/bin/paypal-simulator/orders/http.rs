//! `POST /v2/checkout/orders`, `GET`, `PATCH`, `POST …/capture` and `…/authorize` on one of them.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde_json::json;
use time::Duration;

use super::{
    check,
    model::{Intent, Order, OrderStatus},
    patch,
    view::{self, Extent},
};
use crate::{
    idempotency::Made,
    ids, oauth, payments,
    problem::{DEBUG_ID, Detail, Problem},
    request::{self, answer},
    work::{Call, once},
    world::{Outgoing, Simulator, World},
};

fn key_life(world: &World) -> Duration {
    Duration::seconds(world.settings.order_key_seconds)
}

/// Creates an order: 201, or 200 on a replay.
pub(crate) async fn create(
    request: HttpRequest,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let life = admit(&request, &sim)?;
    let call = Call::new(&request, &body)?;
    let body = request::json(&body)?;
    once(sim, call, life, move |world, call| {
        let draft = check::draft(&body, world.payee())?;
        let source = body
            .get("payment_source")
            .is_some_and(|source| !source.is_null());
        if source && call.request_id.is_none() && world.settings.require_request_id {
            return Err(Problem::detail(Detail::new("PAYPAL_REQUEST_ID_REQUIRED")));
        }
        let now = world.now();
        let order = Order::new(draft, now, now.saturating_add(world.settings.order_life()));
        let id = order.id.clone();
        world.record("order.created", created_line(&order, call));
        world.orders.insert(order);
        if world.settings.auto_approve {
            world.send(Outgoing::Approve(
                id.clone(),
                world.settings.auto_approve_ms,
            ));
        }
        Ok(Made::Order(id))
    })
    .await
}

fn created_line(order: &Order, call: &Call) -> serde_json::Value {
    let unit = order.draft.units.first();
    json!({
        "id": order.id,
        "status": order.status.word(),
        "intent": order.draft.intent.word(),
        "amount": unit.map(|unit| unit.amount.value()),
        "currency": unit.map(|unit| unit.amount.currency.code),
        "customId": unit.and_then(|unit| unit.text("custom_id")),
        "invoiceId": unit.and_then(|unit| unit.text("invoice_id")),
        "units": order.draft.units.len(),
        "requestId": call.request_id,
    })
}

/// Media type, token, mock response: what every writing call is checked for first.
fn admit(request: &HttpRequest, sim: &Simulator) -> Result<Duration, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, request)?;
    request::json_type(request)?;
    request::mock(request)?;
    Ok(key_life(&world))
}

/// Shows an order, whatever `Prefer` says.
pub(crate) async fn show(
    request: HttpRequest,
    id: web::Path<String>,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    request::mock(&request)?;
    world.orders.live(&id)?;
    let order = world
        .orders
        .get(&id)
        .ok_or_else(|| Problem::not_found("id", &id))?;
    Ok(answer(200, &view::order(&world, order, Extent::Full)))
}

/// Changes an order: 204.
pub(crate) async fn update(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    admit(&request, &sim)?;
    let operations = request::json(&body)?;
    let mut world = sim.lock();
    let present = world.orders.live(&id)?.clone();
    let units = patch::apply(&present, &operations, world.payee())?;
    let now = world.now();
    let order = world.orders.live(&id)?;
    order.draft.units = units;
    order.updated = now;
    let amount = order.draft.units.first().map(|unit| unit.amount.value());
    world.record(
        "order.updated",
        json!({ "id": id.as_str(), "amount": amount }),
    );
    Ok(HttpResponse::build(StatusCode::NO_CONTENT)
        .insert_header((DEBUG_ID, ids::debug()))
        .finish())
}

/// Captures an approved order: 201, or 200 on a replay.
pub(crate) async fn capture(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let life = admit(&request, &sim)?;
    let mut call = Call::new(&request, &body)?;
    request::json(&body)?;
    let id = id.into_inner();
    call.plan.delay_ms = call
        .plan
        .delay_ms
        .saturating_add(slowness(&sim.lock(), &id));
    once(sim, call, life, move |world, call| {
        let request_id = call.request_id.as_deref();
        payments::capture::capture_order(world, &id, request_id, call.plan.outcome.clone())?;
        Ok(Made::Order(id))
    })
    .await
}

/// What the buyer's choice of a slow payment costs.
fn slowness(world: &World, id: &str) -> u64 {
    let slow = world.orders.get(id).is_some_and(|order| order.slow);
    if slow {
        world.settings.slow_capture_ms
    } else {
        0
    }
}

/// Authorizes no order: this merchant's account may only capture, which PayPal tells with 403.
///
/// The checks before that are PayPal's, so that mock responses and refusals come as they would.
pub(crate) async fn authorize(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    admit(&request, &sim)?;
    request::request_id(&request)?;
    request::json(&body)?;
    let mut world = sim.lock();
    let order = world.orders.live(&id)?;
    if order.draft.intent == Intent::Capture {
        return Err(Problem::issue("ACTION_DOES_NOT_MATCH_INTENT"));
    }
    match order.status {
        OrderStatus::Approved => Err(Problem::issue("PERMISSION_DENIED")),
        OrderStatus::Completed => Err(Problem::issue("ORDER_ALREADY_AUTHORIZED")),
        OrderStatus::Voided => Err(Problem::issue("ORDER_EXPIRED")),
        OrderStatus::Created | OrderStatus::PayerActionRequired => {
            Err(Problem::issue("ORDER_NOT_APPROVED"))
        }
    }
}
