//! Keeps the node's picture of the catalogue true: loads it at start, then follows the change feed.
//!
//! Changes that arrive while the picture is loaded make bodies at hand invalid at once, and are taken
//! into the picture once it stands. Where the feed has lost its place, the picture is loaded again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bson::Bson;
use futures_util::{Stream, StreamExt, TryStreamExt, stream::TryChunksError};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    Stock,
    live::{Live, Rebuilt},
    model::{Product, TypeId, Types},
    stock,
    store::{
        CATEGORIES, CategoryTrees, PRODUCT_TYPES, PRODUCTS, ProductTypes, Products, ShownProducts,
    },
};
use crate::{
    id::{ProductId, VariantId},
    mongo::{
        StoreError,
        feed::{Change, ChangeKind, Fed, Subscription},
    },
};

/// Pause before a load that failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Products read at once when several have changed.
const BATCH: usize = 500;
/// Batches that may be read before they are taken in, when everything is loaded.
const AHEAD: usize = 4;

/// The task; it ends with the last handle.
#[derive(Debug)]
pub(super) struct Follower(JoinHandle<()>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where the picture comes from.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    /// Products.
    pub(super) products: Products,
    /// The same, to be read whole.
    pub(super) shown: ShownProducts,
    /// The tree of categories.
    pub(super) categories: CategoryTrees,
    /// Product types.
    pub(super) types: ProductTypes,
    /// Stock.
    pub(super) stock: Stock,
}

/// What a change of the feed means here.
enum Seen {
    Product(ProductId, Option<Box<Product>>),
    ProductGone(ProductId),
    Stock(VariantId, Option<ProductId>, u32),
    Type(TypeId),
    Categories,
    Nothing,
}

/// Changes that wait until the picture is loaded; only what is last known of each thing.
#[derive(Default)]
struct Backlog {
    products: HashSet<ProductId>,
    gone: HashSet<ProductId>,
    stock: HashMap<VariantId, (Option<ProductId>, u32)>,
    types: HashSet<TypeId>,
    categories: bool,
}

impl Follower {
    /// Loads the picture in the background, then follows `feed`, which was opened before.
    pub(super) fn start(live: Arc<Live>, sources: Sources, feed: Subscription) -> Self {
        Self(tokio::spawn(follow(live, sources, feed)))
    }
}

async fn follow(live: Arc<Live>, sources: Sources, mut feed: Subscription) {
    loop {
        let began = tokio::time::Instant::now();
        match load(&live, &sources, &mut feed).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "the catalogue cannot be loaded yet");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        }
        let duration_ms = began.elapsed().as_millis();
        tracing::info!(products = live.index.len(), duration_ms, "catalogue loaded");
        loop {
            match feed.next().await {
                Some(Fed::Change(change)) => {
                    if let Err(error) = take_in(&live, &sources, see(&change)).await {
                        tracing::warn!(%error, "a change of the catalogue cannot be read; loading it again");
                        break;
                    }
                }
                Some(Fed::Lost) => break,
                None => return,
            }
        }
        live.shelf.forget_all();
    }
}

/// Loads the picture and what has changed meanwhile; `false` once the feed has stopped.
async fn load(live: &Live, sources: &Sources, feed: &mut Subscription) -> Result<bool, StoreError> {
    let mut backlog = Backlog::default();
    let rebuilt = {
        let mut loading = Box::pin(rebuild(sources));
        loop {
            tokio::select! {
                rebuilt = &mut loading => break rebuilt?,
                fed = feed.next() => match fed {
                    Some(Fed::Change(change)) => backlog.keep(live, see(&change)),
                    Some(Fed::Lost) => {
                        live.shelf.forget_all();
                        backlog = Backlog::default();
                        loading = Box::pin(rebuild(sources));
                    }
                    None => return Ok(false),
                },
            }
        }
    };
    live.replace_with(rebuilt);
    backlog.take_in(live, sources).await?;
    Ok(true)
}

async fn rebuild(sources: &Sources) -> Result<Rebuilt, StoreError> {
    let categories = sources.categories.load().await?;
    let mut rebuilt = Rebuilt::new(Types::new(sources.types.all().await?), categories);
    let mut products = read_ahead(sources.shown.all().await?);
    let mut units = read_ahead(sources.stock.available_of_all().await?);
    while let Some(batch) = units.recv().await {
        for (variant, product, available) in batch? {
            rebuilt.stock(variant, product, available);
        }
    }
    while let Some(batch) = products.recv().await {
        for product in batch? {
            rebuilt.product(product);
        }
        // Other tasks of this thread get their turn.
        tokio::task::yield_now().await;
    }
    Ok(rebuilt)
}

/// Reads and decodes `rows` in a task of its own while those before are taken in, at most [`AHEAD`]
/// batches ahead. The task ends early once nobody receives.
fn read_ahead<T: Send + 'static>(
    rows: impl Stream<Item = Result<T, mongodb::error::Error>> + Unpin + Send + 'static,
) -> mpsc::Receiver<Result<Vec<T>, mongodb::error::Error>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut batches = rows.try_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(|TryChunksError(_read, error)| error);
            if sender.send(batch).await.is_err() {
                return;
            }
        }
    });
    receiver
}

impl Backlog {
    fn keep(&mut self, live: &Live, seen: Seen) {
        match seen {
            Seen::Product(id, _) => {
                live.shelf.forget(id);
                self.gone.remove(&id);
                self.products.insert(id);
            }
            Seen::ProductGone(id) => {
                live.shelf.forget(id);
                self.products.remove(&id);
                self.gone.insert(id);
            }
            Seen::Stock(variant, product, available) => {
                let known = self.stock.get(&variant).and_then(|(product, _)| *product);
                let product = product.or(known).or_else(|| live.product_of(variant));
                match product {
                    Some(product) => live.shelf.forget(product),
                    // Whose stock it is, is not known yet.
                    None => live.shelf.forget_all(),
                }
                self.stock.insert(variant, (product, available));
            }
            Seen::Type(id) => {
                self.types.insert(id);
            }
            Seen::Categories => self.categories = true,
            Seen::Nothing => {}
        }
    }

    async fn take_in(self, live: &Live, sources: &Sources) -> Result<(), StoreError> {
        for (variant, (product, available)) in self.stock {
            live.stock_changed(variant, product, available);
        }
        for id in self.gone {
            live.product_removed(id);
        }
        let changed: Vec<_> = self.products.into_iter().collect();
        for batch in changed.chunks(BATCH) {
            for product in sources.products.find_all(batch).await? {
                live.product_changed(&product, None);
            }
        }
        for id in self.types {
            take_in(live, sources, Seen::Type(id)).await?;
        }
        if self.categories {
            take_in(live, sources, Seen::Categories).await?;
        }
        Ok(())
    }
}

async fn take_in(live: &Live, sources: &Sources, seen: Seen) -> Result<(), StoreError> {
    match seen {
        Seen::Product(_, Some(product)) => live.product_changed(&product, None),
        Seen::Product(id, None) => {
            // What is at hand is wrong already, before the product has been read.
            live.shelf.forget(id);
            match sources.products.find(id).await? {
                Some(product) => live.product_changed(&product, None),
                None => live.product_removed(id),
            }
        }
        Seen::ProductGone(id) => live.product_removed(id),
        Seen::Stock(variant, product, available) => {
            live.stock_changed(variant, product, available);
        }
        Seen::Type(id) => {
            match sources.types.find(&id).await? {
                Some(product_type) => live.type_changed(product_type),
                None => live.type_removed(&id),
            }
            let mut products = sources.products.of_type(&id).await?;
            while let Some(product) = products.try_next().await? {
                live.product_changed(&product, None);
            }
        }
        Seen::Categories => live.categories_changed(sources.categories.load().await?),
        Seen::Nothing => {}
    }
    Ok(())
}

/// Reads a change.
fn see(change: &Change) -> Seen {
    match (change.collection.as_str(), &change.id) {
        (PRODUCTS, Bson::ObjectId(id)) => see_product(change, ProductId::from_object_id(*id)),
        (stock::COLLECTION, Bson::ObjectId(id)) => {
            see_stock(change, VariantId::from_object_id(*id)).unwrap_or(Seen::Nothing)
        }
        (CATEGORIES, _) => Seen::Categories,
        // Types are replaced whole; what is updated is that a product has joined one.
        (PRODUCT_TYPES, _) if change.kind == ChangeKind::Updated => Seen::Nothing,
        (PRODUCT_TYPES, Bson::String(id)) => id.parse().map_or(Seen::Nothing, Seen::Type),
        _ => Seen::Nothing,
    }
}

fn see_product(change: &Change, id: ProductId) -> Seen {
    match change.kind {
        ChangeKind::Deleted => Seen::ProductGone(id),
        ChangeKind::Updated => Seen::Product(id, None),
        ChangeKind::Inserted | ChangeKind::Replaced => {
            let document = change.document.as_ref();
            let product = document.and_then(|document| {
                // What cannot be read here is read again, and fails there with its reason.
                bson::deserialize_from_slice(document.as_bytes()).ok()
            });
            Seen::Product(id, product.map(Box::new))
        }
    }
}

/// `None` where the change does not touch what is free.
fn see_stock(change: &Change, variant: VariantId) -> Option<Seen> {
    let (product, available) = if let Some(document) = &change.document {
        let product = document.get_object_id("product").ok()?;
        let available = document.get_i64("available").ok()?;
        (Some(ProductId::from_object_id(product)), available)
    } else {
        (None, change.updated.as_ref()?.get_i64("available").ok()?)
    };
    let available = u32::try_from(available.max(0)).unwrap_or(u32::MAX);
    Some(Seen::Stock(variant, product, available))
}
