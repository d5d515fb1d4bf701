//! What a dry run knows of SKUs and slugs: who has those that a batch would take, and what its own rows take.

use std::collections::HashMap;

use crate::{
    catalog::{
        model::Product,
        store::{Holding, Taken},
    },
    id::ProductId,
};

/// Who has which SKU and which slug.
#[derive(Debug, Default)]
pub(super) struct Claims {
    skus: HashMap<String, ProductId>,
    slugs: HashMap<String, ProductId>,
}

impl Claims {
    /// Begins with what stands in the database.
    pub(super) fn of(present: Vec<Holding>) -> Self {
        let mut claims = Self::default();
        for Holding { id, skus, slug } in present {
            claims.skus.extend(skus.into_iter().map(|sku| (sku, id)));
            claims.slugs.insert(slug, id);
        }
        claims
    }

    /// Lets `product` have its SKUs and its slug, in the place of what `old` had; a slug that nobody asked
    /// for gives way.
    ///
    /// # Errors
    /// What another product has. Then nothing has changed.
    pub(super) fn take(
        &mut self,
        old: Option<&Product>,
        product: &Product,
        slug_is_wanted: bool,
    ) -> Result<(), Taken> {
        let anothers = |holder: Option<&ProductId>| holder.is_some_and(|id| *id != product.id);
        let slug_is_free = !anothers(self.slugs.get(&product.slug));
        if slug_is_wanted && !slug_is_free {
            return Err(Taken::Slug);
        }
        if product
            .skus()
            .iter()
            .any(|sku| anothers(self.skus.get(*sku)))
        {
            return Err(Taken::Sku);
        }
        if let Some(old) = old {
            for sku in old.skus() {
                self.skus.remove(sku);
            }
            self.slugs.remove(&old.slug);
        }
        let skus = product.skus().into_iter();
        self.skus
            .extend(skus.map(|sku| (sku.to_owned(), product.id)));
        if slug_is_free {
            self.slugs.insert(product.slug.clone(), product.id);
        }
        Ok(())
    }
}
