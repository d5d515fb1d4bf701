//! Stock: one document a variant, changed by single conditional updates only.
//!
//! Never inside a transaction: measured, a hot stock document in one gives 75 orders/s, a conditional
//! update 1,300 and more. Every step is idempotent by the checkout (or return) it belongs to, so that a
//! step cut short is simply done again. Time is the database's (`$$NOW`).
//!
//! Always: `received = available + Σ holds + sold`, and none of them is negative.

mod holds;

use std::collections::HashMap;

use bson::{Document, doc};
use futures_util::{Stream, TryStreamExt};
use mongodb::{Collection, options::ReturnDocument};
use serde::{Deserialize, Serialize};

pub use holds::{HoldLimits, Holder};

use crate::{
    clock::Timestamp,
    faults::{Plant, planted},
    id::{CheckoutId, ProductId, UserId, VariantId},
    mongo::{Mongo, StoreError, schema},
};

/// The name of this store's collection.
pub(super) const COLLECTION: &str = "stock";

/// Units of a variant that a checkout wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLine {
    /// The variant.
    pub variant: VariantId,
    /// Units, at least one.
    pub quantity: u32,
}

/// A line that cannot be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// The variant.
    pub variant: VariantId,
    /// Units wanted.
    pub wanted: u32,
    /// Units there are.
    pub available: u32,
}

/// The stock that a new variant begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewStock {
    /// The product.
    pub product: ProductId,
    /// The variant.
    pub variant: VariantId,
    /// Units in the warehouse.
    pub on_hand: u32,
}

/// How a variant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockLevel {
    /// The variant.
    pub variant: VariantId,
    /// Units that can be bought now.
    pub available: u32,
    /// Units held by open checkouts.
    pub reserved: u32,
}

/// How a variant stood before a change of its stock, and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booked {
    /// Before.
    pub before: StockLevel,
    /// After.
    pub after: StockLevel,
}

#[derive(Debug, Serialize, Deserialize)]
struct StockDocument {
    #[serde(rename = "_id")]
    variant: VariantId,
    product: ProductId,
    available: i64,
    holds: Vec<Hold>,
    /// Returns whose orders do not know of them yet, so that none is booked twice.
    returns: Vec<String>,
    sold: i64,
    received: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hold {
    checkout: CheckoutId,
    quantity: i64,
    /// Who holds, and from where; see [`Holder`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// `None`: pinned, because money is being moved.
    expires_at: Option<Timestamp>,
}

impl StockDocument {
    fn level(&self) -> StockLevel {
        StockLevel {
            variant: self.variant,
            available: units(self.available),
            reserved: units(self.holds.iter().map(|hold| hold.quantity).sum()),
        }
    }
}

fn units(n: i64) -> u32 {
    u32::try_from(n.max(0)).unwrap_or(u32::MAX)
}

/// The stock of every variant.
#[derive(Debug, Clone)]
pub struct Stock {
    documents: Collection<StockDocument>,
    limits: HoldLimits,
}

/// The collection of this store.
#[must_use]
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: vec![
            schema::Index::on("product", doc! { "product": 1 }),
            schema::Index::on("hold_expiry", doc! { "holds.expires_at": 1 }),
        ],
        validator: Some(doc! {
            "bsonType": "object",
            "required": ["product", "available", "holds", "sold", "received"],
            "properties": {
                "available": { "bsonType": "long", "minimum": 0 },
                "sold": { "bsonType": "long", "minimum": 0 },
            },
        }),
    }
}

/// Σ quantities of the holds in `$holds`.
fn all_held() -> Document {
    doc! { "$sum": "$holds.quantity" }
}

impl Stock {
    /// Opens the store.
    #[must_use]
    pub fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(COLLECTION),
            limits: HoldLimits::default(),
        }
    }

    /// The same store, where one buyer and one client hold no more than `limits` allow.
    #[must_use]
    pub fn within(self, limits: HoldLimits) -> Self {
        Self { limits, ..self }
    }

    /// Makes the documents of a product's new variants, each with its units on hand; those that exist
    /// stay as they are. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open_variants(
        &self,
        product: ProductId,
        variants: &[(VariantId, u32)],
    ) -> Result<(), StoreError> {
        let of_product = |(variant, on_hand): &(VariantId, u32)| NewStock {
            product,
            variant: *variant,
            on_hand: *on_hand,
        };
        self.open_all(variants.iter().map(of_product)).await
    }

    /// Makes the documents of new variants of any products. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn open_all(
        &self,
        variants: impl IntoIterator<Item = NewStock>,
    ) -> Result<(), StoreError> {
        let documents = variants.into_iter().map(|new| StockDocument {
            variant: new.variant,
            product: new.product,
            available: i64::from(new.on_hand),
            holds: Vec::new(),
            returns: Vec::new(),
            sold: 0,
            received: i64::from(new.on_hand),
        });
        let documents: Vec<_> = documents.collect();
        if documents.is_empty() {
            return Ok(());
        }
        match self.documents.insert_many(documents).ordered(false).await {
            Ok(_) => Ok(()),
            Err(error) if crate::mongo::is_duplicate_key(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// How variants stand; one without a document is left out. Index used: `_id`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn levels(
        &self,
        variants: &[VariantId],
    ) -> Result<HashMap<VariantId, StockLevel>, StoreError> {
        let found = self
            .documents
            .find(doc! { "_id": { "$in": variants } })
            .await?;
        let documents: Vec<StockDocument> = found.try_collect().await?;
        Ok(documents
            .iter()
            .map(|document| (document.variant, document.level()))
            .collect())
    }

    /// What is free of every variant, in batches; for the node's index.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) async fn available_of_all(
        &self,
    ) -> Result<
        impl Stream<Item = Result<(VariantId, ProductId, u32), mongodb::error::Error>>
        + Unpin
        + Send
        + use<>,
        StoreError,
    > {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id")]
            variant: VariantId,
            product: ProductId,
            available: i64,
        }
        let documents = self.documents.clone_with_type::<Row>();
        let rows = documents
            .find(doc! {})
            .projection(doc! { "product": 1, "available": 1 })
            .batch_size(2_000)
            .await?;
        Ok(rows.map_ok(|row| (row.variant, row.product, units(row.available))))
    }

    /// Sets what lies in the warehouse, held units included; `None` where more is held than that, or the
    /// variant has no stock. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn set_on_hand(
        &self,
        variant: VariantId,
        on_hand: u32,
    ) -> Result<Option<Booked>, StoreError> {
        let counted = i64::from(on_hand);
        let enough = doc! { "_id": variant, "$expr": { "$lte": [all_held(), counted] } };
        let set = doc! { "$set": {
            "received": { "$add": ["$received", { "$subtract": [{ "$subtract": [counted, all_held()] }, "$available"] }] },
            "available": { "$subtract": [counted, all_held()] },
        } };
        Ok(self.change(enough, vec![set]).await?.map(|before| Booked {
            before,
            after: StockLevel {
                available: on_hand.saturating_sub(before.reserved),
                ..before
            },
        }))
    }

    /// Adds units to the warehouse, or takes free ones out; `None` where fewer are free, or the variant
    /// has no stock. Safe beside sales in progress. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn adjust(
        &self,
        variant: VariantId,
        delta: i64,
    ) -> Result<Option<Booked>, StoreError> {
        let enough = doc! { "_id": variant, "available": { "$gte": delta.saturating_neg() } };
        let add = doc! { "$set": {
            "available": { "$add": ["$available", delta] },
            "received": { "$add": ["$received", delta] },
        } };
        Ok(self.change(enough, vec![add]).await?.map(|before| Booked {
            before,
            after: StockLevel {
                available: units(i64::from(before.available).saturating_add(delta)),
                ..before
            },
        }))
    }

    /// Takes sold units back into the warehouse, once for each `key`. The key is remembered until
    /// [`Stock::forget_return`], which follows once the return is booked where it came from. `false`
    /// where that many units are not booked as sold (yet): nothing was taken back. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_back(&self, key: &str, line: HoldLine) -> Result<bool, StoreError> {
        let quantity = i64::from(line.quantity);
        let known = if planted(Plant::RestockTwice) {
            ""
        } else {
            key
        };
        let fresh =
            doc! { "_id": line.variant, "returns": { "$ne": known }, "sold": { "$gte": quantity } };
        let back = doc! {
            "$inc": { "available": quantity, "sold": -quantity },
            "$push": { "returns": key },
        };
        if self.documents.update_one(fresh, back).await?.matched_count == 1 {
            return Ok(true);
        }
        let taken = doc! { "_id": line.variant, "returns": key };
        Ok(self.documents.count_documents(taken).await? == 1)
    }

    /// Forgets the key of a return that is booked. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn forget_return(&self, key: &str, variant: VariantId) -> Result<(), StoreError> {
        let pull = doc! { "$pull": { "returns": key } };
        self.documents
            .update_one(doc! { "_id": variant }, pull)
            .await?;
        Ok(())
    }

    /// Removes the documents of variants that came to belong to no product; only what nobody has used.
    /// Index used: `_id`.
    pub(super) async fn close_all(&self, variants: &[VariantId]) -> Result<(), StoreError> {
        if variants.is_empty() {
            return Ok(());
        }
        let unused = doc! {
            "_id": { "$in": variants }, "holds": { "$size": 0 }, "returns": { "$size": 0 }, "sold": 0_i64,
        };
        self.documents.delete_many(unused).await?;
        Ok(())
    }

    /// How the variant stood before the change.
    async fn change(
        &self,
        condition: Document,
        update: Vec<Document>,
    ) -> Result<Option<StockLevel>, StoreError> {
        let changed = self.documents.find_one_and_update(condition, update);
        Ok(changed
            .return_document(ReturnDocument::Before)
            .await?
            .map(|document| document.level()))
    }
}
