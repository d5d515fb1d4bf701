//! What a node keeps at hand, so that a hot product costs no database call, no serialisation and no
//! compression.
//!
//! An entry's key holds the *epoch* of its product. Whoever changes a product (a writer of this node
//! before it answers, the follower for everyone else) starts a new epoch, and older entries are never
//! found again. A loader takes the epoch before it reads the database, so that what it read before a
//! change can never be served after it.

mod epoch;
mod pages;
mod shelf;

pub(super) use pages::Pages;
pub(super) use shelf::Shelf;

/// A weight as the cache counts it.
fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
