//! Writing products: checked against their type, stored over the version they were read at, taken into
//! this node's picture before the writer gets an answer.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};

use super::{
    Catalog, CatalogError, StockLevel,
    bulk::BulkStep,
    journal::{product_entry, stock_entry},
    model::{
        Categories, MAX_ON_HAND, PRICE_WINDOW, PricePeriod, Product, ProductDraft, ProductType,
        Status, StockPlan, TypeId, WriteProduct, prices_move, reprice,
    },
    store::{Revision, StockMove, Taken},
    view::{Audience, Levels, stamp},
};
use crate::{
    audit::Actor,
    clock::Timestamp,
    http::IfMatch,
    id::{ProductId, UserId, VariantId},
    mongo::StoreError,
    problem::FieldError,
};

/// How often a write is tried again when another writer was faster.
const TRIES: usize = 8;

/// Variants whose stock is set at once.
const AT_ONCE: usize = 32;

/// A product as written, with its stock.
pub(super) type Written = (Product, Levels);

/// What the warehouse says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StockChange {
    /// So many more, or fewer.
    Delta(i64),
    /// So many have been counted, held ones included.
    OnHand(u32),
}

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
        let tree = self.shared.categories.load().await?;
        let mut draft = self.check(written).await?;
        draft.follow_moves(&tree);
        for _ in 0..TRIES {
            let slug = if let Some(wanted) = draft.wanted_slug() {
                wanted.to_owned()
            } else {
                let base = draft.derived_slug();
                self.shared.products.free_slug(&base).await?
            };
            let (mut product, plan) = draft.clone().create(slug, Timestamp::now());
            let levels = opened(&plan);
            product.stock_stamp = stamp(&product, &levels, Audience::Public);
            let made = Revision {
                product: product.clone(),
                over: None,
                ended: Vec::new(),
                entry: product_entry(by, None, &product, None),
                step: None,
            };
            match self.shared.products.revise(made).await? {
                Ok(_) => {}
                // Another writer took the slug that was free a moment ago.
                Err(Taken::Slug) if draft.wanted_slug().is_none() => continue,
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
        for _ in 0..TRIES {
            let old = self.find(id).await?;
            expect(condition, old.version)?;
            let tree = self.shared.categories.load().await?;
            let mut draft = self.check(write(&old)?).await?;
            draft.follow_moves(&tree);
            let slug = draft.wanted_slug().unwrap_or(&old.slug).to_owned();
            let (product, plan) = draft
                .replace(&old, slug, Timestamp::now())
                .map_err(CatalogError::Invalid)?;
            let variants: Vec<_> = plan.opened.iter().map(|(variant, _)| *variant).collect();
            let levels = self.shared.stock.levels(&variants).await?;
            let planned = planned(&levels, &plan)?;
            let step = step(&old, &product)?;
            if let Some(product) = self.store(product, &old, &planned, by, step).await? {
                let levels = self.set_stock(&product, &plan, &levels).await;
                self.shared
                    .live
                    .product_changed(&product, levels.as_ref().ok());
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
        for _ in 0..TRIES {
            let old = self.find(id).await?;
            expect(condition, old.version)?;
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
            if let Some(product) = self.store(product, &old, &levels, by, None).await? {
                self.shared.live.product_changed(&product, Some(&levels));
                return Ok(product);
            }
        }
        Err(CatalogError::Contended)
    }

    /// Books what the warehouse says of a variant, beside sales in progress.
    ///
    /// # Errors
    /// `ProductNotFound`, `VariantRequired`, `Invalid`; `StockHeld` where fewer are free.
    pub(super) async fn change_stock(
        &self,
        id: ProductId,
        variant: Option<VariantId>,
        change: StockChange,
        reason: String,
        by: UserId,
    ) -> Result<StockLevel, CatalogError> {
        let product = self.find(id).await?;
        let variant = chosen_variant(&product, variant)?;
        let level = self.book(id, variant, change).await?;
        self.shared
            .live
            .stock_changed(variant, Some(id), level.available);
        let (delta, on_hand) = match change {
            StockChange::Delta(delta) => (Some(delta), None),
            StockChange::OnHand(units) => (None, Some(i64::from(units))),
        };
        let entry = StockMove {
            id: bson::oid::ObjectId::new(),
            product: id,
            variant,
            delta,
            on_hand,
            available: level.available.into(),
            reason,
            by,
            at: Timestamp::now(),
        };
        self.shared.moves.insert(&entry).await?;
        let told = stock_entry(&product, &entry, level);
        self.shared.audit.write(&told).await?;
        Ok(level)
    }

    async fn book(
        &self,
        product: ProductId,
        variant: VariantId,
        change: StockChange,
    ) -> Result<StockLevel, CatalogError> {
        let stock = &self.shared.stock;
        let present = stock.levels(&[variant]).await?.remove(&variant);
        let present = if let Some(level) = present {
            level
        } else {
            // A writer was cut off between the product and its stock.
            stock.open_variants(product, &[(variant, 0)]).await?;
            nothing(variant)
        };
        let booked = match change {
            StockChange::Delta(delta) => {
                let on_hand = i64::from(present.available) + i64::from(present.reserved);
                if on_hand.saturating_add(delta) > i64::from(MAX_ON_HAND) {
                    let message = format!("{MAX_ON_HAND} units on hand at most");
                    let fault = FieldError::new("/delta", "range", message);
                    return Err(CatalogError::Invalid(vec![fault]));
                }
                stock.adjust(variant, delta).await?
            }
            StockChange::OnHand(units) => stock.set_on_hand(variant, units).await?,
        };
        match booked {
            Some(level) => Ok(level),
            None => Err(self.held(variant).await?),
        }
    }

    /// Why units of a variant cannot be taken away.
    async fn held(&self, variant: VariantId) -> Result<CatalogError, StoreError> {
        let levels = self.shared.stock.levels(&[variant]).await?;
        let level = levels.get(&variant).copied();
        let level = level.unwrap_or_else(|| nothing(variant));
        Ok(CatalogError::StockHeld {
            variant,
            reserved: level.reserved,
            available: level.available,
        })
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
    pub(super) async fn check(&self, written: WriteProduct) -> Result<ProductDraft, CatalogError> {
        let product_type = self.type_of(written.product_type.as_deref()).await?;
        let schema = self.schema_of(&product_type)?;
        ProductDraft::check(written, &product_type, &schema, self.shared.currency)
            .map_err(CatalogError::Invalid)
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
    /// faster.
    async fn store(
        &self,
        mut product: Product,
        old: &Product,
        levels: &Levels,
        by: Actor,
        step: Option<BulkStep>,
    ) -> Result<Option<Product>, CatalogError> {
        product.stock_stamp = stamp(&product, levels, Audience::Public);
        let ended = self.reprice(old, &mut product).await?;
        let revision = Revision {
            over: Some(old.version),
            ended,
            entry: product_entry(by, Some(old), &product, step.as_ref().map(BulkStep::job)),
            product,
            step,
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

    /// Opens the stock of new variants and sets what was given; returns how all of them stand.
    async fn set_stock(
        &self,
        product: &Product,
        plan: &StockPlan,
        present: &Levels,
    ) -> Result<Levels, CatalogError> {
        let stock = &self.shared.stock;
        let new: Vec<_> = plan
            .opened
            .iter()
            .filter(|(variant, _)| !present.contains_key(variant))
            .copied()
            .collect();
        stock.open_variants(product.id, &new).await?;
        let stands = |variant: &VariantId, units: u32| {
            let level = present.get(variant);
            level.is_none_or(|level| level.available.saturating_add(level.reserved) == units)
        };
        let changed = plan.set.iter();
        let changed = changed.filter(|(variant, units)| !stands(variant, *units));
        let setting = changed.map(|(variant, units)| async move {
            let level = stock.set_on_hand(*variant, *units).await?;
            Ok::<_, StoreError>((*variant, level))
        });
        // Several at once: one after the other, a thousand variants would take seconds.
        let mut setting = futures_util::stream::iter(setting).buffer_unordered(AT_ONCE);
        while let Some((variant, level)) = setting.try_next().await? {
            // Holds may have come since they were looked at.
            if level.is_none() {
                return Err(self.held(variant).await?);
            }
        }
        if new.is_empty() && plan.set.is_empty() {
            return Ok(present.clone());
        }
        Ok(self.levels(product).await?)
    }
}

fn expect(condition: IfMatch, present: u64) -> Result<(), CatalogError> {
    if condition.allows(present) {
        Ok(())
    } else {
        Err(CatalogError::Stale { present })
    }
}

fn chosen_variant(product: &Product, wanted: Option<VariantId>) -> Result<VariantId, CatalogError> {
    match (wanted, product.variants.as_slice()) {
        (Some(id), _) if product.variant(id).is_some() => Ok(id),
        (Some(_), _) => {
            let message = "the product has no variant of this id";
            let fault = FieldError::new("/variantId", "unknown_value", message);
            Err(CatalogError::Invalid(vec![fault]))
        }
        (None, [only]) => Ok(only.id),
        (None, _) => Err(CatalogError::VariantRequired),
    }
}

const fn nothing(variant: VariantId) -> StockLevel {
    StockLevel {
        variant,
        available: 0,
        reserved: 0,
    }
}

/// How the variants of a new product stand.
fn opened(plan: &StockPlan) -> Levels {
    let levels = plan.opened.iter().map(|(variant, units)| StockLevel {
        available: *units,
        ..nothing(*variant)
    });
    levels.map(|level| (level.variant, level)).collect()
}

/// How variants will stand after the plan, unless they are sold or held meanwhile.
fn planned(present: &Levels, plan: &StockPlan) -> Result<Levels, CatalogError> {
    let mut levels = opened(plan);
    levels.extend(present.iter().map(|(variant, level)| (*variant, *level)));
    for (variant, units) in &plan.set {
        let Some(level) = present.get(variant) else {
            continue;
        };
        let available = units
            .checked_sub(level.reserved)
            .ok_or(CatalogError::StockHeld {
                variant: *variant,
                reserved: level.reserved,
                available: level.available,
            })?;
        levels.insert(
            *variant,
            StockLevel {
                available,
                ..*level
            },
        );
    }
    Ok(levels)
}
