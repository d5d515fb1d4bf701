//! Captures, refunds, reversals and disputes: where the money is.
//!
//! A capture's `refunded` is the sum of its refunds that are done or under way and of what was
//! taken back from the merchant; it never exceeds the captured amount.

pub(crate) mod capture;
pub(crate) mod dispute;
pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod refund;
pub(crate) mod view;
