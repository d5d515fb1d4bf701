//! Real time: every order change reaches its buyer live, on whichever node the buyer is connected.
//!
//! The hub learns of changes from the change feed only, so that one node and ten behave alike. A stream
//! (WebSocket or server-sent events; `stream` is the one logic of both) joins the hub, reads from the
//! database what it missed, and goes on live: in order, without gap or repeat, by the buyer's event
//! numbers. Whatever is bounded cuts off instead of buffering; a client that is cut off resumes with
//! `since`.
//!
//! How a stream ends, as WebSocket close code (server-sent events end with an event `close` that names it):
//!
//! | code | because |
//! | --- | --- |
//! | 1002, 1007 | the client broke the WebSocket protocol, or sent text that is not UTF-8 |
//! | 1003 | the client sent a binary or a fragmented message |
//! | 1008 | the client sent more than 20 messages in 10 s |
//! | 1009 | the client sent a frame of more than 16 KiB |
//! | 1012 | this node stops, or cannot tell what the staff channel missed: connect again |
//! | 1013 | the database cannot be read now: connect again a little later |
//! | 4001 | the token has ended, or its sign-in |
//! | 4008 | the client is too slow for its events: connect again with `since` |
//!
//! `since` names the last event that the client has. None: from now on. Not a whole number, or negative:
//! 422. Of the future: as if it were the buyer's present last, which `hello` names as `lastEventId`. A client
//! resumes after the last event it has *received*; `hello` alone brings it up to nothing.
//!
//! The staff channel (`channel=orders`) carries every order's events from now on; its frames have no `id`
//! (an order's `version` orders them), and `since` is refused there. `cart.updated` has no `id` either: it
//! is sent to whoever is connected, and a client reads its cart anew when it connects.

mod frame;
mod guard;
mod http;
mod hub;
mod hub_actor;
mod link;
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
