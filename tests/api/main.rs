//! The shop from outside: real processes, a real replica set, real sockets.

mod bad_input;
mod checkout;
mod journey;
mod packaging;
mod platform;
mod real_catalogues;
mod support;
