//! Events on their way to the outside: which have been relayed, and which wait.
//!
//! An event that no broker has confirmed has no `relayed_at`; so do all of a shop without a broker, whose
//! events wait until there is one. The time of passing on is kept on the event itself, whose one writer
//! besides its transaction is the relay: no queue to fill, and no document that every order writes to.

use bson::{Document, doc};
use futures_util::TryStreamExt;

use super::Orders;
use crate::{
    clock::Timestamp,
    id::{EventId, OrderId},
    mongo::{StoreError, schema},
    orders::OrderEvent,
};

/// The most that is counted: how many more wait is not worth a long look.
const COUNTED: u64 = 10_000;

/// What waits to be relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// How many events, 10,000 at most.
    pub events: u64,
    /// The oldest of them.
    pub oldest: Option<Timestamp>,
}

/// Finds what waits, oldest first. Not a partial index: of what a document does not have, those know nothing.
pub(super) fn index() -> schema::Index {
    schema::Index::on("unrelayed", doc! { "relayed_at": 1, "at": 1 })
}

/// Selects what waits.
fn waiting() -> Document {
    doc! { "relayed_at": null }
}

impl Orders {
    /// Events that wait, of up to `most` orders, those whose events wait longest first: for each order all
    /// that wait, in the order of its versions and without gap. Indexes used: `unrelayed`, `order_version`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unrelayed(&self, most: usize) -> Result<Vec<Vec<OrderEvent>>, StoreError> {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let oldest = self.events.find(waiting()).sort(doc! { "at": 1 });
        let oldest: Vec<OrderEvent> = oldest.limit(limit).await?.try_collect().await?;
        let mut orders: Vec<OrderId> = oldest.iter().map(|event| event.order).collect();
        orders.sort_unstable();
        orders.dedup();
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        // Whatever came before an event that was found was committed before it, hence before this look.
        let mut which = waiting();
        which.insert("order", doc! { "$in": orders });
        let found = self
            .events
            .find(which)
            .sort(doc! { "order": 1, "version": 1 });
        let found: Vec<OrderEvent> = found.await?.try_collect().await?;
        Ok(found
            .chunk_by(|event, next| event.order == next.order)
            .map(without_gap)
            .collect())
    }

    /// Notes that a broker has these events. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn relayed(&self, events: &[EventId]) -> Result<(), StoreError> {
        let mut which = waiting();
        which.insert("_id", doc! { "$in": events });
        let now = doc! { "$currentDate": { "relayed_at": true } };
        self.events.update_many(which, now).await?;
        Ok(())
    }

    /// Leaves out what waits from before `moment`: it counts as relayed in 1970; how many events.
    /// Index used: `unrelayed`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn pass_over(&self, moment: Timestamp) -> Result<u64, StoreError> {
        let mut which = waiting();
        which.insert("at", doc! { "$lt": moment });
        let never = doc! { "$set": { "relayed_at": Timestamp::from_millis(0) } };
        Ok(self.events.update_many(which, never).await?.modified_count)
    }

    /// How much waits. Index used: `unrelayed`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let oldest = self.events.find_one(waiting()).sort(doc! { "at": 1 });
        let Some(oldest) = oldest.await? else {
            return Ok(Backlog {
                events: 0,
                oldest: None,
            });
        };
        let counted = self.events.count_documents(waiting()).limit(COUNTED);
        Ok(Backlog {
            events: counted.await?,
            oldest: Some(oldest.at),
        })
    }
}

/// An order's events up to the first whose predecessor the look did not see: a look is no snapshot.
fn without_gap(events: &[OrderEvent]) -> Vec<OrderEvent> {
    let first = events.first().map_or(1, |event| event.version);
    let whole = events.iter().zip(first..);
    whole
        .take_while(|(event, version)| event.version == *version)
        .map(|(event, _)| event.clone())
        .collect()
}
