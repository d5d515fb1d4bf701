//! Faults: add, list, take away; and an outage of the whole simulator.

use std::time::Duration;

use actix_web::web;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Refusal, ok, read};
use crate::{faults::Fault, issues, world::Simulator};

/// `POST /control/faults`.
pub(super) async fn add(body: web::Bytes, sim: web::Data<Simulator>) -> Answer {
    let fault: Fault = read(&body)?;
    if fault.count == 0 {
        return Err(Refusal::unfit("count must be at least 1"));
    }
    if let Some(issue) = fault.issue.as_deref()
        && issues::find(issue).is_none()
    {
        return Err(Refusal::unfit(format!("unknown issue `{issue}`")));
    }
    let id = sim.lock().faults.add(fault);
    Ok(ok(&json!({ "id": id })))
}

/// `GET /control/faults`.
pub(super) async fn list(sim: web::Data<Simulator>) -> Answer {
    Ok(ok(&json!({ "items": sim.lock().faults.waiting() })))
}

/// `DELETE /control/faults`.
pub(super) async fn clear(sim: web::Data<Simulator>) -> Answer {
    Ok(ok(&json!({ "removed": sim.lock().faults.clear(None) })))
}

/// `DELETE /control/faults/{id}`.
pub(super) async fn clear_one(id: web::Path<u64>, sim: web::Data<Simulator>) -> Answer {
    Ok(ok(
        &json!({ "removed": sim.lock().faults.clear(Some(*id)) }),
    ))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Outage {
    ms: u64,
}

/// `POST /control/outage`: for so long new connections are refused and old ones cut, this API's
/// too.
pub(super) async fn outage(body: web::Bytes, sim: web::Data<Simulator>) -> Answer {
    let asked: Outage = read(&body)?;
    sim.gate
        .close()
        .map_err(|e| Refusal::unfit(e.to_string()))?;
    {
        let mut world = sim.lock();
        world.down = true;
        world.record("outage", json!({ "ms": asked.ms }));
    }
    let shared = sim.clone();
    actix_web::rt::spawn(async move {
        tokio::time::sleep(Duration::from_millis(asked.ms)).await;
        let opened = shared.gate.open();
        let mut world = shared.lock();
        world.down = false;
        let error = opened.err().map(|e| e.to_string());
        world.record("outage.over", json!({ "error": error }));
    });
    Ok(ok(&json!({ "ms": asked.ms })))
}
