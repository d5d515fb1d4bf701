//! Holds: units that wait for a checkout's money, and what becomes of them.

use std::time::Duration;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use serde::Deserialize;

use super::{Hold, HoldLine, Shortage, Stock, StockDocument, units};
use crate::{
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

impl Stock {
    /// Holds every line for `holder` until `life` from now by the database's clock, or none of them.
    /// Lines are taken in the order of their variants, so that two checkouts cannot wait for each other.
    ///
    /// # Errors
    /// When the database refuses. Lines that are short, or more than one may hold, are the `Err` inside.
    pub async fn hold(
        &self,
        holder: &Holder,
        lines: &[HoldLine],
        life: Duration,
    ) -> Result<Result<(), Vec<Shortage>>, StoreError> {
        let mut lines = lines.to_vec();
        lines.sort_by_key(|line| line.variant);
        let mut short = Vec::new();
        for line in &lines {
            if !self.hold_one(holder, *line, life).await? {
                short.push(Shortage {
                    variant: line.variant,
                    wanted: line.quantity,
                    available: self.within_reach(holder, line.variant).await?,
                });
            }
        }
        if short.is_empty() {
            return Ok(Ok(()));
        }
        let variants: Vec<VariantId> = lines.iter().map(|line| line.variant).collect();
        self.release(holder.checkout, variants).await?;
        Ok(Err(short))
    }

    /// Takes one line, unless this checkout holds it already. Index used: `_id`.
    async fn hold_one(
        &self,
        holder: &Holder,
        line: HoldLine,
        life: Duration,
    ) -> Result<bool, StoreError> {
        let quantity = i64::from(line.quantity);
        let free = doc! {
            "_id": line.variant,
            "available": { "$gte": quantity },
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
        Ok(taken.matched_count == 1 || self.holds(holder.checkout, line.variant).await?)
    }

    /// The most units of `variant` that `holder` could hold now. Index used: `_id`.
    async fn within_reach(&self, holder: &Holder, variant: VariantId) -> Result<u32, StoreError> {
        let found = self.documents.find_one(doc! { "_id": variant }).await?;
        Ok(found.map_or(0, |document| self.limits.reach(holder, &document)))
    }

    /// Whether `checkout` holds `variant`. Index used: `_id`.
    async fn holds(&self, checkout: CheckoutId, variant: VariantId) -> Result<bool, StoreError> {
        let held = doc! { "_id": variant, "holds.checkout": checkout };
        Ok(self.documents.count_documents(held).await? == 1)
    }

    /// Keeps the hold of every variant from expiring, because money is about to be moved; `false` where
    /// one is gone. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn pin(
        &self,
        checkout: CheckoutId,
        variants: impl IntoIterator<Item = VariantId>,
    ) -> Result<bool, StoreError> {
        let mut all = true;
        for variant in variants {
            let held = doc! { "_id": variant, "holds.checkout": checkout };
            let pin = doc! { "$set": { "holds.$.expires_at": Bson::Null } };
            all &= self.documents.update_one(held, pin).await?.matched_count == 1;
        }
        Ok(all)
    }

    /// Lets the holds expire again, `life` from now. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unpin(
        &self,
        checkout: CheckoutId,
        variants: impl IntoIterator<Item = VariantId>,
        life: Duration,
    ) -> Result<(), StoreError> {
        for variant in variants {
            let held = doc! { "_id": variant, "holds.checkout": checkout };
            let expiry = doc! { "$add": ["$$NOW", millis(life)] };
            let unpin = doc! { "$set": { "holds": { "$map": { "input": "$holds", "in": { "$cond": [
                { "$eq": ["$$this.checkout", checkout] },
                { "$mergeObjects": ["$$this", { "expires_at": expiry }] },
                "$$this",
            ] } } } } };
            self.documents.update_one(held, vec![unpin]).await?;
        }
        Ok(())
    }

    /// Gives held units back; those that are not held any more stay as they are. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn release(
        &self,
        checkout: CheckoutId,
        variants: impl IntoIterator<Item = VariantId>,
    ) -> Result<(), StoreError> {
        for variant in variants {
            let held = doc! { "_id": variant, "holds.checkout": checkout };
            let give_back = doc! { "$set": {
                "available": { "$add": ["$available", held_by(checkout)] },
                "holds": without(checkout),
            } };
            self.documents.update_one(held, vec![give_back]).await?;
        }
        Ok(())
    }

    /// Turns held units into sold ones; a repeat changes nothing. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn sell(
        &self,
        checkout: CheckoutId,
        variants: impl IntoIterator<Item = VariantId>,
    ) -> Result<(), StoreError> {
        for variant in variants {
            let held = doc! { "_id": variant, "holds.checkout": checkout };
            let sell = doc! { "$set": {
                "sold": { "$add": ["$sold", held_by(checkout)] },
                "holds": without(checkout),
            } };
            self.documents.update_one(held, vec![sell]).await?;
        }
        Ok(())
    }

    /// Takes sold units back into the warehouse, once for each `key`. The key is remembered until
    /// [`Stock::forget_return`], which follows once the return is booked where it came from. `false`
    /// where that many units are not booked as sold (yet): nothing was taken back. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_back(&self, key: &str, line: HoldLine) -> Result<bool, StoreError> {
        let quantity = i64::from(line.quantity);
        let fresh =
            doc! { "_id": line.variant, "returns": { "$ne": key }, "sold": { "$gte": quantity } };
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

    /// Checkouts whose holds have expired by the database's clock. Index used: `hold_expiry`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn expired_holds(&self) -> Result<Vec<(CheckoutId, VariantId)>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id")]
            variant: VariantId,
            checkout: CheckoutId,
        }
        let expired = doc! { "$and": [
            { "$gt": ["$$this.expires_at", Bson::Null] },
            { "$lt": ["$$this.expires_at", "$$NOW"] },
        ] };
        let rows = self.documents.aggregate([
            doc! { "$match": { "holds.expires_at": { "$type": "date" } } },
            doc! { "$project": { "holds": { "$filter": { "input": "$holds", "cond": expired } } } },
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
