//! Instant Payment Notification: the legacy messages, and `/cgi-bin/webscr` that vouches for them.

pub(crate) mod deliver;
pub(crate) mod message;
pub(crate) mod webscr;

use std::collections::HashSet;

use actix_web::web::Bytes;

/// A message on its way, through all its attempts.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The transaction, for the journal.
    pub(crate) txn_id: String,
    /// Its status, for the journal.
    pub(crate) payment_status: String,
    /// Where it goes.
    pub(crate) url: String,
    /// The bytes.
    pub(crate) body: Bytes,
    /// Whether PayPal would deny having sent it.
    pub(crate) forged: bool,
}

/// The messages that were truly sent, byte for byte.
#[derive(Debug, Default)]
pub(crate) struct Ipn {
    /// Their bodies.
    pub(crate) sent: HashSet<Bytes>,
}
