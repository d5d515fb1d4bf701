//! Discounts in MongoDB: one document a code, one for each buyer of a code. Time is the database's.

mod claims;
mod held;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::HashMap;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::Collection;
use serde::{Deserialize, Serialize};

pub use claims::{Claim, Refused, StaleClaim};
pub use held::DiscountUse;
pub(super) use writing::WriteError;

use super::model::{Book, Discount, DiscountCode, Rules, Standing};
use crate::{
    audit::Audit,
    clock::Timestamp,
    id::{CheckoutId, UserId},
    mongo::{Mongo, StoreError, schema},
};

/// The name of the collection of codes.
const DISCOUNTS: &str = "discounts";
/// The name of the collection of buyers' uses.
const USES: &str = "discount_uses";

/// A use that an open checkout claims.
#[derive(Debug, Serialize, Deserialize)]
struct ClaimDocument {
    checkout: CheckoutId,
    user: UserId,
    /// From when the reconciler asks whether the checkout still lives.
    expires_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct DiscountDocument {
    #[serde(rename = "_id")]
    code: DiscountCode,
    rules: Rules,
    used: u64,
    claims: Vec<ClaimDocument>,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A buyer's uses of a code; `_id` is the code and the buyer.
#[derive(Debug, Serialize, Deserialize)]
struct UseDocument {
    #[serde(rename = "_id")]
    key: String,
    code: DiscountCode,
    user: UserId,
    used: u64,
    claims: Vec<ClaimDocument>,
    /// The checkouts of the latest uses.
    counted: Vec<CheckoutId>,
}

impl From<DiscountDocument> for Discount {
    fn from(document: DiscountDocument) -> Self {
        Self {
            code: document.code,
            rules: document.rules,
            used: document.used,
            claimed: u64::try_from(document.claims.len()).unwrap_or(u64::MAX),
            version: document.version,
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    }
}

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    let expiry = || schema::Index::on("claim_expiry", doc! { "claims.expires_at": 1 });
    let counted = |required: &[&str]| {
        Some(doc! {
            "bsonType": "object",
            "required": required.to_vec(),
            "properties": {
                "used": { "bsonType": "long", "minimum": 0 },
                "claims": { "bsonType": "array" },
            },
        })
    };
    vec![
        schema::Collection {
            name: DISCOUNTS,
            indexes: vec![expiry()],
            validator: counted(&["rules", "used", "claims", "version"]),
        },
        schema::Collection {
            name: USES,
            indexes: vec![expiry(), schema::Index::on("user", doc! { "user": 1 })],
            validator: counted(&["code", "user", "used", "claims"]),
        },
    ]
}

/// The codes and their uses, shared by all workers.
#[derive(Debug, Clone)]
pub struct Discounts {
    mongo: Mongo,
    audit: Audit,
    documents: Collection<DiscountDocument>,
    uses: Collection<UseDocument>,
}

impl Discounts {
    /// Opens the codes.
    #[must_use]
    pub fn new(mongo: &Mongo) -> Self {
        let database = mongo.database();
        Self {
            mongo: mongo.clone(),
            audit: Audit::new(mongo),
            documents: database.collection(DISCOUNTS),
            uses: database.collection(USES),
        }
    }

    /// The code with its counts. Index used: `_id`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find(&self, code: &DiscountCode) -> Result<Option<Discount>, StoreError> {
        let found = self.documents.find_one(doc! { "_id": code }).await?;
        Ok(found.map(Discount::from))
    }

    /// Up to `rows` codes behind `after`, in their order. Index used: `_id`.
    pub(super) async fn page(
        &self,
        after: Option<&DiscountCode>,
        rows: u32,
    ) -> Result<Vec<Discount>, StoreError> {
        let behind = after.map_or_else(Document::new, |code| doc! { "_id": { "$gt": code } });
        let found = self.documents.find(behind).sort(doc! { "_id": 1 });
        let found: Vec<_> = found.limit(rows.into()).await?.try_collect().await?;
        Ok(found.into_iter().map(Discount::from).collect())
    }

    /// How many codes there are, by the collection's own count.
    pub(super) async fn count(&self) -> Result<u64, StoreError> {
        Ok(self.documents.estimated_document_count().await?)
    }

    /// What is known now of `codes`, for `buyer`: a guest's uses are not known. Index used: `_id`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn book(
        &self,
        codes: &[DiscountCode],
        buyer: Option<UserId>,
    ) -> Result<Book, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id")]
            code: DiscountCode,
            rules: Rules,
            used: u64,
            others: i64,
            now: Timestamp,
        }
        if codes.is_empty() {
            return Ok(Book::new());
        }
        let names: Vec<Bson> = codes.iter().map(Bson::from).collect();
        // What the buyer's own checkout claims is theirs: a new checkout takes its place.
        let others = doc! { "$size": { "$filter": {
            "input": "$claims",
            "cond": { "$ne": ["$$this.user", buyer.map_or(Bson::Null, Bson::from)] },
        } } };
        let rows = self.documents.aggregate([
            doc! { "$match": { "_id": { "$in": names } } },
            doc! { "$project": { "rules": 1, "used": 1, "others": others, "now": "$$NOW" } },
        ]);
        let rows: Vec<Row> = rows.with_type().await?.try_collect().await?;
        let uses = match buyer {
            Some(buyer) if rows.iter().any(|row| row.rules.limit_per_user.is_some()) => {
                self.uses_of(codes, buyer).await?
            }
            Some(_) | None => HashMap::new(),
        };
        let standings = rows.into_iter().map(|row| {
            let by_buyer = uses.get(&row.code).copied().unwrap_or_default();
            let standing = Standing {
                rules: row.rules,
                taken: row.used + u64::try_from(row.others).unwrap_or_default(),
                taken_by_buyer: buyer.map(|_known| by_buyer),
                now: row.now,
            };
            (row.code, standing)
        });
        Ok(standings.collect())
    }

    /// How often `buyer` has used each of `codes`. Index used: `_id`.
    async fn uses_of(
        &self,
        codes: &[DiscountCode],
        buyer: UserId,
    ) -> Result<HashMap<DiscountCode, u64>, StoreError> {
        let keys: Vec<String> = codes.iter().map(|code| key(code, buyer)).collect();
        let found = self.uses.find(doc! { "_id": { "$in": keys } }).await?;
        let found: Vec<UseDocument> = found.try_collect().await?;
        Ok(found
            .into_iter()
            .map(|uses| (uses.code, uses.used))
            .collect())
    }
}

/// Names a buyer's uses of a code.
fn key(code: &DiscountCode, user: UserId) -> String {
    format!("{code}:{user}")
}
