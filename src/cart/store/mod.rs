//! Carts in MongoDB: one document a cart, each write conditional on the version that was read.

mod document;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bson::{Bson, Document, doc, oid::ObjectId};
use futures_util::future::BoxFuture;
use mongodb::{ClientSession, Collection};
use serde::{Deserialize, Serialize};

use self::document::{CartDocument, LineDocument};
use super::model::{Cart, Owner};
use crate::{
    clock::Timestamp,
    id::CartId,
    mongo::{Mongo, StoreError, is_duplicate_key, schema, to_array},
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

/// A cart as read, with the marks of its latest writes.
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
        let reaches_back = self.marks.len() < REMEMBERED
            || self
                .marks
                .first()
                .is_none_or(|oldest| oldest.version <= over);
        if reaches_back {
            Landed::NotYet
        } else {
            Landed::Forgotten
        }
    }

    /// What is stored once `next` is written over `read`.
    pub(super) fn after(read: Option<&Self>, next: Arc<Cart>, mark: ObjectId) -> Self {
        let mut marks = read.map(|stored| stored.marks.clone()).unwrap_or_default();
        if marks.len() >= REMEMBERED {
            marks.remove(0);
        }
        let version = i64::try_from(next.version).unwrap_or(i64::MAX);
        marks.push(Mark { id: mark, version });
        Self { cart: next, marks }
    }
}

/// Where a session's cart is kept; a test stands in for it.
pub(super) trait Shelf: Send + Sync {
    /// Reads a cart from the primary.
    fn load(&self, id: CartId) -> BoxFuture<'static, Result<Option<Stored>, StoreError>>;

    /// Writes `next` where the cart still is at version `over` (0: not there); `false` where it is not.
    fn save(&self, over: u64, next: Stored) -> BoxFuture<'static, Result<bool, StoreError>>;
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
    documents: Collection<CartDocument>,
    guest_life: Duration,
}

impl CartStore {
    /// Opens the store; a guest's cart is forgotten `guest_life` after its last change.
    pub(super) fn new(mongo: &Mongo, guest_life: Duration) -> Self {
        Self {
            documents: mongo.database().collection(COLLECTION),
            guest_life,
        }
    }

    /// Reads a cart. Index used: `_id`.
    pub(super) async fn find(&self, id: CartId) -> Result<Option<Stored>, StoreError> {
        let found = self.documents.find_one(doc! { "_id": id }).await?;
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

    /// Writes a cart over the version that was read, `0` for none. Index used: `_id`.
    async fn write(&self, over: u64, next: &Stored) -> Result<bool, StoreError> {
        if over == 0 {
            return match self
                .documents
                .insert_one(CartDocument::of(next, self.expiry(&next.cart)))
                .await
            {
                Ok(_) => Ok(true),
                Err(error) if is_duplicate_key(&error) => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        let unmoved = doc! { "_id": next.cart.id, "version": version(over)? };
        let update = doc! { "$set": self.changed(next)? };
        let written = self.documents.update_one(unmoved, update).await?;
        Ok(written.matched_count == 1)
    }

    /// Writes a cart inside a transaction, whose snapshot protects what was read. Index used: `_id`.
    pub(super) async fn write_in(
        &self,
        session: &mut ClientSession,
        over: u64,
        next: &Stored,
    ) -> mongodb::error::Result<()> {
        if over == 0 {
            let insert = self
                .documents
                .insert_one(CartDocument::of(next, self.expiry(&next.cart)));
            return insert.session(session).await.map(|_inserted| ());
        }
        let unmoved = doc! { "_id": next.cart.id, "version": version(over).map_err(raised)? };
        let update = doc! { "$set": self.changed(next).map_err(raised)? };
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

    /// What a command may change. Literal values, never a pipeline: text of a buyer that begins with
    /// `$` stays text.
    fn changed(&self, next: &Stored) -> Result<Document, StoreError> {
        let cart = &next.cart;
        let items: Vec<_> = cart.items.iter().map(LineDocument::of).collect();
        let mut changed = doc! {
            "version": version(cart.version)?,
            "items": to_array(&items)?,
            "discounts": cart.discounts.iter().map(Bson::from).collect::<Vec<_>>(),
            "marks": to_array(&next.marks)?,
            "updated_at": cart.updated_at.unwrap_or_else(Timestamp::now),
        };
        if let Some(expiry) = self.expiry(cart) {
            changed.insert("expires_at", expiry);
        }
        Ok(changed)
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

    fn save(&self, over: u64, next: Stored) -> BoxFuture<'static, Result<bool, StoreError>> {
        let store = self.clone();
        Box::pin(async move { store.write(over, &next).await })
    }
}
