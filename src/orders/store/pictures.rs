//! Which pictures orders show.

use std::collections::HashSet;

use bson::{doc, oid::ObjectId};
use futures_util::{FutureExt, future::BoxFuture};

use super::Orders;
use crate::{catalog::Showing, mongo::StoreError};

/// Addresses that are looked for at once.
const BATCH: usize = 1_000;

impl Orders {
    /// Looks at every order, once a day and only where pictures are about to be removed. Index used: `_id`.
    async fn showing(&self, addresses: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut shown = HashSet::new();
        for addresses in addresses.chunks(BATCH) {
            let any = doc! {
                "_id": { "$gt": ObjectId::from_bytes([0; 12]) },
                "items.image.url": { "$in": addresses },
            };
            let found = self.documents.distinct("items.image.url", any).await?;
            let found = found.iter().filter_map(|url| url.as_str());
            shown.extend(found.map(str::to_owned));
        }
        Ok(shown)
    }
}

impl Showing for Orders {
    fn shown<'a>(
        &'a self,
        addresses: &'a [String],
    ) -> BoxFuture<'a, Result<HashSet<String>, StoreError>> {
        self.showing(addresses).boxed()
    }
}
