//! The inbox: what PayPal tells the shop, stored before it is answered and followed afterwards.
//!
//! A webhook message is verified over its raw bytes and stored under PayPal's id for the event, so that
//! a repeat changes nothing. An IPN message is stored first, as PayPal wants its empty answer at once,
//! and verified by asking PayPal back. Workers on every node share the messages: one is claimed with a
//! lease, by the database's clock, so that a node that dies mid-way leaves it to another. What a message
//! tells becomes a [`Hint`](super::Hint) for the [`HintSink`].
//!
//! A message is `pending` until it is `done`, `ignored` (of no concern here), `refused` (an IPN message
//! that PayPal does not vouch for, or that is not for us) or `dead` (it failed too often: the staff looks
//! at it and may replay it).

mod erased;
mod hand;
mod http;
mod model;
mod staff;
mod store;
mod worker;

use std::sync::Arc;

use utoipa_actix_web::service_config::ServiceConfig;

use hand::Hand;
pub use model::{Kind, State};
use store::Messages;
pub use worker::Workers;

use super::{HintSink, paypal::PayPal};
use crate::mongo::{Mongo, schema};

/// The inbox, shared by all workers; cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    messages: Messages,
    paypal: Arc<PayPal>,
    hand: Arc<Hand>,
}

impl Inbox {
    /// Opens the inbox; messages are taken in from now on, and followed once it is started.
    #[must_use]
    pub fn open(mongo: &Mongo, paypal: Arc<PayPal>) -> Self {
        Self {
            messages: Messages::new(mongo),
            paypal,
            hand: Arc::default(),
        }
    }

    /// Starts this node's workers, on the runtime that this is called on.
    #[must_use]
    pub fn start(&self, sink: Arc<dyn HintSink>) -> Workers {
        Workers::start(self, sink)
    }
}

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    vec![store::collection(), erased::collection()]
}

/// The routes of this room.
pub fn routes(table: &mut ServiceConfig) {
    http::routes(table);
    staff::routes(table);
}

#[cfg(test)]
mod tests;
