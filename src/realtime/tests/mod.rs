//! Live streams over real sockets, on a real replica set.

mod refusals;
mod resume;
mod support;
