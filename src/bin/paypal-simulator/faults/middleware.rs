//! Stands before every handler: takes the fault that waits for the call and carries it out, and puts
//! a debug id on every answer.

use std::time::Duration;

use actix_web::{
    Error, HttpMessage as _, HttpResponse,
    body::{BoxBody, MessageBody, to_bytes},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use serde_json::json;
use tokio::time::sleep;

use super::{Fault, Kind, Operation, answer, socket};
use crate::{
    ids,
    orders::model::Outcome,
    payments::model::RefundStatus,
    problem::{DEBUG_ID, Problem},
    recording,
    work::Plan,
    world::Simulator,
};

/// How long a silence lasts where the fault does not say.
const SILENCE_MS: u64 = 120_000;

/// The middleware.
pub(crate) async fn disturb<B>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    B: MessageBody + 'static,
{
    if down(&request) {
        socket::arm(request.request());
        return Ok(request
            .into_response(socket::nothing())
            .map_into_boxed_body());
    }
    let begun = recording::begin(&mut request).await;
    let fault = take(&request);
    let kind = fault.as_ref().map(|fault| fault.kind);
    let mut answered = match fault {
        None => call(request, next).await?,
        Some(fault) => apply(&fault, request, next).await?,
    };
    let headers = answered.headers_mut();
    if !headers.contains_key(DEBUG_ID)
        && let (Ok(name), Ok(value)) = (
            HeaderName::try_from(DEBUG_ID),
            HeaderValue::from_str(&ids::debug()),
        )
    {
        headers.insert(name, value);
    }
    Ok(match begun {
        Some(begun) => recording::end(&begun, kind, answered),
        None => answered,
    })
}

/// The handler's answer; a refusal in the words of its own operation.
async fn call<B>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<BoxBody>, Error>
where
    B: MessageBody + 'static,
{
    let done = next.call(request).await?.map_into_boxed_body();
    let operation = Operation::of(done.request().method(), done.request().path());
    let refusal = done.response().error().and_then(Error::as_error::<Problem>);
    let told = refusal
        .zip(operation)
        .map(|(refusal, operation)| refusal.told_by(operation));
    Ok(match told {
        Some(told) => replace(done, told),
        None => done,
    })
}

/// Connections from before an outage get nothing either.
fn down(request: &ServiceRequest) -> bool {
    request
        .app_data::<web::Data<Simulator>>()
        .is_some_and(|sim| sim.lock().down)
}

fn take(request: &ServiceRequest) -> Option<Fault> {
    let operation = Operation::of(request.method(), request.path())?;
    let sim = request.app_data::<web::Data<Simulator>>()?;
    let mut world = sim.lock();
    let fault = world.faults.take(operation)?;
    world.record(
        "fault",
        json!({ "operation": operation, "fault": fault.kind, "path": request.path() }),
    );
    Some(fault)
}

/// What the fault asks of the work itself.
fn plan(fault: &Fault) -> Plan {
    let mut plan = Plan::default();
    let come_to = |outcome, refund| (Some(outcome), Some(refund));
    if fault.kind == Kind::SlowWork {
        plan.delay_ms = fault.delay_ms.unwrap_or(1_000);
    } else if fault.kind == Kind::Pending {
        let reason = fault.reason.clone().unwrap_or_else(|| "ECHECK".to_owned());
        (plan.outcome, plan.refund) = come_to(Outcome::Pending(reason), RefundStatus::Pending);
    } else if fault.kind == Kind::Declined {
        plan.outcome = Some(Outcome::Refused("INSTRUMENT_DECLINED", None));
    } else if fault.kind == Kind::Denied {
        (plan.outcome, plan.refund) = come_to(Outcome::Denied, RefundStatus::Cancelled);
    } else if fault.kind == Kind::Failed {
        (plan.outcome, plan.refund) = come_to(Outcome::Failed, RefundStatus::Failed);
    }
    plan
}

async fn apply<B>(
    fault: &Fault,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    B: MessageBody + 'static,
{
    let wait = fault.delay_ms.unwrap_or(SILENCE_MS);
    if let Some(instead) = answer::instead(fault) {
        return Ok(request.into_response(instead).map_into_boxed_body());
    }
    if matches!(fault.kind, Kind::Refuse | Kind::Reset | Kind::Hang) {
        socket::arm(request.request());
        if fault.kind == Kind::Hang {
            sleep(Duration::from_millis(wait)).await;
        }
        return Ok(request
            .into_response(socket::nothing())
            .map_into_boxed_body());
    }
    if fault.kind == Kind::Delay {
        sleep(Duration::from_millis(fault.delay_ms.unwrap_or(1_000))).await;
    }
    request.extensions_mut().insert(plan(fault));
    let done = call(request, next).await?;
    if matches!(fault.kind, Kind::ResetAfter | Kind::DoneThenTimeout) {
        socket::arm(done.request());
        if fault.kind == Kind::DoneThenTimeout {
            sleep(Duration::from_millis(wait)).await;
        }
        return Ok(replace(done, socket::nothing()));
    }
    if answer::spoils(fault.kind) {
        return spoiled(fault, done).await;
    }
    Ok(done)
}

fn replace(done: ServiceResponse<BoxBody>, with: HttpResponse) -> ServiceResponse<BoxBody> {
    let (request, _) = done.into_parts();
    ServiceResponse::new(request, with)
}

async fn spoiled(
    fault: &Fault,
    done: ServiceResponse<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (request, response) = done.into_parts();
    let status = response.status();
    let mut builder = HttpResponse::build(status);
    for (name, value) in response.headers() {
        builder.append_header((name.clone(), value.clone()));
    }
    // Bodies of handlers are whole in memory; reading one cannot fail.
    let body = to_bytes(response.into_body()).await.unwrap_or_default();
    Ok(ServiceResponse::new(
        request,
        answer::spoil(fault, status, builder, body),
    ))
}
