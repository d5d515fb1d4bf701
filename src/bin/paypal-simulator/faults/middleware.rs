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
    ids, orders::model::Outcome, payments::model::RefundStatus, problem::DEBUG_ID, work::Plan,
    world::Simulator,
};

/// How long a silence lasts where the fault does not say.
const SILENCE_MS: u64 = 120_000;

/// The middleware.
pub(crate) async fn disturb<B>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    B: MessageBody + 'static,
{
    let mut answered = match take(&request) {
        None => next.call(request).await?.map_into_boxed_body(),
        Some(fault) => apply(&fault, request, next).await?,
    };
    let headers = answered.headers_mut();
    let name = HeaderName::from_static("paypal-debug-id");
    debug_assert!(name.as_str().eq_ignore_ascii_case(DEBUG_ID));
    if !headers.contains_key(&name)
        && let Ok(value) = HeaderValue::from_str(&ids::debug())
    {
        headers.insert(name, value);
    }
    Ok(answered)
}

fn take(request: &ServiceRequest) -> Option<Fault> {
    let operation = Operation::of(request.method(), request.path())?;
    let sim = request.app_data::<web::Data<Simulator>>()?;
    let mut world = sim.lock();
    let fault = world.faults.take(operation)?;
    world.record(
        "fault",
        json!({ "operation": operation, "fault": fault.fault, "path": request.path() }),
    );
    Some(fault)
}

/// What the fault asks of the work itself.
fn plan(fault: &Fault) -> Plan {
    let reason = fault.reason.clone().unwrap_or_else(|| "ECHECK".to_owned());
    match fault.fault {
        Kind::SlowWork => Plan {
            delay_ms: fault.delay_ms.unwrap_or(1_000),
            ..Plan::default()
        },
        Kind::Pending => Plan {
            outcome: Some(Outcome::Pending(reason)),
            refund: Some(RefundStatus::Pending),
            ..Plan::default()
        },
        Kind::Declined => Plan {
            outcome: Some(Outcome::Refused("INSTRUMENT_DECLINED", None)),
            ..Plan::default()
        },
        Kind::Denied => Plan {
            outcome: Some(Outcome::Denied),
            refund: Some(RefundStatus::Cancelled),
            ..Plan::default()
        },
        Kind::Failed => Plan {
            outcome: Some(Outcome::Failed),
            refund: Some(RefundStatus::Failed),
            ..Plan::default()
        },
        _none => Plan::default(),
    }
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
    match fault.fault {
        Kind::Refuse | Kind::Reset => {
            socket::arm(request.request());
            return Ok(request
                .into_response(socket::nothing())
                .map_into_boxed_body());
        }
        Kind::Hang => {
            socket::arm(request.request());
            let silent = answer::silence(wait).await;
            return Ok(request.into_response(silent).map_into_boxed_body());
        }
        Kind::Delay => sleep(Duration::from_millis(fault.delay_ms.unwrap_or(1_000))).await,
        _during_or_after => {}
    }
    request.extensions_mut().insert(plan(fault));
    let done = next.call(request).await?.map_into_boxed_body();
    match fault.fault {
        Kind::ResetAfter => {
            socket::arm(done.request());
            Ok(replace(done, socket::nothing()))
        }
        Kind::DoneThenTimeout => {
            socket::arm(done.request());
            let silent = answer::silence(wait).await;
            Ok(replace(done, silent))
        }
        kind if answer::spoils(kind) => spoiled(fault, done).await,
        _whole => Ok(done),
    }
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
