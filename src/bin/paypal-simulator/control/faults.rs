//! Faults: add, list, take away.

use actix_web::web;
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
