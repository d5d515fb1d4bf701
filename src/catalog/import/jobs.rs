//! The documents of imports: how far each has come, so that one cut short goes on where it stopped.

use bson::{Bson, Document, doc};
use mongodb::{Collection, options::ReturnDocument};
use serde::{Deserialize, Serialize};

use super::{
    read::Format,
    report::{Counts, Difference, ReportLine},
};
use crate::{
    clock::Timestamp,
    id::{ImportId, UserId},
    mongo::{Mongo, StoreError, schema, to_array, to_document},
};

/// Lines of the report that are kept with the job; a report file has them all.
pub(super) const KEPT_LINES: usize = 1_000;
/// Differences that are kept with a dry run.
pub(super) const KEPT_DIFFERENCES: usize = 100;
/// Seconds that a job is remembered: thirty days.
pub(super) const LIFE_SECONDS: u32 = 30 * 24 * 3600;

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
    /// In a dry run, the first differences.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// Why it failed.
    pub failure: Option<String>,
    /// Where the file is kept, so that any node can go on; none: with whoever began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredFile>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last moved on.
    pub updated_at: Timestamp,
}

/// A file that is kept in the database until its import is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredFile {
    /// The form of its rows.
    pub format: Format,
    /// The mapping as JSON text.
    pub mapping: Option<String>,
    /// Who sent it.
    pub by: Option<UserId>,
    /// Its bytes.
    pub bytes: u64,
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
            schema::Index::on("work", doc! { "state": 1, "_id": 1 }),
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
            differences: Vec::new(),
            failure: None,
            stored: None,
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
        set.insert("differences", to_array(&job.differences)?);
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

    /// Says that a job's file is kept, whole. Index used: `_id`.
    pub(super) async fn keep(&self, id: ImportId, file: &StoredFile) -> Result<(), StoreError> {
        let set = doc! { "$set": { "stored": to_document(file)? } };
        self.documents.update_one(doc! { "_id": id }, set).await?;
        Ok(())
    }

    /// The oldest job under way whose file is kept. Index used: `work`.
    pub(super) async fn next_stored(&self) -> Result<Option<ImportJob>, StoreError> {
        let open = doc! { "state": "running", "stored": { "$exists": true } };
        let found = self.documents.find_one(open);
        Ok(found.sort(doc! { "_id": 1 }).await?)
    }
}
