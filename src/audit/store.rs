//! The entries of the audit log.

use bson::{Document, doc, oid::ObjectId};
use futures_util::TryStreamExt;
use mongodb::{ClientSession, Collection};
use serde::{Deserialize, Serialize};

use super::Changes;
use crate::{
    clock::Timestamp,
    id::UserId,
    mongo::{Mongo, StoreError, schema},
};

const NAME: &str = "audit";

/// Who made a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Somebody who was signed in.
    User(UserId),
    /// Whoever runs commands on the server.
    CommandLine,
}

impl Actor {
    /// The user, where there is one.
    #[must_use]
    pub const fn user(self) -> Option<UserId> {
        match self {
            Self::User(user) => Some(user),
            Self::CommandLine => None,
        }
    }
}

impl From<Option<UserId>> for Actor {
    fn from(user: Option<UserId>) -> Self {
        user.map_or(Self::CommandLine, Self::User)
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It was made.
    Created,
    /// It was changed.
    Updated,
    /// It was taken off sale for good.
    Archived,
    /// It was removed.
    Deleted,
    /// A subtree of categories was moved.
    Moved,
    /// The warehouse booked units.
    Stocked,
    /// A job was begun.
    Begun,
    /// A job was undone.
    Undone,
}

/// What kind of thing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A product.
    Product,
    /// A product type.
    ProductType,
    /// A category.
    Category,
    /// A discount code.
    Discount,
    /// A bulk edit.
    BulkEdit,
    /// An import.
    Import,
}

impl Subject {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::ProductType => "product_type",
            Self::Category => "category",
            Self::Discount => "discount",
            Self::BulkEdit => "bulk_edit",
            Self::Import => "import",
        }
    }
}

/// One change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// When.
    pub at: Timestamp,
    /// Who; nobody: the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// What was done.
    pub action: Action,
    /// To what kind of thing.
    pub subject: Subject,
    /// To which one.
    pub subject_id: String,
    /// Its name for people: a SKU, a path, a code.
    pub label: String,
    /// The job that did it, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<ObjectId>,
    /// Why, where a reason was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What differs.
    pub changes: Changes,
}

impl Entry {
    /// An entry of now.
    #[must_use]
    pub fn new(
        actor: Actor,
        action: Action,
        (subject, subject_id, label): (Subject, String, String),
        changes: Changes,
    ) -> Self {
        Self {
            id: ObjectId::new(),
            at: Timestamp::now(),
            by: actor.user(),
            action,
            subject,
            subject_id,
            label,
            job: None,
            reason: None,
            changes,
        }
    }

    /// Names the job that did it.
    #[must_use]
    pub fn of_job(self, job: Option<ObjectId>) -> Self {
        Self { job, ..self }
    }
}

/// What entries are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pub(super) subject: Option<Subject>,
    pub(super) subject_id: Option<String>,
    pub(super) by: Option<UserId>,
    pub(super) job: Option<ObjectId>,
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
}

/// The place of an entry in lists: when, and its id.
pub(super) type Place = (i64, ObjectId);

/// The audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    documents: Collection<Entry>,
}

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    vec![schema::Collection {
        name: NAME,
        indexes: vec![
            schema::Index::on("newest", doc! { "at": -1, "_id": -1 }),
            schema::Index::on(
                "subject",
                doc! { "subject": 1, "subject_id": 1, "at": -1, "_id": -1 },
            ),
            schema::Index::on("by", doc! { "by": 1, "at": -1, "_id": -1 }),
            schema::Index::on("job", doc! { "job": 1, "at": -1, "_id": -1 })
                .only_where(doc! { "job": { "$exists": true } }),
        ],
        validator: None,
    }]
}

impl Audit {
    /// Opens the log.
    #[must_use]
    pub fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(NAME),
        }
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn write(&self, entry: &Entry) -> Result<(), StoreError> {
        self.documents.insert_one(entry).await?;
        Ok(())
    }

    /// Writes several entries.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn write_all(&self, entries: &[Entry]) -> Result<(), StoreError> {
        if !entries.is_empty() {
            self.documents.insert_many(entries).await?;
        }
        Ok(())
    }

    /// Writes an entry within the transaction of the change that it tells of.
    ///
    /// # Errors
    /// The driver's, as it is.
    pub async fn write_in(
        &self,
        session: &mut ClientSession,
        entry: &Entry,
    ) -> mongodb::error::Result<()> {
        self.documents.insert_one(entry).session(session).await?;
        Ok(())
    }

    /// How many entries there are. Indexes used: as of [`Audit::page`].
    pub(super) async fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        Ok(self.documents.count_documents(filter.query()).await?)
    }

    /// A page of entries, newest first. Indexes used: `subject`, `by`, `job`, `newest`.
    pub(super) async fn page(
        &self,
        filter: &Filter,
        after: Option<Place>,
        rows: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut query = filter.query();
        if let Some((at, id)) = after {
            let at = Timestamp::from_millis(at);
            query.insert(
                "$or",
                vec![
                    doc! { "at": { "$lt": at } },
                    doc! { "at": at, "_id": { "$lt": id } },
                ],
            );
        }
        let found = self.documents.find(query);
        let found = found.sort(doc! { "at": -1, "_id": -1 });
        Ok(found.limit(i64::from(rows)).await?.try_collect().await?)
    }
}

impl Filter {
    fn query(&self) -> Document {
        let mut query = Document::new();
        if let Some(subject) = self.subject {
            query.insert("subject", subject.as_str());
        }
        if let Some(id) = &self.subject_id {
            query.insert("subject_id", id);
        }
        if let Some(by) = self.by {
            query.insert("by", by);
        }
        if let Some(job) = self.job {
            query.insert("job", job);
        }
        let mut made = Document::new();
        if let Some(from) = self.from {
            made.insert("$gte", from);
        }
        if let Some(to) = self.to {
            made.insert("$lt", to);
        }
        if !made.is_empty() {
            query.insert("$and", vec![doc! { "at": made }]);
        } else if query.is_empty() {
            // Tells the planner which index to walk: no query goes without one.
            query.insert("at", doc! { "$gt": Timestamp::from_millis(0) });
        }
        query
    }
}
