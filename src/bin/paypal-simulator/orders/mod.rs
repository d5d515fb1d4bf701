//! Orders: create, show, patch, and the states that a buyer and a merchant move them through.
//!
//! ```text
//! CREATED | PAYER_ACTION_REQUIRED ──buyer approves──► APPROVED ──capture──► COMPLETED
//!        └──────────── 3 hours, or the control API ─────────┴──► gone (404), or VOIDED
//! ```
//! COMPLETED says that a capture exists, not that it was paid: read the capture's own status.

pub(crate) mod book;
pub(crate) mod check;
pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod patch;
pub(crate) mod view;
