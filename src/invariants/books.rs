//! Reading the database: a client that never writes, snapshots, and documents one by one.

use std::fmt;

use bson::{Bson, Document, RawDocumentBuf, doc, oid::ObjectId};
use mongodb::{
    Client, ClientSession, Database, SessionCursor,
    options::{ReadPreference, SelectionCriteria},
};
use serde::de::DeserializeOwned;

use super::report::Tally;
use crate::{clock::Timestamp, config::MongoConfig, mongo};

/// The shop's database, to be read only: from a secondary where there is one.
#[derive(Debug, Clone)]
pub struct Books {
    client: Client,
    database: Database,
}

impl Books {
    /// Opens the database at `uri`; lazily, so an absent server shows at first use.
    ///
    /// # Errors
    /// When the URI cannot be parsed.
    pub async fn open(uri: &str, config: &MongoConfig) -> Result<Self, mongodb::error::Error> {
        let mut options = mongo::options(uri, "bodega check").await?;
        options.max_pool_size = Some(4);
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(
            ReadPreference::SecondaryPreferred { options: None },
        ));
        let client = Client::with_options(options)?;
        let database = client.database(&config.database);
        Ok(Self { client, database })
    }

    /// The state of one moment; the database keeps it for five minutes.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, mongodb::error::Error> {
        let session = self.client.start_session().snapshot(true).await?;
        Ok(Snapshot {
            session,
            database: self.database.clone(),
        })
    }

    /// The database's present time.
    pub(super) async fn now(&self) -> Result<Timestamp, mongodb::error::Error> {
        let near =
            SelectionCriteria::ReadPreference(ReadPreference::SecondaryPreferred { options: None });
        let admin = self.client.database("admin");
        let hello = admin
            .run_command(doc! { "hello": 1 })
            .selection_criteria(near)
            .await?;
        let time = hello.get_datetime("localTime").copied();
        time.map(Into::into).map_err(mongodb::error::Error::custom)
    }
}

/// The database as it was at one moment.
pub(super) struct Snapshot {
    session: ClientSession,
    database: Database,
}

/// A document that cannot be read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damaged {
    id: String,
    reason: String,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read: {}", self.id, self.reason)
    }
}

/// What a pipeline gives, one by one.
pub(super) struct Rows(SessionCursor<RawDocumentBuf>);

impl Rows {
    /// The next one; the inner error is the document's.
    pub(super) async fn next<T: DeserializeOwned>(
        &mut self,
        snapshot: &mut Snapshot,
    ) -> Result<Option<Result<T, Damaged>>, mongodb::error::Error> {
        let Some(raw) = self.0.next(&mut snapshot.session).await.transpose()? else {
            return Ok(None);
        };
        let read = bson::deserialize_from_slice(raw.as_bytes());
        Ok(Some(read.map_err(|error| {
            Damaged {
                id: raw
                    .get("_id")
                    .ok()
                    .flatten()
                    .map_or_else(String::new, |id| {
                        named(&Bson::try_from(id).unwrap_or(Bson::Null))
                    }),
                reason: error.to_string(),
            }
        })))
    }
}

/// Every document, by the index of ids: servers may be told to refuse anything without an index.
pub(super) fn everything() -> Document {
    doc! { "$match": { "_id": { "$gte": Bson::MinKey } } }
}

/// An id as people write it.
fn named(id: &Bson) -> String {
    id.as_object_id()
        .map(ObjectId::to_hex)
        .or_else(|| id.as_str().map(str::to_owned))
        .unwrap_or_else(|| id.to_string())
}

impl Snapshot {
    /// Begins to read what `stages` make of `collection`; by an index of its own choice, or that of ids.
    pub(super) async fn rows(
        &mut self,
        collection: &str,
        mut stages: Vec<Document>,
    ) -> Result<Rows, mongodb::error::Error> {
        stages.insert(0, everything());
        let documents = self.database.collection::<RawDocumentBuf>(collection);
        let rows = documents
            .aggregate(stages)
            .allow_disk_use(true)
            .session(&mut self.session)
            .with_type::<RawDocumentBuf>()
            .await?;
        Ok(Rows(rows))
    }

    /// Judges each document that `stages` make of `collection`; one that cannot be read is a violation.
    pub(super) async fn judge<T: DeserializeOwned>(
        &mut self,
        collection: &str,
        stages: Vec<Document>,
        tally: &mut Tally,
        mut judge: impl FnMut(T) -> Vec<String>,
    ) -> Result<(), mongodb::error::Error> {
        let mut rows = self.rows(collection, stages).await?;
        while let Some(row) = rows.next(self).await? {
            match row {
                Ok(row) => tally.judged(judge(row)),
                Err(damaged) => tally.judged([format!("{collection}: {damaged}")]),
            }
        }
        Ok(())
    }

    /// Finds values of `key` that several documents of `collection` share, among those that match.
    pub(super) async fn find_shared(
        &mut self,
        collection: &str,
        among: Document,
        key: &str,
        tally: &mut Tally,
    ) -> Result<(), mongodb::error::Error> {
        #[derive(serde::Deserialize)]
        struct Shared {
            #[serde(rename = "_id")]
            key: Bson,
            by: i64,
        }
        let stages = vec![
            doc! { "$match": among },
            doc! { "$group": { "_id": format!("${key}"), "by": { "$sum": 1_i64 } } },
        ];
        let fault = |shared: Shared| {
            let of = named(&shared.key);
            let fault =
                (shared.by > 1).then(|| format!("{collection}: {} have {key} {of}", shared.by));
            fault.into_iter().collect()
        };
        self.judge(collection, stages, tally, fault).await
    }
}
