//! Products as buyers are shown them: read from members beside the primary where the configuration says so.

use std::future::IntoFuture;

use bson::{Document, doc};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use mongodb::{ClientSession, Collection, error::Error};

use super::{PRODUCTS, Products, products::BATCH};
use crate::{
    catalog::model::Product,
    id::{ProductId, VariantId},
    mongo::{Mongo, StoreError, reads::Reads},
};

/// The products, for reading. What decides about a write is read by [`Products`].
#[derive(Debug, Clone)]
pub(in crate::catalog) struct ShownProducts {
    reads: Reads,
    beside: Collection<Product>,
    primary: Products,
}

async fn all_of(
    documents: &Collection<Product>,
    filter: Document,
    session: &mut ClientSession,
) -> Result<Vec<Product>, Error> {
    let mut found = documents.find(filter).session(&mut *session).await?;
    found.stream(session).try_collect().await
}

impl ShownProducts {
    /// Opens the store.
    pub(in crate::catalog) fn new(mongo: &Mongo, reads: Reads) -> Self {
        Self {
            beside: reads.collection(PRODUCTS),
            primary: Products::new(mongo),
            reads,
        }
    }

    async fn one_beside(&self, filter: Document) -> Option<Option<Product>> {
        let mut session = self.reads.session().await?;
        let read = self.beside.find_one(filter).session(&mut session);
        self.reads.answer(read.into_future()).await
    }

    async fn several_beside(&self, filter: Document) -> Option<Vec<Product>> {
        let mut session = self.reads.session().await?;
        let read = all_of(&self.beside, filter, &mut session);
        self.reads.answer(read).await
    }

    /// The product of that id. Index used: `_id`.
    pub(in crate::catalog) async fn find(
        &self,
        id: ProductId,
    ) -> Result<Option<Product>, StoreError> {
        match self.one_beside(doc! { "_id": id }).await {
            Some(found) => Ok(found),
            None => self.primary.find(id).await,
        }
    }

    /// The product of that slug. Index used: `slug`.
    pub(in crate::catalog) async fn find_by_slug(
        &self,
        slug: &str,
    ) -> Result<Option<Product>, StoreError> {
        match self.one_beside(doc! { "slug": slug }).await {
            Some(found) => Ok(found),
            None => self.primary.find_by_slug(slug).await,
        }
    }

    /// The products of those ids, in any order. Index used: `_id`.
    pub(in crate::catalog) async fn find_all(
        &self,
        ids: &[ProductId],
    ) -> Result<Vec<Product>, StoreError> {
        match self.several_beside(doc! { "_id": { "$in": ids } }).await {
            Some(found) => Ok(found),
            None => self.primary.find_all(ids).await,
        }
    }

    /// The products that those variants belong to. Index used: `variants`.
    pub(in crate::catalog) async fn find_by_variants(
        &self,
        variants: &[VariantId],
    ) -> Result<Vec<Product>, StoreError> {
        let filter = doc! { "variants.id": { "$in": variants } };
        match self.several_beside(filter).await {
            Some(found) => Ok(found),
            None => self.primary.find_by_variants(variants).await,
        }
    }

    /// Every product, in the order of their ids, in batches. Index used: `_id`.
    pub(in crate::catalog) async fn all(
        &self,
    ) -> Result<impl Stream<Item = Result<Product, Error>> + Unpin + Send + use<>, StoreError> {
        if let Some(mut session) = self.reads.session().await {
            let every = self.beside.find(doc! {}).sort(doc! { "_id": 1 });
            let every = every.batch_size(BATCH).session(&mut session);
            if let Some(cursor) = self.reads.answer(every.into_future()).await {
                let rows =
                    stream::try_unfold((cursor, session), async |(mut cursor, mut session)| {
                        let next = cursor.next(&mut session).await.transpose()?;
                        Ok(next.map(|product| (product, (cursor, session))))
                    });
                return Ok(rows.boxed());
            }
        }
        Ok(self.primary.all().await?.boxed())
    }

    /// Lets what is read from now on show everything that was acknowledged before, by whichever node.
    pub(in crate::catalog) async fn catch_up(&self) -> Result<(), StoreError> {
        self.reads.catch_up().await
    }
}
