//! IPN messages on demand: repeated, altered, forged.

use std::collections::BTreeMap;

use actix_web::web;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Refusal, ok, read};
use crate::{
    config::Charset,
    ipn::message::{self, Fields},
    world::{Simulator, World},
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Send {
    #[serde(default)]
    capture_id: Option<String>,
    #[serde(default)]
    refund_id: Option<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    double: Vec<String>,
    #[serde(default)]
    forged: bool,
    #[serde(default)]
    charset: Option<Charset>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default = "once")]
    copies: usize,
}

const fn once() -> usize {
    1
}

fn fields(world: &World, asked: &Send, charset: Charset) -> Result<Fields, Refusal> {
    let made = match (&asked.capture_id, &asked.refund_id) {
        (Some(id), None) => message::capture(world, id, charset),
        (None, Some(id)) => message::refund(world, id, charset),
        _ => return Err(Refusal::unfit("captureId or refundId is expected")),
    };
    let mut fields = made.ok_or_else(|| Refusal::from("no such capture or refund".to_owned()))?;
    for (name, value) in &asked.set {
        match fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => old.clone_from(value),
            None => fields.push((name.clone(), value.clone())),
        }
    }
    fields.retain(|(name, _)| !asked.remove.contains(name));
    let doubled: Fields = fields
        .iter()
        .filter(|(name, _)| asked.double.contains(name))
        .cloned()
        .collect();
    fields.extend(doubled);
    Ok(fields)
}

/// `POST /control/ipn`: sends a message about a capture or refund, with fields set, removed or
/// doubled; a forged one is denied by `/cgi-bin/webscr`.
pub(super) async fn send(body: web::Bytes, sim: web::Data<Simulator>) -> Answer {
    let asked: Send = read(&body)?;
    let mut world = sim.lock();
    let url = asked.url.clone().or_else(|| world.settings.ipn_url.clone());
    let url = url.ok_or_else(|| Refusal::unfit("no IPN URL is set, and none given"))?;
    let charset = asked.charset.unwrap_or(world.settings.ipn_charset);
    let fields = fields(&world, &asked, charset)?;
    for _ in 0..asked.copies {
        message::dispatch(&mut world, &fields, charset, url.clone(), asked.forged);
    }
    Ok(ok(&json!({ "fields": fields, "copies": asked.copies })))
}
