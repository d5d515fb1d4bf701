//! Instant Payment Notification: the legacy messages, and `/cgi-bin/webscr` that vouches for them.

pub(crate) mod deliver;
pub(crate) mod message;
pub(crate) mod webscr;

use std::collections::{HashSet, VecDeque};

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

/// The latest messages that were truly sent, byte for byte.
#[derive(Debug, Default)]
pub(crate) struct Ipn {
    bodies: HashSet<Bytes>,
    order: VecDeque<Bytes>,
}

impl Ipn {
    /// Remembers a message, and forgets the oldest where there are more than `most`.
    pub(crate) fn sent(&mut self, body: Bytes, most: usize) {
        if self.bodies.insert(body.clone()) {
            self.order.push_back(body);
        }
        while self.order.len() > most {
            if let Some(oldest) = self.order.pop_front() {
                self.bodies.remove(&oldest);
            }
        }
    }

    /// Whether exactly these bytes were sent.
    pub(crate) fn knows(&self, body: &[u8]) -> bool {
        self.bodies.contains(body)
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.bodies.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_messages_are_forgotten_first() {
        let mut ipn = Ipn::default();
        for body in ["a=1", "a=2", "a=2", "a=3"] {
            ipn.sent(Bytes::from_static(body.as_bytes()), 2);
        }
        assert!(!ipn.knows(b"a=1") && ipn.knows(b"a=2") && ipn.knows(b"a=3"));
        assert_eq!(ipn.len(), 2);
    }
}
