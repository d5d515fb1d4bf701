//! Product types as documents. The schema is stored as text: MongoDB gives meanings of its own to
//! names such as `$ref`.

use std::sync::Arc;

use bson::doc;
use futures_util::TryStreamExt;
use mongodb::Collection;
use serde::{Deserialize, Serialize};

use super::PRODUCT_TYPES;
use crate::{
    catalog::model::{Field, ProductType, TypeId},
    clock::Timestamp,
    mongo::{Mongo, StoreError, is_duplicate_key, schema},
};

#[derive(Debug, Serialize, Deserialize)]
struct TypeDocument {
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

#[derive(Debug, Serialize, Deserialize)]
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
    documents: Collection<TypeDocument>,
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
            documents: mongo.database().collection(PRODUCT_TYPES),
        }
    }

    /// Adds a type; `false` where its id is taken. Index used: `_id`.
    pub(in crate::catalog) async fn insert(
        &self,
        product_type: &ProductType,
    ) -> Result<bool, StoreError> {
        let document = TypeDocument::from(product_type);
        match self.documents.insert_one(document).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate_key(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
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

    /// Puts a type in the place of its version `over`; `false` where that is not the present one.
    /// Index used: `_id`.
    pub(in crate::catalog) async fn replace(
        &self,
        product_type: &ProductType,
        over: u64,
    ) -> Result<bool, StoreError> {
        let over = i64::try_from(over).unwrap_or(i64::MAX);
        let unchanged = doc! { "_id": &product_type.id, "version": over };
        let document = TypeDocument::from(product_type);
        let replaced = self.documents.replace_one(unchanged, document).await?;
        Ok(replaced.matched_count == 1)
    }

    /// Removes a type; `false` where there is none. Index used: `_id`.
    pub(in crate::catalog) async fn delete(&self, id: &TypeId) -> Result<bool, StoreError> {
        let removed = self.documents.delete_one(doc! { "_id": id }).await?;
        Ok(removed.deleted_count == 1)
    }
}
