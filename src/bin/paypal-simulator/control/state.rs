//! Settings, clock, tokens, journal, counters, reset.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refusal, ok, read};
use crate::{approval, world::Simulator};

/// `POST /control/tokens/revoke`: every token is unknown from now on.
pub(super) async fn revoke_tokens(sim: web::Data<Simulator>) -> Answer {
    let mut world = sim.lock();
    let revoked = world.tokens.revoke();
    world.record("token.revoked", json!({ "count": revoked }));
    Ok(ok(&json!({ "revoked": revoked })))
}

/// `GET /control/settings`.
pub(super) async fn settings(sim: web::Data<Simulator>) -> Answer {
    Ok(ok(&json!(sim.lock().settings)))
}

/// `POST /control/settings`: changes those that are named.
pub(super) async fn set(body: web::Bytes, sim: web::Data<Simulator>) -> Answer {
    let patch: Value = read(&body)?;
    let mut world = sim.lock();
    world.settings = world.settings.patched(&patch).map_err(Refusal::unfit)?;
    Ok(ok(&json!(world.settings)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

/// `POST /control/clock`: tokens, orders and request ids age by so many seconds at once.
pub(super) async fn advance(body: web::Bytes, sim: web::Data<Simulator>) -> Answer {
    let asked: Advance = read(&body)?;
    let mut world = sim.lock();
    world.clock.advance(asked.advance_seconds);
    approval::sweep(&mut world);
    Ok(ok(
        &json!({ "now": crate::clock::stamp_millis(world.now()) }),
    ))
}

#[derive(Debug, Deserialize)]
pub(super) struct Part {
    #[serde(default)]
    since: usize,
    #[serde(default = "all")]
    limit: usize,
    #[serde(default)]
    kind: Option<String>,
}

const fn all() -> usize {
    usize::MAX
}

/// `GET /control/journal?since=N&limit=M&kind=K`: the lines after N, at most M, of that kind where one
/// is named.
pub(super) async fn journal(query: web::Query<Part>, sim: web::Data<Simulator>) -> Answer {
    let world = sim.lock();
    let lines = world
        .journal
        .since(query.since, query.limit, query.kind.as_deref())
        .map_err(|error| Refusal::unfit(error.to_string()))?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(format!("[{lines}]")))
}

/// `GET /control/state`: how much there is of everything.
pub(super) async fn state(sim: web::Data<Simulator>) -> Answer {
    let world = sim.lock();
    Ok(ok(&json!({
        "publicUrl": world.base,
        "now": crate::clock::stamp_millis(world.now()),
        "tokens": {
            "issued": world.tokens.issued,
            "wrongFormType": world.tokens.wrong_form_type
        },
        "orders": world.orders.len(),
        "captures": world.payments.captures.len(),
        "refunds": world.payments.refunds.len(),
        "disputes": world.payments.disputes.len(),
        "requestIds": world.keys.len(),
        "events": world.events.all().len(),
        "held": world.events.held.len(),
        "paused": world.events.paused,
        "ipnSent": world.ipn.len(),
        "faults": world.faults.waiting(),
        "journal": world.journal.len()
    })))
}

/// `POST /control/reset`: forgets everything but certificates and clock.
pub(super) async fn reset(sim: web::Data<Simulator>) -> Answer {
    sim.lock().reset();
    Ok(ok(&json!({ "reset": true })))
}
