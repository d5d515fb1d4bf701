//! `GET` a capture or refund, `POST …/refund`, `GET` a dispute.

use actix_web::{HttpRequest, HttpResponse, web};
use time::Duration;

use super::{
    model::{Origin, RefundStatus},
    refund, view,
};
use crate::{
    idempotency::Made,
    oauth,
    problem::Problem,
    request::{self, answer},
    work::{Call, once},
    world::Simulator,
};

/// Shows a capture.
pub(crate) async fn show_capture(
    request: HttpRequest,
    id: web::Path<String>,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    request::mock(&request)?;
    let capture = world.payments.capture(&id)?;
    Ok(answer(
        200,
        &view::capture_alone(&world.base, capture, &world.payee_json(), true),
    ))
}

/// Refunds a capture: 201, or 200 on a replay.
pub(crate) async fn refund(
    request: HttpRequest,
    id: web::Path<String>,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let life = {
        let mut world = sim.lock();
        oauth::bearer(&mut world, &request)?;
        request::json_type(&request)?;
        request::mock(&request)?;
        Duration::seconds(world.settings.payment_key_seconds)
    };
    let call = Call::new(&request, &body)?;
    let body = request::json(&body)?;
    let id = id.into_inner();
    once(sim, call, life, move |world, call| {
        let asked = refund::Wish::parse(&body, call.request_id.as_deref())?;
        let status = call.plan.refund.unwrap_or(RefundStatus::Completed);
        refund::refund(world, &id, asked, status, Origin::Api).map(Made::Refund)
    })
    .await
}

/// Shows a refund.
pub(crate) async fn show_refund(
    request: HttpRequest,
    id: web::Path<String>,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    request::mock(&request)?;
    Ok(answer(
        200,
        &view::refund(&world.base, world.payments.refund(&id)?),
    ))
}

/// Shows a dispute.
pub(crate) async fn show_dispute(
    request: HttpRequest,
    id: web::Path<String>,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    let dispute = world
        .payments
        .disputes
        .get(id.as_str())
        .ok_or_else(|| Problem::not_found("id", &id))?;
    Ok(answer(
        200,
        &view::dispute(&world.base, dispute, &world.merchant_id),
    ))
}
