//! Reading events back: what a subscriber missed.

use bson::doc;
use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database,
    options::{CollectionOptions, ReadConcern},
};

use super::Orders;
use crate::{
    id::UserId,
    mongo::{StoreError, schema},
    orders::OrderEvent,
};

/// The name of the collection of events; the change feed follows it.
pub const EVENTS: &str = "order_events";

pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: EVENTS,
        indexes: vec![
            schema::Index::unique("user_number", doc! { "user": 1, "number_for_user": 1 }),
            schema::Index::unique("order_version", doc! { "order": 1, "version": 1 }),
            super::outbox::index(),
        ],
        validator: None,
    }
}

/// Opens the events with majority reads: what was told once is never rolled back.
pub(super) fn open(database: &Database) -> Collection<OrderEvent> {
    let majority = CollectionOptions::builder()
        .read_concern(ReadConcern::majority())
        .build();
    database.collection_with_options(EVENTS, majority)
}

impl Orders {
    /// The number of the buyer's last event; 0 before the first. Index used: `user_number`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_event_of(&self, user: UserId) -> Result<i64, StoreError> {
        let newest = self
            .events
            .find_one(doc! { "user": user })
            .sort(doc! { "number_for_user": -1 });
        Ok(newest.await?.map_or(0, |event| event.number_for_user))
    }

    /// Up to `limit` of the buyer's events after number `last`, in order and without gap: an event
    /// whose predecessor cannot be read yet is left for the next call. Index used: `user_number`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_after(
        &self,
        user: UserId,
        last: i64,
        limit: u16,
    ) -> Result<Vec<OrderEvent>, StoreError> {
        let later = doc! { "user": user, "number_for_user": { "$gt": last } };
        let found = self
            .events
            .find(later)
            .sort(doc! { "number_for_user": 1 })
            .limit(i64::from(limit))
            .await?;
        let found: Vec<OrderEvent> = found.try_collect().await?;
        let whole = found
            .into_iter()
            .zip(last.saturating_add(1)..)
            .take_while(|(event, number)| event.number_for_user == *number);
        Ok(whole.map(|(event, _)| event).collect())
    }
}
