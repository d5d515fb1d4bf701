//! Writing product types. A change that present products would break is refused, and names them: nothing
//! is rewritten silently. The check reads every product of the type; a product written at the same
//! moment is checked against the type it found.

use std::sync::Arc;

use futures_util::TryStreamExt;

use super::{
    Catalog, CatalogError,
    error::Offender,
    model::{Product, ProductType, Schema, TypeId, WriteProductType, check_type},
};
use crate::{clock::Timestamp, http::IfMatch, problem::FieldError};

/// The most products named that stand in the way.
const MAX_OFFENDERS: usize = 20;

impl Catalog {
    /// Adds a product type.
    ///
    /// # Errors
    /// `Invalid`, `TypeTaken`.
    pub(super) async fn create_type(
        &self,
        written: WriteProductType,
    ) -> Result<Arc<ProductType>, CatalogError> {
        let id = match written.id.as_deref().map(str::parse::<TypeId>) {
            Some(Ok(id)) => id,
            Some(Err(error)) => return Err(invalid("/id", "type_id", error.to_string())),
            None => return Err(invalid("/id", "required", "this field is required")),
        };
        check_type(&written).map_err(CatalogError::Invalid)?;
        let now = Timestamp::now();
        let product_type = Arc::new(typed(id, written, 1, (now, now)));
        if product_type.id.is_generic() || !self.shared.types.insert(&product_type).await? {
            return Err(CatalogError::TypeTaken);
        }
        self.shared.live.type_changed(product_type.clone());
        Ok(product_type)
    }

    /// Puts a product type in the place of the present one.
    ///
    /// # Errors
    /// `TypeNotFound`, `TypeBuiltIn`, `Stale`, `Invalid`; `TypeInUse` where products would break it.
    pub(super) async fn replace_type(
        &self,
        id: &TypeId,
        condition: IfMatch,
        written: WriteProductType,
    ) -> Result<Arc<ProductType>, CatalogError> {
        let old = self.changeable_type(id).await?;
        if !condition.allows(old.version) {
            return Err(CatalogError::Stale {
                present: old.version,
            });
        }
        if written
            .id
            .as_ref()
            .is_some_and(|given| given != id.as_str())
        {
            let message = "the id of a type cannot change";
            return Err(invalid("/id", "mismatch", message));
        }
        check_type(&written).map_err(CatalogError::Invalid)?;
        let version = old.version.saturating_add(1);
        let times = (old.created_at, Timestamp::now());
        let product_type = Arc::new(typed(id.clone(), written, version, times));
        self.refuse_broken_products(&product_type).await?;
        let replaced = self.shared.types.replace(&product_type, old.version);
        if !replaced.await? {
            return Err(CatalogError::Contended);
        }
        self.shared.live.type_changed(product_type.clone());
        Ok(product_type)
    }

    /// Removes a product type that no product has.
    ///
    /// # Errors
    /// `TypeNotFound`, `TypeBuiltIn`, `TypeInUse`.
    pub(super) async fn delete_type(&self, id: &TypeId) -> Result<(), CatalogError> {
        self.changeable_type(id).await?;
        let mut products = self.shared.products.of_type(id).await?;
        let mut offenders = Vec::new();
        while let Some(product) = products.try_next().await? {
            offenders.push(offender(&product, Vec::new()));
            if offenders.len() == MAX_OFFENDERS {
                break;
            }
        }
        if !offenders.is_empty() {
            return Err(CatalogError::TypeInUse(offenders));
        }
        if !self.shared.types.delete(id).await? {
            return Err(CatalogError::TypeNotFound);
        }
        self.shared.live.type_removed(id);
        Ok(())
    }

    /// The type of that id, as it stands in the database.
    ///
    /// # Errors
    /// `TypeNotFound`.
    pub(super) async fn find_type(&self, id: &TypeId) -> Result<Arc<ProductType>, CatalogError> {
        let found = self.shared.types.find(id).await?;
        found.ok_or(CatalogError::TypeNotFound)
    }

    async fn changeable_type(&self, id: &TypeId) -> Result<Arc<ProductType>, CatalogError> {
        if id.is_generic() {
            return Err(CatalogError::TypeBuiltIn);
        }
        self.find_type(id).await
    }

    /// The compiled schema of a type that is stored.
    pub(super) fn schema_of(
        &self,
        product_type: &ProductType,
    ) -> Result<Arc<Schema>, CatalogError> {
        self.shared.schemas.of(product_type).map_err(|broken| {
            let reason = format!("schema of {}: {broken}", product_type.id);
            CatalogError::Store(crate::mongo::StoreError::Damaged {
                collection: super::store::PRODUCT_TYPES,
                reason,
            })
        })
    }

    async fn refuse_broken_products(&self, changed: &ProductType) -> Result<(), CatalogError> {
        let schema = Schema::compile(&changed.attributes, changed.axes()).map_err(|broken| {
            invalid(
                &format!("/attributes{}", broken.pointer),
                "schema",
                broken.message,
            )
        })?;
        let mut products = self.shared.products.of_type(&changed.id).await?;
        let mut offenders = Vec::new();
        while let Some(product) = products.try_next().await? {
            let faults = broken_by(&product, changed, &schema);
            if !faults.is_empty() {
                offenders.push(offender(&product, faults));
            }
            if offenders.len() == MAX_OFFENDERS {
                break;
            }
        }
        if offenders.is_empty() {
            Ok(())
        } else {
            Err(CatalogError::TypeInUse(offenders))
        }
    }
}

/// What a product breaks of a changed type.
fn broken_by(product: &Product, changed: &ProductType, schema: &Schema) -> Vec<FieldError> {
    let mut faults = schema.check(&product.attributes);
    for (index, axis) in product.options.iter().enumerate() {
        if !changed.has_axis(axis) {
            let message = "the product type does not declare this field as a variant axis";
            let pointer = format!("/options/{index}");
            faults.push(FieldError::new(pointer, "unknown_value", message));
        }
    }
    for (index, variant) in product.variants.iter().enumerate() {
        for (axis, value) in &variant.options {
            if !schema.allows_option(axis, value) {
                let message = "the product type does not allow this value";
                let axis = super::model::pointer_token(axis);
                let pointer = format!("/variants/{index}/options/{axis}");
                faults.push(FieldError::new(pointer, "unknown_value", message));
            }
        }
    }
    faults.truncate(MAX_OFFENDERS);
    faults
}

fn offender(product: &Product, errors: Vec<FieldError>) -> Offender {
    Offender {
        id: product.id.to_string(),
        sku: product.sku.clone(),
        errors,
    }
}

fn invalid(pointer: &str, code: &str, message: impl Into<String>) -> CatalogError {
    CatalogError::Invalid(vec![FieldError::new(pointer, code, message)])
}

fn typed(
    id: TypeId,
    written: WriteProductType,
    version: u64,
    (created_at, updated_at): (Timestamp, Timestamp),
) -> ProductType {
    ProductType {
        id,
        name: written.name.trim().to_owned(),
        attributes: written.attributes,
        fields: written.fields,
        version,
        created_at,
        updated_at,
    }
}
