//! Bodega: a shop's back office and counter in one binary.
//!
//! A request crosses `api` (the one table of routes), a room's `http`, where state lives in
//! memory its `actor`, and its `store`; the room's `model` decides and does no I/O. Rooms use what
//! another room's `mod.rs` shows, never its store.

pub mod accounts;
pub mod address;
pub mod api;
pub mod app;
pub mod audit;
pub mod cart;
pub mod catalog;
pub mod checkout;
pub mod cli;
pub mod clock;
pub mod config;
pub mod discounts;
pub mod faults;
pub mod http;
pub mod id;
pub mod idempotency;
pub mod invariants;
pub mod money;
pub mod mongo;
pub mod my_data;
pub mod orders;
pub mod outbox;
pub mod page;
pub mod payments;
pub mod problem;
pub mod realtime;
pub mod telemetry;
