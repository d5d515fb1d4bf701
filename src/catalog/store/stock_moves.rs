//! What the warehouse was told, by whom and why.

use bson::{doc, oid::ObjectId};
use mongodb::Collection;
use serde::{Deserialize, Serialize};

use super::STOCK_MOVES;
use crate::{
    clock::Timestamp,
    id::{ProductId, UserId, VariantId},
    mongo::{Mongo, StoreError, schema},
};

/// One entry of the warehouse's journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::catalog) struct StockMove {
    /// Its id.
    #[serde(rename = "_id")]
    pub(in crate::catalog) id: ObjectId,
    /// The product.
    pub(in crate::catalog) product: ProductId,
    /// The variant.
    pub(in crate::catalog) variant: VariantId,
    /// Units added (or taken out, below zero).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::catalog) delta: Option<i64>,
    /// Units counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::catalog) on_hand: Option<i64>,
    /// Units free afterwards.
    pub(in crate::catalog) available: i64,
    /// Why.
    pub(in crate::catalog) reason: String,
    /// Who.
    pub(in crate::catalog) by: UserId,
    /// When.
    pub(in crate::catalog) at: Timestamp,
}

/// The warehouse's journal.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct StockMoves {
    documents: Collection<StockMove>,
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: STOCK_MOVES,
        indexes: vec![schema::Index::on(
            "variant",
            doc! { "variant": 1, "at": -1 },
        )],
        validator: None,
    }
}

impl StockMoves {
    /// Opens the store.
    pub(in crate::catalog) fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(STOCK_MOVES),
        }
    }

    /// Writes an entry.
    pub(in crate::catalog) async fn insert(&self, entry: &StockMove) -> Result<(), StoreError> {
        self.documents.insert_one(entry).await?;
        Ok(())
    }
}
