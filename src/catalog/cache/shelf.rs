//! Products at hand, by id and by slug.

use std::{future::Future, sync::Arc};

use moka::future::Cache;

use super::{epoch::Epochs, weight};
use crate::{catalog::view::Shelved, id::ProductId};

/// Slugs remembered; each only says which product to look at.
const SLUGS: u64 = 50_000;

type Key = (ProductId, u64);

/// The products at hand.
#[derive(Debug)]
pub(in crate::catalog) struct Shelf {
    products: Cache<Key, Arc<Shelved>>,
    slugs: Cache<String, ProductId>,
    epochs: Epochs,
}

impl Shelf {
    /// A shelf with room for `bytes`.
    pub(in crate::catalog) fn new(bytes: u64) -> Self {
        let products = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_key: &Key, shelved: &Arc<Shelved>| weight(shelved.weight()));
        Self {
            products: products.build(),
            slugs: Cache::new(SLUGS),
            epochs: Epochs::new(),
        }
    }

    /// The product, where it is at hand.
    pub(in crate::catalog) async fn get(&self, id: ProductId) -> Option<Arc<Shelved>> {
        self.products.get(&(id, self.epochs.of(id))).await
    }

    /// The product, from `load` where it is not at hand. Callers who want the same product at once
    /// share one loading.
    ///
    /// # Errors
    /// Those of `load`.
    pub(in crate::catalog) async fn get_or_load<E>(
        &self,
        id: ProductId,
        load: impl Future<Output = Result<Option<Shelved>, E>>,
    ) -> Result<Option<Arc<Shelved>>, E> {
        let key = (id, self.epochs.of(id));
        let mut failed = None;
        let loading = async {
            match load.await {
                Ok(found) => found.map(Arc::new),
                Err(error) => {
                    failed = Some(error);
                    None
                }
            }
        };
        let found = self.products.optionally_get_with(key, loading).await;
        failed.map_or(Ok(found), Err)
    }

    /// The place of a product that is about to be read from the database.
    pub(in crate::catalog) fn place(&self, id: ProductId) -> Key {
        (id, self.epochs.of(id))
    }

    /// Puts a product at the place that was taken before it was read.
    pub(in crate::catalog) async fn put(&self, place: Key, shelved: Arc<Shelved>) {
        self.products.insert(place, shelved).await;
    }

    /// The product that had the slug when it was last looked at; it may have another one now.
    pub(in crate::catalog) async fn named(&self, slug: &str) -> Option<ProductId> {
        self.slugs.get(slug).await
    }

    /// Remembers which product has a slug.
    pub(in crate::catalog) async fn name(&self, slug: &str, id: ProductId) {
        self.slugs.insert(slug.to_owned(), id).await;
    }

    /// Lets nothing that was read of a product before this call be served after it.
    pub(in crate::catalog) fn forget(&self, id: ProductId) {
        self.epochs.advance(id);
    }

    /// The same for every product.
    pub(in crate::catalog) fn forget_all(&self) {
        self.epochs.advance_all();
        self.products.invalidate_all();
        self.slugs.invalidate_all();
    }
}
