//! Webhooks: where they go, holding back, resending, forging, and the certificates that sign them.

use actix_web::web;
use rand::seq::SliceRandom as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refusal, ok, read};
use crate::{
    clock,
    config::Environment,
    events::{Hook, Job, Stored, deliver::cert_url, forge},
    ids,
    signing::{self, Kind},
    world::{Outgoing, Simulator, World},
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewHook {
    url: String,
    #[serde(default)]
    webhook_id: Option<String>,
    #[serde(default)]
    add: bool,
}

/// `POST /control/webhooks`: sends events here from now on, or here too with `add`.
pub(super) async fn register(body: web::Bytes, sim: web::Data<Simulator>) -> Answer {
    let asked: NewHook = read(&body)?;
    let mut world = sim.lock();
    let id = asked.webhook_id.unwrap_or_else(|| {
        if asked.add {
            ids::webhook()
        } else {
            world.flags.webhook_id.clone()
        }
    });
    if !asked.add {
        world.events.hooks.clear();
    }
    world.events.register(Hook { id, url: asked.url });
    Ok(ok(&hooks_shown(&world)))
}

fn hooks_shown(world: &World) -> Value {
    let items: Vec<Value> = world
        .events
        .hooks
        .iter()
        .map(|hook| json!({ "webhookId": hook.id, "url": hook.url }))
        .collect();
    json!({ "items": items, "paused": world.events.paused, "held": world.events.held.len() })
}

/// `GET /control/webhooks`.
pub(super) async fn hooks(sim: web::Data<Simulator>) -> Answer {
    Ok(ok(&hooks_shown(&sim.lock())))
}

/// `POST /control/webhooks/pause`: holds every delivery and every retry back.
pub(super) async fn pause(sim: web::Data<Simulator>) -> Answer {
    let mut world = sim.lock();
    world.events.paused = true;
    Ok(ok(&hooks_shown(&world)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resume {
    #[serde(default)]
    shuffle: bool,
    #[serde(default)]
    reverse: bool,
    #[serde(default)]
    order: Vec<String>,
    #[serde(default = "once")]
    copies: usize,
    #[serde(default)]
    gap_ms: u64,
    #[serde(default)]
    drop: bool,
}

const fn once() -> usize {
    1
}

/// `POST /control/webhooks/resume`: lets go what was held, in the order asked for.
pub(super) async fn resume(body: web::Bytes, sim: web::Data<Simulator>) -> Answer {
    let asked: Resume = read(&body)?;
    let mut world = sim.lock();
    world.events.paused = false;
    let mut held = std::mem::take(&mut world.events.held);
    if asked.drop {
        held.clear();
    }
    if !asked.order.is_empty() {
        let rank = |job: &Job| {
            let event = &job.event;
            let named = |name: &String| *name == event.id || *name == event.event_type;
            asked.order.iter().position(named).unwrap_or(usize::MAX)
        };
        held.sort_by_key(rank);
    }
    if asked.reverse {
        held.reverse();
    }
    let mut released: Vec<Job> = held
        .into_iter()
        .flat_map(|job| std::iter::repeat_n(job, asked.copies))
        .collect();
    if asked.shuffle {
        released.shuffle(&mut rand::rng());
    }
    let count = released.len();
    let mut delay = 0_u64;
    for mut job in released {
        job.delay_ms = delay;
        delay = delay.saturating_add(asked.gap_ms);
        world.send(Outgoing::Webhook(job));
    }
    Ok(ok(&json!({ "released": count })))
}

fn line(event: &Stored) -> Value {
    json!({
        "id": event.id,
        "eventType": event.event_type,
        "resourceId": event.resource_id,
        "createdAt": clock::stamp_millis(event.created),
    })
}

/// `GET /control/events`: every event, oldest first.
pub(super) async fn list(sim: web::Data<Simulator>) -> Answer {
    let world = sim.lock();
    let items: Vec<Value> = world.events.all().map(|event| line(event)).collect();
    Ok(ok(&json!({ "items": items })))
}

/// `GET /control/events/{id}`: the event's own bytes.
pub(super) async fn show(id: web::Path<String>, sim: web::Data<Simulator>) -> Answer {
    let world = sim.lock();
    let event = world
        .events
        .get(&id)
        .ok_or_else(|| Refusal::from(format!("no event `{id}`")))?;
    Ok(actix_web::HttpResponse::Ok()
        .content_type("application/json")
        .body(event.body.clone()))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resend {
    #[serde(default = "once")]
    copies: usize,
}

/// `POST /control/events/{id}/resend`: delivers it again, all copies at once.
pub(super) async fn resend(
    id: web::Path<String>,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Answer {
    let asked: Resend = read(&body)?;
    let mut world = sim.lock();
    let event = world.events.get(&id).cloned();
    let event = event.ok_or_else(|| Refusal::from(format!("no event `{id}`")))?;
    for _ in 0..asked.copies {
        world.deliver(&event);
    }
    Ok(ok(&json!({ "copies": asked.copies })))
}

/// `GET /control/events/forge`: the kinds of forgery.
pub(super) async fn forgeries() -> Answer {
    let kinds: Vec<Value> = forge::KINDS
        .iter()
        .map(|(kind, breaks)| json!({ "kind": kind, "breaks": breaks }))
        .collect();
    Ok(ok(&json!({ "items": kinds })))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Forge {
    kind: String,
    #[serde(default)]
    event_id: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    cert_url: Option<String>,
}

/// `POST /control/events/forge`: sends one forged message and tells what the shop answered.
pub(super) async fn forge(body: web::Bytes, sim: web::Data<Simulator>) -> Answer {
    let asked: Forge = read(&body)?;
    let order = forge::Order {
        kind: asked.kind,
        event_id: asked.event_id,
        url: asked.url,
        cert_url: asked.cert_url,
    };
    Ok(ok(&forge::send(&sim, order).await?))
}

fn certificate_shown(world: &World) -> Value {
    let current = world.signing.current();
    json!({
        "id": current.id,
        "kind": current.kind.word(),
        "url": cert_url(&world.base, &current.id),
        "pem": current.pem,
        "bundle": world.signing.bundle(),
    })
}

/// `GET /control/certificates`: the certificate in use, and root and intermediate.
pub(super) async fn certificates(sim: web::Data<Simulator>) -> Answer {
    Ok(ok(&certificate_shown(&sim.lock())))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    #[serde(default = "good")]
    kind: Kind,
    #[serde(default)]
    environment: Option<Environment>,
}

const fn good() -> Kind {
    Kind::Good
}

/// `POST /control/certificates/rotate`: signs with a new certificate from now on. A good one has a
/// new key too.
pub(super) async fn rotate(body: web::Bytes, sim: web::Data<Simulator>) -> Answer {
    let asked: Rotate = read(&body)?;
    let key = if asked.kind == Kind::Good {
        let made = web::block(signing::rsa_key)
            .await
            .map_err(|e| Refusal::unfit(e.to_string()))?;
        Some(made.map_err(|e| Refusal::unfit(e.to_string()))?)
    } else {
        None
    };
    let mut world = sim.lock();
    if let Some(environment) = asked.environment {
        world.settings.certificate_environment = environment;
    }
    let environment = world.settings.certificate_environment;
    let made = world
        .signing
        .issue(asked.kind, environment, key)
        .map_err(|e| Refusal::unfit(e.to_string()))?;
    world.signing.rotate(made.clone());
    world.record(
        "certificate",
        json!({ "id": made.id, "certificate": made.kind.word() }),
    );
    Ok(ok(&certificate_shown(&world)))
}
