//! Runs a creating call once per request id, however often it is sent.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration as Wait,
};

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use time::Duration;

use crate::{
    config::{InFlight, OtherBody},
    idempotency::{Found, Key, Made},
    orders::{self, model::Outcome, view::Extent},
    payments::{self, model::RefundStatus},
    problem::Problem,
    request::{self, answer},
    world::{Simulator, World},
};

/// How long a waiting replay sleeps before it looks again, should a notice be missed.
const LOOK_AGAIN: Wait = Wait::from_millis(50);

/// What a fault asks of the work of this one call; put into the request by the middleware.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// The work takes that much longer, milliseconds.
    pub(crate) delay_ms: u64,
    /// What a capture comes to.
    pub(crate) outcome: Option<Outcome>,
    /// What a refund comes to.
    pub(crate) refund: Option<RefundStatus>,
}

/// A creating call.
#[derive(Debug)]
pub(crate) struct Call {
    /// The client's request id.
    pub(crate) request_id: Option<String>,
    /// What a fault asks of it.
    pub(crate) plan: Plan,
    scope: String,
    fingerprint: u64,
    extent: Extent,
}

impl Call {
    /// Reads the headers and the body's fingerprint.
    pub(crate) fn new(request: &HttpRequest, body: &[u8]) -> Result<Self, Problem> {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        Ok(Self {
            request_id: request::request_id(request)?,
            plan: request
                .extensions()
                .get::<Plan>()
                .cloned()
                .unwrap_or_default(),
            scope: format!("{} {}", request.method(), request.path()),
            fingerprint: hasher.finish(),
            extent: request::extent(request),
        })
    }

    fn key(&self) -> Option<Key> {
        let id = self.request_id.clone()?;
        Some(Key {
            scope: self.scope.clone(),
            id,
        })
    }
}

/// What is to be done before the work.
enum Next {
    Work,
    Answer(HttpResponse),
    Wait(std::sync::Arc<tokio::sync::Notify>),
}

fn begin(world: &mut World, call: &Call, lifetime: Duration) -> Result<Next, Problem> {
    let Some(key) = call.key() else {
        return Ok(Next::Work);
    };
    let now = world.now();
    match world.keys.begin(&key, call.fingerprint, now, lifetime) {
        Found::Fresh => Ok(Next::Work),
        Found::Running(notice) => match world.settings.in_flight {
            InFlight::Conflict => Err(Problem::issue("PREVIOUS_REQUEST_IN_PROGRESS")),
            InFlight::Error => Err(Problem::status(500)),
            InFlight::Wait => Ok(Next::Wait(notice)),
        },
        Found::Done {
            same_body: false, ..
        } if world.settings.other_body == OtherBody::Refuse => {
            Err(Problem::issue("DUPLICATE_REQUEST_ID"))
        }
        Found::Done { made, .. } => {
            world.record("replay", json!({ "call": key.scope, "requestId": key.id }));
            Ok(Next::Answer(answer(
                200,
                &shown(world, &made, call.extent)?,
            )))
        }
    }
}

/// Does `work` unless it was done before under this request id: 201 then, 200 with the present
/// state on a replay. `lifetime` is how long the id is remembered.
pub(crate) async fn once<W>(
    sim: web::Data<Simulator>,
    call: Call,
    lifetime: Duration,
    work: W,
) -> Result<HttpResponse, Problem>
where
    W: FnOnce(&mut World, &Call) -> Result<Made, Problem> + 'static,
{
    loop {
        let next = begin(&mut sim.lock(), &call, lifetime)?;
        match next {
            Next::Work => break,
            Next::Answer(answer) => return Ok(answer),
            Next::Wait(notice) => {
                // A timeout is as good as a notice: both lead to another look.
                let _ = tokio::time::timeout(LOOK_AGAIN, notice.notified()).await;
            }
        }
    }
    let wait = call
        .plan
        .delay_ms
        .saturating_add(sim.lock().settings.work_ms);
    if wait == 0 {
        return finish(&sim, &call, work);
    }
    // Its own task: a client that hangs up does not stop the work.
    let task = actix_web::rt::spawn(async move {
        tokio::time::sleep(Wait::from_millis(wait)).await;
        finish(&sim, &call, work)
    });
    task.await.unwrap_or_else(|_gone| Err(Problem::status(500)))
}

fn finish<W>(sim: &Simulator, call: &Call, work: W) -> Result<HttpResponse, Problem>
where
    W: FnOnce(&mut World, &Call) -> Result<Made, Problem>,
{
    let mut world = sim.lock();
    match work(&mut world, call) {
        Ok(made) => {
            if let Some(key) = call.key() {
                world.keys.finish(&key, made.clone());
            }
            Ok(answer(201, &shown(&world, &made, call.extent)?))
        }
        Err(problem) => {
            if let Some(key) = call.key() {
                world.keys.release(&key);
            }
            Err(problem)
        }
    }
}

fn shown(world: &World, made: &Made, extent: Extent) -> Result<Value, Problem> {
    match made {
        Made::Order(id) => {
            let order = world
                .orders
                .get(id)
                .ok_or_else(|| Problem::not_found("id", id))?;
            Ok(orders::view::order(world, order, extent))
        }
        Made::Refund(id) => {
            let refund = world.payments.refund(id)?;
            let shown = payments::view::refund(&world.base, refund);
            Ok(match extent {
                Extent::Full => shown,
                Extent::Minimal => json!({
                    "id": shown.get("id"),
                    "status": shown.get("status"),
                    "links": shown.get("links")
                }),
            })
        }
    }
}
