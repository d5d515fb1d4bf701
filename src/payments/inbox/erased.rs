//! Messages about people who had themselves erased: what came before is reduced then, what comes later when
//! it is followed. What stays is what the shop reads of a message, so that one can be followed again.

use bson::{Binary, doc};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::{
    Inbox,
    model::{Kind, State},
    store::{MessageDocument, Messages, generic},
};
use crate::{
    clock::Timestamp,
    mongo::{StoreError, is_duplicate_key, schema},
    payments::paypal::person,
};

/// The name of the collection of what erased people's messages are about.
pub(super) const COLLECTION: &str = "inbox_erased";

/// A checkout, payment, capture, refund or dispute of somebody who was erased. No name stands beside it; it
/// stays, because the provider may tell of a payment years later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Erased {
    #[serde(rename = "_id")]
    reference: String,
    at: Timestamp,
}

pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: COLLECTION,
        indexes: Vec::new(),
        validator: None,
    }
}

impl MessageDocument {
    /// Whether the body may be reduced: a webhook's signature was judged when it came, but an IPN message is
    /// verified by its whole body, later.
    pub(super) fn may_be_reduced(&self, state: State) -> bool {
        match self.kind {
            Kind::Webhook => true,
            Kind::Ipn => self.vouched_for || state != State::Pending,
        }
    }

    /// The body without the person.
    pub(super) fn body_without_person(&self) -> Binary {
        let body = &self.body.bytes;
        let bytes = match self.kind {
            Kind::Webhook => person::event_without_person(body),
            Kind::Ipn => person::ipn_without_person(body),
        };
        generic(bytes)
    }
}

impl Messages {
    /// Whether a message is about somebody who was erased. Index used: `_id`.
    pub(super) async fn is_of_erased(&self, message: &MessageDocument) -> Result<bool, StoreError> {
        if message.about.is_empty() {
            return Ok(false);
        }
        let which = doc! { "_id": { "$in": &message.about } };
        Ok(self.erased.find_one(which).await?.is_some())
    }

    /// Remembers what the messages of an erased person are about. Index used: `_id`.
    async fn remember(&self, references: &[String]) -> Result<(), StoreError> {
        let known = self.erased.find(doc! { "_id": { "$in": references } });
        let known: Vec<Erased> = known.await?.try_collect().await?;
        for reference in references {
            if known.iter().any(|known| known.reference == *reference) {
                continue;
            }
            let new = Erased {
                reference: reference.clone(),
                at: Timestamp::now(),
            };
            match self.erased.insert_one(new).await {
                Ok(_) => {}
                // Another node is at it too.
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reduces the messages about `references`; `false` where one has to wait. Index used: `about`.
    async fn reduce(&self, references: &[String]) -> Result<bool, StoreError> {
        let whole = doc! { "about": { "$in": references }, "reduced": { "$ne": true } };
        let mut found = self.documents.find(whole).await?;
        let mut all = true;
        while let Some(message) = found.try_next().await? {
            if !message.may_be_reduced(message.state) {
                all = false;
                continue;
            }
            // Nobody else alters a body but to reduce it too.
            let mut same = doc! { "_id": &message.id };
            if !message.may_be_reduced(State::Pending) {
                // Staff may have it verified again meanwhile.
                same.insert("state", message.state.as_str());
            }
            let reduced = doc! { "body": message.body_without_person(), "reduced": true };
            self.documents
                .update_one(same, doc! { "$set": reduced })
                .await?;
        }
        Ok(all)
    }
}

impl Inbox {
    /// Removes a person from the messages about `references`: ids of their checkouts, payments, captures, refunds
    /// and disputes; also from those that come later. `false` where a message has to be verified first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn erase_person(&self, references: &[String]) -> Result<bool, StoreError> {
        if references.is_empty() {
            return Ok(true);
        }
        // First, so that a message that comes while the others are reduced is not missed.
        self.messages.remember(references).await?;
        self.messages.reduce(references).await
    }
}
