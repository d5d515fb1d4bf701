//! Which pictures there are, and when each was last seen in use.

use std::collections::HashSet;

use bson::doc;
use futures_util::TryStreamExt;
use mongodb::Collection;
use serde::{Deserialize, Serialize};

use crate::{
    catalog::store::PRODUCTS,
    clock::Timestamp,
    mongo::{Mongo, StoreError, is_duplicate_key, schema},
};

const NAME: &str = "images";
/// Names that one statement concerns.
const BATCH: usize = 500;

/// A picture that the shop keeps.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    /// Its name.
    #[serde(rename = "_id")]
    name: String,
    /// When it was uploaded, or last found in use.
    used_at: Timestamp,
    /// Its file is being removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    going: Option<bool>,
}

/// The pictures by name.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct KnownImages {
    mongo: Mongo,
    documents: Collection<Known>,
}

/// The collection of this store.
pub(in crate::catalog) fn collection() -> schema::Collection {
    schema::Collection {
        name: NAME,
        indexes: vec![schema::Index::on("used", doc! { "used_at": 1 })],
        validator: None,
    }
}

/// The name of the uploaded picture that an address leads to.
pub(super) fn uploaded(url: &str) -> Option<&str> {
    url.strip_prefix("/images/")
}

impl KnownImages {
    pub(in crate::catalog) fn new(mongo: &Mongo) -> Self {
        Self {
            mongo: mongo.clone(),
            documents: mongo.database().collection(NAME),
        }
    }

    /// Notes pictures as used now, also those that were not known. Index used: `_id`.
    pub(super) async fn note(&self, names: &[String]) -> Result<(), StoreError> {
        for names in names.chunks(BATCH) {
            let now = Timestamp::now();
            let wanted = doc! { "_id": { "$in": names } };
            let seen = doc! { "$set": { "used_at": now }, "$unset": { "going": true } };
            let noted = self.documents.update_many(wanted.clone(), seen).await?;
            if noted.matched_count == u64::try_from(names.len()).unwrap_or(u64::MAX) {
                continue;
            }
            let present: Vec<Known> = self.documents.find(wanted).await?.try_collect().await?;
            let present: HashSet<&str> = present.iter().map(|known| known.name.as_str()).collect();
            let new = names.iter().filter(|name| !present.contains(name.as_str()));
            let new: Vec<Known> = new
                .map(|name| Known {
                    name: name.clone(),
                    used_at: now,
                    going: None,
                })
                .collect();
            match self.documents.insert_many(new).ordered(false).await {
                Ok(_) => {}
                // Another node noted it at the same moment.
                Err(error) if is_duplicate_key(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The pictures that were not seen in use since `limit`. Index used: `used`.
    pub(super) async fn lapsed(&self, limit: Timestamp) -> Result<Vec<String>, StoreError> {
        let lapsed = self.documents.find(doc! { "used_at": { "$lt": limit } });
        let lapsed: Vec<Known> = lapsed.await?.try_collect().await?;
        Ok(lapsed.into_iter().map(|known| known.name).collect())
    }

    /// The pictures that products show, whatever their status. Index used: `_id`.
    pub(super) async fn in_products(&self) -> Result<Vec<String>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(default)]
            images: Vec<Address>,
            #[serde(default)]
            variants: Vec<Variant>,
        }
        #[derive(Deserialize)]
        struct Variant {
            image: Option<Address>,
        }
        #[derive(Deserialize)]
        struct Address {
            url: String,
        }
        let products = self.mongo.database().collection::<Row>(PRODUCTS);
        let shown = doc! { "images.url": 1, "variants.image.url": 1 };
        let rows = products.find(doc! {}).sort(doc! { "_id": 1 });
        let mut rows = rows.projection(shown).await?;
        let mut names = HashSet::new();
        while let Some(row) = rows.try_next().await? {
            let variants = row.variants.into_iter().filter_map(|variant| variant.image);
            let shown = row.images.into_iter().chain(variants);
            names.extend(shown.filter_map(|image| Some(uploaded(&image.url)?.to_owned())));
        }
        Ok(names.into_iter().collect())
    }

    /// Claims the removal of a picture that is still not in use; `false` where somebody has uploaded it again.
    /// Index used: `_id`.
    pub(super) async fn claim(&self, name: &str, limit: Timestamp) -> Result<bool, StoreError> {
        let unused = doc! { "_id": name, "used_at": { "$lt": limit } };
        let claimed = doc! { "$set": { "going": true } };
        let claimed = self.documents.update_one(unused, claimed).await?;
        Ok(claimed.matched_count == 1)
    }

    /// Forgets a picture whose file is gone. Index used: `_id`.
    pub(super) async fn forget(&self, name: &str) -> Result<(), StoreError> {
        let gone = doc! { "_id": name, "going": true };
        self.documents.delete_one(gone).await?;
        Ok(())
    }
}
