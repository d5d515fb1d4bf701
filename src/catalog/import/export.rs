//! Exporting: every product in the shop's own shape, as JSON Lines or CSV that import again unchanged.

use futures_util::{Stream, StreamExt, TryStreamExt};

use super::{own_csv, read::Format};
use crate::{
    catalog::{
        Catalog,
        model::{Product, WriteProduct, WriteStock},
        stock::Stock,
        store::ShownProducts,
    },
    mongo::{Mongo, StoreError, reads::Reads},
};

/// Products whose stock is read at once.
const CHUNK: usize = 200;

/// Exports.
#[derive(Clone)]
pub struct Exporter {
    products: ShownProducts,
    stock: Stock,
}

impl Exporter {
    /// Opens the room.
    #[must_use]
    pub fn new(mongo: &Mongo) -> Self {
        Self {
            products: ShownProducts::new(mongo, Reads::primary(mongo)),
            stock: Stock::new(mongo),
        }
    }

    /// Exports, from the members that the catalogue is read from.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        Self {
            products: catalog.shared.shown.clone(),
            stock: catalog.shared.stock.clone(),
        }
    }

    /// Every product, in the order of their ids, as chunks of rows; a CSV begins with its head line.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn rows(
        &self,
        format: Format,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, StoreError>> + use<>, StoreError> {
        // Whoever has just written, on whichever node, finds it in the file.
        self.products.catch_up().await?;
        let (products, stock) = (self.products.all().await?, self.stock.clone());
        let chunks = products.map_err(StoreError::from).ready_chunks(CHUNK);
        let head = match format {
            Format::JsonLines => Vec::new(),
            Format::Csv => csv_lines([own_csv::COLUMNS.map(str::to_owned).to_vec()])?,
        };
        let head = futures_util::stream::iter([Ok(head)]);
        Ok(head.chain(chunks.then(move |chunk| {
            let stock = stock.clone();
            async move {
                let chunk: Vec<Product> = chunk.into_iter().collect::<Result<_, _>>()?;
                encode(&stock, chunk, format).await
            }
        })))
    }
}

fn damaged(error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged {
        collection: "products",
        reason: format!("cannot be written out: {error}"),
    }
}

fn csv_lines(rows: impl IntoIterator<Item = Vec<String>>) -> Result<Vec<u8>, StoreError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(damaged)?;
    }
    writer.into_inner().map_err(damaged)
}

async fn encode(
    stock: &Stock,
    products: Vec<Product>,
    format: Format,
) -> Result<Vec<u8>, StoreError> {
    let variants: Vec<_> = products.iter().flat_map(Product::variant_ids).collect();
    let levels = stock.levels(&variants).await?;
    let on_hand = |variant| {
        let level = levels.get(&variant)?;
        Some(WriteStock {
            on_hand: level.available.saturating_add(level.reserved),
        })
    };
    let mut rows = Vec::with_capacity(products.len());
    for product in products {
        let mut written = WriteProduct::from(&product);
        if product.options.is_empty() {
            let only = product.variants.first();
            written.stock = only.and_then(|variant| on_hand(variant.id));
        }
        for variant in &mut written.variants {
            // Ids belong to this shop; SKUs name the variants elsewhere.
            let id = variant.id.take();
            variant.stock = id.filter(|_| written.stock.is_none()).and_then(on_hand);
        }
        rows.push(written);
    }
    if format == Format::Csv {
        let cells = rows
            .iter()
            .map(own_csv::cells)
            .collect::<Result<Vec<_>, _>>();
        return csv_lines(cells.map_err(damaged)?);
    }
    let mut lines = Vec::with_capacity(rows.len() * 1_024);
    for written in rows {
        serde_json::to_writer(&mut lines, &written).map_err(damaged)?;
        lines.push(b'\n');
    }
    Ok(lines)
}
