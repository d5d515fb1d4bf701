//! What the node knows of every product without asking the database: which version the index shows,
//! which product a variant belongs to, what is free of it, and where products stand in the tree of
//! categories.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::model::{Product, Status};
use crate::id::{ProductId, VariantId};

/// The products and variants of the shop, in brief.
#[derive(Debug, Default)]
pub(super) struct Registry {
    products: HashMap<ProductId, Row>,
    variants: HashMap<VariantId, Units>,
    categories: Names,
}

#[derive(Debug)]
struct Row {
    version: u64,
    active: bool,
    variants: Box<[VariantId]>,
    categories: Box<[u32]>,
}

#[derive(Debug, Clone, Copy)]
struct Units {
    product: ProductId,
    available: u32,
}

/// Category paths by number: thousands of products share a few.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<String, u32>,
    paths: Vec<String>,
}

impl Names {
    fn number(&mut self, path: &str) -> u32 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let number = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
        self.numbers.insert(path.to_owned(), number);
        self.paths.push(path.to_owned());
        number
    }

    fn path(&self, number: u32) -> Option<&str> {
        let place = usize::try_from(number).ok()?;
        self.paths.get(place).map(String::as_str)
    }
}

impl Registry {
    /// Takes a product in; `false` where a newer version is known.
    pub(super) fn take_in(&mut self, product: &Product) -> bool {
        let known = self.products.get(&product.id);
        if known.is_some_and(|row| row.version > product.version) {
            return false;
        }
        let categories = product.categories.iter();
        let row = Row {
            version: product.version,
            active: product.status == Status::Active,
            variants: product.variant_ids().into(),
            categories: categories
                .map(|path| self.categories.number(path))
                .collect(),
        };
        self.products.insert(product.id, row);
        true
    }

    /// Forgets a product.
    pub(super) fn remove(&mut self, id: ProductId) {
        self.products.remove(&id);
    }

    /// Takes in what is free of a variant; returns its product, where that is known.
    pub(super) fn set_available(
        &mut self,
        variant: VariantId,
        product: Option<ProductId>,
        available: u32,
    ) -> Option<ProductId> {
        let product = product.or_else(|| self.product_of(variant))?;
        self.variants.insert(variant, Units { product, available });
        Some(product)
    }

    /// The product that a variant belongs to, or belonged to.
    pub(super) fn product_of(&self, variant: VariantId) -> Option<ProductId> {
        self.variants.get(&variant).map(|units| units.product)
    }

    /// What is free of all variants of a product.
    pub(super) fn available(&self, id: ProductId) -> u32 {
        let variants = self.products.get(&id).map(|row| row.variants.iter());
        let units = variants
            .into_iter()
            .flatten()
            .filter_map(|variant| self.variants.get(variant));
        units.fold(0, |sum, units| sum.saturating_add(units.available))
    }

    /// How many active products stand in each category or below it.
    pub(super) fn category_counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for row in self.products.values().filter(|row| row.active) {
            // A product that stands in two branches counts once where they meet.
            let mut places: HashSet<&str> = HashSet::new();
            for path in row
                .categories
                .iter()
                .filter_map(|n| self.categories.path(*n))
            {
                places.extend(with_ancestors(path));
            }
            for place in places {
                match counts.get_mut(place) {
                    Some(count) => *count += 1,
                    None => {
                        counts.insert(place.to_owned(), 1);
                    }
                }
            }
        }
        counts
    }
}

/// `a/b/c`, `a/b`, `a`.
fn with_ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        path.rsplit_once('/').map(|(parent, _leaf)| parent)
    })
}
