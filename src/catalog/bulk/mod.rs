//! Bulk edits: one change of many products, as a job.
//!
//! The products that the filter finds are written down when the job begins, one item each. A worker takes
//! item after item: product, audit entry, price periods and item change in one transaction, so that a kill
//! at any moment leaves each product changed once or not at all, and whoever takes the job up goes on. An
//! item keeps what was before, which undoing puts back where nobody has changed it since.

mod edit;
mod http;
mod store;
mod work;

pub(super) use http::routes;
pub(super) use store::{BulkEdits, BulkStep, Concluded, collections};
