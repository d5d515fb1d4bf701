//! Product types as documents. The schema is stored as text: MongoDB gives meanings of its own to
//! names such as `$ref`.

use std::sync::Arc;

use bson::{Document, doc};
use futures_util::{FutureExt, TryStreamExt};
use mongodb::{ClientSession, Collection};
use serde::{Deserialize, Serialize};

use super::{PRODUCT_TYPES, Products};
use crate::{
    audit::{Action, Actor, Audit, Entry},
    catalog::{
        journal::type_entry,
        model::{Field, ProductType, TypeId},
    },
    clock::Timestamp,
    mongo::{Mongo, StoreError, schema},
};

/// A type as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::catalog) struct TypeDocument {
    #[serde(rename = "_id")]
    id: TypeId,
    name: String,
    /// JSON text.
    attributes: String,
    fields: Vec<FieldDocument>,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct FieldDocument {
    name: String,
    label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    filterable: bool,
    searchable: bool,
    variant_axis: bool,
}

impl From<&ProductType> for TypeDocument {
    fn from(product_type: &ProductType) -> Self {
        let fields = product_type
            .fields
            .iter()
            .map(|(name, field)| FieldDocument {
                name: name.clone(),
                label: field.label.clone(),
                unit: field.unit.clone(),
                filterable: field.filterable,
                searchable: field.searchable,
                variant_axis: field.variant_axis,
            });
        Self {
            id: product_type.id.clone(),
            name: product_type.name.clone(),
            attributes: product_type.attributes.to_string(),
            fields: fields.collect(),
            version: product_type.version,
            created_at: product_type.created_at,
            updated_at: product_type.updated_at,
        }
    }
}

impl TryFrom<TypeDocument> for ProductType {
    type Error = StoreError;

    fn try_from(document: TypeDocument) -> Result<Self, StoreError> {
        let attributes =
            serde_json::from_str(&document.attributes).map_err(|error| StoreError::Damaged {
                collection: PRODUCT_TYPES,
                reason: format!("attributes of {}: {error}", document.id),
            })?;
        let fields = document.fields.into_iter().map(|field| {
            let declared = Field {
                label: field.label,
                unit: field.unit,
                filterable: field.filterable,
                searchable: field.searchable,
                variant_axis: field.variant_axis,
            };
            (field.name, declared)
        });
        Ok(Self {
            id: document.id,
            name: document.name,
            attributes,
            fields: fields.collect(),
            version: document.version,
            created_at: document.created_at,
            updated_at: document.updated_at,
        })
    }
}

/// The product types besides the built-in one.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct ProductTypes {
    mongo: Mongo,
    documents: Collection<TypeDocument>,
    products: Products,
    audit: Audit,
}

/// Where products come to have a type, while others may remove it. A transaction that removes a type
/// looks for its products and deletes the type's document; each product that joins changes the document,
/// so that one of the two meets the other and does not come through.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct TypeDoor(Collection<TypeDocument>);

impl TypeDoor {
    /// Opens the store.
    pub(in crate::catalog) fn new(mongo: &Mongo) -> Self {
        Self(mongo.database().collection(PRODUCT_TYPES))
    }

    /// Joins a type in the transaction that writes the product; `false` where the type is gone.
    /// Index used: `_id`.
    pub(super) async fn join_in(
        &self,
        session: &mut ClientSession,
        product_type: &ProductType,
    ) -> mongodb::error::Result<bool> {
        if product_type.id.is_generic() {
            return Ok(true);
        }
        let joined = self.0.update_one(as_read(product_type), joining());
        Ok(joined.session(session).await?.matched_count == 1)
    }

    /// Joins a type after its products have been written; `false` where the type is gone, and nobody who
    /// removed it has seen them. Index used: `_id`.
    pub(in crate::catalog) async fn join(
        &self,
        product_type: &ProductType,
    ) -> Result<bool, StoreError> {
        if product_type.id.is_generic() {
            return Ok(true);
        }
        let joined = self.0.update_one(as_read(product_type), joining());
        Ok(joined.await?.matched_count == 1)
    }
}

/// The type that was read, not one that was made under its id since.
fn as_read(product_type: &ProductType) -> Document {
    doc! { "_id": &product_type.id, "created_at": product_type.created_at }
}

/// Counts for nobody: what matters is that the document changes. The follower knows that such an update
/// says nothing of the type.
fn joining() -> Document {
    doc! { "$inc": { "joined": 1_i64 } }
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: PRODUCT_TYPES,
        indexes: Vec::new(),
        validator: None,
    }
}

impl ProductTypes {
    /// Opens the store.
    pub(in crate::catalog) fn new(mongo: &Mongo) -> Self {
        Self {
            mongo: mongo.clone(),
            documents: mongo.database().collection(PRODUCT_TYPES),
            products: Products::new(mongo),
            audit: Audit::new(mongo),
        }
    }

    /// Adds a type; `false` where its id is taken. Index used: `_id`.
    pub(in crate::catalog) async fn insert(
        &self,
        product_type: &ProductType,
    ) -> Result<bool, StoreError> {
        let entry = type_entry(
            Actor::CommandLine,
            Action::Created,
            None,
            Some(product_type),
        );
        self.change(TypeChange::Insert(product_type.into()), entry)
            .await
    }

    /// The type of that id; the built-in one is always there. Index used: `_id`.
    pub(in crate::catalog) async fn find(
        &self,
        id: &TypeId,
    ) -> Result<Option<Arc<ProductType>>, StoreError> {
        if id.is_generic() {
            return Ok(Some(ProductType::generic()));
        }
        let found = self.documents.find_one(doc! { "_id": id }).await?;
        found
            .map(|document| document.try_into().map(Arc::new))
            .transpose()
    }

    /// Every type but the built-in one.
    pub(in crate::catalog) async fn all(&self) -> Result<Vec<Arc<ProductType>>, StoreError> {
        let documents: Vec<_> = self.documents.find(doc! {}).await?.try_collect().await?;
        let types = documents.into_iter();
        types.map(|found| found.try_into().map(Arc::new)).collect()
    }

    /// Writes a change with what the audit log is told of it, both or none; `false` where the id is taken,
    /// what was to be replaced or removed is not there, or a product has what was to be removed.
    /// Index used: `_id`.
    pub(in crate::catalog) async fn change(
        &self,
        change: TypeChange,
        entry: Entry,
    ) -> Result<bool, StoreError> {
        let context = (self.clone(), change, entry);
        let done = self
            .mongo
            .transaction_with(context, |session, (types, change, entry)| {
                types.write_in(session, change, entry).boxed()
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
        change: &TypeChange,
        entry: &Entry,
    ) -> mongodb::error::Result<()> {
        let changed = match change {
            TypeChange::Insert(document) => {
                let inserted = self.documents.insert_one(document);
                inserted.session(&mut *session).await?;
                1
            }
            TypeChange::Replace(document, over) => {
                let over = i64::try_from(*over).unwrap_or(i64::MAX);
                let unchanged = doc! { "_id": &document.id, "version": over };
                let replaced = self.documents.replace_one(unchanged, document);
                replaced.session(&mut *session).await?.matched_count
            }
            TypeChange::Delete(id, over) => {
                if self.products.any_of_type_in(&mut *session, id).await? {
                    return Err(StoreError::abort(Outrun));
                }
                let over = i64::try_from(*over).unwrap_or(i64::MAX);
                let unchanged = doc! { "_id": id, "version": over };
                let removed = self.documents.delete_one(unchanged);
                removed.session(&mut *session).await?.deleted_count
            }
        };
        if changed == 0 {
            return Err(StoreError::abort(Outrun));
        }
        self.audit.write_in(session, entry).await
    }
}

/// What is done to a type.
#[derive(Debug, Clone)]
pub(in crate::catalog) enum TypeChange {
    /// It is added.
    Insert(TypeDocument),
    /// It takes the place of this version.
    Replace(TypeDocument, u64),
    /// This version is removed; only while no product has it.
    Delete(TypeId, u64),
}

/// What was to be changed is not as it was read.
#[derive(Debug, Clone, Copy)]
struct Outrun;
