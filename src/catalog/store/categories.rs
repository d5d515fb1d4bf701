//! The tree of categories: one document, put in the place of the version it was read at.

use bson::{Document, doc};
use futures_util::FutureExt;
use mongodb::{ClientSession, Collection};
use serde::{Deserialize, Serialize};

use super::CATEGORIES;
use crate::{
    audit::{Audit, Entry},
    catalog::model::Categories,
    mongo::{Mongo, StoreError, schema, to_document},
};

/// The id of the one document.
const TREE: &str = "tree";

#[derive(Debug, Serialize, Deserialize)]
struct TreeDocument {
    #[serde(rename = "_id")]
    id: String,
    #[serde(flatten)]
    tree: Categories,
}

/// The tree of categories.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct CategoryTrees {
    mongo: Mongo,
    documents: Collection<Categories>,
    audit: Audit,
}

/// The version that a change takes the place of is not the present one.
#[derive(Debug, Clone, Copy)]
struct Outrun;

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: CATEGORIES,
        indexes: Vec::new(),
        validator: None,
    }
}

impl CategoryTrees {
    /// Opens the store.
    pub(in crate::catalog) fn new(mongo: &Mongo) -> Self {
        Self {
            mongo: mongo.clone(),
            documents: mongo.database().collection(CATEGORIES),
            audit: Audit::new(mongo),
        }
    }

    /// The tree as it stands. Index used: `_id`.
    pub(in crate::catalog) async fn load(&self) -> Result<Categories, StoreError> {
        let found = self.documents.find_one(doc! { "_id": TREE }).await?;
        Ok(found.unwrap_or_default())
    }

    /// Its version; 0 where nothing was ever changed. Index used: `_id`.
    pub(in crate::catalog) async fn version(&self) -> Result<u64, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            version: u64,
        }
        let rows = self.documents.clone_with_type::<Row>();
        let row = rows.find_one(doc! { "_id": TREE });
        let row = row.projection(doc! { "_id": 0, "version": 1 }).await?;
        Ok(row.map_or(0, |row| row.version))
    }

    /// Puts `tree` in the place of the version before it, with what the audit log is told; `false` where
    /// that is not the present one. Index used: `_id`.
    pub(in crate::catalog) async fn replace(
        &self,
        tree: &Categories,
        entry: Option<Entry>,
    ) -> Result<bool, StoreError> {
        let document = TreeDocument {
            id: TREE.into(),
            tree: tree.clone(),
        };
        let context = (self.clone(), to_document(&document)?, tree.version, entry);
        let done =
            self.mongo
                .transaction_with(context, |session, (trees, document, version, entry)| {
                    trees
                        .write_in(session, document, *version, entry.as_ref())
                        .boxed()
                });
        match done.await {
            Ok(()) => Ok(true),
            Err(error) if error.aborted::<Outrun>().is_some() || error.is_duplicate_key() => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn write_in(
        &self,
        session: &mut ClientSession,
        document: &Document,
        version: u64,
        entry: Option<&Entry>,
    ) -> mongodb::error::Result<()> {
        let documents = self.documents.clone_with_type::<Document>();
        let before = i64::try_from(version).unwrap_or(i64::MAX).saturating_sub(1);
        if before == 0 {
            documents
                .insert_one(document)
                .session(&mut *session)
                .await?;
        } else {
            let unchanged = doc! { "_id": TREE, "version": before };
            let replaced = documents.replace_one(unchanged, document);
            if replaced.session(&mut *session).await?.matched_count != 1 {
                return Err(StoreError::abort(Outrun));
            }
        }
        match entry {
            Some(entry) => self.audit.write_in(session, entry).await,
            None => Ok(()),
        }
    }
}
