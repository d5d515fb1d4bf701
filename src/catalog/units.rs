//! Units of variants: what the warehouse says of them, and what a written product says.
//!
//! A count is never part of a product's transaction (decision 4); the audit log is told of it once it stands.

use futures_util::StreamExt;

use super::{
    Catalog, CatalogError, StockLevel,
    journal::{on_hand, recount_entry, stock_entry},
    model::{MAX_ON_HAND, Product, StockPlan},
    stock::Booked,
    store::StockMove,
    view::Levels,
};
use crate::{
    audit::Actor,
    clock::Timestamp,
    id::{ProductId, UserId, VariantId},
    mongo::StoreError,
    problem::FieldError,
};

/// Variants whose stock is set at once.
const AT_ONCE: usize = 32;

/// What the warehouse says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StockChange {
    /// So many more, or fewer.
    Delta(i64),
    /// So many have been counted, held ones included.
    OnHand(u32),
}

impl Catalog {
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
        let booked = self.book(id, variant, change).await?;
        let level = booked.after;
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
        let told = stock_entry(&product, &entry, booked);
        self.shared.audit.write(&told).await?;
        Ok(level)
    }

    async fn book(
        &self,
        product: ProductId,
        variant: VariantId,
        change: StockChange,
    ) -> Result<Booked, CatalogError> {
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
            Some(booked) => Ok(booked),
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

    /// Opens the stock of new variants and sets what was given; returns how all of them stand.
    pub(super) async fn set_stock(
        &self,
        product: &Product,
        plan: &StockPlan,
        present: &Levels,
        by: Actor,
    ) -> Result<Levels, CatalogError> {
        let stock = &self.shared.stock;
        let new: Vec<_> = plan
            .opened
            .iter()
            .filter(|(variant, _)| !present.contains_key(variant))
            .copied()
            .collect();
        stock.open_variants(product.id, &new).await?;
        let stands = |variant: VariantId, units: u32| {
            on_hand(present, variant).is_none_or(|present| present == units)
        };
        let changed = plan.set.iter();
        let changed = changed.filter(|(variant, units)| !stands(*variant, *units));
        let setting = changed.map(|(variant, units)| async move {
            let level = stock.set_on_hand(*variant, *units).await?;
            Ok::<_, StoreError>((*variant, level))
        });
        // Several at once: one after the other, a thousand variants would take seconds.
        let setting = futures_util::stream::iter(setting).buffer_unordered(AT_ONCE);
        let outcomes: Vec<_> = setting.collect().await;
        let mut counted: Vec<_> = new
            .iter()
            .filter(|(_, units)| *units > 0)
            .copied()
            .collect();
        let mut fault = None;
        for outcome in outcomes {
            match outcome {
                Ok((variant, Some(Booked { after: level, .. }))) => {
                    counted.push((variant, level.available.saturating_add(level.reserved)));
                }
                // Holds may have come since they were looked at.
                Ok((variant, None)) => fault = Some(self.held(variant).await?),
                Err(error) => fault = Some(error.into()),
            }
        }
        counted.sort_unstable();
        if let Some(told) = recount_entry(by, product, present, &counted, None) {
            self.shared.audit.write(&told).await?;
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        if new.is_empty() && plan.set.is_empty() {
            return Ok(present.clone());
        }
        Ok(self.levels(product).await?)
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
pub(super) fn opened(plan: &StockPlan) -> Levels {
    let levels = plan.opened.iter().map(|(variant, units)| StockLevel {
        available: *units,
        ..nothing(*variant)
    });
    levels.map(|level| (level.variant, level)).collect()
}

/// How variants will stand after the plan, unless they are sold or held meanwhile.
pub(super) fn planned(present: &Levels, plan: &StockPlan) -> Result<Levels, CatalogError> {
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
