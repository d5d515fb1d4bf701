//! Carts in MongoDB: one document a cart, each write conditional on the version that was read.

use std::{sync::Arc, time::Duration};

use bson::{Document, doc, oid::ObjectId};
use futures_util::future::BoxFuture;
use mongodb::{ClientSession, Collection};
use serde::{Deserialize, Serialize};

use super::model::{Cart, Line, Owner, Seen};
use crate::{
    catalog::Options,
    clock::Timestamp,
    id::{CartId, LineId, ProductId, VariantId},
    money::Money,
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

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum OwnerDocument {
    User,
    Guest { secret: String },
}

/// Options stand in a list: a name that a buyer wrote is never a field name.
#[derive(Debug, Serialize, Deserialize)]
struct OptionDocument {
    name: String,
    value: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct SeenDocument {
    unit_price: Money,
    sku: String,
    title: String,
    fingerprint: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct LineDocument {
    id: LineId,
    product: ProductId,
    variant: VariantId,
    options: Vec<OptionDocument>,
    quantity: i64,
    seen: SeenDocument,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CartDocument {
    #[serde(rename = "_id")]
    id: CartId,
    owner: OwnerDocument,
    version: i64,
    items: Vec<LineDocument>,
    discounts: Vec<String>,
    marks: Vec<Mark>,
    updated_at: Timestamp,
    /// When a guest's cart is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

fn damaged(reason: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        collection: COLLECTION,
        reason: reason.into(),
    }
}

impl LineDocument {
    fn of(line: &Line) -> Self {
        let options = line.options.iter().map(|(name, value)| OptionDocument {
            name: name.clone(),
            value: value.clone(),
        });
        Self {
            id: line.id,
            product: line.product,
            variant: line.variant,
            options: options.collect(),
            quantity: i64::from(line.quantity),
            seen: SeenDocument {
                unit_price: line.seen.unit_price,
                sku: line.seen.sku.clone(),
                title: line.seen.title.clone(),
                fingerprint: line.seen.fingerprint.clone(),
            },
        }
    }

    fn line(self) -> Result<Line, StoreError> {
        let quantity = u32::try_from(self.quantity).map_err(|_refused| {
            damaged(format!("quantity {} of line {}", self.quantity, self.id))
        })?;
        let options = self
            .options
            .into_iter()
            .map(|option| (option.name, option.value));
        Ok(Line {
            id: self.id,
            product: self.product,
            variant: self.variant,
            options: options.collect::<Options>(),
            quantity,
            seen: Seen {
                unit_price: self.seen.unit_price,
                sku: self.seen.sku,
                title: self.seen.title,
                fingerprint: self.seen.fingerprint,
            },
        })
    }
}

impl CartDocument {
    fn stored(self) -> Result<Stored, StoreError> {
        let version = u64::try_from(self.version)
            .map_err(|_refused| damaged(format!("version {} of {}", self.version, self.id)))?;
        let items = self.items.into_iter().map(LineDocument::line);
        let cart = Cart {
            id: self.id,
            owner: match self.owner {
                OwnerDocument::User => Owner::User,
                OwnerDocument::Guest { secret } => Owner::Guest(secret),
            },
            version,
            items: items.collect::<Result<_, _>>()?,
            discounts: self.discounts,
            updated_at: Some(self.updated_at),
        };
        Ok(Stored {
            cart: Arc::new(cart),
            marks: self.marks,
        })
    }
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
            return match self.documents.insert_one(self.document(next)).await {
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
            let insert = self.documents.insert_one(self.document(next));
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
            "discounts": &cart.discounts,
            "marks": to_array(&next.marks)?,
            "updated_at": cart.updated_at.unwrap_or_else(Timestamp::now),
        };
        if let Some(expiry) = self.expiry(cart) {
            changed.insert("expires_at", expiry);
        }
        Ok(changed)
    }

    fn document(&self, next: &Stored) -> CartDocument {
        let cart = &next.cart;
        CartDocument {
            id: cart.id,
            owner: match &cart.owner {
                Owner::User => OwnerDocument::User,
                Owner::Guest(secret) => OwnerDocument::Guest {
                    secret: secret.clone(),
                },
            },
            version: i64::try_from(cart.version).unwrap_or(i64::MAX),
            items: cart.items.iter().map(LineDocument::of).collect(),
            discounts: cart.discounts.clone(),
            marks: next.marks.clone(),
            updated_at: cart.updated_at.unwrap_or_else(Timestamp::now),
            expires_at: self.expiry(cart),
        }
    }

    fn expiry(&self, cart: &Cart) -> Option<Timestamp> {
        match cart.owner {
            Owner::User => None,
            Owner::Guest(_) => Some(Timestamp::now().after(self.guest_life)),
        }
    }
}

fn version(version: u64) -> Result<i64, StoreError> {
    i64::try_from(version).map_err(|_refused| damaged(format!("version {version}")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cart::{
        model::cart_of,
        testing::{self, line},
    };

    fn stored(cart: Cart, mark: ObjectId) -> Stored {
        Stored::after(None, Arc::new(cart), mark)
    }

    fn guest_cart(version: u64) -> Cart {
        let mut line = line(2);
        line.options = Options::from([("$set".to_owned(), "$version.x".to_owned())]);
        Cart {
            version,
            items: vec![line],
            updated_at: Some(Timestamp::from_millis(5)),
            ..Cart::empty(CartId::new(), Owner::Guest("hash".to_owned()))
        }
    }

    #[actix_web::test]
    async fn a_cart_comes_back_as_it_was_written_whatever_its_options_are_named() {
        let database = testing::Database::create("cart_store").await;
        let store = CartStore::new(&database.mongo, Duration::from_secs(60));
        let cart = guest_cart(1);
        assert!(
            store
                .write(0, &stored(cart.clone(), ObjectId::new()))
                .await
                .unwrap()
        );
        let read = store.find(cart.id).await.unwrap().unwrap();
        assert_eq!(*read.cart, cart);
        let next = Cart {
            version: 2,
            ..cart.clone()
        };
        assert!(
            store
                .write(1, &stored(next.clone(), ObjectId::new()))
                .await
                .unwrap()
        );
        assert_eq!(*store.find(cart.id).await.unwrap().unwrap().cart, next);
        assert!(store.find(CartId::new()).await.unwrap().is_none());
        database.drop().await;
    }

    #[actix_web::test]
    async fn of_writers_over_one_version_one_wins() {
        let database = testing::Database::create("cart_store").await;
        let store = CartStore::new(&database.mongo, Duration::from_secs(60));
        let cart = guest_cart(1);
        for over in [0, 1, 2] {
            let next = Cart {
                version: over + 1,
                ..cart.clone()
            };
            let marks: Vec<_> = (0..8).map(|_| ObjectId::new()).collect();
            let rivals: Vec<_> = marks
                .iter()
                .map(|mark| stored(next.clone(), *mark))
                .collect();
            let writes = rivals.iter().map(|rival| store.write(over, rival));
            let won = futures_util::future::join_all(writes).await;
            let won: Vec<_> = won.into_iter().map(Result::unwrap).collect();
            assert_eq!(
                won.iter().filter(|won| **won).count(),
                1,
                "over version {over}"
            );
            let read = store.find(cart.id).await.unwrap().unwrap();
            for (mark, won) in marks.iter().zip(won) {
                assert_eq!(read.landed(*mark, over) == Landed::Yes, won);
            }
        }
        database.drop().await;
    }

    #[actix_web::test]
    async fn only_a_guests_cart_expires() {
        let database = testing::Database::create("cart_store").await;
        let store = CartStore::new(&database.mongo, Duration::from_secs(60));
        let guest = guest_cart(1);
        let user = Cart {
            id: cart_of(crate::id::UserId::new()),
            owner: Owner::User,
            ..guest.clone()
        };
        for cart in [&guest, &user] {
            store
                .write(0, &stored(cart.clone(), ObjectId::new()))
                .await
                .unwrap();
            let next = Cart {
                version: 2,
                ..cart.clone()
            };
            store
                .write(1, &stored(next, ObjectId::new()))
                .await
                .unwrap();
        }
        let raw = database.mongo.database().collection::<Document>(COLLECTION);
        let expiring = raw.count_documents(doc! { "expires_at": { "$type": "date" } });
        assert_eq!(expiring.await.unwrap(), 1);
        let expiring = raw
            .find_one(doc! { "_id": guest.id })
            .await
            .unwrap()
            .unwrap();
        let left = expiring
            .get_datetime("expires_at")
            .unwrap()
            .timestamp_millis()
            - Timestamp::now().millis();
        assert!((1_000..=60_000).contains(&left), "{left} ms");
        database.drop().await;
    }

    #[test]
    fn a_mark_is_found_missing_or_forgotten() {
        let mut marks = Vec::new();
        let mut held: Option<Stored> = None;
        for version in 1..=12 {
            let mark = ObjectId::new();
            let cart = Cart {
                version,
                ..guest_cart(version)
            };
            held = Some(Stored::after(held.as_ref(), Arc::new(cart), mark));
            marks.push(mark);
        }
        let held = held.unwrap();
        assert_eq!(held.landed(marks[11], 11), Landed::Yes);
        assert_eq!(held.landed(marks[4], 4), Landed::Yes);
        // The oldest mark that is left led to version 5.
        assert_eq!(held.landed(ObjectId::new(), 5), Landed::NotYet);
        assert_eq!(held.landed(ObjectId::new(), 4), Landed::Forgotten);
        assert_eq!(held.landed(marks[0], 0), Landed::Forgotten);
    }
}
