//! Certificates, and the webhook calls of `/v1/notifications`: hooks, events, resend.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::Deserialize;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Hook, Stored};
use crate::{
    ids, oauth,
    problem::{DEBUG_ID, Problem},
    request::{self, answer},
    world::Simulator,
};

/// Serves a signing certificate: the leaf alone, PEM, CRLF line ends, no token needed.
pub(crate) async fn certificate(
    id: web::Path<String>,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let world = sim.lock();
    let found = world
        .signing
        .get(&id)
        .ok_or_else(|| Problem::not_found("cert_id", &id))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/x-pem-file"))
        .insert_header((header::CACHE_CONTROL, "max-age=86400"))
        .insert_header((DEBUG_ID, ids::debug()))
        .body(found.pem.clone()))
}

/// Lists the hooks.
pub(crate) async fn hooks(
    request: HttpRequest,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    let shown: Vec<Value> = world
        .events
        .hooks
        .iter()
        .map(|hook| hook.json(&world.base))
        .collect();
    Ok(answer(200, &json!({ "webhooks": shown })))
}

/// A new hook; every event type is sent, whatever is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct NewHook {
    url: String,
}

/// Registers a hook.
pub(crate) async fn add_hook(
    request: HttpRequest,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    request::json_type(&request)?;
    let new: NewHook = serde_json::from_slice(&body).map_err(|_not_json| Problem::malformed())?;
    let hook = Hook {
        id: ids::webhook(),
        url: new.url,
    };
    world.events.register(hook.clone());
    Ok(answer(201, &hook.json(&world.base)))
}

/// Removes a hook: 204.
pub(crate) async fn remove_hook(
    request: HttpRequest,
    id: web::Path<String>,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    let before = world.events.hooks.len();
    world.events.hooks.retain(|hook| hook.id != *id);
    if world.events.hooks.len() == before {
        return Err(Problem::not_found("webhook_id", &id));
    }
    Ok(HttpResponse::NoContent()
        .insert_header((DEBUG_ID, ids::debug()))
        .finish())
}

/// Which events to list.
#[derive(Debug, Deserialize)]
pub(crate) struct Range {
    start_time: Option<String>,
    end_time: Option<String>,
    event_type: Option<String>,
    transaction_id: Option<String>,
    page_size: Option<usize>,
}

fn shown(event: &Stored) -> Value {
    serde_json::from_slice(&event.body).unwrap_or_default()
}

fn instant(text: Option<&String>) -> Result<Option<OffsetDateTime>, Problem> {
    text.map(|text| OffsetDateTime::parse(text, &Rfc3339))
        .transpose()
        .map_err(|_not_a_time| Problem::issue("INVALID_PARAMETER_SYNTAX"))
}

/// Lists events, newest first: the way to catch up after an outage.
pub(crate) async fn events(
    request: HttpRequest,
    range: web::Query<Range>,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    let (from, to) = (
        instant(range.start_time.as_ref())?,
        instant(range.end_time.as_ref())?,
    );
    let all: Vec<Value> = world
        .events
        .all()
        .rev()
        .filter(|event| from.is_none_or(|from| event.created >= from))
        .filter(|event| to.is_none_or(|to| event.created <= to))
        .filter(|event| {
            range
                .event_type
                .as_ref()
                .is_none_or(|kind| *kind == event.event_type)
        })
        .filter(|event| {
            range
                .transaction_id
                .as_ref()
                .is_none_or(|id| *id == event.resource_id)
        })
        .take(range.page_size.unwrap_or(10))
        .map(|event| shown(event))
        .collect();
    Ok(answer(
        200,
        &json!({ "count": all.len(), "events": all, "links": [] }),
    ))
}

/// Shows an event.
pub(crate) async fn event(
    request: HttpRequest,
    id: web::Path<String>,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    let found = world
        .events
        .get(&id)
        .ok_or_else(|| Problem::not_found("event_id", &id))?;
    Ok(answer(200, &shown(found)))
}

/// Delivers an event again: 202.
pub(crate) async fn resend(
    request: HttpRequest,
    id: web::Path<String>,
    sim: web::Data<Simulator>,
) -> Result<HttpResponse, Problem> {
    let mut world = sim.lock();
    oauth::bearer(&mut world, &request)?;
    let found = world
        .events
        .get(&id)
        .ok_or_else(|| Problem::not_found("event_id", &id))?;
    let found = found.clone();
    world.deliver(&found);
    Ok(answer(202, &shown(&found)))
}
