//! Writing a batch of products: those that are new at once, those that changed one by one, those that
//! did not change not at all.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::json;

use super::{
    claims::Claims,
    report::{Counts, Difference, RowFault},
};
use crate::{
    audit::{Action, Actor, Audit, Changes, Entry, Subject},
    catalog::{
        journal::{on_hand, product_changes, product_entry, recount_entry},
        model::{
            Categories, PRICE_WINDOW, Product, ProductDraft, ProductType, Source, TypeId,
            WriteProduct, prices_move, reprice,
        },
        stock::{NewStock, Stock},
        store::{CategoryTrees, Prices, Products, Revision, Taken, TypeDoor},
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
    pub(super) product_type: Arc<ProductType>,
    pub(super) source: Source,
    /// Whether the row itself says how many there are; else only new products get stock.
    pub(super) sets_stock: bool,
    /// The version that the row was completed from, where it says a part of the product only.
    pub(super) completes: Option<u64>,
}

/// A new product.
struct Fresh {
    line: u64,
    product: Product,
    product_type: Arc<ProductType>,
    /// Whether the row names the slug.
    slug_is_wanted: bool,
}

/// Writes batches.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) products: Products,
    pub(super) types: TypeDoor,
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
        let mut claims = self.claims(&rows).await?;
        let mut fresh = Vec::new();
        for row in rows {
            match present.remove(row.draft.sku()) {
                Some(old) if self.remembers && old.source.as_ref() == Some(&row.source) => {
                    done.counts.unchanged += 1;
                }
                Some(old) => self.change(row, &old, &levels, &mut claims, done).await?,
                None => fresh.push(row),
            }
        }
        self.add(fresh, &mut claims, done).await?;
        self.follow_moves(&tree, &paths).await
    }

    /// Who has what the rows would take; looked up in a dry run only, where no index refuses anything.
    async fn claims(&self, rows: &[Prepared]) -> Result<Claims, StoreError> {
        if !self.dry_run {
            return Ok(Claims::default());
        }
        let derived: Vec<String> = rows.iter().map(|row| row.draft.derived_slug()).collect();
        let skus: Vec<&str> = rows.iter().flat_map(|row| row.draft.skus()).collect();
        let slugs = rows.iter().zip(&derived);
        let slugs = slugs.map(|(row, derived)| row.draft.wanted_slug().unwrap_or(derived));
        let slugs: Vec<&str> = slugs.collect();
        Ok(Claims::of(self.products.holding(&skus, &slugs).await?))
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
        claims: &mut Claims,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let sku = row.draft.sku().to_owned();
        if row.completes.is_some_and(|version| version != old.version) {
            done.faults.push(changed_meanwhile(row.line, &sku));
            return Ok(());
        }
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
            if let Err(taken) = claims.take(Some(old), &product, true) {
                done.faults.push(taken_fault(row.line, &sku, taken));
                return Ok(());
            }
            done.counts.updated += 1;
            let mut changes = product_changes(Some(old), &product);
            for (variant, units) in &set {
                let pointer = format!("/variants/{variant}/stock/onHand");
                let before = on_hand(levels, *variant).map(|units| json!(units));
                changes.note(&pointer, before.as_ref(), Some(&json!(units)));
                if levels.get(variant).is_some_and(|l| l.reserved > *units) {
                    done.faults.push(stock_held(row.line, &sku));
                }
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
        let opened: Vec<NewStock> = opened.collect();
        self.stock.open_all(opened.iter().copied()).await?;
        let mut revision = self.revision(product.clone(), old).await?;
        revision.joins = (old.product_type != product.product_type).then_some(row.product_type);
        let refused = match self.products.revise(revision).await? {
            Ok(true) => None,
            Ok(false) => Some(changed_meanwhile(row.line, &sku)),
            Err(taken) => Some(taken_fault(row.line, &sku, taken)),
        };
        if let Some(refused) = refused {
            done.faults.push(refused);
            let unused: Vec<_> = opened.iter().map(|new| new.variant).collect();
            return self.stock.close_all(&unused).await;
        }
        done.counts.updated += 1;
        let mut counted = Vec::new();
        for (variant, on_hand) in set {
            if self.stock.set_on_hand(variant, on_hand).await?.is_some() {
                counted.push((variant, on_hand));
            } else {
                done.faults.push(stock_held(row.line, &sku));
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
            joins: None,
        })
    }

    /// Adds new products. Stock first: a product without any cannot be told from one cut short. What was
    /// opened for rows that are refused is closed again; an import that is cut short in between leaves it.
    async fn add(
        &self,
        rows: Vec<Prepared>,
        claims: &mut Claims,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let now = Timestamp::now();
        let (mut products, mut stock) = (Vec::new(), Vec::new());
        for row in rows {
            let wanted = row.draft.wanted_slug().map(str::to_owned);
            let slug_is_wanted = wanted.is_some();
            let slug = wanted.unwrap_or_else(|| row.draft.derived_slug());
            let (mut product, plan) = row.draft.create(slug, now);
            product.source = Some(row.source);
            stock.extend(plan.opened.into_iter().map(|(variant, on_hand)| NewStock {
                product: product.id,
                variant,
                on_hand,
            }));
            products.push(Fresh {
                line: row.line,
                product,
                product_type: row.product_type,
                slug_is_wanted,
            });
        }
        if self.dry_run {
            Self::would_add(products, claims, done);
            return Ok(());
        }
        self.stock.open_all(stock).await?;
        let all = products.iter().map(|fresh| &fresh.product);
        let refused: HashSet<usize> = self.products.insert_all(all).await?.into_iter().collect();
        let (mut made, mut rest) = (Vec::new(), Vec::new());
        for (place, fresh) in products.into_iter().enumerate() {
            if refused.contains(&place) {
                rest.push(fresh);
            } else {
                made.push(fresh);
            }
        }
        self.settle(made, done).await?;
        let mut made = Vec::new();
        for fresh in rest {
            made.extend(self.add_one(fresh, done).await?);
        }
        self.settle(made, done).await
    }

    fn would_add(products: Vec<Fresh>, claims: &mut Claims, done: &mut Done) {
        for Fresh {
            line,
            product,
            slug_is_wanted,
            ..
        } in products
        {
            if let Err(taken) = claims.take(None, &product, slug_is_wanted) {
                done.faults.push(taken_fault(line, &product.sku, taken));
                continue;
            }
            done.counts.created += 1;
            let made = Difference::new(line, product.sku, Action::Created, Changes::default());
            done.differences.push(made);
        }
    }

    /// Adds a product whose slug or SKU somebody has: under a free slug where that is all, and the row does
    /// not name the slug.
    async fn add_one(
        &self,
        mut fresh: Fresh,
        done: &mut Done,
    ) -> Result<Option<Fresh>, StoreError> {
        let product = &mut fresh.product;
        if !fresh.slug_is_wanted {
            product.slug = self.products.free_slug(&product.slug).await?;
        }
        let Err(taken) = self.products.insert(product).await? else {
            return Ok(Some(fresh));
        };
        done.faults
            .push(taken_fault(fresh.line, &product.sku, taken));
        self.stock.close_all(&product.variant_ids()).await?;
        Ok(None)
    }

    /// Counts products that are there now and tells the audit log; those whose type was removed before they
    /// were there are taken back.
    async fn settle(&self, made: Vec<Fresh>, done: &mut Done) -> Result<(), StoreError> {
        let mut types: HashMap<&TypeId, bool> = HashMap::new();
        for Fresh { product_type, .. } in &made {
            if !types.contains_key(&product_type.id) {
                let joined = self.types.join(product_type).await?;
                types.insert(&product_type.id, joined);
            }
        }
        let stays = |fresh: &&Fresh| types.get(&fresh.product_type.id) != Some(&false);
        let (stay, go): (Vec<&Fresh>, Vec<&Fresh>) = made.iter().partition(stays);
        if !go.is_empty() {
            let ids: Vec<_> = go.iter().map(|fresh| fresh.product.id).collect();
            self.products.withdraw(&ids).await?;
            let variants = go.iter().flat_map(|fresh| fresh.product.variant_ids());
            self.stock.close_all(&variants.collect::<Vec<_>>()).await?;
        }
        for Fresh { line, product, .. } in go {
            let message = "its product type was removed at the same time";
            done.faults
                .push(fault(*line, &product.sku, "unknown_type", message));
        }
        done.counts.created += u64::try_from(stay.len()).unwrap_or_default();
        let entries: Vec<Entry> = stay.iter().map(|f| self.created(&f.product)).collect();
        self.audit.write_all(&entries).await
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

fn changed_meanwhile(line: u64, sku: &str) -> RowFault {
    let message = "somebody changed the product at the same time; run the import again";
    fault(line, sku, "changed_meanwhile", message)
}

fn stock_held(line: u64, sku: &str) -> RowFault {
    let message = "more is held by open checkouts than the row says there is";
    fault(line, sku, "stock_held", message)
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
