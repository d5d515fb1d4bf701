//! The shop from outside: real processes, a real replica set, real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::float_arithmetic,
    reason = "a panic here is a failed test"
)]

mod audit;
mod bad_catalogue;
mod bad_input;
mod carts;
mod checkout;
mod cluster;
mod crash;
mod cuts;
mod discounts;
mod erasure;
mod import_scale;
mod invariants;
mod journey;
mod limits;
mod my_data;
mod one_browser;
mod outbox;
mod packaging;
mod paypal_contract;
mod paypal_faults;
#[path = "../paypal_openapi/mod.rs"]
mod paypal_openapi;
mod paypal_sdks;
mod plain_reading;
mod platform;
mod races;
mod reads;
mod real_catalogues;
mod realtime;
mod refresh;
mod returns;
mod round_trip;
mod support;
mod upgrade;
mod webhooks;
