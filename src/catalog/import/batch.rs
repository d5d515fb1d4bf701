//! Writing a batch of products: those that are new at once, those that changed one by one, those that
//! did not change not at all.

use std::collections::HashMap;

use super::{
    super::{
        model::{Product, ProductDraft, Source},
        stock::{NewStock, Stock},
        store::{Products, Taken},
    },
    report::{Counts, RowFault},
};
use crate::{clock::Timestamp, mongo::StoreError};

/// A row that obeys every rule.
pub(super) struct Prepared {
    pub(super) line: u64,
    pub(super) draft: ProductDraft,
    pub(super) source: Source,
    /// Whether the row itself says how many there are; else only new products get stock.
    pub(super) sets_stock: bool,
}

/// Writes batches.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) products: Products,
    pub(super) stock: Stock,
    pub(super) dry_run: bool,
}

impl Writer {
    /// Brings the catalogue to what the rows say; counts what happened and returns the rows that could not
    /// be written.
    pub(super) async fn write(
        &self,
        rows: Vec<Prepared>,
        counts: &mut Counts,
    ) -> Result<Vec<RowFault>, StoreError> {
        let skus: Vec<&str> = rows.iter().map(|row| row.draft.sku()).collect();
        let present = self.products.by_skus(&skus).await?;
        let mut present: HashMap<String, Product> = present
            .into_iter()
            .map(|product| (product.sku.clone(), product))
            .collect();
        let (mut fresh, mut faults) = (Vec::new(), Vec::new());
        for row in rows {
            match present.remove(row.draft.sku()) {
                Some(old) if old.source.as_ref() == Some(&row.source) => counts.unchanged += 1,
                Some(old) => self.change(row, &old, counts, &mut faults).await?,
                None => fresh.push(row),
            }
        }
        self.add(fresh, counts, &mut faults).await?;
        counts.failed += u64::try_from(faults.len()).unwrap_or_default();
        Ok(faults)
    }

    async fn change(
        &self,
        row: Prepared,
        old: &Product,
        counts: &mut Counts,
        faults: &mut Vec<RowFault>,
    ) -> Result<(), StoreError> {
        let sku = row.draft.sku().to_owned();
        let slug = row.draft.wanted_slug().unwrap_or(&old.slug).to_owned();
        let (mut product, plan) = match row.draft.replace(old, slug, Timestamp::now()) {
            Ok(made) => made,
            Err(found) => {
                faults.extend(RowFault::of(row.line, &sku, found));
                return Ok(());
            }
        };
        product.source = Some(row.source);
        if self.dry_run {
            counts.updated += 1;
            return Ok(());
        }
        let opened = plan.opened.iter().map(|(variant, on_hand)| NewStock {
            product: product.id,
            variant: *variant,
            on_hand: *on_hand,
        });
        self.stock.open_all(opened).await?;
        match self.products.replace(&product, old.version).await? {
            Ok(true) => counts.updated += 1,
            Ok(false) => {
                let message = "somebody changed the product at the same time; run the import again";
                faults.push(fault(row.line, &sku, "changed_meanwhile", message));
                return Ok(());
            }
            Err(taken) => {
                faults.push(taken_fault(row.line, &sku, taken));
                return Ok(());
            }
        }
        if row.sets_stock {
            for (variant, on_hand) in plan.set {
                if self.stock.set_on_hand(variant, on_hand).await?.is_none() {
                    let message = "more is held by open checkouts than the row says there is";
                    faults.push(fault(row.line, &sku, "stock_held", message));
                }
            }
        }
        Ok(())
    }

    /// Adds new products. Stock first: a product without any cannot be told from one cut short.
    async fn add(
        &self,
        rows: Vec<Prepared>,
        counts: &mut Counts,
        faults: &mut Vec<RowFault>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let now = Timestamp::now();
        let (mut products, mut stock, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let slug = row
                .draft
                .wanted_slug()
                .map_or_else(|| row.draft.derived_slug(), str::to_owned);
            let (mut product, plan) = row.draft.create(slug, now);
            product.source = Some(row.source);
            stock.extend(plan.opened.into_iter().map(|(variant, on_hand)| NewStock {
                product: product.id,
                variant,
                on_hand,
            }));
            lines.push(row.line);
            products.push(product);
        }
        if self.dry_run {
            counts.created += u64::try_from(products.len()).unwrap_or_default();
            return Ok(());
        }
        self.stock.open_all(stock).await?;
        let refused = self.products.insert_all(&products).await?;
        counts.created += u64::try_from(products.len() - refused.len()).unwrap_or_default();
        for place in refused {
            let (Some(product), Some(line)) = (products.get(place), lines.get(place)) else {
                continue;
            };
            self.add_one(product.clone(), *line, counts, faults).await?;
        }
        Ok(())
    }

    /// Adds a product whose slug or SKU somebody has: under a free slug where that is all.
    async fn add_one(
        &self,
        mut product: Product,
        line: u64,
        counts: &mut Counts,
        faults: &mut Vec<RowFault>,
    ) -> Result<(), StoreError> {
        product.slug = self.products.free_slug(&product.slug).await?;
        match self.products.insert(&product).await? {
            Ok(()) => counts.created += 1,
            Err(taken) => faults.push(taken_fault(line, &product.sku, taken)),
        }
        Ok(())
    }
}

fn fault(line: u64, sku: &str, code: &str, message: &str) -> RowFault {
    RowFault {
        sku: Some(sku.to_owned()),
        ..RowFault::new(line, code, "", message)
    }
}

fn taken_fault(line: u64, sku: &str, taken: Taken) -> RowFault {
    match taken {
        Taken::Sku => fault(
            line,
            sku,
            "sku_taken",
            "a SKU of it belongs to another product",
        ),
        Taken::Slug => fault(
            line,
            sku,
            "slug_taken",
            "its slug belongs to another product",
        ),
    }
}
