//! Bulk edits and their items as documents.

use std::collections::HashMap;

use bson::{Document, doc, oid::ObjectId};
use futures_util::TryStreamExt;
use mongodb::{ClientSession, Collection};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    id::{BulkEditId, ProductId, UserId},
    mongo::{Mongo, StoreError, schema, to_array},
};

const JOBS: &str = "bulk_edits";
const ITEMS: &str = "bulk_items";
/// Seconds that items are kept, and so for how long an edit can be undone: ninety days.
const LIFE_SECONDS: u32 = 90 * 24 * 3600;
/// Items written at once.
const CHUNK: usize = 1_000;
/// Failed items that are shown.
const SHOWN: i64 = 100;

/// Where a bulk edit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum BulkState {
    /// Products are being changed.
    Running,
    /// Every product was dealt with.
    Done,
    /// Products are being put back.
    Undoing,
    /// Every product was put back, or kept because somebody had changed it since.
    Undone,
}

impl BulkState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
        }
    }

    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Undone)
    }
}

/// A bulk edit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BulkJob {
    #[serde(rename = "_id")]
    pub(super) id: BulkEditId,
    /// Which products, as the query of a list.
    pub(super) filter: String,
    /// JSON text of the edit.
    pub(super) edit: String,
    pub(super) dry_run: bool,
    pub(super) state: BulkState,
    /// How many products the filter found.
    pub(super) matched: u64,
    pub(super) by: UserId,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ItemState {
    /// Its turn has not come.
    Pending,
    /// It was changed; in a dry run, it would be.
    Changed,
    /// It was so already.
    Unchanged,
    /// It could not be changed.
    Failed,
    /// It was put back.
    Restored,
    /// It was changed since, and kept.
    Kept,
}

impl ItemState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Restored => "restored",
            Self::Kept => "kept",
        }
    }
}

/// One product of a bulk edit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "_id")]
    pub(super) id: ObjectId,
    pub(super) job: BulkEditId,
    pub(super) product: ProductId,
    pub(super) state: ItemState,
    /// JSON text of what the edit touches, before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<String>,
    /// The same, after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sku: Option<String>,
    /// Why it failed or was kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) faults: Vec<ItemFault>,
    pub(super) at: Timestamp,
}

/// One reason why an item failed or was kept.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct ItemFault {
    /// The place in the product.
    pub(super) pointer: String,
    /// What is wrong, for programs.
    pub(super) code: String,
    /// What is wrong, for people.
    pub(super) message: String,
}

/// A step of a bulk edit: the item that is concluded with its product's change, once.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct BulkStep {
    items: Collection<Document>,
    job: BulkEditId,
    item: ObjectId,
    from: ItemState,
    set: Document,
}

/// The item was concluded already, by whoever took the job up meanwhile.
#[derive(Debug, Clone, Copy)]
pub(in crate::catalog) struct Concluded;

impl BulkStep {
    /// The job that it belongs to.
    pub(in crate::catalog) const fn job(&self) -> ObjectId {
        self.job.object_id()
    }

    /// Concludes the item within the transaction of its product's change. Index used: `_id`.
    pub(in crate::catalog) async fn conclude_in(
        &self,
        session: &mut ClientSession,
    ) -> mongodb::error::Result<()> {
        let open = doc! { "_id": self.item, "state": self.from.as_str() };
        let concluded = self.items.update_one(open, doc! { "$set": &self.set });
        if concluded.session(session).await?.matched_count == 1 {
            Ok(())
        } else {
            Err(StoreError::abort(Concluded))
        }
    }
}

/// Bulk edits.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct BulkEdits {
    jobs: Collection<BulkJob>,
    items: Collection<Item>,
}

/// The collections of this store.
pub(in crate::catalog) fn collections() -> Vec<schema::Collection> {
    vec![
        schema::Collection {
            name: JOBS,
            indexes: vec![schema::Index::on("state", doc! { "state": 1, "_id": 1 })],
            validator: None,
        },
        schema::Collection {
            name: ITEMS,
            indexes: vec![
                schema::Index::on("job", doc! { "job": 1, "state": 1, "_id": 1 }),
                schema::Index::expiring("expiry", "at", LIFE_SECONDS),
            ],
            validator: None,
        },
    ]
}

impl BulkEdits {
    /// Opens the store.
    pub(in crate::catalog) fn new(mongo: &Mongo) -> Self {
        Self {
            jobs: mongo.database().collection(JOBS),
            items: mongo.database().collection(ITEMS),
        }
    }

    /// Writes a job's items, then the job: one that is there is whole.
    pub(super) async fn begin(
        &self,
        job: &BulkJob,
        products: &[ProductId],
    ) -> Result<(), StoreError> {
        for chunk in products.chunks(CHUNK) {
            let items = chunk.iter().map(|product| Item {
                id: ObjectId::new(),
                job: job.id,
                product: *product,
                state: ItemState::Pending,
                before: None,
                after: None,
                sku: None,
                faults: Vec::new(),
                at: job.created_at,
            });
            self.items.insert_many(items).await?;
        }
        self.jobs.insert_one(job).await?;
        Ok(())
    }

    /// A job. Index used: `_id`.
    pub(super) async fn find(&self, id: BulkEditId) -> Result<Option<BulkJob>, StoreError> {
        Ok(self.jobs.find_one(doc! { "_id": id }).await?)
    }

    /// The oldest job that is not over. Index used: `state`.
    pub(super) async fn open(&self) -> Result<Option<BulkJob>, StoreError> {
        let open = [BulkState::Running.as_str(), BulkState::Undoing.as_str()];
        let found = self
            .jobs
            .find_one(doc! { "state": { "$in": open.to_vec() } });
        Ok(found.sort(doc! { "_id": 1 }).await?)
    }

    /// Moves a job on; `false` where it does not stand at `from`. Index used: `_id`.
    pub(super) async fn advance(
        &self,
        id: BulkEditId,
        from: BulkState,
        to: BulkState,
    ) -> Result<bool, StoreError> {
        let at = doc! { "_id": id, "state": from.as_str() };
        let set = doc! { "$set": { "state": to.as_str(), "updated_at": Timestamp::now() } };
        Ok(self.jobs.update_one(at, set).await?.matched_count == 1)
    }

    /// The next items of a job that stand at `state`. Index used: `job`.
    pub(super) async fn next(
        &self,
        job: BulkEditId,
        state: ItemState,
        most: i64,
    ) -> Result<Vec<Item>, StoreError> {
        let found = self
            .items
            .find(doc! { "job": job, "state": state.as_str() });
        let found = found.sort(doc! { "_id": 1 }).limit(most);
        Ok(found.await?.try_collect().await?)
    }

    /// The first items that failed or were kept. Index used: `job`.
    pub(super) async fn faulty(&self, job: BulkEditId) -> Result<Vec<Item>, StoreError> {
        let states = [ItemState::Failed.as_str(), ItemState::Kept.as_str()];
        let found = self
            .items
            .find(doc! { "job": job, "state": { "$in": states.to_vec() } });
        Ok(found.limit(SHOWN).await?.try_collect().await?)
    }

    /// The first items that were changed, or would be. Index used: `job`.
    pub(super) async fn samples(&self, job: BulkEditId) -> Result<Vec<Item>, StoreError> {
        self.next(job, ItemState::Changed, SHOWN / 5).await
    }

    /// How many items stand where. Index used: `job`.
    pub(super) async fn counts(
        &self,
        job: BulkEditId,
    ) -> Result<HashMap<ItemState, u64>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id")]
            state: ItemState,
            items: i64,
        }
        let group = vec![
            doc! { "$match": { "job": job } },
            doc! { "$project": { "_id": 0, "state": 1 } },
            doc! { "$group": { "_id": "$state", "items": { "$sum": 1_i64 } } },
        ];
        let rows = self.items.aggregate(group).with_type::<Row>().await?;
        let rows: Vec<Row> = rows.try_collect().await?;
        let count = |row: Row| (row.state, u64::try_from(row.items).unwrap_or_default());
        Ok(rows.into_iter().map(count).collect())
    }

    /// Concludes an item whose product is not changed. Index used: `_id`.
    pub(super) async fn conclude(&self, item: &Item, to: &Item) -> Result<(), StoreError> {
        let open = doc! { "_id": item.id, "state": item.state.as_str() };
        let set = doc! { "$set": outcome(to)? };
        self.items.update_one(open, set).await?;
        Ok(())
    }

    /// The step that concludes an item together with its product's change.
    pub(super) fn step(&self, item: &Item, to: &Item) -> Result<BulkStep, StoreError> {
        Ok(BulkStep {
            items: self.items.clone_with_type(),
            job: item.job,
            item: item.id,
            from: item.state,
            set: outcome(to)?,
        })
    }
}

fn outcome(to: &Item) -> Result<Document, StoreError> {
    Ok(doc! {
        "state": to.state.as_str(),
        "sku": &to.sku,
        "before": &to.before,
        "after": &to.after,
        "faults": to_array(&to.faults)?,
    })
}
