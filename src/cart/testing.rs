//! What the room's tests share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use bson::oid::ObjectId;
use futures_util::future::BoxFuture;

use super::{
    model::{Line, Seen},
    offers::{Offers, Unresolved},
};
use crate::{
    catalog::{Offer, Options},
    config::{Config, load_from},
    id::{LineId, ProductId, VariantId},
    money::{Currency, Money},
    mongo::{Mongo, StoreError, schema},
};

/// A configuration of defaults, with `pairs` on top.
pub(super) fn config(pairs: &[(&str, &str)]) -> Config {
    let needed = [
        (
            "BODEGA__AUTH__JWT_SECRET",
            "0123456789012345678901234567890123456789",
        ),
        ("BODEGA__PAYPAL__CLIENT_ID", "id"),
        ("BODEGA__PAYPAL__CLIENT_SECRET", "secret"),
        ("BODEGA__PAYPAL__WEBHOOK_ID", "WH-1"),
    ];
    let all = needed
        .iter()
        .chain(pairs)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    load_from(std::path::Path::new("no-such-folder"), all).unwrap()
}

fn uri() -> String {
    std::env::var("BODEGA_TEST_MONGODB_URI")
        .expect("set BODEGA_TEST_MONGODB_URI or run scripts/test")
}

/// A database of one test's own.
pub(super) struct Database {
    pub(super) mongo: Mongo,
    name: String,
}

impl Database {
    pub(super) async fn create(room: &str) -> Self {
        let uri = uri();
        let name = format!("test_{room}_{}", ObjectId::new().to_hex());
        let mut config = config(&[]).mongodb;
        config.database.clone_from(&name);
        let mongo = Mongo::connect(&uri, &config).await.unwrap();
        schema::apply(mongo.database(), &super::collections())
            .await
            .unwrap();
        Self { mongo, name }
    }

    /// Another client of the same database, known to the server as `app`.
    pub(super) async fn client(&self, app: &str) -> Mongo {
        let mut uri = url::Url::parse(&uri()).unwrap();
        uri.query_pairs_mut().append_pair("appName", app);
        let mut config = config(&[]).mongodb;
        config.database.clone_from(&self.name);
        Mongo::connect(uri.as_str(), &config).await.unwrap()
    }

    pub(super) async fn drop(self) {
        assert!(self.mongo.database().name() == self.name);
        self.mongo.database().drop().await.unwrap();
    }
}

/// A catalogue in memory.
#[derive(Default)]
pub(super) struct Shelves(Mutex<HashMap<VariantId, Offer>>);

impl Shelves {
    pub(super) fn with(offers: &[Offer]) -> Arc<Self> {
        let shelves = Self::default();
        for offer in offers {
            shelves.put(offer.clone());
        }
        Arc::new(shelves)
    }

    pub(super) fn put(&self, offer: Offer) {
        self.0.lock().unwrap().insert(offer.variant, offer);
    }

    pub(super) fn remove(&self, variant: VariantId) {
        self.0.lock().unwrap().remove(&variant);
    }
}

impl Offers for Shelves {
    fn offers<'a>(
        &'a self,
        variants: &'a [VariantId],
    ) -> BoxFuture<'a, Result<HashMap<VariantId, Offer>, StoreError>> {
        Box::pin(async move {
            let all = self.0.lock().unwrap();
            let found = variants.iter().filter_map(|variant| all.get(variant));
            Ok(found.map(|offer| (offer.variant, offer.clone())).collect())
        })
    }

    fn resolve(
        &self,
        product: ProductId,
        variant: Option<VariantId>,
    ) -> BoxFuture<'_, Result<Offer, Unresolved>> {
        Box::pin(async move {
            let all = self.0.lock().unwrap();
            let of_product: Vec<_> = all
                .values()
                .filter(|offer| offer.product == product)
                .collect();
            match (of_product.as_slice(), variant) {
                ([], _) => Err(Unresolved::ProductNotFound),
                ([only], None) => Ok((*only).clone()),
                (_, None) => Err(Unresolved::VariantRequired),
                (offers, Some(wanted)) => {
                    let found = offers.iter().find(|offer| offer.variant == wanted);
                    found
                        .map(|offer| (*offer).clone())
                        .ok_or(Unresolved::VariantNotFound)
                }
            }
        })
    }
}

/// A black mug for `cents`, 50 of them in stock.
pub(super) fn offer(cents: i64) -> Offer {
    Offer {
        product: ProductId::new(),
        variant: VariantId::new(),
        sku: format!("MUG-{cents}"),
        title: format!("Mug for {cents}"),
        image: None,
        options: Options::from([("color".to_owned(), "black".to_owned())]),
        unit_price: Money::new(cents, Currency::USD),
        available: 50,
        on_sale: true,
    }
}

/// A new line of what is offered.
pub(super) fn line_of(offer: &Offer, quantity: u32) -> Line {
    Line {
        id: LineId::new(),
        product: offer.product,
        variant: offer.variant,
        options: Options::new(),
        quantity,
        seen: Seen::of(offer),
    }
}

/// A new line of anything.
pub(super) fn line(quantity: u32) -> Line {
    line_of(&offer(1_250), quantity)
}
