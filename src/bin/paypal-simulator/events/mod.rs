//! Webhook events: their shapes, the signed deliveries, retries, forgeries, and the list for
//! catching up.

pub(crate) mod deliver;
pub(crate) mod forge;
pub(crate) mod http;
pub(crate) mod shape;
pub(crate) mod verify;

use std::collections::HashMap;

use actix_web::web::Bytes;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::ids;

/// Where events go, and under which id that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    /// The webhook id; part of every signature.
    pub(crate) id: String,
    /// The shop's endpoint.
    pub(crate) url: String,
}

impl Hook {
    /// As the API shows it.
    pub(crate) fn json(&self, base: &str) -> Value {
        json!({
            "id": self.id,
            "url": self.url,
            "event_types": [{ "name": "*" }],
            "links": [{
                "href": format!("{base}/v1/notifications/webhooks/{}", self.id),
                "rel": "self", "method": "GET"
            }]
        })
    }
}

/// An event as it was made; deliveries and resends carry these very bytes.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// `WH-…`.
    pub(crate) id: String,
    /// Such as `PAYMENT.CAPTURE.COMPLETED`.
    pub(crate) event_type: String,
    /// The resource it is about.
    pub(crate) resource_id: String,
    /// The bytes on the wire.
    pub(crate) body: Bytes,
    /// When it was made.
    pub(crate) created: OffsetDateTime,
}

/// One delivery of one event to one hook, through all its attempts.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The event.
    pub(crate) event_id: String,
    /// Where it goes.
    pub(crate) hook: Hook,
    /// The same for all attempts.
    pub(crate) transmission_id: String,
    /// The same for all attempts.
    pub(crate) transmission_time: String,
    /// Wait before the first attempt, milliseconds.
    pub(crate) delay_ms: u64,
}

impl Job {
    /// A new delivery.
    pub(crate) fn new(event_id: &str, hook: &Hook, at: OffsetDateTime, delay_ms: u64) -> Self {
        Self {
            event_id: event_id.to_owned(),
            hook: hook.clone(),
            transmission_id: ids::uuid(),
            transmission_time: crate::clock::stamp(at),
            delay_ms,
        }
    }
}

/// All events and hooks, and the deliveries that are held back.
#[derive(Debug, Default)]
pub(crate) struct Events {
    all: Vec<Stored>,
    index: HashMap<String, usize>,
    /// Where events go.
    pub(crate) hooks: Vec<Hook>,
    /// Whether deliveries are held back.
    pub(crate) paused: bool,
    /// Those that are.
    pub(crate) held: Vec<Job>,
}

impl Events {
    /// Adds an event.
    pub(crate) fn add(&mut self, event: Stored) {
        self.index.insert(event.id.clone(), self.all.len());
        self.all.push(event);
    }

    /// An event by id.
    pub(crate) fn get(&self, id: &str) -> Option<&Stored> {
        self.index.get(id).and_then(|at| self.all.get(*at))
    }

    /// All events, oldest first.
    pub(crate) fn all(&self) -> &[Stored] {
        &self.all
    }

    /// Registers a hook, in place of one with the same id.
    pub(crate) fn register(&mut self, hook: Hook) {
        self.hooks.retain(|other| other.id != hook.id);
        self.hooks.push(hook);
    }
}
