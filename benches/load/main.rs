//! Load: the shop with a real catalogue, each figure beside its limit measured in the same run.
//!
//! `scripts/bench`, or `scripts/bench carts` for one group of it. Everything runs on this machine: the load, the shop,
//! its database and the simulator share the cores, so ratios say more than rates. The catalogue is
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
mod orders;
mod scale;
mod search;
mod shop;
mod sockets;
mod spent;

use std::time::Duration;

use futures_util::{FutureExt, future::LocalBoxFuture};

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
    // Cargo's own `--bench` is not a group.
    let chosen = arguments.into_iter().skip(1);
    let chosen = chosen.filter(|argument| !argument.starts_with('-'));
    runtime.block_on(run(chosen.collect()));
}

/// A group of measurements.
type Group = fn(&Shop) -> LocalBoxFuture<'_, ()>;

/// What is measured, in this order; some of it where names are given: `scripts/bench orders`.
const GROUPS: [(&str, Group); 5] = [
    ("reads", |shop| reads(shop).boxed_local()),
    ("search", |shop| search::measure(shop).boxed_local()),
    ("carts", |shop| carts::run(shop).boxed_local()),
    ("orders", |shop| orders::measure(shop).boxed_local()),
    ("sockets", |shop| sockets::measure(shop).boxed_local()),
];

/// The group that makes catalogues of its own, up to a million products: only where it is named.
const SCALE: &str = "scale";

async fn run(chosen: Vec<String>) {
    for name in &chosen {
        let known = GROUPS.iter().any(|(known, _)| known == name);
        assert!(known || name == SCALE, "there is no group \"{name}\"");
    }
    if chosen.iter().any(|chosen| chosen == SCALE) {
        return scale::measure().await;
    }
    let mut shop = Shop::start(&shop::real_catalogue()).await;
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
    for (name, group) in GROUPS {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            group(&shop).await;
        }
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
