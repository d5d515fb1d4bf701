//! A product as clients see it, its entity tag, and its encoded body.

use std::{collections::HashMap, io::Write, sync::OnceLock};

use actix_web::{http::header::HeaderValue, web::Bytes};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    Image, Offer, Options, StockLevel,
    model::{Attributes, Product, Status},
};
use crate::{
    clock::Timestamp,
    id::{ProductId, VariantId},
    money::Money,
};

/// How the variants of a product stand.
pub(super) type Levels = HashMap<VariantId, StockLevel>;

/// Bodies below this size are not worth compressing.
const MIN_COMPRESSED: usize = 1_000;
/// Smaller than gzip's best at a fifth of the time of Brotli's own default.
const BROTLI_QUALITY: u32 = 5;
/// Logarithm of Brotli's window (1 MiB), and the bytes of its buffer.
const BROTLI_WINDOW: (u32, usize) = (20, 4_096);

/// A product.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Product)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProductView<'a> {
    id: ProductId,
    sku: &'a str,
    slug: &'a str,
    title: &'a str,
    description: &'a str,
    #[serde(rename = "type")]
    product_type: &'a str,
    categories: &'a [String],
    brand: Option<&'a str>,
    price: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_at_price: Option<Money>,
    /// The lowest price of the thirty days before the present price began; beside `compareAtPrice`.
    #[serde(rename = "lowestPrice30Days", skip_serializing_if = "Option::is_none")]
    lowest_price: Option<Money>,
    #[schema(value_type = Object)]
    attributes: &'a Attributes,
    options: &'a [String],
    variants: Vec<VariantView<'a>>,
    images: &'a [Image],
    stock: StockView,
    status: Status,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A variant: what is sold.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Variant)]
#[serde(rename_all = "camelCase")]
pub(super) struct VariantView<'a> {
    id: VariantId,
    sku: &'a str,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    options: &'a Options,
    price: Money,
    /// The lowest price of the thirty days before the present price began; beside the product's
    /// `compareAtPrice`.
    #[serde(rename = "lowestPrice30Days", skip_serializing_if = "Option::is_none")]
    lowest_price: Option<Money>,
    /// Its own picture, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a Image>,
    stock: StockView,
}

/// How many units there are.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
#[schema(as = ProductStock)]
pub(super) struct StockView {
    /// Units that can be bought now.
    available: u32,
    /// Units held by open checkouts; for staff only.
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved: Option<u32>,
}

/// For whom a product is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Everyone.
    Public,
    /// Those who run the shop.
    Staff,
}

impl StockView {
    /// The units of `level`; none where the variant has no stock.
    pub(super) fn of(level: Option<&StockLevel>, audience: Audience) -> Self {
        let reserved = level.map_or(0, |level| level.reserved);
        Self {
            available: level.map_or(0, |level| level.available),
            reserved: (audience == Audience::Staff).then_some(reserved),
        }
    }

    fn plus(self, other: Self) -> Self {
        let reserved = self.reserved.zip(other.reserved);
        Self {
            available: self.available.saturating_add(other.available),
            reserved: reserved.map(|(a, b)| a.saturating_add(b)),
        }
    }
}

impl<'a> ProductView<'a> {
    /// Shows a product with its stock.
    pub(super) fn new(product: &'a Product, levels: &Levels, audience: Audience) -> Self {
        let on_sale = product.compare_at_price.is_some();
        let variants = product.variants.iter().map(|variant| VariantView {
            id: variant.id,
            sku: &variant.sku,
            options: &variant.options,
            price: variant.price,
            lowest_price: variant.price_mark.lowest_before.filter(|_| on_sale),
            image: variant.image.as_ref(),
            stock: StockView::of(levels.get(&variant.id), audience),
        });
        let variants: Vec<_> = variants.collect();
        let none = StockView::of(None, audience);
        Self {
            id: product.id,
            sku: &product.sku,
            slug: &product.slug,
            title: &product.title,
            description: &product.description,
            product_type: product.product_type.as_str(),
            categories: &product.categories,
            brand: product.brand.as_deref(),
            price: product.price,
            compare_at_price: product.compare_at_price,
            lowest_price: product.price_mark.lowest_before.filter(|_| on_sale),
            attributes: &product.attributes,
            options: &product.options,
            stock: variants.iter().map(|v| v.stock).fold(none, StockView::plus),
            variants,
            images: &product.images,
            status: product.status,
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
        }
    }
}

/// A digest of the stock that a body shows. Reserved units count only where there are some, so that
/// without any, staff and public see the same tag on bodies that say the same.
pub(super) fn stamp(product: &Product, levels: &Levels, audience: Audience) -> i64 {
    let mut digest = Sha256::new();
    for variant in &product.variants {
        let level = levels.get(&variant.id);
        digest.update(variant.id.object_id().bytes());
        digest.update(level.map_or(0, |level| level.available).to_be_bytes());
        let reserved = level.map_or(0, |level| level.reserved);
        if audience == Audience::Staff && reserved > 0 {
            digest.update(b"reserved");
            digest.update(reserved.to_be_bytes());
        }
    }
    let digest = digest.finalize();
    let head = digest.first_chunk().copied().unwrap_or_default();
    i64::from_be_bytes(head)
}

/// The entity tag of a product: `"<version>"` while its stock is what it was when that version was
/// written, else `"<version>.<digest of its stock>"`: a body never changes under a tag.
pub(super) fn tag(product: &Product, levels: &Levels, audience: Audience) -> String {
    let stamp = stamp(product, levels, audience);
    if stamp == product.stock_stamp {
        format!("\"{}\"", product.version)
    } else {
        format!("\"{}.{stamp:016x}\"", product.version)
    }
}

/// An encoded body with its tag; compressed once, when the first client wants that.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The entity tag.
    pub(super) tag: HeaderValue,
    /// The body.
    pub(super) plain: Bytes,
    gzip: OnceLock<Option<Bytes>>,
    brotli: OnceLock<Option<Bytes>>,
}

impl Encoded {
    /// Keeps a body under a tag.
    pub(super) fn new(tag: String, plain: Vec<u8>) -> Self {
        Self {
            tag: HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"0\"")),
            plain: plain.into(),
            gzip: OnceLock::new(),
            brotli: OnceLock::new(),
        }
    }

    /// Keeps a body under a digest of it.
    pub(super) fn by_content(plain: Vec<u8>) -> Self {
        let digest = Sha256::digest(&plain);
        let digits = digest.iter().take(12).map(|byte| format!("{byte:02x}"));
        let tag = format!("\"{}\"", digits.collect::<String>());
        Self::new(tag, plain)
    }

    /// The body in gzip, where compressing is worth it.
    pub(super) fn gzip(&self) -> Option<&Bytes> {
        self.compressed(&self.gzip, |room| {
            let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::new(6));
            encoder.write_all(&self.plain).ok()?;
            encoder.finish().ok()
        })
    }

    /// The body in Brotli, where compressing is worth it.
    pub(super) fn brotli(&self) -> Option<&Bytes> {
        self.compressed(&self.brotli, |room| {
            let buffer = BROTLI_WINDOW.1;
            let mut encoder =
                brotli::CompressorWriter::new(room, buffer, BROTLI_QUALITY, BROTLI_WINDOW.0);
            encoder.write_all(&self.plain).ok()?;
            Some(encoder.into_inner())
        })
    }

    fn compressed<'a>(
        &self,
        kept: &'a OnceLock<Option<Bytes>>,
        compress: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>,
    ) -> Option<&'a Bytes> {
        let make = || {
            let worth_it = self.plain.len() >= MIN_COMPRESSED;
            let room = || Vec::with_capacity(self.plain.len() / 3);
            worth_it.then(room).and_then(compress).map(Bytes::from)
        };
        kept.get_or_init(make).as_ref()
    }

    /// Memory that it may come to take, in bytes.
    pub(super) fn weight(&self) -> usize {
        const OVERHEAD: usize = 300;
        self.plain.len() + 2 * (self.plain.len() / 3) + OVERHEAD
    }
}

/// A product as this node keeps it at hand: its public body, and what carts ask.
#[derive(Debug)]
pub(super) struct Shelved {
    /// The product.
    pub(super) id: ProductId,
    /// Its name in addresses.
    pub(super) slug: String,
    /// Whether it is on sale.
    pub(super) active: bool,
    /// The body that everyone sees; for a product that is not on sale, nobody.
    pub(super) body: Encoded,
    /// The paths of its categories.
    pub(super) categories: Vec<String>,
    title: String,
    variants: Vec<ShelvedVariant>,
}

#[derive(Debug)]
struct ShelvedVariant {
    id: VariantId,
    sku: String,
    options: Options,
    price: Money,
    image: Option<Image>,
    available: u32,
}

impl Shelved {
    /// Encodes a product.
    ///
    /// # Errors
    /// When it cannot be encoded, which no stored product causes.
    pub(super) fn new(product: &Product, levels: &Levels) -> Result<Self, serde_json::Error> {
        let active = product.status == Status::Active;
        let body = if active {
            serde_json::to_vec(&ProductView::new(product, levels, Audience::Public))?
        } else {
            Vec::new()
        };
        let variants = product.variants.iter().map(|variant| ShelvedVariant {
            id: variant.id,
            sku: variant.sku.clone(),
            options: variant.options.clone(),
            price: variant.price,
            image: product.image_of(variant).cloned(),
            available: levels.get(&variant.id).map_or(0, |level| level.available),
        });
        Ok(Self {
            id: product.id,
            slug: product.slug.clone(),
            active,
            body: Encoded::new(tag(product, levels, Audience::Public), body),
            categories: product.categories.clone(),
            title: product.title.clone(),
            variants: variants.collect(),
        })
    }

    /// The variant as it can be bought now.
    pub(super) fn offer(&self, variant: VariantId) -> Option<Offer> {
        let found = self.variants.iter().find(|v| v.id == variant)?;
        Some(Offer {
            product: self.id,
            variant,
            sku: found.sku.clone(),
            title: self.title.clone(),
            image: found.image.clone(),
            options: found.options.clone(),
            unit_price: found.price,
            available: found.available,
            on_sale: self.active,
        })
    }

    /// The one variant of a product that has no more.
    pub(super) fn only_variant(&self) -> Option<VariantId> {
        match self.variants.as_slice() {
            [only] => Some(only.id),
            _ => None,
        }
    }

    /// Memory that it may come to take, in bytes.
    pub(super) fn weight(&self) -> usize {
        const A_VARIANT: usize = 200;
        self.body.weight() + self.title.len() + self.slug.len() + self.variants.len() * A_VARIANT
    }
}
