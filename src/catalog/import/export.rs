//! Exporting: every product in the shop's own shape, as JSON Lines that import again unchanged.

use futures_util::{Stream, StreamExt, TryStreamExt};

use super::super::{
    model::{Product, WriteProduct, WriteStock},
    stock::Stock,
    store::Products,
};
use crate::mongo::{Mongo, StoreError};

/// Products whose stock is read at once.
const CHUNK: usize = 200;

/// Exports.
#[derive(Clone)]
pub struct Exporter {
    products: Products,
    stock: Stock,
}

impl Exporter {
    /// Opens the room.
    #[must_use]
    pub fn new(mongo: &Mongo) -> Self {
        Self {
            products: Products::new(mongo),
            stock: Stock::new(mongo),
        }
    }

    /// Every product, in the order of their ids, as chunks of JSON lines.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn lines(
        &self,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, StoreError>> + use<>, StoreError> {
        let (products, stock) = (self.products.all().await?, self.stock.clone());
        let chunks = products.map_err(StoreError::from).ready_chunks(CHUNK);
        Ok(chunks.then(move |chunk| {
            let stock = stock.clone();
            async move {
                let chunk: Vec<Product> = chunk.into_iter().collect::<Result<_, _>>()?;
                encode(&stock, chunk).await
            }
        }))
    }
}

async fn encode(stock: &Stock, products: Vec<Product>) -> Result<Vec<u8>, StoreError> {
    let variants: Vec<_> = products.iter().flat_map(Product::variant_ids).collect();
    let levels = stock.levels(&variants).await?;
    let on_hand = |variant| {
        let level = levels.get(&variant)?;
        Some(WriteStock {
            on_hand: level.available.saturating_add(level.reserved),
        })
    };
    let mut lines = Vec::with_capacity(products.len() * 1_024);
    for product in products {
        let mut written = WriteProduct::from(&product);
        if product.options.is_empty() {
            written.stock = product
                .variants
                .first()
                .and_then(|variant| on_hand(variant.id));
        }
        for variant in &mut written.variants {
            // Ids belong to this shop; SKUs name the variants elsewhere.
            let id = variant.id.take();
            variant.stock = id.and_then(on_hand);
        }
        serde_json::to_writer(&mut lines, &written).map_err(|error| StoreError::Damaged {
            collection: "products",
            reason: format!("{}: {error}", product.id),
        })?;
        lines.push(b'\n');
    }
    Ok(lines)
}
