//! What is held about a buyer: their uses of codes.

use bson::doc;
use futures_util::TryStreamExt;
use serde::Serialize;

use super::{Discounts, UseDocument};
use crate::{
    discounts::model::DiscountCode,
    id::{CheckoutId, UserId},
    mongo::StoreError,
};

/// How a buyer has used a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscountUse {
    /// The code.
    code: DiscountCode,
    /// Uses counted: orders made with it.
    used: u64,
    /// Uses that open checkouts claim.
    claimed: u64,
    /// The checkouts of the latest uses and claims.
    checkouts: Vec<CheckoutId>,
}

impl From<UseDocument> for DiscountUse {
    fn from(document: UseDocument) -> Self {
        let claimed = document.claims.iter().map(|claim| claim.checkout);
        Self {
            checkouts: document.counted.iter().copied().chain(claimed).collect(),
            claimed: u64::try_from(document.claims.len()).unwrap_or(u64::MAX),
            code: document.code,
            used: document.used,
        }
    }
}

impl Discounts {
    /// Every code that a buyer has used or is about to. Index used: `user`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn held_about(&self, buyer: UserId) -> Result<Vec<DiscountUse>, StoreError> {
        let found = self.uses.find(doc! { "user": buyer }).await?;
        let mut found: Vec<UseDocument> = found.try_collect().await?;
        found.sort_by(|one, other| one.code.cmp(&other.code));
        Ok(found.into_iter().map(Into::into).collect())
    }
}
