//! Products as documents.

use std::{collections::HashSet, sync::Arc};

use bson::{Document, doc};
use futures_util::{FutureExt, Stream, TryStreamExt};
use mongodb::{
    ClientSession, Collection,
    error::{Error, ErrorKind},
};

use super::{PRODUCTS, Prices, TypeDoor};
use crate::{
    audit::{Audit, Entry},
    catalog::{
        bulk::{BulkStep, Concluded},
        model::{PricePeriod, Product, ProductType, TypeId, with_suffix},
    },
    id::{ProductId, VariantId},
    mongo::{Mongo, StoreError, is_duplicate_key, schema, to_document},
};

/// Products fetched at once when all are read.
pub(super) const BATCH: u32 = 500;

/// What another product has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::catalog) enum Taken {
    /// A SKU.
    Sku,
    /// The slug.
    Slug,
}

/// The SKUs and the slug that a product has.
#[derive(Debug, serde::Deserialize)]
pub(in crate::catalog) struct Holding {
    /// The product.
    #[serde(rename = "_id")]
    pub(in crate::catalog) id: ProductId,
    /// Its own SKU and those of its variants.
    pub(in crate::catalog) skus: Vec<String>,
    /// Its slug.
    pub(in crate::catalog) slug: String,
}

/// The products.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct Products {
    mongo: Mongo,
    documents: Collection<Product>,
    prices: Prices,
    types: TypeDoor,
    audit: Audit,
}

/// A change of a product with what is written down of it, all in one transaction.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct Revision {
    /// The product as it will be.
    pub(in crate::catalog) product: Product,
    /// The version that it takes the place of; none: it is new.
    pub(in crate::catalog) over: Option<u64>,
    /// The price periods that end.
    pub(in crate::catalog) ended: Vec<PricePeriod>,
    /// The audit log's entry.
    pub(in crate::catalog) entry: Entry,
    /// The step of a bulk edit that this is.
    pub(in crate::catalog) step: Option<BulkStep>,
    /// The type that the product comes to have with it.
    pub(in crate::catalog) joins: Option<Arc<ProductType>>,
}

/// The version that a revision takes the place of is not the present one, or its type is gone.
#[derive(Debug, Clone, Copy)]
struct Outrun;

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: PRODUCTS,
        indexes: vec![
            schema::Index::unique("slug", doc! { "slug": 1 }),
            // Over the product's and its variants' SKUs, which the field repeats in one list.
            schema::Index::unique("skus", doc! { "skus": 1 }),
            schema::Index::on("variants", doc! { "variants.id": 1 }),
            schema::Index::on("former_slugs", doc! { "former_slugs": 1 }),
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

/// Selects the products at a path and below it.
fn in_category(path: &str) -> Document {
    // '0' follows '/' in ASCII: the range holds everything that begins with `path/`.
    let below = doc! { "$gte": format!("{path}/"), "$lt": format!("{path}0") };
    doc! { "$or": [{ "categories": path }, { "categories": { "$elemMatch": below } }] }
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
            mongo: mongo.clone(),
            documents: mongo.database().collection(PRODUCTS),
            prices: Prices::new(mongo),
            types: TypeDoor::new(mongo),
            audit: Audit::new(mongo),
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

    /// Adds a product or puts it in the place of its version, with the price periods that end and the
    /// audit log's entry, all or nothing; `false` where the version is not the present one, or the type
    /// that it joins is gone.
    /// Indexes used: `_id`, `slug`, `skus`.
    pub(in crate::catalog) async fn revise(
        &self,
        revision: Revision,
    ) -> Result<Result<bool, Taken>, StoreError> {
        let document = document_of(&revision.product)?;
        let context = (self.clone(), revision, document);
        let done =
            self.mongo
                .transaction_with(context, |session, (products, revision, document)| {
                    products.write_in(session, revision, document).boxed()
                });
        match done.await {
            Ok(()) => Ok(Ok(true)),
            Err(error)
                if error.aborted::<Outrun>().is_some()
                    || error.aborted::<Concluded>().is_some() =>
            {
                Ok(Ok(false))
            }
            Err(StoreError::Driver(error)) => Ok(Err(taken(error)?)),
            Err(error @ StoreError::Damaged { .. }) => Err(error),
        }
    }

    async fn write_in(
        &self,
        session: &mut ClientSession,
        revision: &Revision,
        document: &Document,
    ) -> mongodb::error::Result<()> {
        let documents = self.documents.clone_with_type::<Document>();
        // First, so that two that join one type meet before there is anything to undo.
        if let Some(product_type) = &revision.joins
            && !self.types.join_in(&mut *session, product_type).await?
        {
            return Err(StoreError::abort(Outrun));
        }
        match revision.over {
            None => {
                let inserted = documents.insert_one(document).session(&mut *session);
                inserted.await?;
            }
            Some(over) => {
                let over = i64::try_from(over).unwrap_or(i64::MAX);
                let unchanged = doc! { "_id": revision.product.id, "version": over };
                let replaced = documents
                    .replace_one(unchanged, document)
                    .session(&mut *session);
                if replaced.await?.matched_count != 1 {
                    return Err(StoreError::abort(Outrun));
                }
            }
        }
        self.prices.write_in(&mut *session, &revision.ended).await?;
        self.audit.write_in(&mut *session, &revision.entry).await?;
        if let Some(step) = &revision.step {
            step.conclude_in(session).await?;
        }
        Ok(())
    }

    /// Adds many products; the places of those whose SKU or slug somebody has.
    /// Indexes used: `slug`, `skus`.
    pub(in crate::catalog) async fn insert_all<'a>(
        &self,
        products: impl IntoIterator<Item = &'a Product>,
    ) -> Result<Vec<usize>, StoreError> {
        let documents = products.into_iter().map(document_of);
        let documents: Vec<Document> = documents.collect::<Result<_, _>>()?;
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

    /// What products have of those SKUs and slugs. Indexes used: `skus`, `slug`.
    pub(in crate::catalog) async fn holding(
        &self,
        skus: &[&str],
        slugs: &[&str],
    ) -> Result<Vec<Holding>, StoreError> {
        let any = doc! { "$or": [{ "skus": { "$in": skus } }, { "slug": { "$in": slugs } }] };
        let documents = self.documents.clone_with_type::<Holding>();
        let found = documents.find(any);
        let found = found.projection(doc! { "skus": 1, "slug": 1 });
        Ok(found.await?.try_collect().await?)
    }

    /// Removes products that were just written and must not be. Index used: `_id`.
    pub(in crate::catalog) async fn withdraw(&self, ids: &[ProductId]) -> Result<(), StoreError> {
        let these = doc! { "_id": { "$in": ids } };
        self.documents.delete_many(these).await?;
        Ok(())
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

    /// The product that had that slug last. Index used: `former_slugs`.
    pub(in crate::catalog) async fn find_by_former_slug(
        &self,
        slug: &str,
    ) -> Result<Option<Product>, StoreError> {
        let found = self.documents.find_one(doc! { "former_slugs": slug });
        Ok(found.sort(doc! { "updated_at": -1 }).await?)
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

    /// Lets the products at `from` and below it follow to `to`, each in one step; again, where this was cut
    /// short. Index used: `categories`.
    pub(in crate::catalog) async fn move_category(
        &self,
        from: &str,
        to: &str,
    ) -> Result<u64, StoreError> {
        let length = i32::try_from(from.len()).unwrap_or(i32::MAX);
        let rest = doc! { "$substrBytes": ["$$path", length, -1] };
        let below = format!("{from}/");
        let head = doc! { "$substrBytes": ["$$path", 0, length.saturating_add(1)] };
        let inside = doc! { "$or": [{ "$eq": ["$$path", from] }, { "$eq": [head, &below] }] };
        let moved = doc! { "$map": { "input": "$categories", "as": "path", "in": {
            "$cond": [inside, { "$concat": [to, rest] }, "$$path"],
        } } };
        // Each once, in their order: it may have stood at both places.
        let once = doc! { "$reduce": { "input": moved, "initialValue": [], "in": {
            "$cond": [{ "$in": ["$$this", "$$value"] }, "$$value",
                { "$concatArrays": ["$$value", ["$$this"]] }],
        } } };
        let follow = vec![doc! { "$set": {
            "categories": once,
            "version": { "$add": ["$version", 1_i64] },
            "updated_at": "$$NOW",
        } }];
        let done = self
            .documents
            .update_many(in_category(from), follow)
            .await?;
        Ok(done.matched_count)
    }

    /// The products at a path and below it, in batches. Index used: `categories`.
    pub(in crate::catalog) async fn of_category(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Product, Error>> + Unpin + Send + use<>, StoreError> {
        let found = self.documents.find(in_category(path));
        Ok(found.batch_size(BATCH).await?)
    }

    /// The paths at `path` and below it that products stand at. Index used: `categories`.
    pub(in crate::catalog) async fn category_paths(
        &self,
        path: &str,
    ) -> Result<Vec<String>, StoreError> {
        let found = self.documents.distinct("categories", in_category(path));
        let paths = found.await?.into_iter();
        let paths = paths.filter_map(|found| found.as_str().map(str::to_owned));
        let inside = |found: &String| {
            found
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        Ok(paths.filter(inside).collect())
    }

    /// How many products stand at a path and below it. Index used: `categories`.
    pub(in crate::catalog) async fn count_in_category(
        &self,
        path: &str,
    ) -> Result<u64, StoreError> {
        Ok(self.documents.count_documents(in_category(path)).await?)
    }

    /// Every product, in the order of their ids, in batches. Index used: `_id`.
    pub(in crate::catalog) async fn all(
        &self,
    ) -> Result<impl Stream<Item = Result<Product, Error>> + Unpin + Send + use<>, StoreError> {
        let found = self.documents.find(doc! {}).sort(doc! { "_id": 1 });
        Ok(found.batch_size(BATCH).await?)
    }

    /// Whether any product has the type, as the transaction sees it. Index used: `type`.
    pub(super) async fn any_of_type_in(
        &self,
        session: &mut ClientSession,
        product_type: &TypeId,
    ) -> mongodb::error::Result<bool> {
        let documents = self.documents.clone_with_type::<Document>();
        let found = documents.find_one(doc! { "type": product_type });
        let found = found.projection(doc! { "_id": 1 }).session(session);
        Ok(found.await?.is_some())
    }

    /// The products of a type, in batches. Index used: `type`.
    pub(in crate::catalog) async fn of_type(
        &self,
        product_type: &TypeId,
    ) -> Result<impl Stream<Item = Result<Product, Error>> + Unpin + Send + use<>, StoreError> {
        let found = self.documents.find(doc! { "type": product_type });
        Ok(found.sort(doc! { "_id": 1 }).batch_size(BATCH).await?)
    }

    /// A slug that no product has or had: `base`, or `base` with the least number that is free. Another writer
    /// may take it meanwhile. Indexes used: `slug`, `former_slugs`.
    pub(in crate::catalog) async fn free_slug(&self, base: &str) -> Result<String, StoreError> {
        #[derive(serde::Deserialize)]
        struct Row {
            slug: String,
        }
        // '.' follows '-' in ASCII: the range holds `base` and everything that begins with `base-`.
        let range = || doc! { "$gte": base, "$lt": format!("{base}.") };
        let documents = self.documents.clone_with_type::<Row>();
        let rows = documents.find(doc! { "slug": range() });
        let rows = rows.projection(doc! { "_id": 0, "slug": 1 }).await?;
        let mut present: HashSet<String> = rows.map_ok(|row| row.slug).try_collect().await?;
        // An address that leads to another product goes on doing so, unless somebody takes it by name.
        let former = self.documents.distinct(
            "former_slugs",
            doc! { "former_slugs": { "$elemMatch": range() } },
        );
        let former = former.await?.into_iter();
        present.extend(former.filter_map(|slug| Some(slug.as_str()?.to_owned())));
        let mut candidates = (1..).map(|n| with_suffix(base, n));
        let free = candidates.find(|slug| !present.contains(slug));
        Ok(free.unwrap_or_else(|| base.to_owned()))
    }
}
