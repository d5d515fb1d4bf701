//! Orders without their buyers: what the books need stays, whom they name goes.

use bson::{Document, doc};

use super::{Orders, list};
use crate::{
    id::UserId,
    idempotency::Idempotency,
    mongo::{StoreError, to_document},
    orders::{
        http::{refund_scope, without_person},
        model::{Order, RefundState},
    },
};

/// What was found at removing a person from the orders.
#[derive(Debug)]
pub struct ErasedOrders {
    /// What the provider's messages about them may name: payments, captures, refunds, disputes.
    pub references: Vec<String>,
    /// Whether nothing is left to be removed later: of a refund that is under way, the reason is part of what
    /// the provider was asked, and stays until it has answered.
    pub complete: bool,
}

impl Orders {
    /// Removes `user` from every order of theirs and from what was told of it, and notes from when on the books do
    /// not need the order, `years` after its own. Lines, money, states and their times stay. What staff wrote
    /// goes, as it may name anybody. May be repeated; says nothing new to anyone, hence no version and no
    /// event. Indexes used: `user_newest`, `_id`, `user_number`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn erase_person(
        &self,
        user: UserId,
        years: u16,
        idempotency: &Idempotency,
    ) -> Result<ErasedOrders, StoreError> {
        let mut erased = ErasedOrders {
            references: Vec::new(),
            complete: true,
        };
        for order in self.all_of(user).await? {
            if order.person_erased_at.is_none() {
                self.erase_from(&order, years).await?;
            }
            erased.complete &= self.erase_reasons(&order).await?;
            let scope = refund_scope(order.id);
            idempotency.rewrite(&scope, without_person).await?;
            erased.references.extend(references(&order));
        }
        let told = doc! { "user": user, "$or": [
            { "data.note": { "$exists": true } },
            { "data.tracking": { "$exists": true } },
        ] };
        let silent = doc! { "$unset": { "data.note": "", "data.tracking": "" } };
        self.events.update_many(told, silent).await?;
        Ok(erased)
    }

    /// Field by field: a change of the order at the same moment loses nothing.
    async fn erase_from(&self, order: &Order, years: u16) -> Result<(), StoreError> {
        let shipping = order.shipping_address.without_person();
        let billing = order.billing_address.as_ref();
        let billing = billing.map(|address| to_document(&address.without_person()));
        let mut nameless = doc! {
            "shipping_address": to_document(&shipping)?,
            "items.$[].options": {},
            "delete_after": order.needed_until(years),
            "terms": list::terms_of_number(&order.number),
        };
        if let Some(billing) = billing.transpose()? {
            nameless.insert("billing_address", billing);
        }
        let change = doc! {
            "$set": nameless,
            "$unset": { "tracking": "", "history.$[].note": "" },
            "$currentDate": { "person_erased_at": true },
        };
        self.documents
            .update_one(doc! { "_id": order.id }, change)
            .await?;
        Ok(())
    }

    /// Removes the reasons of refunds that are over; `false` where one is under way.
    async fn erase_reasons(&self, order: &Order) -> Result<bool, StoreError> {
        let over = |state| state != RefundState::Pending;
        let mut refunds = order.refunds.iter();
        if refunds.any(|refund| over(refund.state) && refund.reason.is_some()) {
            let those: Vec<Document> = vec![doc! { "over.state": { "$ne": "Pending" } }];
            let silent = doc! { "$unset": { "refunds.$[over].reason": "" } };
            self.documents
                .update_one(doc! { "_id": order.id }, silent)
                .array_filters(those)
                .await?;
        }
        Ok(order.refunds.iter().all(|refund| over(refund.state)))
    }
}

fn references(order: &Order) -> Vec<String> {
    let payment = &order.payment;
    let refunds = order.refunds.iter();
    let refunds = refunds.filter_map(|refund| refund.provider.as_ref());
    let disputes = order.disputes.iter().map(|dispute| dispute.id.clone());
    [
        order.number.clone(),
        payment.provider_order.to_string(),
        payment.capture.to_string(),
    ]
    .into_iter()
    .chain(refunds.map(ToString::to_string))
    .chain(disputes)
    .collect()
}
