//! The words of HTTP that every room shares: reading requests strictly, entity tags, request ids,
//! client addresses and rate limits.

mod body;
mod client;
mod etag;
mod gate;
mod limits;
mod measure;
mod patience;
mod personal;
mod pointer;
mod query;
mod request;
mod site;
mod upgrade;

pub use body::{Body, MAX_BODY_BYTES, checked, parse_json, read_at_most, read_body};
pub use client::{ClientAddress, TrustedProxies};
pub use etag::{IfMatch, etag, not_modified};
pub use gate::Gate;
pub use limits::{RateClass, RateLimits};
pub(crate) use patience::patiently;
pub use personal::NOT_KEPT;
pub use query::{Params, invalid_parameter};
pub use request::{RequestId, guard_request};
pub use site::own_site;
pub(crate) use upgrade::Shared;
