//! Carts in MongoDB: one document a cart, each write conditional on the version that was read.

mod difference;
mod document;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bson::{Document, doc, oid::ObjectId};
use futures_util::future::BoxFuture;
use mongodb::{ClientSession, Collection, options::ReadConcern};
use serde::{Deserialize, Serialize};

use self::{difference::difference, document::CartDocument};
use super::model::{Cart, Owner};
use crate::{
    clock::Timestamp,
    id::CartId,
    mongo::{Mongo, StoreError, is_duplicate_key, schema},
};

/// The name of this store's collection.
pub(super) const COLLECTION: &str = "carts";
/// How many writes a document remembers, so that one without an answer can be recognised.
const REMEMBERED: usize = 8;

/// The mark of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    id: ObjectId,
    /// The version it led to.
    version: i64,
}

/// A cart as read, with the marks of its latest writes: in a ring, where each takes the oldest's place.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) cart: Arc<Cart>,
    marks: Vec<Mark>,
}

/// Whether a write without an answer has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landed {
    /// It has.
    Yes,
    /// It has not, up to this reading.
    NotYet,
    /// Too many writes came after it to tell.
    Forgotten,
}

impl Stored {
    /// Whether the write `mark`, made over version `over`, is in the cart.
    pub(super) fn landed(&self, mark: ObjectId, over: u64) -> Landed {
        if self.marks.iter().any(|known| known.id == mark) {
            return Landed::Yes;
        }
        let over = i64::try_from(over).unwrap_or(i64::MAX);
        let oldest = self.marks.iter().map(|mark| mark.version).min();
        let reaches_back =
            self.marks.len() < REMEMBERED || oldest.is_none_or(|oldest| oldest <= over);
        if reaches_back {
            Landed::NotYet
        } else {
            Landed::Forgotten
        }
    }

    /// What is stored once `next` is written over `read`.
    pub(super) fn after(read: Option<&Self>, next: Arc<Cart>, mark: ObjectId) -> Self {
        let mut marks = read.map(|stored| stored.marks.clone()).unwrap_or_default();
        let version = i64::try_from(next.version).unwrap_or(i64::MAX);
        let mark = Mark { id: mark, version };
        let is_full = marks.len() >= REMEMBERED;
        match marks.iter_mut().min_by_key(|mark| mark.version) {
            Some(oldest) if is_full => *oldest = mark,
            _room_is_left => marks.push(mark),
        }
        Self { cart: next, marks }
    }
}

/// Where a session's cart is kept; a test stands in for it.
pub(super) trait Shelf: Send + Sync {
    /// Reads a cart from the primary.
    fn load(&self, id: CartId) -> BoxFuture<'static, Result<Option<Stored>, StoreError>>;

    /// Reads what of a cart can no longer be taken back. A primary that was cut off shows its own last writes,
    /// and loses them when it comes back.
    fn load_for_good(&self, id: CartId) -> BoxFuture<'static, Result<Option<Stored>, StoreError>>;

    /// Writes `next` where the cart still is as it was read (`None`: not there); `false` where it is not.
    fn save(
        &self,
        read: Option<Stored>,
        next: Stored,
    ) -> BoxFuture<'static, Result<bool, StoreError>>;
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![schema::Index::expiring("guest_expiry", "expires_at", 0)],
        validator: Some(doc! {
            "bsonType": "object",
            "required": ["owner", "version", "items", "discounts", "marks", "updated_at"],
            "properties": {
                "version": { "bsonType": "long", "minimum": 1 },
                "items": { "bsonType": "array", "maxItems": 200, "items": {
                    "bsonType": "object",
                    "required": ["id", "product", "variant", "quantity", "seen"],
                    "properties": { "quantity": { "bsonType": "long", "minimum": 1, "maximum": 999 } },
                } },
            },
        }),
    }
}

/// The carts of the shop.
#[derive(Debug, Clone)]
pub(super) struct CartStore {
    mongo: Mongo,
    documents: Collection<CartDocument>,
    guest_life: Duration,
}

impl CartStore {
    /// Opens the store; a guest's cart is forgotten `guest_life` after its last change.
    pub(super) fn new(mongo: &Mongo, guest_life: Duration) -> Self {
        Self {
            mongo: mongo.clone(),
            documents: mongo.database().collection(COLLECTION),
            guest_life,
        }
    }

    /// Reads a cart. Index used: `_id`.
    pub(super) async fn find(&self, id: CartId) -> Result<Option<Stored>, StoreError> {
        let found = self.documents.find_one(doc! { "_id": id }).await?;
        found.map(CartDocument::stored).transpose()
    }

    /// Reads a cart as a majority has it. Index used: `_id`.
    async fn find_for_good(&self, id: CartId) -> Result<Option<Stored>, StoreError> {
        let find = self.documents.find_one(doc! { "_id": id });
        let found = find.read_concern(ReadConcern::majority()).await?;
        found.map(CartDocument::stored).transpose()
    }

    /// Reads a cart inside a transaction. Index used: `_id`.
    pub(super) async fn find_in(
        &self,
        session: &mut ClientSession,
        id: CartId,
    ) -> mongodb::error::Result<Option<Stored>> {
        let found = self.documents.find_one(doc! { "_id": id });
        let found = found.session(session).await?;
        found.map(CartDocument::stored).transpose().map_err(raised)
    }

    /// Writes a cart over what was read. Index used: `_id`.
    async fn write(&self, read: Option<&Stored>, next: &Stored) -> Result<bool, StoreError> {
        let Some(read) = read else {
            let made = CartDocument::of(next, self.expiry(&next.cart));
            return match self.documents.insert_one(made).await {
                Ok(_) => Ok(true),
                Err(error) if is_duplicate_key(&error) => Ok(false),
                Err(error) => Err(error.into()),
            };
        };
        let unmoved = doc! { "_id": next.cart.id, "version": version(read.cart.version)? };
        let update = doc! { "$set": self.changed(read, next)? };
        self.mongo.update_once(COLLECTION, unmoved, update).await
    }

    /// Writes a cart inside a transaction, whose snapshot protects what was read. Index used: `_id`.
    pub(super) async fn write_in(
        &self,
        session: &mut ClientSession,
        read: Option<&Stored>,
        next: &Stored,
    ) -> mongodb::error::Result<()> {
        let Some(read) = read else {
            let made = CartDocument::of(next, self.expiry(&next.cart));
            let insert = self.documents.insert_one(made).session(session);
            return insert.await.map(|_inserted| ());
        };
        let over = version(read.cart.version).map_err(raised)?;
        let unmoved = doc! { "_id": next.cart.id, "version": over };
        let update = doc! { "$set": self.changed(read, next).map_err(raised)? };
        let write = self.documents.update_one(unmoved, update).session(session);
        write.await.map(|_written| ())
    }

    /// Removes a cart inside a transaction. Index used: `_id`.
    pub(super) async fn remove_in(
        &self,
        session: &mut ClientSession,
        id: CartId,
    ) -> mongodb::error::Result<()> {
        let removal = self.documents.delete_one(doc! { "_id": id });
        removal.session(session).await.map(|_removed| ())
    }

    /// Removes a cart. Index used: `_id`.
    pub(super) async fn remove(&self, id: CartId) -> Result<(), StoreError> {
        self.documents.delete_one(doc! { "_id": id }).await?;
        Ok(())
    }

    fn changed(&self, read: &Stored, next: &Stored) -> Result<Document, StoreError> {
        difference(read, next, self.expiry(&next.cart))
    }

    fn expiry(&self, cart: &Cart) -> Option<Timestamp> {
        match cart.owner {
            Owner::User => None,
            Owner::Guest(_) => Some(Timestamp::now().after(self.guest_life)),
        }
    }
}

fn version(version: u64) -> Result<i64, StoreError> {
    i64::try_from(version).map_err(|_refused| document::damaged(format!("version {version}")))
}

/// Ends a transaction with a failure of ours; the driver's own go back to it as they are.
pub(super) fn raised(error: StoreError) -> mongodb::error::Error {
    match error {
        StoreError::Driver(error) => error,
        StoreError::Damaged { reason, .. } => StoreError::abort(reason),
    }
}

impl Shelf for CartStore {
    fn load(&self, id: CartId) -> BoxFuture<'static, Result<Option<Stored>, StoreError>> {
        let store = self.clone();
        Box::pin(async move { store.find(id).await })
    }

    fn load_for_good(&self, id: CartId) -> BoxFuture<'static, Result<Option<Stored>, StoreError>> {
        let store = self.clone();
        Box::pin(async move { store.find_for_good(id).await })
    }

    fn save(
        &self,
        read: Option<Stored>,
        next: Stored,
    ) -> BoxFuture<'static, Result<bool, StoreError>> {
        let store = self.clone();
        Box::pin(async move { store.write(read.as_ref(), &next).await })
    }
}
