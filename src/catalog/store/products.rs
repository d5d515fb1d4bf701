//! Products as documents.

use std::collections::HashSet;

use bson::{Document, doc};
use futures_util::{Stream, TryStreamExt};
use mongodb::{
    Collection,
    error::{Error, ErrorKind},
};

use super::PRODUCTS;
use crate::{
    catalog::model::{Product, TypeId, with_suffix},
    id::{ProductId, VariantId},
    mongo::{Mongo, StoreError, is_duplicate_key, schema, to_document},
};

/// Products fetched at once when all are read.
const BATCH: u32 = 500;

/// What another product has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::catalog) enum Taken {
    /// A SKU.
    Sku,
    /// The slug.
    Slug,
}

/// The products.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct Products {
    documents: Collection<Product>,
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: PRODUCTS,
        indexes: vec![
            schema::Index::unique("slug", doc! { "slug": 1 }),
            // Over the product's and its variants' SKUs, which the field repeats in one list.
            schema::Index::unique("skus", doc! { "skus": 1 }),
            schema::Index::on("variants", doc! { "variants.id": 1 }),
            schema::Index::on("type", doc! { "type": 1, "_id": 1 }),
            schema::Index::on("categories", doc! { "categories": 1, "_id": 1 }),
            schema::Index::on("price", doc! { "price.amount": 1, "_id": 1 }),
            schema::Index::on("created", doc! { "created_at": -1, "_id": -1 }),
        ],
        validator: Some(doc! {
            "bsonType": "object",
            "required": ["sku", "skus", "slug", "title", "type", "price", "variants", "status", "version"],
            "properties": {
                "sku": { "bsonType": "string" },
                "slug": { "bsonType": "string" },
                "title": { "bsonType": "string" },
                "variants": { "bsonType": "array", "minItems": 1 },
                "status": { "enum": ["active", "draft", "archived"] },
                "version": { "bsonType": "long", "minimum": 1 },
            },
        }),
    }
}

/// The document of a product: its fields, and `skus` for the unique index.
fn document_of(product: &Product) -> Result<Document, StoreError> {
    let mut document = to_document(product)?;
    document.insert("skus", product.skus());
    Ok(document)
}

/// Tells by the index's name what another product has.
fn taken(error: Error) -> Result<Taken, StoreError> {
    if !is_duplicate_key(&error) {
        return Err(error.into());
    }
    if error.to_string().contains("index: slug ") {
        Ok(Taken::Slug)
    } else {
        Ok(Taken::Sku)
    }
}

/// The places in a batch that a unique index refused.
fn refused_places(error: &Error) -> Vec<usize> {
    let ErrorKind::InsertMany(many) = error.kind.as_ref() else {
        return Vec::new();
    };
    let refused = many.write_errors.iter().flatten();
    refused.map(|error| error.index).collect()
}

impl Products {
    /// Opens the store.
    pub(in crate::catalog) fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(PRODUCTS),
        }
    }

    /// Adds a product. Indexes used: `slug`, `skus`.
    pub(in crate::catalog) async fn insert(
        &self,
        product: &Product,
    ) -> Result<Result<(), Taken>, StoreError> {
        let documents = self.documents.clone_with_type::<Document>();
        match documents.insert_one(document_of(product)?).await {
            Ok(_) => Ok(Ok(())),
            Err(error) => Ok(Err(taken(error)?)),
        }
    }

    /// Adds many products; the places of those whose SKU or slug somebody has.
    /// Indexes used: `slug`, `skus`.
    pub(in crate::catalog) async fn insert_all(
        &self,
        products: &[Product],
    ) -> Result<Vec<usize>, StoreError> {
        let documents: Vec<Document> =
            products.iter().map(document_of).collect::<Result<_, _>>()?;
        let all = self.documents.clone_with_type::<Document>();
        match all.insert_many(documents).ordered(false).await {
            Ok(_) => Ok(Vec::new()),
            Err(error) if is_duplicate_key(&error) => Ok(refused_places(&error)),
            Err(error) => Err(error.into()),
        }
    }

    /// The products of those SKUs, not of their variants'. Index used: `skus`.
    pub(in crate::catalog) async fn by_skus(
        &self,
        skus: &[&str],
    ) -> Result<Vec<Product>, StoreError> {
        let found = self
            .documents
            .find(doc! { "skus": { "$in": skus }, "sku": { "$in": skus } });
        Ok(found.await?.try_collect().await?)
    }

    /// The product of that id. Index used: `_id`.
    pub(in crate::catalog) async fn find(
        &self,
        id: ProductId,
    ) -> Result<Option<Product>, StoreError> {
        Ok(self.documents.find_one(doc! { "_id": id }).await?)
    }

    /// The product of that slug. Index used: `slug`.
    pub(in crate::catalog) async fn find_by_slug(
        &self,
        slug: &str,
    ) -> Result<Option<Product>, StoreError> {
        Ok(self.documents.find_one(doc! { "slug": slug }).await?)
    }

    /// The products of those ids, in any order. Index used: `_id`.
    pub(in crate::catalog) async fn find_all(
        &self,
        ids: &[ProductId],
    ) -> Result<Vec<Product>, StoreError> {
        let found = self.documents.find(doc! { "_id": { "$in": ids } });
        Ok(found.await?.try_collect().await?)
    }

    /// The products that those variants belong to. Index used: `variants`.
    pub(in crate::catalog) async fn find_by_variants(
        &self,
        variants: &[VariantId],
    ) -> Result<Vec<Product>, StoreError> {
        let found = self
            .documents
            .find(doc! { "variants.id": { "$in": variants } });
        Ok(found.await?.try_collect().await?)
    }

    /// Every product, in the order of their ids, in batches. Index used: `_id`.
    pub(in crate::catalog) async fn all(
        &self,
    ) -> Result<impl Stream<Item = Result<Product, Error>> + Unpin + Send + use<>, StoreError> {
        let found = self.documents.find(doc! {}).sort(doc! { "_id": 1 });
        Ok(found.batch_size(BATCH).await?)
    }

    /// The products of a type, in batches. Index used: `type`.
    pub(in crate::catalog) async fn of_type(
        &self,
        product_type: &TypeId,
    ) -> Result<impl Stream<Item = Result<Product, Error>> + Unpin + Send + use<>, StoreError> {
        let found = self.documents.find(doc! { "type": product_type });
        Ok(found.sort(doc! { "_id": 1 }).batch_size(BATCH).await?)
    }

    /// A slug that no product has: `base`, or `base` with the least number that is free. Another writer
    /// may take it meanwhile. Index used: `slug`.
    pub(in crate::catalog) async fn free_slug(&self, base: &str) -> Result<String, StoreError> {
        #[derive(serde::Deserialize)]
        struct Row {
            slug: String,
        }
        // '.' follows '-' in ASCII: the range holds `base` and everything that begins with `base-`.
        let range = doc! { "slug": { "$gte": base, "$lt": format!("{base}.") } };
        let documents = self.documents.clone_with_type::<Row>();
        let rows = documents.find(range);
        let rows = rows.projection(doc! { "_id": 0, "slug": 1 }).await?;
        let present: HashSet<String> = rows.map_ok(|row| row.slug).try_collect().await?;
        let mut candidates = (1..).map(|n| with_suffix(base, n));
        let free = candidates.find(|slug| !present.contains(slug));
        Ok(free.unwrap_or_else(|| base.to_owned()))
    }

    /// Puts `product` in the place of its version `over`; `false` where that is not the present one.
    /// Indexes used: `_id`, `slug`, `skus`.
    pub(in crate::catalog) async fn replace(
        &self,
        product: &Product,
        over: u64,
    ) -> Result<Result<bool, Taken>, StoreError> {
        let over = i64::try_from(over).unwrap_or(i64::MAX);
        let unchanged = doc! { "_id": product.id, "version": over };
        let documents = self.documents.clone_with_type::<Document>();
        let replaced = documents.replace_one(unchanged, document_of(product)?);
        match replaced.await {
            Ok(done) => Ok(Ok(done.matched_count == 1)),
            Err(error) => Ok(Err(taken(error)?)),
        }
    }
}
