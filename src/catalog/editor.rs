//! Writing products: checked against their type, stored over the version they were read at, taken into
//! this node's picture before the writer gets an answer.

use std::sync::Arc;

use super::{
    Catalog, CatalogError,
    bulk::BulkStep,
    journal::{created_entry, product_entry},
    model::{
        Categories, PRICE_WINDOW, PricePeriod, Product, ProductDraft, ProductType, Status, TypeId,
        WriteProduct, prices_move, reprice,
    },
    store::{Revision, Taken},
    turns::Turns,
    units::{opened, planned},
    view::{Audience, Levels, stamp},
};
use crate::{
    audit::Actor, clock::Timestamp, http::IfMatch, id::ProductId, mongo::StoreError,
    problem::FieldError,
};

/// A product as written, with its stock.
pub(super) type Written = (Product, Levels);

impl Catalog {
    /// Adds a product.
    ///
    /// # Errors
    /// `Invalid`, `SkuTaken`, `SlugTaken`.
    pub(super) async fn create(
        &self,
        written: WriteProduct,
        by: Actor,
    ) -> Result<Written, CatalogError> {
        let mut turns = Turns::begin();
        while turns.next().await {
            let tree = self.shared.categories.load().await?;
            let (mut draft, product_type) = self.check(written.clone()).await?;
            draft.follow_moves(&tree);
            let slug = if let Some(wanted) = draft.wanted_slug() {
                wanted.to_owned()
            } else {
                let base = draft.derived_slug();
                self.shared.products.free_slug(&base).await?
            };
            let wanted = draft.wanted_slug().is_some();
            let (mut product, plan) = draft.create(slug, Timestamp::now());
            let levels = opened(&plan);
            product.stock_stamp = stamp(&product, &levels, Audience::Public);
            let made = Revision {
                product: product.clone(),
                over: None,
                ended: Vec::new(),
                entry: created_entry(by, &product, &plan.opened),
                step: None,
                joins: joined(None, product_type),
            };
            match self.shared.products.revise(made).await? {
                Ok(true) => {}
                // Its type has been removed since it was read.
                Ok(false) => continue,
                // Another writer took the slug that was free a moment ago.
                Err(Taken::Slug) if !wanted => continue,
                Err(Taken::Slug) => return Err(CatalogError::SlugTaken),
                Err(Taken::Sku) => return Err(CatalogError::SkuTaken),
            }
            let stock = &self.shared.stock;
            let opening = stock.open_variants(product.id, &plan.opened).await;
            self.shared.live.product_changed(&product, Some(&levels));
            opening?;
            return self.settled((product, levels), &tree, by).await;
        }
        Err(CatalogError::Contended)
    }

    /// Puts what `write` makes of the present version in its place.
    ///
    /// # Errors
    /// `ProductNotFound`, `Stale`, `Invalid`, `SkuTaken`, `SlugTaken`, `StockHeld`, and those of `write`.
    pub(super) async fn rewrite(
        &self,
        id: ProductId,
        condition: IfMatch,
        by: Actor,
        write: impl Fn(&Product) -> Result<WriteProduct, CatalogError>,
    ) -> Result<Written, CatalogError> {
        self.rewrite_as(id, condition, by, write, |_, _| Ok(None))
            .await
    }

    /// The same, as a step of a bulk edit that `step` makes of the old and the new version.
    ///
    /// # Errors
    /// Those of [`Catalog::rewrite`] and of `step`.
    pub(super) async fn rewrite_as(
        &self,
        id: ProductId,
        condition: IfMatch,
        by: Actor,
        write: impl Fn(&Product) -> Result<WriteProduct, CatalogError>,
        step: impl Fn(&Product, &Product) -> Result<Option<BulkStep>, CatalogError>,
    ) -> Result<Written, CatalogError> {
        let turn = self.shared.lines.stand(id).await;
        let mut turns = Turns::begin();
        while turns.next().await {
            let old = self.find(id).await?;
            expect(&condition, old.version)?;
            let tree = self.shared.categories.load().await?;
            let (mut draft, product_type) = self.check(write(&old)?).await?;
            draft.follow_moves(&tree);
            let slug = draft.wanted_slug().unwrap_or(&old.slug).to_owned();
            let (product, plan) = draft
                .replace(&old, slug, Timestamp::now())
                .map_err(CatalogError::Invalid)?;
            let variants: Vec<_> = plan.opened.iter().map(|(variant, _)| *variant).collect();
            let levels = self.shared.stock.levels(&variants).await?;
            let planned = planned(&levels, &plan)?;
            let step = step(&old, &product)?;
            let joins = joined(Some(&old), product_type);
            let stored = self.store(product, &old, &planned, by, (step, joins));
            if let Some(product) = stored.await? {
                let levels = self.set_stock(&product, &plan, &levels, by).await;
                self.shared
                    .live
                    .product_changed(&product, levels.as_ref().ok());
                drop(turn);
                return self.settled((product, levels?), &tree, by).await;
            }
        }
        Err(CatalogError::Contended)
    }

    /// Takes a product off sale for good; one that is archived already stays as it is.
    ///
    /// # Errors
    /// `ProductNotFound`, `Stale`.
    pub(super) async fn archive(
        &self,
        id: ProductId,
        condition: IfMatch,
        by: Actor,
    ) -> Result<Product, CatalogError> {
        let _turn = self.shared.lines.stand(id).await;
        let mut turns = Turns::begin();
        while turns.next().await {
            let old = self.find(id).await?;
            expect(&condition, old.version)?;
            if old.status == Status::Archived {
                return Ok(old);
            }
            let product = Product {
                status: Status::Archived,
                version: old.version.saturating_add(1),
                updated_at: Timestamp::now(),
                ..old.clone()
            };
            let levels = self.levels(&product).await?;
            let stored = self.store(product, &old, &levels, by, (None, None));
            if let Some(product) = stored.await? {
                self.shared.live.product_changed(&product, Some(&levels));
                return Ok(product);
            }
        }
        Err(CatalogError::Contended)
    }

    /// The product of that id or slug, from the primary.
    pub(super) async fn find_by_name(&self, name: &str) -> Result<Product, CatalogError> {
        let found = match name.parse() {
            Ok(id) => self.shared.products.find(id).await?,
            Err(_slug) => self.shared.products.find_by_slug(name).await?,
        };
        found.ok_or(CatalogError::ProductNotFound)
    }

    pub(super) async fn find(&self, id: ProductId) -> Result<Product, CatalogError> {
        let found = self.shared.products.find(id).await?;
        found.ok_or(CatalogError::ProductNotFound)
    }

    /// Checks a written product against its type as it stands in the database now.
    pub(super) async fn check(
        &self,
        written: WriteProduct,
    ) -> Result<(ProductDraft, Arc<ProductType>), CatalogError> {
        let product_type = self.type_of(written.product_type.as_deref()).await?;
        let schema = self.schema_of(&product_type)?;
        let draft = ProductDraft::check(written, &product_type, &schema, self.shared.currency);
        Ok((draft.map_err(CatalogError::Invalid)?, product_type))
    }

    async fn type_of(&self, name: Option<&str>) -> Result<Arc<ProductType>, CatalogError> {
        let unknown = || {
            let message = "there is no such product type";
            CatalogError::Invalid(vec![FieldError::new("/type", "unknown_value", message)])
        };
        let id = match name {
            None => TypeId::generic(),
            Some(name) => name.parse().map_err(|_invalid| unknown())?,
        };
        self.shared.types.find(&id).await?.ok_or_else(unknown)
    }

    /// Stores `product` over `old`, with what is written down of it; `None` where another writer was
    /// faster, or the type that it joins is gone.
    async fn store(
        &self,
        mut product: Product,
        old: &Product,
        levels: &Levels,
        by: Actor,
        (step, joins): (Option<BulkStep>, Option<Arc<ProductType>>),
    ) -> Result<Option<Product>, CatalogError> {
        product.stock_stamp = stamp(&product, levels, Audience::Public);
        let ended = self.reprice(old, &mut product).await?;
        let revision = Revision {
            over: Some(old.version),
            ended,
            entry: product_entry(by, Some(old), &product, step.as_ref().map(BulkStep::job)),
            product,
            step,
            joins,
        };
        let product = revision.product.clone();
        match self.shared.products.revise(revision).await? {
            Ok(stored) => Ok(stored.then_some(product)),
            Err(Taken::Slug) => Err(CatalogError::SlugTaken),
            Err(Taken::Sku) => Err(CatalogError::SkuTaken),
        }
    }

    /// Gives the prices of the next version their marks; the periods that end.
    async fn reprice(
        &self,
        old: &Product,
        product: &mut Product,
    ) -> Result<Vec<PricePeriod>, StoreError> {
        let now = product.updated_at;
        let past = if prices_move(old, product) {
            let window = now.before(PRICE_WINDOW);
            self.shared.prices.since(product.id, window).await?
        } else {
            Vec::new()
        };
        Ok(reprice(old, product, &past, now))
    }

    /// A product as it was written, put where its categories are now: they may have been moved between
    /// the reading of `tree` and the writing, too late for the one who moves to see the product.
    async fn settled(
        &self,
        written: Written,
        tree: &Categories,
        by: Actor,
    ) -> Result<Written, CatalogError> {
        if written.0.categories.is_empty()
            || self.shared.categories.version().await? == tree.version
        {
            return Ok(written);
        }
        let tree = self.shared.categories.load().await?;
        if tree.placed_all(&written.0.categories).is_none() {
            return Ok(written);
        }
        let again = self.rewrite(written.0.id, IfMatch::Any, by, |old| Ok(old.into()));
        Box::pin(again).await
    }
}

/// The type that a product comes to have by its next version; `None` where it has it already.
fn joined(old: Option<&Product>, product_type: Arc<ProductType>) -> Option<Arc<ProductType>> {
    let had = old.is_some_and(|old| old.product_type == product_type.id);
    (!had).then_some(product_type)
}

pub(super) fn expect(condition: &IfMatch, present: u64) -> Result<(), CatalogError> {
    if condition.allows(present) {
        Ok(())
    } else {
        Err(CatalogError::Stale { present })
    }
}
