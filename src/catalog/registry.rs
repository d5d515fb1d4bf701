//! What the node knows of every product without asking the database: which version the index shows,
//! which product a variant belongs to, what is free of it, and where products stand in the tree of
//! categories.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::model::{Product, Status};
use crate::id::{ProductId, VariantId};

/// The products and variants of the shop, in brief.
#[derive(Debug, Default)]
pub(super) struct Registry {
    products: HashMap<ProductId, Row>,
    variants: HashMap<VariantId, Units>,
    categories: Branches,
    brands: HashSet<Arc<str>>,
}

#[derive(Debug)]
struct Row {
    version: u64,
    variants: Variants,
    /// The number of its categories.
    categories: u32,
    /// Shared by all products of the brand.
    brand: Option<Arc<str>>,
    active: bool,
}

/// Most products have one, which costs no allocation.
#[derive(Debug)]
enum Variants {
    One(VariantId),
    Many(Box<[VariantId]>),
}

impl Variants {
    fn of(product: &Product) -> Self {
        match product.variants.as_slice() {
            [only] => Self::One(only.id),
            _ => Self::Many(product.variant_ids().into()),
        }
    }

    fn as_slice(&self) -> &[VariantId] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Units {
    product: ProductId,
    available: u32,
}

/// Lists of category paths by number: thousands of products share a few.
#[derive(Debug, Default)]
struct Branches {
    numbers: HashMap<Arc<[String]>, u32>,
    lists: Vec<Arc<[String]>>,
}

impl Branches {
    fn number(&mut self, paths: &[String]) -> u32 {
        if let Some(number) = self.numbers.get(paths) {
            return *number;
        }
        let number = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        let list: Arc<[String]> = paths.into();
        self.numbers.insert(list.clone(), number);
        self.lists.push(list);
        number
    }
}

impl Registry {
    /// Takes a product in; `false` where a newer version is known.
    pub(super) fn take_in(&mut self, product: &Product) -> bool {
        let known = self.products.get(&product.id);
        if known.is_some_and(|row| row.version > product.version) {
            return false;
        }
        let row = Row {
            version: product.version,
            variants: Variants::of(product),
            categories: self.categories.number(&product.categories),
            brand: product.brand.as_deref().map(|brand| self.brand(brand)),
            active: product.status == Status::Active,
        };
        self.products.insert(product.id, row);
        true
    }

    fn brand(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.brands.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.brands.insert(new.clone());
        new
    }

    /// How many active products each brand has.
    pub(super) fn brand_counts(&self) -> BTreeMap<Arc<str>, u64> {
        let mut counts = BTreeMap::new();
        let active = self.products.values().filter(|row| row.active);
        for brand in active.filter_map(|row| row.brand.as_ref()) {
            *counts.entry(brand.clone()).or_default() += 1;
        }
        counts
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
        let row = self.products.get(&id);
        let units = row
            .into_iter()
            .flat_map(|row| row.variants.as_slice())
            .filter_map(|variant| self.variants.get(variant));
        units.fold(0, |sum, units| sum.saturating_add(units.available))
    }

    /// How many active products stand in each category or below it.
    pub(super) fn category_counts(&self) -> BTreeMap<String, u64> {
        let mut products = vec![0_u64; self.categories.lists.len()];
        for row in self.products.values().filter(|row| row.active) {
            let number = usize::try_from(row.categories).ok();
            if let Some(count) = number.and_then(|number| products.get_mut(number)) {
                *count += 1;
            }
        }
        let mut counts = BTreeMap::new();
        let shown = self.categories.lists.iter().zip(products);
        for (paths, products) in shown.filter(|(_, products)| *products > 0) {
            // A product that stands in two branches counts once where they meet.
            let places: HashSet<&str> =
                paths.iter().flat_map(|path| with_ancestors(path)).collect();
            for place in places {
                match counts.get_mut(place) {
                    Some(count) => *count += products,
                    None => {
                        counts.insert(place.to_owned(), products);
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
