//! The node's picture of the catalogue: index, registry, bodies and pages, changed together.
//!
//! The order of a change is what keeps pages true: first the product's epoch, then the index, then the
//! generation. A page that was put together from an older body or an older index was made under an older
//! generation, and is not served under the new one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{
    cache::{Pages, Shelf},
    index::{CatalogIndex, FieldDeclaration, IndexedProduct, Rebuild, TypeFields},
    model::{Categories, Product, ProductType, Status, TypeId, Types},
    registry::Registry,
    view::{Encoded, Levels},
};
use crate::id::{ProductId, VariantId};

/// Product types with their declarations in the index's own form.
#[derive(Debug, Default)]
pub(super) struct TypeTable {
    types: Types,
    fields: HashMap<TypeId, Arc<TypeFields>>,
}

impl TypeTable {
    fn new(types: Types) -> Self {
        let fields = types.iter().map(|t| (t.id.clone(), declarations(t)));
        Self {
            fields: fields.collect(),
            types,
        }
    }

    /// The types.
    pub(super) const fn types(&self) -> &Types {
        &self.types
    }

    /// The declarations of a type; those of the built-in one where it has been removed.
    fn fields(&self, id: &TypeId) -> Arc<TypeFields> {
        let found = self.fields.get(id).cloned();
        found.unwrap_or_else(|| declarations(&ProductType::generic()))
    }
}

fn declarations(product_type: &ProductType) -> Arc<TypeFields> {
    let fields = product_type.fields.iter().map(|(name, field)| {
        let declared = FieldDeclaration {
            label: field.label.clone(),
            unit: field.unit.clone(),
            filterable: field.filterable,
            searchable: field.searchable,
            numeric: product_type.may_hold_numbers(name),
        };
        (name.clone(), declared)
    });
    Arc::new(TypeFields {
        id: product_type.id.to_string(),
        name: product_type.name.clone(),
        fields: fields.collect(),
    })
}

/// The node's picture of the catalogue.
#[derive(Debug)]
pub(super) struct Live {
    /// Finds products.
    pub(super) index: CatalogIndex,
    /// Products at hand.
    pub(super) shelf: Shelf,
    /// List pages at hand.
    pub(super) pages: Pages,
    registry: RwLock<Registry>,
    types: RwLock<Arc<TypeTable>>,
    categories: Mutex<Categories>,
    /// Counts changes of products and stock.
    generation: AtomicU64,
    /// Counts changes of products only.
    products_generation: AtomicU64,
    tree: Mutex<Option<(u64, Arc<Encoded>)>>,
    brands: Mutex<Option<(u64, Arc<Encoded>)>>,
    ready: AtomicBool,
}

/// A picture that is being made from the database.
#[derive(Debug, Default)]
pub(super) struct Rebuilt {
    index: Rebuild,
    registry: Registry,
    table: TypeTable,
    categories: Categories,
}

impl Rebuilt {
    /// Begins with the types and the tree of categories.
    pub(super) fn new(types: Types, categories: Categories) -> Self {
        let table = TypeTable::new(types);
        let mut rebuilt = Self {
            table,
            categories,
            ..Self::default()
        };
        for fields in rebuilt.table.fields.values() {
            rebuilt.index.declare(fields);
        }
        rebuilt
    }

    /// Takes in what is free of a variant.
    pub(super) fn stock(&mut self, variant: VariantId, product: ProductId, available: u32) {
        self.registry
            .set_available(variant, Some(product), available);
    }

    /// Takes in a product, after its stock.
    pub(super) fn product(&mut self, product: Product) {
        if self.registry.take_in(&product) {
            let available = self.registry.available(product.id);
            let fields = self.table.fields(&product.product_type);
            self.index.apply(&indexed(product, fields, available));
        }
    }
}

impl Live {
    /// An empty picture with room for `bytes` of bodies and pages.
    pub(super) fn new(bytes: u64) -> Self {
        let for_pages = bytes / 4;
        Self {
            index: CatalogIndex::new(),
            shelf: Shelf::new(bytes - for_pages),
            pages: Pages::new(for_pages),
            registry: RwLock::default(),
            types: RwLock::default(),
            categories: Mutex::default(),
            generation: AtomicU64::new(0),
            products_generation: AtomicU64::new(0),
            tree: Mutex::new(None),
            brands: Mutex::new(None),
            ready: AtomicBool::new(false),
        }
    }

    /// Whether the picture is complete.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Grows with every change that a page may show. A page made after it was read is at least as new.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The product types.
    pub(super) fn types(&self) -> Arc<TypeTable> {
        let types = self.types.read();
        types.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The product that a variant belongs to, or belonged to.
    pub(super) fn product_of(&self, variant: VariantId) -> Option<ProductId> {
        self.registry().product_of(variant)
    }

    /// Takes in a product as written or as the feed tells; an older version than the known one is not
    /// taken. `levels`, where they are known better than from the feed.
    pub(super) fn product_changed(&self, product: &Product, levels: Option<&Levels>) {
        self.shelf.forget(product.id);
        {
            let mut registry = self.registry_mut();
            for level in levels.into_iter().flat_map(Levels::values) {
                registry.set_available(level.variant, Some(product.id), level.available);
            }
            if registry.take_in(product) {
                let available = registry.available(product.id);
                let fields = self.types().fields(&product.product_type);
                let product = indexed(product.clone(), fields, available);
                self.index.apply(&product);
            }
        }
        self.products_generation.fetch_add(1, Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Forgets a product.
    pub(super) fn product_removed(&self, id: ProductId) {
        self.shelf.forget(id);
        {
            let mut registry = self.registry_mut();
            registry.remove(id);
            self.index.remove(id);
        }
        self.products_generation.fetch_add(1, Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Takes in what is free of a variant.
    pub(super) fn stock_changed(
        &self,
        variant: VariantId,
        product: Option<ProductId>,
        available: u32,
    ) {
        let product = product.or_else(|| self.product_of(variant));
        let Some(product) = product else { return };
        self.shelf.forget(product);
        {
            let mut registry = self.registry_mut();
            registry.set_available(variant, Some(product), available);
            self.index
                .set_available(product, registry.available(product));
        }
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Takes in a type; its products are taken in again by whoever follows the feed.
    pub(super) fn type_changed(&self, product_type: Arc<ProductType>) {
        let fields = {
            let mut types = self.types.write().unwrap_or_else(PoisonError::into_inner);
            let fields = declarations(&product_type);
            *types = Arc::new(TypeTable::new(types.types.with(product_type)));
            fields
        };
        self.index.declare(&fields);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Takes in the tree of categories; an older version than the known one is not taken.
    pub(super) fn categories_changed(&self, tree: Categories) {
        {
            let mut known = self
                .categories
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if tree.version >= known.version {
                *known = tree;
            }
        }
        self.products_generation.fetch_add(1, Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Forgets a type.
    pub(super) fn type_removed(&self, id: &TypeId) {
        {
            let mut types = self.types.write().unwrap_or_else(PoisonError::into_inner);
            *types = Arc::new(TypeTable::new(types.types.without(id)));
        }
        self.index.retract(id.as_str());
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Shows a picture made from the database in the place of the present one.
    pub(super) fn replace_with(&self, rebuilt: Rebuilt) {
        self.shelf.forget_all();
        self.categories_changed(rebuilt.categories);
        {
            let mut registry = self.registry_mut();
            *registry = rebuilt.registry;
            let mut types = self.types.write().unwrap_or_else(PoisonError::into_inner);
            *types = Arc::new(rebuilt.table);
            self.index.replace_with(rebuilt.index);
        }
        self.products_generation.fetch_add(1, Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
        self.ready.store(true, Ordering::Release);
    }

    /// The tree of categories as `encode` shows the counts; made again once products have changed.
    pub(super) fn tree(
        &self,
        encode: impl FnOnce(&BTreeMap<String, u64>, &Categories) -> Encoded,
    ) -> Arc<Encoded> {
        let generation = self.products_generation.load(Ordering::Acquire);
        let mut kept = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, tree)) = kept.as_ref()
            && *of == generation
        {
            return tree.clone();
        }
        let counts = self.registry().category_counts();
        let categories = self
            .categories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let tree = Arc::new(encode(&counts, &categories));
        drop(categories);
        *kept = Some((generation, tree.clone()));
        tree
    }

    /// The brands as `encode` shows the counts; made again once products have changed.
    pub(super) fn brands(
        &self,
        encode: impl FnOnce(&BTreeMap<Arc<str>, u64>) -> Encoded,
    ) -> Arc<Encoded> {
        let generation = self.products_generation.load(Ordering::Acquire);
        let mut kept = self.brands.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, brands)) = kept.as_ref()
            && *of == generation
        {
            return brands.clone();
        }
        let counts = self.registry().brand_counts();
        let brands = Arc::new(encode(&counts));
        *kept = Some((generation, brands.clone()));
        brands
    }

    fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn registry_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A product in the index's own form.
fn indexed(product: Product, fields: Arc<TypeFields>, available: u32) -> IndexedProduct {
    let skus = product.skus().into_iter().map(str::to_owned).collect();
    let prices = product.variants.iter().map(|variant| variant.price.amount);
    // What is bought is a variant: the product's own price may be that of none.
    let price = prices.clone().min().unwrap_or(product.price.amount);
    let dearer = prices.filter(|dearer| *dearer > price).collect();
    let variants = product.variants.into_iter();
    IndexedProduct {
        id: product.id,
        slug: product.slug,
        title: product.title,
        description: product.description,
        skus,
        brand: product.brand,
        fields,
        categories: product.categories,
        price,
        dearer,
        created_at: product.created_at,
        active: product.status == Status::Active,
        available,
        attributes: serde_json::Value::Object(product.attributes),
        variants: variants.map(|variant| variant.options).collect(),
    }
}
