//! The declared schema: each room's store says what its collections look like, this applies it.
//!
//! Applying is safe with several nodes starting at once: every step is idempotent at the server.

use bson::{Document, doc};
use mongodb::{Database, IndexModel, error::ErrorKind, options::IndexOptions};

use super::StoreError;
use crate::faults::{Plant, planted};

/// The collection exists already (another node was faster).
const NAMESPACE_EXISTS: i32 = 48;

/// The collection is not there.
const NAMESPACE_NOT_FOUND: i32 = 26;

/// The collection has no such index.
pub(super) const INDEX_NOT_FOUND: i32 = 27;

/// The index exists with other options, or other keys.
const INDEX_CONFLICTS: [i32; 2] = [85, 86];

/// One index.
#[derive(Debug, Clone)]
pub struct Index {
    /// Its name, which queries' doc comments refer to.
    pub name: &'static str,
    /// Its keys, in order.
    pub keys: Document,
    /// Whether two documents may not share a key.
    pub unique: bool,
    /// Only documents that match are in it.
    pub partial: Option<Document>,
    /// Documents leave this many seconds after the moment in the key.
    pub expire_after_seconds: Option<u32>,
}

impl Index {
    /// A plain index.
    #[must_use]
    pub fn on(name: &'static str, keys: Document) -> Self {
        Self {
            name,
            keys,
            unique: false,
            partial: None,
            expire_after_seconds: None,
        }
    }

    /// An index that refuses a second document with the same key.
    #[must_use]
    pub fn unique(name: &'static str, keys: Document) -> Self {
        Self {
            unique: true,
            ..Self::on(name, keys)
        }
    }

    /// An index that removes documents once the moment in `field` has passed by `seconds`.
    #[must_use]
    pub fn expiring(name: &'static str, field: &str, seconds: u32) -> Self {
        Self {
            expire_after_seconds: Some(seconds),
            ..Self::on(name, doc! { field: 1 })
        }
    }

    /// Limits the index to documents that match.
    #[must_use]
    pub fn only_where(self, partial: Document) -> Self {
        Self {
            partial: Some(partial),
            ..self
        }
    }

    fn model(&self) -> IndexModel {
        let dropped = planted(Plant::IndexDropped) && matches!(self.name, "checkout" | "capture");
        let options = IndexOptions::builder()
            .name(self.name.to_owned())
            .unique((self.unique && !dropped).then_some(true))
            .partial_filter_expression(self.partial.clone())
            .expire_after(
                self.expire_after_seconds
                    .map(|s| std::time::Duration::from_secs(s.into())),
            )
            .build();
        IndexModel::builder()
            .keys(self.keys.clone())
            .options(options)
            .build()
    }
}

/// One collection.
#[derive(Debug, Clone)]
pub struct Collection {
    /// Its name.
    pub name: &'static str,
    /// Its indexes besides `_id`.
    pub indexes: Vec<Index>,
    /// A JSON Schema (MongoDB's dialect) that every document must fit.
    pub validator: Option<Document>,
}

/// Brings the database to the declared schema.
///
/// # Errors
/// When the server refuses a step, for example a unique index over data that breaks it.
pub async fn apply(database: &Database, collections: &[Collection]) -> Result<(), StoreError> {
    let meta = database.collection::<Document>("meta");
    let declared = format!("{collections:?}");
    let applied = meta.find_one(doc! { "_id": "schema" }).await?;
    if applied.is_some_and(|held| held.get_str("declared").is_ok_and(|text| text == declared)) {
        return Ok(());
    }
    for collection in collections {
        apply_one(database, collection).await?;
    }
    meta.replace_one(
        doc! { "_id": "schema" },
        doc! { "_id": "schema", "declared": declared },
    )
    .upsert(true)
    .await?;
    Ok(())
}

async fn apply_one(database: &Database, collection: &Collection) -> Result<(), StoreError> {
    match database.create_collection(collection.name).await {
        Ok(()) => {}
        Err(error) if has_code(&error, &[NAMESPACE_EXISTS]) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(schema) = &collection.validator {
        let rule = doc! { "collMod": collection.name, "validator": { "$jsonSchema": schema } };
        database.run_command(rule).await?;
    }
    let documents = database.collection::<Document>(collection.name);
    for index in &collection.indexes {
        match documents.create_index(index.model()).await {
            Ok(_) => {}
            // An earlier release declared it otherwise.
            Err(error) if has_code(&error, &INDEX_CONFLICTS) => {
                match documents.drop_index(index.name).await {
                    Ok(()) => {}
                    // Another node starts as well.
                    Err(error) if has_code(&error, &[INDEX_NOT_FOUND]) => {}
                    Err(error) => return Err(error.into()),
                }
                documents.create_index(index.model()).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) fn has_code(error: &mongodb::error::Error, codes: &[i32]) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if codes.contains(&command.code))
}

/// Lists what is declared but not there: `collection.index`, for `bodega check`.
///
/// # Errors
/// When the database cannot be read.
pub async fn missing(
    database: &Database,
    collections: &[Collection],
) -> Result<Vec<String>, StoreError> {
    let mut missing = Vec::new();
    for collection in collections {
        let handle = database.collection::<Document>(collection.name);
        let present = match handle.list_index_names().await {
            Ok(names) => names,
            Err(error) if has_code(&error, &[NAMESPACE_NOT_FOUND]) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let absent = collection
            .indexes
            .iter()
            .filter(|index| !present.iter().any(|name| name == index.name));
        missing.extend(absent.map(|index| format!("{}.{}", collection.name, index.name)));
    }
    Ok(missing)
}
