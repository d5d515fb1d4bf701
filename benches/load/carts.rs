//! Adding to carts: over a thousand of them, and to one that everybody adds to, each beside the driver's
//! own update of as many documents.

use std::time::Duration;

use serde_json::json;

use crate::{
    MEASURE, driver,
    load::{self, Measured, Sample, sample},
    row,
    shop::Shop,
    spent::Spent,
};

/// Changes under way at once.
const AT_ONCE: usize = 64;
/// Carts of the load over many.
const CARTS: usize = 1_000;
/// How long all add to one cart before they go on to the next: a line ends at 999 units.
const ON_ONE: Duration = Duration::from_millis(250);
/// Time in which every cart is made and every session has read its own.
const WARM_UP: Duration = Duration::from_secs(2);

/// What each connection sends in turn: one of each product to one cart after the other.
fn additions(shop: &Shop, tokens: &[String]) -> Vec<Vec<u8>> {
    let lines = shop
        .some_products
        .iter()
        .map(|id| json!({ "productId": id, "quantity": 1 }).to_string());
    lines
        .flat_map(|line| {
            let to = move |token: &String| load::post("/api/cart", &line, Some(token));
            tokens.iter().map(to).collect::<Vec<_>>()
        })
        .collect()
}

/// Adds to a thousand carts, each connection to its own share of them.
async fn many(shop: &Shop) {
    let tokens = shop.buyers(CARTS).await;
    let share = |connection: usize| {
        let own = tokens.iter().skip(connection).step_by(AT_ONCE).cloned();
        additions(shop, &own.collect::<Vec<_>>())
    };
    sample(&shop.address, AT_ONCE, WARM_UP, share).await;
    let limit = driver::single_updates(&shop.mongodb_uri, AT_ONCE, CARTS, MEASURE).await;
    let before = shop.spent().await;
    let measured = sample(&shop.address, AT_ONCE, MEASURE, share).await;
    compared(shop, "add to cart, 1,000 carts", measured, &limit, &before).await;
}

/// Everybody adds to one cart, and after a while to another.
async fn one(shop: &Shop) {
    let limit = driver::single_updates(&shop.mongodb_uri, AT_ONCE, 1, MEASURE).await;
    let before = shop.spent().await;
    let mut measured = Sample::default();
    while measured.over < MEASURE {
        let hot = additions(shop, &shop.buyers(1).await);
        measured += sample(&shop.address, AT_ONCE, ON_ONE, |_| hot.clone()).await;
    }
    compared(shop, "add to cart, one cart", measured, &limit, &before).await;
}

async fn compared(shop: &Shop, name: &str, sample: Sample, limit: &Measured, before: &Spent) {
    let spent = shop.spent().await.each(before, sample.answered());
    let measured = Measured::from(sample);
    row(name, &measured, Some(shop.rss_mib()), Some(limit));
    println!("  {spent}");
    row("  limit: driver, one update", limit, None, None);
}

pub(crate) async fn run(shop: &Shop) {
    many(shop).await;
    one(shop).await;
}
