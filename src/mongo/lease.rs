//! Leases: one node at a time does a sweep. Losing one is harmless, because each piece of work is
//! claimed by its own document.

use std::{future::Future, time::Duration};

use bson::{Bson, Document, doc, oid::ObjectId};
use mongodb::{Collection, options::ReturnDocument};

use super::{Mongo, StoreError, is_duplicate_key};

/// A named lease, as one node sees it.
#[derive(Debug, Clone)]
pub struct Lease {
    documents: Collection<Document>,
    name: &'static str,
    holder: ObjectId,
}

impl Lease {
    /// A lease under `name` for this node.
    #[must_use]
    pub fn new(mongo: &Mongo, name: &'static str) -> Self {
        Self {
            documents: mongo.database().collection("leases"),
            name,
            holder: ObjectId::new(),
        }
    }

    /// Takes or keeps the lease for `life` by the database's clock; `false` while another node has it.
    /// Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take(&self, life: Duration) -> Result<bool, StoreError> {
        let free = doc! { "$or": [
            { "$eq": [{ "$ifNull": ["$holder", Bson::Null] }, Bson::Null] },
            { "$eq": ["$holder", self.holder] },
            { "$lt": ["$until", "$$NOW"] },
        ] };
        let until = doc! { "$add": ["$$NOW", i64::try_from(life.as_millis()).unwrap_or(i64::MAX)] };
        let take = vec![
            doc! { "$set": { "free": free } },
            doc! { "$set": {
                "holder": { "$cond": ["$free", self.holder, "$holder"] },
                "until": { "$cond": ["$free", until, "$until"] },
            } },
            doc! { "$unset": "free" },
        ];
        let taken = self
            .documents
            .find_one_and_update(doc! { "_id": self.name }, take);
        match taken
            .upsert(true)
            .return_document(ReturnDocument::After)
            .await
        {
            Ok(lease) => {
                let holder = lease.and_then(|lease| lease.get_object_id("holder").ok());
                Ok(holder == Some(self.holder))
            }
            // Another node made the document at the same moment.
            Err(error) if is_duplicate_key(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the lease back, so that another node need not wait for its end. Index used: `_id`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn give_back(&self) -> Result<(), StoreError> {
        let held = doc! { "_id": self.name, "holder": self.holder };
        let free =
            doc! { "$set": { "holder": Bson::Null, "until": bson::DateTime::from_millis(0) } };
        self.documents.update_one(held, free).await?;
        Ok(())
    }
}

/// Does `work`, and `renew` every now and then until it is done: what is claimed for it would lapse otherwise. Both go
/// on at once: `work` may have the connection that `renew` waits for.
pub async fn holding<T, Renewed: Future<Output = ()>>(
    work: impl Future<Output = T>,
    every: Duration,
    renew: impl Fn() -> Renewed,
) -> T {
    let renewing = async {
        loop {
            tokio::time::sleep(every).await;
            renew().await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        never = renewing => never,
    }
}
