//! Webhook events: their shapes, the signed deliveries, retries, forgeries, and the list for
//! catching up.

pub(crate) mod deliver;
pub(crate) mod forge;
pub(crate) mod http;
pub(crate) mod shape;
pub(crate) mod verify;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

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
#[derive(Debug)]
pub(crate) struct Stored {
    /// `WH-…`.
    pub(crate) id: String,
    /// Such as `PAYMENT.CAPTURE.COMPLETED`.
    pub(crate) event_type: String,
    /// The resource it is about.
    pub(crate) resource_id: String,
    /// The order that it belongs to.
    pub(crate) order_id: Option<String>,
    /// The bytes on the wire.
    pub(crate) body: Bytes,
    /// When it was made.
    pub(crate) created: OffsetDateTime,
    /// Whether a shop has taken it.
    pub(crate) taken: AtomicBool,
}

impl Stored {
    /// Notes that a shop has taken it.
    pub(crate) fn take(&self) {
        self.taken.store(true, Ordering::Relaxed);
    }

    fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Relaxed)
    }
}

/// One delivery of one event to one hook, through all its attempts.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The event.
    pub(crate) event: Arc<Stored>,
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
    pub(crate) fn new(event: &Arc<Stored>, hook: &Hook, at: OffsetDateTime, delay_ms: u64) -> Self {
        Self {
            event: event.clone(),
            hook: hook.clone(),
            transmission_id: ids::uuid(),
            transmission_time: crate::clock::stamp(at),
            delay_ms,
        }
    }
}

/// The latest events, all hooks, and the deliveries that are held back.
#[derive(Debug, Default)]
pub(crate) struct Events {
    latest: VecDeque<Arc<Stored>>,
    by_id: HashMap<String, Arc<Stored>>,
    /// Where events go.
    pub(crate) hooks: Vec<Hook>,
    /// Whether deliveries are held back.
    pub(crate) paused: bool,
    /// Those that are.
    pub(crate) held: Vec<Job>,
}

impl Events {
    /// Adds an event, and forgets the oldest where there are more than `most`. Deliveries under way
    /// have their own hold on theirs.
    pub(crate) fn add(&mut self, event: Arc<Stored>, most: usize) {
        self.by_id.insert(event.id.clone(), event.clone());
        self.latest.push_back(event);
        while self.latest.len() > most {
            if let Some(oldest) = self.latest.pop_front() {
                self.by_id.remove(&oldest.id);
            }
        }
    }

    /// An event by id.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Stored>> {
        self.by_id.get(id)
    }

    /// All that are remembered, oldest first.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Stored>> + ExactSizeIterator {
        self.latest.iter()
    }

    /// Whether a shop has taken an event of that type about that order.
    pub(crate) fn told(&self, order_id: &str, type_prefix: &str) -> bool {
        self.latest.iter().rev().any(|event| {
            event.order_id.as_deref() == Some(order_id)
                && event.event_type.starts_with(type_prefix)
                && event.is_taken()
        })
    }

    /// Registers a hook, in place of one with the same id.
    pub(crate) fn register(&mut self, hook: Hook) {
        self.hooks.retain(|other| other.id != hook.id);
        self.hooks.push(hook);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_events_are_forgotten_first() {
        let mut events = Events::default();
        for id in ["A", "B", "C"] {
            let event = Stored {
                id: id.to_owned(),
                event_type: "PAYMENT.CAPTURE.COMPLETED".to_owned(),
                resource_id: "R".to_owned(),
                order_id: Some("O".to_owned()),
                body: Bytes::new(),
                created: OffsetDateTime::now_utc(),
                taken: AtomicBool::new(false),
            };
            events.add(Arc::new(event), 2);
        }
        let left: Vec<_> = events.all().map(|event| event.id.as_str()).collect();
        assert_eq!(left, ["B", "C"]);
        assert!(events.get("A").is_none() && events.get("C").is_some());
        assert!(!events.told("O", "PAYMENT.CAPTURE"));
        events.get("B").unwrap().take();
        assert!(events.told("O", "PAYMENT.CAPTURE"));
        assert!(!events.told("O", "CHECKOUT.ORDER") && !events.told("X", "PAYMENT.CAPTURE"));
    }
}
