//! Load: the shop with a real catalogue, each figure beside its limit measured in the same run.
//!
//! `cargo bench --bench load` (or `scripts/bench`; `scripts/bench -- carts` for one part of it: `reads`,
//! `carts`, `orders`). Everything runs on this machine: the load, the
//! shop, its database and the simulator share the cores, so ratios say more than rates. The catalogue is
//! `opendb-products` of `../shared/data` (`BODEGA_SHARED_DIR` overrides); without it the bench refuses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::float_arithmetic,
    reason = "a panic here is a failed measurement, figures are for people"
)]

mod bare;
mod carts;
mod driver;
mod load;
mod shop;
mod spent;

use std::time::Duration;

use serde_json::{Value, json};

use load::{Measured, drive};
use shop::Shop;

/// How long each figure is measured.
const MEASURE: Duration = Duration::from_secs(8);
/// Connections of the read loads.
const READERS: usize = 32;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == "--bare") {
        return bare::serve(&arguments[place + 1]);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let chosen: Vec<String> = arguments
        .into_iter()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    runtime.block_on(run(&chosen));
}

async fn run(chosen: &[String]) {
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|name| name == part);
    let mut shop = Shop::start().await;
    println!(
        "catalogue: {} products, imported in {:.1} s",
        shop.products, shop.import_seconds
    );
    println!(
        "start to ready with that database: {:.2} s (goal 1.5 s)",
        shop.restart().await
    );
    println!(
        "idle RSS of the server: {} MiB (goal 60 MiB)\n",
        shop.rss_mib()
    );
    println!(
        "{:<34}{:>10}{:>10}{:>10}{:>10}{:>9}",
        "", "per s", "p50 ms", "p99 ms", "RSS MiB", "of limit"
    );
    if wanted("reads") {
        reads(&shop).await;
    }
    if wanted("carts") {
        carts::run(&shop).await;
    }
    if wanted("orders") {
        orders(&shop).await;
    }
    shop.stop();
}

fn row(name: &str, measured: &Measured, rss: Option<u64>, limit: Option<&Measured>) {
    let ratio = limit.map_or(String::new(), |limit| {
        format!("{:.0} %", 100.0 * measured.rate / limit.rate)
    });
    let rss = rss.map_or(String::new(), |mib| mib.to_string());
    println!(
        "{name:<34}{:>10.0}{:>10.2}{:>10.2}{rss:>10}{ratio:>9}",
        measured.rate, measured.p50_ms, measured.p99_ms
    );
    assert_eq!(
        measured.failed, 0,
        "{name}: {} answers were failures",
        measured.failed
    );
}

/// Product by id and a list of 20 with filter and sort, each beside a bare actix-web handler that sends
/// the same bytes.
async fn reads(shop: &Shop) {
    let paths = [
        (
            "product by id",
            format!("/api/products/{}", shop.product_id),
        ),
        (
            "list of 20, filter and sort",
            "/api/products?type=gpu&inStock=true&sort=-price&limit=20".into(),
        ),
        (
            "list of 20 with facets",
            "/api/products?category=computers/gpu&facets=true&sort=price&limit=20".into(),
        ),
    ];
    for (name, path) in paths {
        let body = shop.get(&path).await;
        let bare = bare::Bare::start(&body);
        let limit = drive(&bare.address, READERS, MEASURE, |_| {
            vec![load::get("/", None)]
        })
        .await;
        let measured = drive(&shop.address, READERS, MEASURE, |_| {
            vec![load::get(&path, None)]
        })
        .await;
        row(name, &measured, Some(shop.rss_mib()), Some(&limit));
        row("  limit: bare handler", &limit, None, None);
    }
}

/// Whole purchases: cart, checkout, approval, order; beside the driver's transaction of the same writes.
async fn orders(shop: &Shop) {
    for buyers in [16, 64] {
        let limit = driver::order_transactions(&shop.mongodb_uri, buyers, MEASURE).await;
        let tokens = shop.buyers(buyers).await;
        let measured = load::journeys(buyers, MEASURE, |n| purchase(shop, &tokens[n])).await;
        row(
            &format!("checkout to order, {buyers} buyers"),
            &measured,
            Some(shop.rss_mib()),
            Some(&limit),
        );
        row("  limit: driver, one transaction", &limit, None, None);
    }
}

/// One purchase; whether there is an order at its end.
async fn purchase(shop: &Shop, token: &str) -> bool {
    let cart = shop
        .post(
            "/api/cart",
            token,
            &json!({ "productId": shop.product_id, "quantity": 1 }),
        )
        .await;
    let Some(items) = cart["items"].as_array() else {
        return false;
    };
    let items: Vec<Value> = items
        .iter()
        .map(|item| json!({ "id": item["id"], "quantity": item["quantity"] }))
        .collect();
    let checkout = json!({
        "cart": { "version": cart["version"], "items": items, "total": cart["total"] },
        "shippingAddress": { "name": "B", "line1": "1", "city": "Austin", "region": "TX", "postalCode": "78701", "country": "US" },
        "shippingMethod": "standard",
    });
    let checkout = shop.post("/api/payment/checkout", token, &checkout).await;
    let Some(payment) = checkout["providerOrderId"].as_str() else {
        return false;
    };
    shop.approve(payment).await;
    let order = shop
        .post(
            "/api/orders",
            token,
            &json!({ "checkoutId": checkout["id"] }),
        )
        .await;
    order["number"].is_string()
}
