//! What the cart needs to know of the catalogue.

use std::collections::HashMap;

use futures_util::future::BoxFuture;

use crate::{
    catalog::{Catalog, CatalogError, Offer},
    id::{ProductId, VariantId},
    mongo::StoreError,
};

/// A product or variant that cannot be put into a cart.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// There is no such product.
    #[error("no such product")]
    ProductNotFound,
    /// The product has no such variant.
    #[error("no such variant of the product")]
    VariantNotFound,
    /// The product has several variants and none was named.
    #[error("the product has variants; name one")]
    VariantRequired,
    /// The catalogue cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The catalogue, as the cart sees it; a test stands in for it.
pub trait Offers: Send + Sync {
    /// The variants as they are offered now; one that does not exist is left out.
    ///
    /// # Errors
    /// When the catalogue cannot be read.
    fn offers<'a>(
        &'a self,
        variants: &'a [VariantId],
    ) -> BoxFuture<'a, Result<HashMap<VariantId, Offer>, StoreError>>;

    /// The variant of `product` that is meant: the one named, or the only one.
    ///
    /// # Errors
    /// When there is none, or it is not clear which.
    fn resolve(
        &self,
        product: ProductId,
        variant: Option<VariantId>,
    ) -> BoxFuture<'_, Result<Offer, Unresolved>>;
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the catalogue's other errors are refusals of writing, which resolving does not do"
)]
impl Offers for Catalog {
    fn offers<'a>(
        &'a self,
        variants: &'a [VariantId],
    ) -> BoxFuture<'a, Result<HashMap<VariantId, Offer>, StoreError>> {
        Box::pin(Self::offers(self, variants))
    }

    fn resolve(
        &self,
        product: ProductId,
        variant: Option<VariantId>,
    ) -> BoxFuture<'_, Result<Offer, Unresolved>> {
        Box::pin(async move {
            Self::resolve(self, product, variant)
                .await
                .map_err(|refused| match refused {
                    CatalogError::VariantNotFound => Unresolved::VariantNotFound,
                    CatalogError::VariantRequired => Unresolved::VariantRequired,
                    CatalogError::Store(error) => Unresolved::Store(error),
                    _of_writing => Unresolved::ProductNotFound,
                })
        })
    }
}
