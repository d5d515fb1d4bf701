//! Real time: every order change reaches its buyer live, on whichever node the buyer is connected.
//!
//! The hub learns of changes from the change feed only, so that one node and ten behave alike. A stream
//! (WebSocket or server-sent events; `stream` is the one logic of both) joins the hub, reads from the
//! database what it missed, and goes on live: in order, without gap or repeat, by the buyer's event
//! numbers. Whatever is bounded cuts off instead of buffering; a client that is cut off resumes with
//! `since`.
//!
//! What clients may rely on, every refusal and close code included: `docs/realtime.md`. The client for
//! browsers is `web/packages/realtime`; the binary serves it (`client`).

mod client;
mod frame;
mod guard;
mod http;
mod hub;
mod hub_actor;
mod link;
mod params;
mod socket;
mod sse;
mod stream;
#[cfg(test)]
mod tests;
mod ticket;

pub use http::routes;
pub use hub::Hub;
pub use ticket::Tickets;

use crate::{mongo::schema, orders};

/// The collections that the hub needs in the change feed, besides those of the accounts.
pub const FED: [&str; 2] = [orders::EVENTS, "carts"];

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    vec![ticket::collection()]
}
