//! What may go wrong in the catalogue, and how it is answered.

use serde::Serialize;

use crate::{
    id::VariantId,
    mongo::StoreError,
    problem::{Code, FieldError, Problem},
};

/// Why the catalogue cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such product, or not for this caller.
    #[error("there is no such product")]
    ProductNotFound,
    /// The product has no such variant.
    #[error("the product has no such variant")]
    VariantNotFound,
    /// The product has several variants, and none was named.
    #[error("the product has several variants: name one")]
    VariantRequired,
    /// The written form breaks rules.
    #[error("the request breaks {} rules", .0.len())]
    Invalid(Vec<FieldError>),
    /// A SKU of the product stands on another one.
    #[error("a sku belongs to another product")]
    SkuTaken,
    /// The slug belongs to another product.
    #[error("the slug belongs to another product")]
    SlugTaken,
    /// The product or type is not at the version that the write names.
    #[error("the present version is {present}")]
    Stale {
        /// The version it has.
        present: u64,
    },
    /// Others kept changing it between reading and writing.
    #[error("others change it at the same time; try again")]
    Contended,
    /// Open checkouts hold more units than would be left.
    #[error("open checkouts hold {reserved} units of variant {variant}")]
    StockHeld {
        /// The variant.
        variant: VariantId,
        /// Units held.
        reserved: u32,
        /// Units free.
        available: u32,
    },
    /// There is no such category.
    #[error("there is no such category")]
    CategoryNotFound,
    /// There is a category at that path.
    #[error("there is a category at that path")]
    CategoryTaken,
    /// Products stand in the category.
    #[error("{products} products stand in the category or below it")]
    CategoryInUse {
        /// How many.
        products: u64,
    },
    /// There is no such product type.
    #[error("there is no such product type")]
    TypeNotFound,
    /// A product type of that id exists.
    #[error("the product type exists")]
    TypeTaken,
    /// The built-in type stays as it is.
    #[error("the built-in product type cannot be changed")]
    TypeBuiltIn,
    /// Products stand in the way of changing or removing their type.
    #[error("{} of {} products stand in the way", .0.broken, .0.checked)]
    TypeInUse(Box<TypeReport>),
    /// The index is being loaded.
    #[error("the catalogue is being loaded")]
    Loading,
    /// A merge patch leads to something that is no product.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<mongodb::error::Error> for CatalogError {
    fn from(error: mongodb::error::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What a changed product type would do to the products that have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypeReport {
    /// Products of the type.
    pub checked: u64,
    /// Those that would break it.
    pub broken: u64,
    /// What they would break, by place and kind, the most frequent first; at most a hundred.
    pub faults: Vec<TypeFault>,
    /// The first twenty of them.
    pub products: Vec<Offender>,
}

/// One way in which products break a changed type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TypeFault {
    /// The place in the product; `*` stands for the place in a list.
    #[schema(example = "/attributes/grams")]
    pub pointer: String,
    /// What is wrong, for programs.
    pub code: String,
    /// In how many products.
    pub products: u64,
}

/// A product that stands in the way of changing its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Offender {
    /// The product's id.
    pub id: String,
    /// Its SKU.
    pub sku: String,
    /// What it breaks; empty where the type is to be removed.
    pub errors: Vec<FieldError>,
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        let detail = error.to_string();
        match error {
            CatalogError::ProductNotFound
            | CatalogError::VariantNotFound
            | CatalogError::CategoryNotFound
            | CatalogError::TypeNotFound => Self::not_found().detail(detail),
            CatalogError::VariantRequired => Self::field("/variantId", "required", detail),
            CatalogError::Invalid(faults) => Self::invalid(faults),
            CatalogError::SkuTaken => Self::new(Code::SkuTaken),
            CatalogError::SlugTaken => {
                Self::new(Code::SlugTaken).errors(vec![FieldError::new("/slug", "taken", detail)])
            }
            CatalogError::Stale { .. } => Self::new(Code::Stale).detail(detail),
            CatalogError::Contended | CatalogError::TypeBuiltIn => {
                Self::new(Code::Conflict).detail(detail)
            }
            CatalogError::StockHeld {
                variant,
                reserved,
                available,
            } => Self::new(Code::InsufficientStock)
                .detail(detail)
                .with("variantId", &variant)
                .with("reserved", &reserved)
                .with("available", &available),
            CatalogError::TypeTaken => Self::new(Code::TypeTaken),
            CatalogError::CategoryTaken => Self::new(Code::CategoryTaken),
            CatalogError::CategoryInUse { products } => Self::new(Code::CategoryInUse)
                .detail(detail)
                .with("productCount", &products),
            CatalogError::TypeInUse(report) => Self::new(Code::TypeInUse)
                .detail(detail)
                .with("checked", &report.checked)
                .with("broken", &report.broken)
                .with("faults", &report.faults)
                .with("products", &report.products),
            CatalogError::Loading => Self::new(Code::NotReady)
                .detail(detail)
                .retry_after(std::time::Duration::from_secs(1)),
            CatalogError::Refused(problem) => problem,
            CatalogError::Store(error) => error.into(),
        }
    }
}
