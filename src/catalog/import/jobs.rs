//! The documents of imports: how far each has come, so that one cut short goes on where it stopped.

use bson::{Bson, Document, doc};
use mongodb::{Collection, options::ReturnDocument};
use serde::{Deserialize, Serialize};

use super::report::{Counts, ReportLine};
use crate::{
    clock::Timestamp,
    id::ImportId,
    mongo::{Mongo, StoreError, schema, to_array, to_document},
};

/// Lines of the report that are kept with the job; a report file has them all.
pub(super) const KEPT_LINES: usize = 1_000;
/// Seconds that a job is remembered: thirty days.
const LIFE_SECONDS: u32 = 30 * 24 * 3600;

/// Where an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImportState {
    /// Under way, or cut short: the same file and mapping go on with it.
    Running,
    /// Every row was looked at.
    Done,
    /// The file could not be read to its end.
    Failed,
}

/// An import.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportJob {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: ImportId,
    /// Digest of file, mapping and mode.
    pub fingerprint: String,
    /// What is imported, for people.
    pub name: String,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Where it stands.
    pub state: ImportState,
    /// Rows that are dealt with.
    pub rows_done: u64,
    /// How it went so far.
    pub counts: Counts,
    /// The first lines of the report.
    pub lines: Vec<ReportLine>,
    /// Why it failed.
    pub failure: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last moved on.
    pub updated_at: Timestamp,
}

/// The documents of imports.
#[derive(Debug, Clone)]
pub(super) struct Jobs {
    documents: Collection<ImportJob>,
}

pub(in crate::catalog) fn collection() -> schema::Collection {
    schema::Collection {
        name: "imports",
        indexes: vec![
            schema::Index::unique("running", doc! { "fingerprint": 1 })
                .only_where(doc! { "state": "running" }),
            schema::Index::expiring("expiry", "created_at", LIFE_SECONDS),
        ],
        validator: None,
    }
}

impl Jobs {
    pub(super) fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection("imports"),
        }
    }

    /// Begins a job, or takes up the one of the same file and mapping that was cut short.
    /// Index used: `running`.
    pub(super) async fn begin(
        &self,
        fingerprint: &str,
        name: &str,
        dry_run: bool,
    ) -> Result<ImportJob, StoreError> {
        let now = Timestamp::now();
        let fresh = ImportJob {
            id: ImportId::new(),
            fingerprint: fingerprint.to_owned(),
            name: name.to_owned(),
            dry_run,
            state: ImportState::Running,
            rows_done: 0,
            counts: Counts::default(),
            lines: Vec::new(),
            failure: None,
            created_at: now,
            updated_at: now,
        };
        let running = doc! { "fingerprint": fingerprint, "state": "running" };
        let begin = doc! { "$setOnInsert": to_document(&fresh)? };
        let job = self
            .documents
            .find_one_and_update(running, begin)
            .upsert(true);
        let job = job.return_document(ReturnDocument::After).await?;
        Ok(job.unwrap_or(fresh))
    }

    /// Writes down how far it has come. Index used: `_id`.
    pub(super) async fn advance(&self, job: &ImportJob) -> Result<(), StoreError> {
        let mut set = Document::new();
        set.insert(
            "rows_done",
            i64::try_from(job.rows_done).unwrap_or(i64::MAX),
        );
        set.insert("counts", to_document(&job.counts)?);
        set.insert("lines", to_array(&job.lines)?);
        set.insert("updated_at", Timestamp::now());
        set.insert(
            "failure",
            job.failure.clone().map_or(Bson::Null, Bson::String),
        );
        set.insert(
            "state",
            match job.state {
                ImportState::Running => "running",
                ImportState::Done => "done",
                ImportState::Failed => "failed",
            },
        );
        self.documents
            .update_one(doc! { "_id": job.id }, doc! { "$set": set })
            .await?;
        Ok(())
    }

    /// Reads one. Index used: `_id`.
    pub(super) async fn find(&self, id: ImportId) -> Result<Option<ImportJob>, StoreError> {
        Ok(self.documents.find_one(doc! { "_id": id }).await?)
    }
}
