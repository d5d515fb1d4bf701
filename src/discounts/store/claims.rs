//! Claiming uses, counting them and giving them back: single conditional updates, idempotent by the
//! checkout.

use std::time::Duration;

use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::Collection;
use serde::{Deserialize, de::DeserializeOwned};

use super::{ClaimDocument, Discounts, UseDocument, key};
use crate::{
    discounts::model::{DiscountCode, Obstacle},
    id::{CheckoutId, UserId},
    mongo::{StoreError, is_duplicate_key},
};

/// How many counted uses of one buyer are remembered by their checkouts.
const REMEMBERED: i64 = 50;
/// The most claims that one sweep looks at.
const SWEEP: i64 = 200;

/// Who claims what: a checkout, its buyer, the codes that took something off.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The checkout.
    pub checkout: CheckoutId,
    /// The buyer.
    pub user: UserId,
    /// The codes.
    pub codes: Vec<DiscountCode>,
}

/// A code that cannot be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The code.
    pub code: DiscountCode,
    /// Why.
    pub obstacle: Obstacle,
}

/// A claim that has stood for so long that its checkout may be gone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StaleClaim {
    /// The code.
    pub code: DiscountCode,
    /// The checkout.
    pub checkout: CheckoutId,
    /// The buyer.
    pub user: UserId,
}

impl From<StaleClaim> for Claim {
    fn from(stale: StaleClaim) -> Self {
        Self {
            checkout: stale.checkout,
            user: stale.user,
            codes: vec![stale.code],
        }
    }
}

/// How a checkout stands in its buyer's document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// It has no use.
    None,
    /// It claims one.
    Claimed,
    /// Its use is counted.
    Counted,
}

/// Fewer uses and claims than `limit`, an expression; inside `$expr`.
fn room(limit: impl Into<bson::Bson>) -> Document {
    doc! { "$lt": [{ "$add": ["$used", { "$size": "$claims" }] }, limit.into()] }
}

/// Takes a claim in.
fn claimed(claim: &Claim, life: Duration) -> Document {
    let millis = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
    let entry = doc! {
        "checkout": claim.checkout,
        "user": claim.user,
        "expires_at": { "$add": ["$$NOW", millis] },
    };
    doc! { "claims": { "$concatArrays": ["$claims", [entry]] } }
}

impl Discounts {
    /// Claims a use of every code, or of none of them; claims look after themselves for `life`, then the
    /// reconciler asks for their checkout. A repeat changes nothing.
    ///
    /// # Errors
    /// When the database refuses. A code that cannot be claimed is the `Err` inside.
    pub async fn claim(
        &self,
        claim: &Claim,
        life: Duration,
    ) -> Result<Result<(), Refused>, StoreError> {
        let mut codes = claim.codes.clone();
        codes.sort_unstable();
        for code in codes {
            if let Err(obstacle) = self.claim_one(claim, &code, life).await? {
                self.release(claim).await?;
                return Ok(Err(Refused { code, obstacle }));
            }
        }
        Ok(Ok(()))
    }

    /// The buyer's use first, then the code's, so that a buyer without one takes none from the others. A use
    /// that was counted already is not claimed again: a run that was held up may come late.
    async fn claim_one(
        &self,
        claim: &Claim,
        code: &DiscountCode,
        life: Duration,
    ) -> Result<Result<(), Obstacle>, StoreError> {
        let Some(found) = self.find(code).await? else {
            return Ok(Err(Obstacle::Unknown));
        };
        let per_user = found.rules.limit_per_user;
        match self.claim_for_buyer(claim, code, per_user, life).await? {
            Share::Claimed => {}
            Share::Counted => return Ok(Ok(())),
            Share::None => return Ok(Err(Obstacle::UsedBefore)),
        }
        if self.claim_in_all(claim, code, life).await? {
            if self.share_of(claim, code).await? != Share::Claimed {
                // Ended or counted meanwhile, by another run: what was claimed just now is nobody's.
                let all = doc! { "_id": code };
                let pull = doc! { "$pull": pulled(claim) };
                self.documents.update_one(all, pull).await?;
            }
            return Ok(Ok(()));
        }
        let book = self.book(std::slice::from_ref(code), None).await?;
        let standing = book.get(code).ok_or(Obstacle::Unknown);
        let reason = standing.and_then(|standing| standing.rules.open_at(standing.now));
        Ok(Err(reason.err().unwrap_or(Obstacle::UsedUp)))
    }

    /// Index used: `_id`.
    async fn claim_for_buyer(
        &self,
        claim: &Claim,
        code: &DiscountCode,
        limit: Option<u32>,
        life: Duration,
    ) -> Result<Share, StoreError> {
        let mut free = doc! {
            "_id": key(code, claim.user),
            "claims.checkout": { "$ne": claim.checkout },
            "counted": { "$ne": claim.checkout },
        };
        if let Some(limit) = limit {
            free.insert("$expr", room(i64::from(limit)));
        }
        let take = vec![doc! { "$set": claimed(claim, life) }];
        // The first time there may be no document yet; another checkout may make it at the same moment.
        for _ in 0..2 {
            let taken = self.uses.update_one(free.clone(), take.clone()).await?;
            if taken.matched_count == 1 {
                return Ok(Share::Claimed);
            }
            match self.share_of(claim, code).await? {
                Share::None => self.open_for_buyer(claim, code).await?,
                share @ (Share::Claimed | Share::Counted) => return Ok(share),
            }
        }
        Ok(Share::None)
    }

    /// What the buyer's document knows of the checkout. Index used: `_id`.
    async fn share_of(&self, claim: &Claim, code: &DiscountCode) -> Result<Share, StoreError> {
        let found = self.uses.find_one(doc! { "_id": key(code, claim.user) });
        let Some(uses) = found.await? else {
            return Ok(Share::None);
        };
        let claims = |one: &ClaimDocument| one.checkout == claim.checkout;
        Ok(if uses.counted.contains(&claim.checkout) {
            Share::Counted
        } else if uses.claims.iter().any(claims) {
            Share::Claimed
        } else {
            Share::None
        })
    }

    /// Makes the document of a buyer's uses; one that stands already stays as it is. Index used: `_id`.
    async fn open_for_buyer(&self, claim: &Claim, code: &DiscountCode) -> Result<(), StoreError> {
        let fresh = UseDocument {
            key: key(code, claim.user),
            code: code.clone(),
            user: claim.user,
            used: 0,
            claims: Vec::new(),
            counted: Vec::new(),
        };
        match self.uses.insert_one(fresh).await {
            Ok(_) => Ok(()),
            Err(error) if is_duplicate_key(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Index used: `_id`.
    async fn claim_in_all(
        &self,
        claim: &Claim,
        code: &DiscountCode,
        life: Duration,
    ) -> Result<bool, StoreError> {
        let unset = |field: &str| doc! { "$lte": [field, bson::Bson::Null] };
        let open = doc! { "$and": [
            { "$or": [unset("$rules.limit"), room("$rules.limit")] },
            { "$or": [unset("$rules.starts_at"), { "$lte": ["$rules.starts_at", "$$NOW"] }] },
            { "$or": [unset("$rules.ends_at"), { "$gt": ["$rules.ends_at", "$$NOW"] }] },
        ] };
        let free = doc! {
            "_id": code,
            "rules.active": true,
            "claims.checkout": { "$ne": claim.checkout },
            "$expr": open,
        };
        let take = vec![doc! { "$set": claimed(claim, life) }];
        if self.documents.update_one(free, take).await?.matched_count == 1 {
            return Ok(true);
        }
        let held = doc! { "_id": code, "claims.checkout": claim.checkout };
        Ok(self.documents.count_documents(held).await? == 1)
    }

    /// Counts the claimed uses for good: there is an order. A repeat changes nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn keep(&self, claim: &Claim) -> Result<(), StoreError> {
        let count = doc! { "$inc": { "used": 1_i64 }, "$pull": pulled(claim) };
        let mut remember = count.clone();
        let newest = doc! { "$each": [claim.checkout], "$slice": -REMEMBERED };
        remember.insert("$push", doc! { "counted": newest });
        self.end(claim, &remember, &count).await
    }

    /// Gives the claimed uses back: there is no order. A repeat changes nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let pull = doc! { "$pull": pulled(claim) };
        self.end(claim, &pull, &pull).await
    }

    /// Ends the claims that still stand: the buyer's document by `buyers`, the code's by `all`. Index used:
    /// `_id`.
    async fn end(
        &self,
        claim: &Claim,
        buyers: &Document,
        all: &Document,
    ) -> Result<(), StoreError> {
        for code in &claim.codes {
            let held = |id: bson::Bson| doc! { "_id": id, "claims.checkout": claim.checkout };
            let share = held(key(code, claim.user).into());
            self.uses.update_one(share, buyers.clone()).await?;
            self.documents
                .update_one(held(code.into()), all.clone())
                .await?;
        }
        Ok(())
    }

    /// Claims that have stood for longer than their life, each once. Index used: `claim_expiry`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn stale_claims(&self) -> Result<Vec<StaleClaim>, StoreError> {
        let mut stale = stale_in(&self.documents, "$_id").await?;
        for claim in stale_in(&self.uses, "$code").await? {
            if !stale.contains(&claim) {
                stale.push(claim);
            }
        }
        Ok(stale)
    }
}

fn pulled(claim: &Claim) -> Document {
    doc! { "claims": { "checkout": claim.checkout } }
}

async fn stale_in<T: Send + Sync + DeserializeOwned>(
    documents: &Collection<T>,
    code: &str,
) -> Result<Vec<StaleClaim>, StoreError> {
    let rows = documents.aggregate([
        doc! { "$match": {
            "claims.expires_at": { "$type": "date" },
            "$expr": { "$lt": [{ "$min": "$claims.expires_at" }, "$$NOW"] },
        } },
        doc! { "$unwind": "$claims" },
        doc! { "$match": { "$expr": { "$lt": ["$claims.expires_at", "$$NOW"] } } },
        doc! { "$limit": SWEEP },
        doc! { "$project": {
            "_id": 0, "code": code, "checkout": "$claims.checkout", "user": "$claims.user",
        } },
    ]);
    Ok(rows.with_type().await?.try_collect().await?)
}
