//! Lists of orders: by key, never by offset.

use std::collections::BTreeSet;

use bson::{Document, doc};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::Orders;
use crate::{
    clock::Timestamp,
    id::{OrderId, UserId},
    mongo::StoreError,
    orders::model::{Order, OrderStatus},
    payments::CaptureId,
};

/// The most words by which an order is found.
const MAX_TERMS: usize = 24;
/// Characters between two dashes of an order's number.
const GROUP: usize = 4;

/// Which orders a list holds.
#[derive(Debug, Clone, Default)]
pub(in crate::orders) struct Filter {
    /// Of this buyer only.
    pub(in crate::orders) user: Option<UserId>,
    /// With this status only.
    pub(in crate::orders) status: Option<OrderStatus>,
    /// Each word begins the number, with or without its dashes, or a word of the buyer's name, or is the order's id
    /// or its capture's.
    pub(in crate::orders) words: Vec<String>,
    /// Made at or after.
    pub(in crate::orders) from: Option<Timestamp>,
    /// Made before.
    pub(in crate::orders) to: Option<Timestamp>,
}

/// The place of an order in lists: newest first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::orders) struct Place(i64, OrderId);

impl Place {
    pub(in crate::orders) fn of(order: &Order) -> Self {
        Self(order.created_at.millis(), order.id)
    }
}

impl Filter {
    fn query(&self) -> Document {
        let mut query = Document::new();
        if let Some(user) = self.user {
            query.insert("user", user);
        }
        if let Some(status) = self.status {
            query.insert("status", status.as_str());
        }
        let mut made = Document::new();
        if let Some(from) = self.from {
            made.insert("$gte", from);
        }
        if let Some(to) = self.to {
            made.insert("$lt", to);
        }
        if !made.is_empty() {
            query.insert("created_at", made);
        }
        let words: Vec<Document> = self.words.iter().map(|word| named_by(word)).collect();
        if !words.is_empty() {
            query.insert("$and", words);
        }
        query
    }
}

/// Orders that `word` names, in whatever case. Every branch has its index: `terms`, `_id`, `capture`.
fn named_by(word: &str) -> Document {
    let mut ways = vec![begins_with(word)];
    if let Some(number) = with_dashes(word) {
        ways.push(begins_with(&number));
    }
    if let Ok(id) = word.parse::<OrderId>() {
        ways.push(doc! { "_id": id });
    }
    // PayPal writes its ids in capitals.
    if let Some(capture) = CaptureId::parse(&word.to_uppercase()) {
        ways.push(doc! { "payment.capture": &capture });
    }
    doc! { "$or": ways }
}

/// The beginning of an order's number as it is written, of one without its dashes: they stand after every
/// [`GROUP`] characters.
fn with_dashes(word: &str) -> Option<String> {
    let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !plain || word.len() <= GROUP {
        return None;
    }
    let groups = word.as_bytes().chunks(GROUP);
    let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
    Some(groups.join("-"))
}

/// A term that begins with `word`, whatever characters are in it; a NUL, which MongoDB refuses, does not come
/// through [`crate::http::Params`].
fn begins_with(word: &str) -> Document {
    let mut pattern = String::from("^");
    for letter in word.to_lowercase().chars() {
        if !letter.is_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    doc! { "terms": { "$regex": pattern } }
}

/// The words by which staff find an order: its number and the names on it.
pub(super) fn terms_of(order: &Order) -> Vec<String> {
    let names = [
        Some(order.number.as_str()),
        Some(order.shipping_address.name.as_str()),
        order
            .billing_address
            .as_ref()
            .map(|address| address.name.as_str()),
    ];
    let words = names.into_iter().flatten().flat_map(str::split_whitespace);
    let unique: BTreeSet<String> = words.map(str::to_lowercase).collect();
    unique.into_iter().take(MAX_TERMS).collect()
}

/// The word by which an order without its buyer is found.
pub(super) fn terms_of_number(number: &str) -> Vec<String> {
    vec![number.to_lowercase()]
}

impl Orders {
    /// Up to `limit` orders after `place`, newest first. Indexes used: `user_newest`, `status_newest`,
    /// `newest`, `terms`, `capture`, `_id`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(in crate::orders) async fn list(
        &self,
        filter: &Filter,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Order>, StoreError> {
        let mut query = filter.query();
        if let Some(Place(millis, id)) = after {
            let at = Timestamp::from_millis(millis);
            let older = doc! { "$or": [
                { "created_at": { "$lt": at } },
                { "created_at": at, "_id": { "$lt": id } },
            ] };
            query = doc! { "$and": [query, older] };
        }
        let found = self
            .documents
            .find(query)
            .sort(doc! { "created_at": -1, "_id": -1 })
            .limit(i64::from(limit))
            .await?;
        Ok(found.try_collect().await?)
    }

    /// How many orders a list holds. Indexes used: those of the list.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(in crate::orders) async fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        Ok(self.documents.count_documents(filter.query()).await?)
    }

    /// Every order of a buyer, newest first; for the export of what is held about them. Index used:
    /// `user_newest`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn all_of(&self, user: UserId) -> Result<Vec<Order>, StoreError> {
        let newest_first = doc! { "created_at": -1, "_id": -1 };
        let found = self
            .documents
            .find(doc! { "user": user })
            .sort(newest_first)
            .await?;
        Ok(found.try_collect().await?)
    }
}
