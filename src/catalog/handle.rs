//! The catalogue's handle: what carts, checkouts and handlers ask of it.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
};

use actix_web::http::header::HeaderValue;
use tokio::sync::Notify;

use super::{
    CatalogError, Offer, Stock,
    bulk::BulkEdits,
    follower::{Follower, Sources},
    images::KnownImages,
    live::{Live, TypeTable},
    model::{Categories, Product, Schemas, Status},
    store::{CategoryTrees, Prices, ProductTypes, Products, ShownProducts, StockMoves},
    turns::Lines,
    view::{Audience, Encoded, Levels, Shelved},
};
use crate::{
    audit::Audit,
    config::{CatalogConfig, Config, ReadsFrom},
    id::{ProductId, VariantId},
    money::Currency,
    mongo::{Mongo, StoreError, feed::Feed, reads::Reads},
};

const MIB: u64 = 1024 * 1024;

/// The catalogue of this node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(super) shared: Arc<Shared>,
    /// Ends with the last handle.
    #[expect(
        dead_code,
        reason = "held so that the follower lives as long as a handle"
    )]
    follower: Arc<Follower>,
}

/// What all handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) products: Products,
    /// The same, for what everyone is shown.
    pub(super) shown: ShownProducts,
    pub(super) types: ProductTypes,
    pub(super) moves: StockMoves,
    pub(super) categories: CategoryTrees,
    pub(super) prices: Prices,
    pub(super) audit: Audit,
    pub(super) bulk: BulkEdits,
    /// The uploaded pictures that are kept.
    pub(super) pictures: KnownImages,
    /// Wakes this node's worker.
    pub(super) wake: Notify,
    /// Whether the server is about to stop.
    pub(super) stopping: Arc<AtomicBool>,
    pub(super) stock: Stock,
    pub(super) schemas: Schemas,
    /// Where this node's writers of one product wait for each other.
    pub(super) lines: Lines,
    pub(super) live: Arc<Live>,
    pub(super) currency: Currency,
    /// What caches may do with public answers.
    pub(super) cache_control: HeaderValue,
}

/// Browsers ask before each use; a shared cache may answer for a little while.
fn cache_control(config: &CatalogConfig) -> HeaderValue {
    let (fresh, stale) = (config.cdn_seconds, config.cdn_stale_seconds);
    let text = if (fresh, stale) == (0, 0) {
        "public, no-cache".to_owned()
    } else {
        format!("public, max-age=0, s-maxage={fresh}, stale-while-revalidate={stale}")
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("no-cache"))
}

impl Catalog {
    /// Opens the catalogue and begins to load its index in the background.
    #[must_use]
    pub fn open(mongo: &Mongo, feed: &Feed, stock: &Stock, config: &Config) -> Self {
        let live = Arc::new(Live::new(config.catalog.cache_mib.saturating_mul(MIB)));
        let products = Products::new(mongo);
        let reads = match config.catalog.reads {
            ReadsFrom::Primary => Reads::primary(mongo),
            ReadsFrom::Secondaries => Reads::secondaries(mongo, feed.seen()),
        };
        let shown = ShownProducts::new(mongo, reads);
        let types = ProductTypes::new(mongo);
        let categories = CategoryTrees::new(mongo);
        let sources = Sources {
            categories: categories.clone(),
            products: products.clone(),
            shown: shown.clone(),
            types: types.clone(),
            stock: stock.clone(),
        };
        let follower = Follower::start(live.clone(), sources, feed.subscribe());
        Self {
            shared: Arc::new(Shared {
                products,
                shown,
                types,
                moves: StockMoves::new(mongo),
                categories,
                prices: Prices::new(mongo),
                audit: Audit::new(mongo),
                bulk: BulkEdits::new(mongo),
                pictures: KnownImages::new(mongo),
                wake: Notify::new(),
                stopping: Arc::default(),
                stock: stock.clone(),
                schemas: Schemas::default(),
                lines: Lines::default(),
                live,
                currency: config.store.currency,
                cache_control: cache_control(&config.catalog),
            }),
            follower: Arc::new(follower),
        }
    }

    /// Whether the index is loaded: before that, lists are not answered.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.live.is_ready()
    }

    /// How variants can be bought, as this node knows it: at once for a change made here, within the
    /// feed's delay for one made on another node. A variant that no product has is left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn offers(
        &self,
        variants: &[VariantId],
    ) -> Result<HashMap<VariantId, Offer>, StoreError> {
        let live = &self.shared.live;
        let mut unknown = Vec::new();
        let mut owners: Vec<(VariantId, ProductId)> = Vec::with_capacity(variants.len());
        for variant in variants {
            match live.product_of(*variant) {
                Some(product) => owners.push((*variant, product)),
                None => unknown.push(*variant),
            }
        }
        if !unknown.is_empty() {
            for product in self.shared.shown.find_by_variants(&unknown).await? {
                let own = unknown.iter().filter(|id| product.variant(**id).is_some());
                owners.extend(own.map(|variant| (*variant, product.id)));
            }
        }
        let mut products: Vec<ProductId> = owners.iter().map(|(_, product)| *product).collect();
        products.sort_unstable();
        products.dedup();
        let shelved = self.shelved_all(&products).await?;
        let offers = owners.into_iter().filter_map(|(variant, product)| {
            let offer = shelved.get(&product)?.offer(variant)?;
            Some((variant, offer))
        });
        Ok(offers.collect())
    }

    /// How variants can be bought now: read from the primary.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn offers_now(
        &self,
        variants: &[VariantId],
    ) -> Result<HashMap<VariantId, Offer>, StoreError> {
        let products = self.shared.products.find_by_variants(variants).await?;
        let levels = self.shared.stock.levels(variants).await?;
        let mut offers = HashMap::with_capacity(variants.len());
        for product in &products {
            for variant in variants.iter().filter_map(|id| product.variant(*id)) {
                let level = levels.get(&variant.id);
                let offer = Offer {
                    product: product.id,
                    variant: variant.id,
                    sku: variant.sku.clone(),
                    title: product.title.clone(),
                    image: product.image_of(variant).cloned(),
                    options: variant.options.clone(),
                    unit_price: variant.price,
                    available: level.map_or(0, |level| level.available),
                    on_sale: product.status == Status::Active,
                };
                offers.insert(variant.id, offer);
            }
        }
        Ok(offers)
    }

    /// The variant that a buyer means: the one named, or the only one there is.
    ///
    /// # Errors
    /// `ProductNotFound`, also for a product that is not on sale; `VariantNotFound`; `VariantRequired`.
    pub async fn resolve(
        &self,
        product: ProductId,
        variant: Option<VariantId>,
    ) -> Result<Offer, CatalogError> {
        let shelved = self.shelved(product).await?.filter(|found| found.active);
        let shelved = shelved.ok_or(CatalogError::ProductNotFound)?;
        let wanted = variant
            .or_else(|| shelved.only_variant())
            .ok_or(CatalogError::VariantRequired)?;
        shelved.offer(wanted).ok_or(CatalogError::VariantNotFound)
    }

    /// The product types.
    pub(super) fn types(&self) -> Arc<TypeTable> {
        self.shared.live.types()
    }

    /// A product at hand, or read now.
    pub(super) async fn shelved(&self, id: ProductId) -> Result<Option<Arc<Shelved>>, StoreError> {
        let shelf = &self.shared.live.shelf;
        match shelf.get(id).await {
            Some(found) => Ok(Some(found)),
            // The future of a load is large; a hit does not carry it.
            None => Box::pin(shelf.get_or_load(id, self.read(id))).await,
        }
    }

    /// A product by id or slug.
    pub(super) async fn shelved_by_name(
        &self,
        name: &str,
    ) -> Result<Option<Arc<Shelved>>, StoreError> {
        if let Some(found) = self.at_hand(name).await {
            return Ok(Some(found));
        }
        if let Ok(id) = name.parse() {
            return self.shelved(id).await;
        }
        let shelf = &self.shared.live.shelf;
        if let Some(id) = shelf.named(name).await
            && let Some(found) = self.shelved(id).await?
            && found.slug == name
        {
            return Ok(Some(found));
        }
        let Some(product) = self.shared.shown.find_by_slug(name).await? else {
            return Ok(None);
        };
        shelf.name(name, product.id).await;
        self.shelved(product.id).await
    }

    /// A product by id or slug, where it is at hand.
    pub(super) async fn at_hand(&self, name: &str) -> Option<Arc<Shelved>> {
        let shelf = &self.shared.live.shelf;
        if let Ok(id) = name.parse() {
            return shelf.get(id).await;
        }
        let found = shelf.get(shelf.named(name).await?).await?;
        // It may have another slug by now.
        (found.slug == name).then_some(found)
    }

    /// The product that had this slug before, for those whom it may be shown to.
    pub(super) async fn formerly(
        &self,
        slug: &str,
        audience: Audience,
    ) -> Result<Option<Product>, StoreError> {
        let found = self.shared.products.find_by_former_slug(slug).await?;
        let shown =
            |product: &Product| audience == Audience::Staff || product.status == Status::Active;
        Ok(found.filter(shown))
    }

    async fn read(&self, id: ProductId) -> Result<Option<Shelved>, StoreError> {
        let Some(product) = self.shared.shown.find(id).await? else {
            return Ok(None);
        };
        let levels = self.levels(&product).await?;
        encoded(&product, &levels).map(Some)
    }

    /// Several products, those that are not at hand with one query.
    pub(super) async fn shelved_all(
        &self,
        ids: &[ProductId],
    ) -> Result<HashMap<ProductId, Arc<Shelved>>, StoreError> {
        let shelf = &self.shared.live.shelf;
        let mut found = HashMap::with_capacity(ids.len());
        let mut places = HashMap::new();
        for id in ids {
            match shelf.get(*id).await {
                Some(shelved) => {
                    found.insert(*id, shelved);
                }
                None => {
                    places.insert(*id, shelf.place(*id));
                }
            }
        }
        if places.is_empty() {
            return Ok(found);
        }
        let missing: Vec<ProductId> = places.keys().copied().collect();
        // As above: a page whose products are all at hand does not carry it.
        let products = Box::pin(self.shared.shown.find_all(&missing)).await?;
        let variants: Vec<_> = products.iter().flat_map(Product::variant_ids).collect();
        let levels = self.shared.stock.levels(&variants).await?;
        for product in &products {
            let shelved = Arc::new(encoded(product, &levels)?);
            if let Some(place) = places.get(&product.id) {
                shelf.put(*place, shelved.clone()).await;
            }
            found.insert(product.id, shelved);
        }
        Ok(found)
    }

    /// How a product's variants stand, from the primary.
    pub(super) async fn levels(&self, product: &Product) -> Result<Levels, StoreError> {
        self.shared.stock.levels(&product.variant_ids()).await
    }

    /// The encoded tree of categories.
    pub(super) fn tree(
        &self,
        encode: impl FnOnce(&std::collections::BTreeMap<String, u64>, &Categories) -> Encoded,
    ) -> Result<Arc<Encoded>, CatalogError> {
        if self.is_ready() {
            Ok(self.shared.live.tree(encode))
        } else {
            Err(CatalogError::Loading)
        }
    }
}

fn encoded(product: &Product, levels: &Levels) -> Result<Shelved, StoreError> {
    Shelved::new(product, levels).map_err(|error| StoreError::Damaged {
        collection: super::store::PRODUCTS,
        reason: error.to_string(),
    })
}
