//! Checkouts without their buyers.

use bson::{Bson, doc};
use futures_util::TryStreamExt;

use super::{
    Checkouting,
    model::{Checkout, CheckoutStatus, EndReason},
    ports::CheckoutStore,
    store::Checkouts,
};
use crate::{
    id::UserId,
    mongo::{StoreError, to_document},
};

/// What was found at removing a person from the checkouts.
#[derive(Debug)]
pub struct ErasedCheckouts {
    /// What the provider's messages about them may name: our ids, payments, captures.
    pub references: Vec<String>,
    /// Whether all of them are over, so that no order can come of one any more.
    pub over: bool,
}

impl Checkouting {
    /// Cancels what `user` has not paid for, so that no later approval takes money, and removes the person from
    /// every checkout. One whose money is being taken goes on to its end, and its order is nameless from the start
    /// or is found by the next look at the orders. May be repeated. Indexes used: `user_newest`, `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn erase_person(&self, user: UserId) -> Result<ErasedCheckouts, StoreError> {
        let checkouts = &self.settlement.checkouts;
        let mut erased = ErasedCheckouts {
            references: Vec::new(),
            over: true,
        };
        for checkout in self.all_of(user).await? {
            erased.references.extend(references(&checkout));
            if checkout.status.is_final() {
                continue;
            }
            erased.over = false;
            if checkout.status != CheckoutStatus::Capturing {
                let (to, reason) = (CheckoutStatus::Cancelled, EndReason::Cancelled);
                let ended = checkouts.end(&checkout, to, reason, None).await?;
                if let Some(ended) = ended {
                    self.settlement.free(&ended).await?;
                }
            }
        }
        checkouts.erase_person(user).await?;
        Ok(erased)
    }
}

impl Checkouts {
    /// Removes `user` from the checkouts of theirs that still name them, field by field: whoever settles one at
    /// the same moment loses nothing. Indexes used: `user_newest`, `_id`.
    async fn erase_person(&self, user: UserId) -> Result<(), StoreError> {
        let naming = doc! { "user": user, "person_erased_at": Bson::Null };
        let naming: Vec<Checkout> = self.documents().find(naming).await?.try_collect().await?;
        for checkout in naming {
            let billing = match &checkout.billing_address {
                Some(address) => Bson::from(to_document(&address.without_person())?),
                None => Bson::Null,
            };
            let change = doc! {
                "$set": {
                    "shipping_address": to_document(&checkout.shipping_address.without_person())?,
                    "billing_address": billing,
                    "client": "",
                    "return_url": "",
                    "cancel_url": "",
                    "approve_url": Bson::Null,
                    "lines.$[].options": {},
                },
                "$currentDate": { "person_erased_at": true },
            };
            self.documents()
                .update_one(doc! { "_id": checkout.id }, change)
                .await?;
        }
        Ok(())
    }
}

fn references(checkout: &Checkout) -> Vec<String> {
    let captures = checkout.capture.iter().map(|capture| &capture.id);
    let captures = captures.chain(checkout.returns.iter().map(|back| &back.capture));
    let payment = checkout.provider_order.iter().map(ToString::to_string);
    [checkout.id.to_string(), checkout.number.clone()]
        .into_iter()
        .chain(payment)
        .chain(captures.map(ToString::to_string))
        .collect()
}
