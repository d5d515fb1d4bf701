//! The audit log: every change that staff make, with what was before and after.
//!
//! An entry is written with the change it tells of, in one transaction where the change is one document's.
//! It holds the difference only, bounded: an edit of a product with a thousand variants names what has
//! changed and not the rest.

mod difference;
mod http;
mod store;

pub use difference::{Change, Changes, difference};
pub use http::{ChangeView, routes};
pub use store::{Action, Actor, Audit, Entry, Subject, collections};
