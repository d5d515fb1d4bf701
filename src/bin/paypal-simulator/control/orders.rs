//! Orders, as the buyer's hand: approve, cancel, let lapse, void.

use actix_web::web;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refusal, ok, read};
use crate::{
    approval::{self, Decision, SLOW},
    orders::{
        model::{Notice, Payer},
        view,
    },
    world::{Simulator, World},
};

/// How a buyer approves.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Approve {
    #[serde(default)]
    payer: Option<Payer>,
    #[serde(default = "complete")]
    then: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    count: Option<u32>,
    #[serde(default)]
    notice: Notice,
}

fn complete() -> String {
    "complete".to_owned()
}

fn shown(world: &World, id: &str) -> Result<Value, Refusal> {
    let order = world
        .orders
        .get(id)
        .ok_or_else(|| Refusal::from(format!("no order `{id}`")))?;
    let mut shown = view::order(world, order, view::Extent::Full);
    if let Some(map) = shown.as_object_mut() {
        map.insert("expired".to_owned(), Value::from(order.expired));
        map.insert(
            "returnUrl".to_owned(),
            Value::from(approval::return_url(order)),
        );
        map.insert(
            "cancelUrl".to_owned(),
            Value::from(approval::cancel_url(order)),
        );
    }
    Ok(shown)
}

/// `GET /control/orders`: every order, lapsed ones too, oldest first.
pub(super) async fn list(sim: web::Data<Simulator>) -> Answer {
    let world = sim.lock();
    let mut orders: Vec<_> = world.orders.iter().collect();
    orders.sort_by_key(|order| (order.created, order.id.clone()));
    let shown = orders
        .iter()
        .map(|order| shown(&world, &order.id))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(ok(&json!({ "items": shown })))
}

/// `GET /control/orders/{id}`.
pub(super) async fn show(id: web::Path<String>, sim: web::Data<Simulator>) -> Answer {
    Ok(ok(&shown(&sim.lock(), &id)?))
}

/// `POST /control/orders/{id}/approve`.
pub(super) async fn approve(
    id: web::Path<String>,
    body: web::Bytes,
    sim: web::Data<Simulator>,
) -> Answer {
    let asked: Approve = read(&body)?;
    let outcome = approval::outcome(&asked.then, asked.reason, asked.count)
        .ok_or_else(|| Refusal::unfit(format!("unknown outcome `{}`", asked.then)))?;
    let decision = Decision {
        payer: asked.payer.unwrap_or_default(),
        outcome,
        slow: asked.then == SLOW,
        notice: asked.notice,
    };
    let mut world = sim.lock();
    approval::approve(&mut world, &id, decision)?;
    Ok(ok(&shown(&world, &id)?))
}

/// `POST /control/orders/{id}/cancel`: the buyer gives up; the order stays as it is.
pub(super) async fn cancel(id: web::Path<String>, sim: web::Data<Simulator>) -> Answer {
    let mut world = sim.lock();
    let shown = shown(&world, &id)?;
    world.record("order.cancelled", json!({ "id": id.as_str() }));
    Ok(ok(&shown))
}

/// `POST /control/orders/{id}/expire`.
pub(super) async fn expire(id: web::Path<String>, sim: web::Data<Simulator>) -> Answer {
    let mut world = sim.lock();
    approval::expire(&mut world, &id)?;
    Ok(ok(&shown(&world, &id)?))
}

/// `POST /control/orders/{id}/void`.
pub(super) async fn void(id: web::Path<String>, sim: web::Data<Simulator>) -> Answer {
    let mut world = sim.lock();
    approval::void(&mut world, &id)?;
    Ok(ok(&shown(&world, &id)?))
}
