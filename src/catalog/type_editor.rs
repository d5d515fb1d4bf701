//! Writing product types. A change that present products would break is refused, and names them: nothing
//! is rewritten silently. The check reads every product of the type; a product written at the same
//! moment is checked against the type it found. No product comes to have a type that is being removed.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::TryStreamExt;

use super::{
    Catalog, CatalogError,
    editor::expect,
    error::{Offender, TypeFault, TypeReport},
    journal::type_entry,
    model::{Product, ProductType, Schema, TypeId, WriteProductType, check_type},
    store::TypeChange,
    turns::Turns,
};
use crate::{
    audit::{Action, Actor},
    clock::Timestamp,
    http::IfMatch,
    problem::FieldError,
};

/// The most products named that stand in the way.
const MAX_OFFENDERS: usize = 20;
/// The most ways of breaking a type that are told.
const MAX_FAULTS: usize = 100;
/// The most ways of breaking a type that are counted.
const MAX_KINDS: usize = 10_000;

impl Catalog {
    /// Adds a product type.
    ///
    /// # Errors
    /// `Invalid`, `TypeTaken`.
    pub(super) async fn create_type(
        &self,
        written: WriteProductType,
        by: Actor,
    ) -> Result<Arc<ProductType>, CatalogError> {
        let id = match written.id.as_deref().map(str::parse::<TypeId>) {
            Some(Ok(id)) => id,
            Some(Err(error)) => return Err(invalid("/id", "type_id", error.to_string())),
            None => return Err(invalid("/id", "required", "this field is required")),
        };
        check_type(&written).map_err(CatalogError::Invalid)?;
        let now = Timestamp::now();
        let product_type = Arc::new(typed(id, written, 1, (now, now)));
        let entry = type_entry(by, Action::Created, None, Some(&product_type));
        let insert = TypeChange::Insert(product_type.as_ref().into());
        if product_type.id.is_generic() || !self.shared.types.change(insert, entry).await? {
            return Err(CatalogError::TypeTaken);
        }
        self.shared.live.type_changed(product_type.clone());
        Ok(product_type)
    }

    /// Puts a product type in the place of the present one. Products that would break it stay as they are
    /// where `despite` says so, and are to be put right when they are next written.
    ///
    /// # Errors
    /// `TypeNotFound`, `TypeBuiltIn`, `Stale`, `Invalid`; `TypeInUse` where products would break it.
    pub(super) async fn replace_type(
        &self,
        id: &TypeId,
        condition: IfMatch,
        written: WriteProductType,
        despite: bool,
        by: Actor,
    ) -> Result<Arc<ProductType>, CatalogError> {
        let (old, product_type) = self.next_type(id, condition, written).await?;
        let report = self.would_break(&product_type).await?;
        if report.broken > 0 && !despite {
            return Err(CatalogError::TypeInUse(Box::new(report)));
        }
        let mut entry = type_entry(by, Action::Updated, Some(&old), Some(&product_type));
        if report.broken > 0 {
            entry.reason = Some(format!("despite {} products that break it", report.broken));
        }
        let replace = TypeChange::Replace(product_type.as_ref().into(), old.version);
        if !self.shared.types.change(replace, entry).await? {
            return Err(CatalogError::Contended);
        }
        self.shared.live.type_changed(product_type.clone());
        Ok(product_type)
    }

    /// What putting a product type in the place of the present one would do; nothing is written.
    ///
    /// # Errors
    /// `TypeNotFound`, `TypeBuiltIn`, `Stale`, `Invalid`.
    pub(super) async fn try_type(
        &self,
        id: &TypeId,
        condition: IfMatch,
        written: WriteProductType,
    ) -> Result<TypeReport, CatalogError> {
        let (_old, product_type) = self.next_type(id, condition, written).await?;
        self.would_break(&product_type).await
    }

    /// The present version of a type and the next one.
    async fn next_type(
        &self,
        id: &TypeId,
        condition: IfMatch,
        written: WriteProductType,
    ) -> Result<(Arc<ProductType>, Arc<ProductType>), CatalogError> {
        let old = self.changeable_type(id).await?;
        expect(&condition, old.version)?;
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
        Ok((old, product_type))
    }

    /// Removes a product type that no product has.
    ///
    /// # Errors
    /// `TypeNotFound`, `TypeBuiltIn`, `Stale`, `TypeInUse`.
    pub(super) async fn delete_type(
        &self,
        id: &TypeId,
        condition: IfMatch,
        by: Actor,
    ) -> Result<(), CatalogError> {
        let mut turns = Turns::begin();
        while turns.next().await {
            let old = self.changeable_type(id).await?;
            expect(&condition, old.version)?;
            let report = self.in_the_way(id).await?;
            if report.broken > 0 {
                return Err(CatalogError::TypeInUse(Box::new(report)));
            }
            let entry = type_entry(by, Action::Deleted, Some(&old), None);
            let delete = TypeChange::Delete(id.clone(), old.version);
            if self.shared.types.change(delete, entry).await? {
                self.shared.live.type_removed(id);
                return Ok(());
            }
        }
        Err(CatalogError::Contended)
    }

    /// The products that have a type.
    async fn in_the_way(&self, id: &TypeId) -> Result<TypeReport, CatalogError> {
        let mut products = self.shared.products.of_type(id).await?;
        let mut report = TypeReport::default();
        while let Some(product) = products.try_next().await? {
            report.checked += 1;
            report.broken += 1;
            if report.products.len() < MAX_OFFENDERS {
                report.products.push(offender(&product, Vec::new()));
            }
        }
        Ok(report)
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
        product_type: &Arc<ProductType>,
    ) -> Result<Arc<Schema>, CatalogError> {
        self.shared.schemas.of(product_type).map_err(|broken| {
            let reason = format!("schema of {}: {broken}", product_type.id);
            CatalogError::Store(crate::mongo::StoreError::Damaged {
                collection: super::store::PRODUCT_TYPES,
                reason,
            })
        })
    }

    /// Holds every product of a type against its next version.
    async fn would_break(&self, changed: &ProductType) -> Result<TypeReport, CatalogError> {
        let schema = Schema::compile(&changed.attributes, changed.axes()).map_err(|broken| {
            invalid(
                &format!("/attributes{}", broken.pointer),
                "schema",
                broken.message,
            )
        })?;
        let mut products = self.shared.products.of_type(&changed.id).await?;
        let mut report = TypeReport::default();
        let mut kinds: BTreeMap<(String, String), u64> = BTreeMap::new();
        while let Some(product) = products.try_next().await? {
            report.checked += 1;
            let mut faults = broken_by(&product, changed, &schema);
            if faults.is_empty() {
                continue;
            }
            report.broken += 1;
            let found: BTreeSet<_> = faults
                .iter()
                .map(|fault| (without_places(&fault.pointer), fault.code.clone()))
                .collect();
            for kind in found {
                // What comes to be too many kinds to be told is left out.
                if kinds.len() < MAX_KINDS || kinds.contains_key(&kind) {
                    *kinds.entry(kind).or_default() += 1;
                }
            }
            if report.products.len() < MAX_OFFENDERS {
                faults.truncate(MAX_OFFENDERS);
                report.products.push(offender(&product, faults));
            }
        }
        let faults = kinds.into_iter();
        report.faults = faults
            .map(|((pointer, code), products)| TypeFault {
                pointer,
                code,
                products,
            })
            .collect();
        report.faults.sort_by_key(|fault| Reverse(fault.products));
        report.faults.truncate(MAX_FAULTS);
        Ok(report)
    }
}

/// A pointer with `*` for each place in a list: `/variants/7/options/size` is `/variants/*/options/size`.
fn without_places(pointer: &str) -> String {
    let number = |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit());
    let tokens = pointer.split('/');
    let tokens = tokens.map(|token| if number(token) { "*" } else { token });
    tokens.collect::<Vec<_>>().join("/")
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
