//! The words of HTTP that every room shares: reading requests strictly, entity tags, request ids,
//! client addresses and rate limits.

mod body;
mod client;
mod etag;
mod front;
mod gate;
mod limits;
mod measure;
mod patience;
mod pointer;
mod privacy;
mod query;
mod request;
mod shape;
mod site;
mod survey;
mod upgrade;

pub use body::{Body, MAX_BODY_BYTES, checked, parse_json, read_at_most, read_body};
pub use client::{ClientAddress, TrustedProxies};
pub use etag::{IfMatch, etag, not_modified};
pub(crate) use front::Front;
pub use front::Ready;
pub(crate) use gate::API;
pub use gate::Gate;
pub use limits::{RateClass, RateLimits};
pub(crate) use patience::patiently;
pub use privacy::{CART_TOKEN, NOT_KEPT};
pub use query::{Params, invalid_parameter};
pub(crate) use request::unlimited;
pub use request::{RequestId, guard_request};
pub use site::own_site;
pub(crate) use upgrade::Shared;
