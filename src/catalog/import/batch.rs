//! Writing a batch of products: those that are new at once, those that changed one by one, those that
//! did not change not at all.

use std::collections::HashMap;

use serde_json::json;

use super::report::{Counts, Difference, RowFault};
use crate::{
    audit::{Action, Actor, Audit, Changes, Entry, Subject},
    catalog::{
        journal::{on_hand, product_changes, product_entry, recount_entry},
        model::{
            Categories, PRICE_WINDOW, Product, ProductDraft, Source, WriteProduct, prices_move,
            reprice,
        },
        stock::{NewStock, Stock},
        store::{CategoryTrees, Prices, Products, Revision, Taken},
        view::Levels,
    },
    clock::Timestamp,
    id::{ImportId, VariantId},
    mongo::StoreError,
};

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
    pub(super) prices: Prices,
    pub(super) categories: CategoryTrees,
    pub(super) audit: Audit,
    pub(super) by: Actor,
    pub(super) job: ImportId,
    pub(super) dry_run: bool,
    /// Whether a row that was imported so before says nothing new, so that what staff have changed since
    /// stays. Rows in the shop's own shape always say how things are to be.
    pub(super) remembers: bool,
}

/// What a batch did, or in a dry run would do.
#[derive(Default)]
pub(super) struct Done {
    pub(super) counts: Counts,
    pub(super) faults: Vec<RowFault>,
    /// In a dry run, what differs.
    pub(super) differences: Vec<Difference>,
}

impl Writer {
    /// Brings the catalogue to what the rows say; counts what happened and tells of the rows that could not
    /// be written.
    pub(super) async fn write(
        &self,
        mut rows: Vec<Prepared>,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let tree = self.categories.load().await?;
        for row in &mut rows {
            row.draft.follow_moves(&tree);
        }
        let paths: Vec<String> = rows
            .iter()
            .flat_map(|row| row.draft.categories())
            .cloned()
            .collect();
        let skus: Vec<&str> = rows.iter().map(|row| row.draft.sku()).collect();
        let present = self.products.by_skus(&skus).await?;
        let variants: Vec<_> = present.iter().flat_map(Product::variant_ids).collect();
        let levels = self.stock.levels(&variants).await?;
        let mut present: HashMap<String, Product> = present
            .into_iter()
            .map(|product| (product.sku.clone(), product))
            .collect();
        let mut fresh = Vec::new();
        for row in rows {
            match present.remove(row.draft.sku()) {
                Some(old) if self.remembers && old.source.as_ref() == Some(&row.source) => {
                    done.counts.unchanged += 1;
                }
                Some(old) => self.change(row, &old, &levels, done).await?,
                None => fresh.push(row),
            }
        }
        self.add(fresh, done).await?;
        self.follow_moves(&tree, &paths).await
    }

    /// Lets products follow that were written while their categories were moved.
    async fn follow_moves(&self, before: &Categories, paths: &[String]) -> Result<(), StoreError> {
        if self.dry_run || self.categories.version().await? == before.version {
            return Ok(());
        }
        for (from, to) in self.categories.load().await?.leads_away(paths) {
            self.products.move_category(&from, &to).await?;
        }
        Ok(())
    }

    async fn change(
        &self,
        row: Prepared,
        old: &Product,
        levels: &Levels,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let sku = row.draft.sku().to_owned();
        let slug = row.draft.wanted_slug().unwrap_or(&old.slug).to_owned();
        let (mut product, plan) = match row.draft.replace(old, slug, Timestamp::now()) {
            Ok(made) => made,
            Err(found) => {
                done.faults.extend(RowFault::of(row.line, &sku, found));
                return Ok(());
            }
        };
        product.source = Some(row.source);
        let set: Vec<(VariantId, u32)> = plan
            .set
            .iter()
            .filter(|(variant, units)| row.sets_stock && on_hand(levels, *variant) != Some(*units))
            .copied()
            .collect();
        if set.is_empty() && WriteProduct::from(&product) == WriteProduct::from(old) {
            done.counts.unchanged += 1;
            return Ok(());
        }
        if self.dry_run {
            done.counts.updated += 1;
            let mut changes = product_changes(Some(old), &product);
            for (variant, units) in &set {
                let pointer = format!("/variants/{variant}/stock/onHand");
                let before = on_hand(levels, *variant).map(|units| json!(units));
                changes.note(&pointer, before.as_ref(), Some(&json!(units)));
            }
            done.differences
                .push(Difference::new(row.line, sku, Action::Updated, changes));
            return Ok(());
        }
        let new = plan.opened.iter();
        let new = new.filter(|(variant, _)| old.variant(*variant).is_none());
        let opened = new.map(|(variant, on_hand)| NewStock {
            product: product.id,
            variant: *variant,
            on_hand: *on_hand,
        });
        self.stock.open_all(opened).await?;
        match self
            .products
            .revise(self.revision(product.clone(), old).await?)
            .await?
        {
            Ok(true) => done.counts.updated += 1,
            Ok(false) => {
                let message = "somebody changed the product at the same time; run the import again";
                done.faults
                    .push(fault(row.line, &sku, "changed_meanwhile", message));
                return Ok(());
            }
            Err(taken) => {
                done.faults.push(taken_fault(row.line, &sku, taken));
                return Ok(());
            }
        }
        let mut counted = Vec::new();
        for (variant, on_hand) in set {
            if self.stock.set_on_hand(variant, on_hand).await?.is_some() {
                counted.push((variant, on_hand));
            } else {
                let message = "more is held by open checkouts than the row says there is";
                done.faults
                    .push(fault(row.line, &sku, "stock_held", message));
            }
        }
        let job = Some(self.job.object_id());
        if let Some(told) = recount_entry(self.by, &product, levels, &counted, job) {
            self.audit.write(&told).await?;
        }
        Ok(())
    }

    /// The next version of `old` with what is written down of it.
    async fn revision(&self, mut product: Product, old: &Product) -> Result<Revision, StoreError> {
        let now = product.updated_at;
        let past = if prices_move(old, &product) {
            let window = now.before(PRICE_WINDOW);
            self.prices.since(product.id, window).await?
        } else {
            Vec::new()
        };
        let ended = reprice(old, &mut product, &past, now);
        let job = Some(self.job.object_id());
        Ok(Revision {
            over: Some(old.version),
            ended,
            entry: product_entry(self.by, Some(old), &product, job),
            product,
            step: None,
        })
    }

    /// Adds new products. Stock first: a product without any cannot be told from one cut short.
    async fn add(&self, rows: Vec<Prepared>, done: &mut Done) -> Result<(), StoreError> {
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
            done.counts.created += u64::try_from(products.len()).unwrap_or_default();
            let made = lines.into_iter().zip(products);
            done.differences.extend(made.map(|(line, product)| {
                Difference::new(line, product.sku, Action::Created, Changes::default())
            }));
            return Ok(());
        }
        self.stock.open_all(stock).await?;
        let refused = self.products.insert_all(&products).await?;
        done.counts.created += u64::try_from(products.len() - refused.len()).unwrap_or_default();
        let made = products.iter().enumerate();
        let made = made.filter(|(place, _)| !refused.contains(place));
        let entries: Vec<Entry> = made.map(|(_, product)| self.created(product)).collect();
        self.audit.write_all(&entries).await?;
        for place in refused {
            let (Some(product), Some(line)) = (products.get(place), lines.get(place)) else {
                continue;
            };
            self.add_one(product.clone(), *line, done).await?;
        }
        Ok(())
    }

    /// Adds a product whose slug or SKU somebody has: under a free slug where that is all.
    async fn add_one(
        &self,
        mut product: Product,
        line: u64,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        product.slug = self.products.free_slug(&product.slug).await?;
        match self.products.insert(&product).await? {
            Ok(()) => {
                done.counts.created += 1;
                self.audit.write(&self.created(&product)).await?;
            }
            Err(taken) => done.faults.push(taken_fault(line, &product.sku, taken)),
        }
        Ok(())
    }

    /// What the audit log is told of a product that an import made: the import has it whole.
    fn created(&self, product: &Product) -> Entry {
        let subject = (
            Subject::Product,
            product.id.to_string(),
            product.sku.clone(),
        );
        let entry = Entry::new(self.by, Action::Created, subject, Changes::default());
        entry.of_job(Some(self.job.object_id()))
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
