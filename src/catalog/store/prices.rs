//! Which prices applied when: kept for good, as proof.

use bson::doc;
use futures_util::TryStreamExt;
use mongodb::{ClientSession, Collection};

use crate::{
    catalog::model::PricePeriod,
    clock::Timestamp,
    id::ProductId,
    mongo::{Mongo, StoreError, schema},
};

const NAME: &str = "price_periods";

/// The periods that have ended.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct Prices {
    documents: Collection<PricePeriod>,
}

/// The collection of this store.
pub(super) fn collection() -> schema::Collection {
    schema::Collection {
        name: NAME,
        indexes: vec![schema::Index::on(
            "product",
            doc! { "product": 1, "until": -1 },
        )],
        validator: None,
    }
}

impl Prices {
    /// Opens the store.
    pub(in crate::catalog) fn new(mongo: &Mongo) -> Self {
        Self {
            documents: mongo.database().collection(NAME),
        }
    }

    /// The periods of a product that ended after `then`, newest first. Index used: `product`.
    pub(in crate::catalog) async fn since(
        &self,
        product: ProductId,
        then: Timestamp,
    ) -> Result<Vec<PricePeriod>, StoreError> {
        let found = self
            .documents
            .find(doc! { "product": product, "until": { "$gt": then } });
        let found = found.sort(doc! { "until": -1 });
        Ok(found.await?.try_collect().await?)
    }

    /// Writes periods that ended, within the transaction of the change that ended them.
    pub(in crate::catalog) async fn write_in(
        &self,
        session: &mut ClientSession,
        periods: &[PricePeriod],
    ) -> mongodb::error::Result<()> {
        if !periods.is_empty() {
            self.documents.insert_many(periods).session(session).await?;
        }
        Ok(())
    }
}
