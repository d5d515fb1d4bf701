//! Holds: units that wait for a checkout's money, and what becomes of them.

use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use serde::Deserialize;

use super::{Hold, HoldLine, Stock, StockDocument, units};
use crate::{
    catalog::StockRoom,
    faults::{Plant, planted},
    id::{CheckoutId, UserId, VariantId},
    mongo::StoreError,
};

/// Who holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The checkout.
    pub checkout: CheckoutId,
    /// Its buyer.
    pub user: UserId,
    /// From where; tells two client networks apart without naming them.
    pub client: String,
}

#[cfg(test)]
impl Holder {
    /// A checkout of somebody from somewhere.
    pub(crate) fn stranger(checkout: CheckoutId) -> Self {
        let user = UserId::new();
        Self {
            checkout,
            user,
            client: user.to_string(),
        }
    }
}

/// The most units of one variant that may be held together, so that neither one buyer nor many accounts
/// behind one address empty the shelves. Judged in the very update that takes a hold, hence on any number
/// of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimits {
    /// By one buyer.
    pub per_user: u32,
    /// From one client network.
    pub per_client: u32,
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self {
            per_user: u32::MAX,
            per_client: u32::MAX,
        }
    }
}

impl HoldLimits {
    /// Whether `holder` may hold `quantity` more, an expression over the stock document.
    fn allow(self, holder: &Holder, quantity: i64) -> Document {
        let fits = |field: &str, value: Bson, most: u32| {
            let same = doc! { "$eq": [field, { "$literal": value }] };
            let theirs = doc! { "$filter": { "input": "$holds", "cond": same } };
            let held = doc! { "$sum": { "$map": { "input": theirs, "in": "$$this.quantity" } } };
            doc! { "$lte": [held, i64::from(most).saturating_sub(quantity)] }
        };
        let client = Bson::from(holder.client.as_str());
        doc! { "$and": [
            fits("$$this.user", holder.user.into(), self.per_user),
            fits("$$this.client", client, self.per_client),
        ] }
    }

    /// The most that `holder` could hold of what `stock` has.
    fn reach(self, holder: &Holder, stock: &StockDocument) -> u32 {
        let held = |theirs: &dyn Fn(&Hold) -> bool| -> i64 {
            let holds = stock.holds.iter().filter(|hold| theirs(hold));
            holds.map(|hold| hold.quantity).sum()
        };
        let by_user = held(&|hold| hold.user == Some(holder.user));
        let by_client = held(&|hold| hold.client.as_ref() == Some(&holder.client));
        let left = [
            stock.available,
            i64::from(self.per_user).saturating_sub(by_user),
            i64::from(self.per_client).saturating_sub(by_client),
        ];
        units(left.into_iter().min().unwrap_or_default())
    }
}

/// The quantity that `checkout` holds, inside a pipeline update.
fn held_by(checkout: CheckoutId) -> Document {
    doc! { "$sum": { "$map": {
        "input": { "$filter": { "input": "$holds", "cond": { "$eq": ["$$this.checkout", checkout] } } },
        "in": "$$this.quantity",
    } } }
}

/// The holds of everyone but `checkout`, inside a pipeline update.
fn without(checkout: CheckoutId) -> Document {
    doc! { "$filter": { "input": "$holds", "cond": { "$ne": ["$$this.checkout", checkout] } } }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The document in which `checkout` holds `variant`.
fn held(checkout: CheckoutId, variant: VariantId) -> Document {
    doc! { "_id": variant, "holds.checkout": checkout }
}

/// Gives the units that `checkout` holds back.
fn given_back(checkout: CheckoutId) -> Document {
    doc! { "$set": {
        "available": { "$add": ["$available", held_by(checkout)] },
        "holds": without(checkout),
    } }
}

impl StockRoom for Stock {
    // Index used: `_id`.
    async fn take(
        &self,
        holder: &Holder,
        line: HoldLine,
        life: Duration,
    ) -> Result<bool, StoreError> {
        let quantity = i64::from(line.quantity);
        let enough = if planted(Plant::HoldUnconditional) {
            i64::MIN
        } else {
            quantity
        };
        let free = doc! {
            "_id": line.variant,
            "available": { "$gte": enough },
            "holds.checkout": { "$ne": holder.checkout },
            "$expr": self.limits.allow(holder, quantity),
        };
        let hold = doc! {
            "checkout": holder.checkout,
            "quantity": quantity,
            "user": holder.user,
            "client": { "$literal": &holder.client },
            "expires_at": { "$add": ["$$NOW", millis(life)] },
        };
        let take = doc! { "$set": {
            "available": { "$subtract": ["$available", quantity] },
            "holds": { "$concatArrays": ["$holds", [hold]] },
        } };
        let taken = self.documents.update_one(free, vec![take]).await?;
        Ok(taken.matched_count == 1)
    }

    // Index used: `_id`.
    async fn holds(&self, checkout: CheckoutId, variant: VariantId) -> Result<bool, StoreError> {
        let held = held(checkout, variant);
        Ok(self.documents.count_documents(held).await? == 1)
    }

    // Index used: `_id`.
    async fn within_reach(&self, holder: &Holder, variant: VariantId) -> Result<u32, StoreError> {
        let found = self.documents.find_one(doc! { "_id": variant }).await?;
        Ok(found.map_or(0, |document| self.limits.reach(holder, &document)))
    }

    // Index used: `_id`.
    async fn pin_one(&self, checkout: CheckoutId, variant: VariantId) -> Result<bool, StoreError> {
        let pin = doc! { "$set": { "holds.$.expires_at": Bson::Null } };
        let pinned = self.documents.update_one(held(checkout, variant), pin);
        Ok(pinned.await?.matched_count == 1)
    }

    // Index used: `_id`.
    async fn release_one(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> Result<(), StoreError> {
        if planted(Plant::HoldKept) {
            return Ok(());
        }
        let held = held(checkout, variant);
        self.documents
            .update_one(held, vec![given_back(checkout)])
            .await?;
        Ok(())
    }

    // Index used: `_id`.
    async fn give_up_one(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> Result<(), StoreError> {
        let unpinned = doc! { "_id": variant, "holds": { "$elemMatch": {
            "checkout": checkout, "expires_at": { "$ne": Bson::Null },
        } } };
        self.documents
            .update_one(unpinned, vec![given_back(checkout)])
            .await?;
        Ok(())
    }

    // Index used: `_id`.
    async fn sell_one(&self, checkout: CheckoutId, variant: VariantId) -> Result<(), StoreError> {
        let sell = doc! { "$set": {
            "sold": { "$add": ["$sold", held_by(checkout)] },
            "holds": without(checkout),
        } };
        let pinned = doc! { "_id": variant, "holds": { "$elemMatch": {
            "checkout": checkout, "expires_at": Bson::Null,
        } } };
        self.documents.update_one(pinned, vec![sell]).await?;
        Ok(())
    }

    // Index used: `hold_expiry`.
    async fn doubtful_holds(&self) -> Result<Vec<(CheckoutId, VariantId)>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id")]
            variant: VariantId,
            checkout: CheckoutId,
        }
        // Null sorts before every date.
        let doubtful = doc! { "$lt": ["$$this.expires_at", "$$NOW"] };
        let rows = self.documents.aggregate([
            doc! { "$match": { "holds.expires_at": { "$type": ["date", "null"] } } },
            doc! { "$project": { "holds": { "$filter": { "input": "$holds", "cond": doubtful } } } },
            doc! { "$unwind": "$holds" },
            doc! { "$project": { "checkout": "$holds.checkout" } },
        ]);
        let rows: Vec<Row> = rows.with_type().await?.try_collect().await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.checkout, row.variant))
            .collect())
    }
}
