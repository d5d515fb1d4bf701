//! Finding: lists that no cache has, text, suggestions, answers of 304, readers while staff write; and the same
//! list over MongoDB alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    MEASURE, READERS, bare, driver,
    load::{self, Measured, drive},
    row,
    shop::Shop,
};

/// Distinct lists that each connection asks for before it begins again.
const DISTINCT: usize = 2_000;
/// Connections of the loads that compete.
const MANY: usize = 64;
/// How often staff save a product while readers read. On two cores a save takes some milliseconds of one from the
/// readers: ten a second would be in more than one of a hundred of their waits by that alone.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// The product type that the lists are of.
const TYPE: &str = "gpu";

/// All of it.
pub(crate) async fn measure(shop: &Shop) {
    cold_lists(shop).await;
    text(shop).await;
    unchanged(shop).await;
    while_staff_write(shop).await;
    over_mongodb(shop).await;
    println!(
        "  RSS with everything loaded: {} MiB (goal 300)\n",
        shop.rss_mib()
    );
}

/// Prices in minor units that no two requests share: each list is another one.
fn prices(connection: usize) -> impl Iterator<Item = usize> {
    (0..DISTINCT).map(move |n| 100 + connection * DISTINCT + n)
}

async fn cold_lists(shop: &Shop) {
    for connections in [1, MANY] {
        let measured = cold_list(shop, connections).await;
        let name = format!("cold list, facets, {connections} at once");
        row(&name, &measured, Some(shop.rss_mib()), None);
    }
    println!("  goals: p99 5 ms at 1, 2,000/s at {MANY}");
}

/// Lists with facets that nobody has asked for before.
pub(crate) async fn cold_list(shop: &Shop, connections: usize) -> Measured {
    drive(&shop.address, connections, MEASURE, |connection| {
        let list = prices(connection).map(|price| {
            let wanted = format!("type={TYPE}&inStock=true&minPrice={price}&facets=true");
            load::get(&format!("/api/products?{wanted}&sort=price"), None)
        });
        list.collect()
    })
    .await
}

/// Words of real titles, as somebody types them.
async fn words(shop: &Shop) -> Vec<String> {
    let page: Value = serde_json::from_str(&shop.get("/api/products?limit=100").await).unwrap();
    let titles = page["items"].as_array().unwrap().iter();
    let words = titles.flat_map(|item| item["title"].as_str().unwrap().split_whitespace());
    let words =
        words.filter(|word| word.len() > 3 && word.bytes().all(|b| b.is_ascii_alphanumeric()));
    words.map(str::to_lowercase).collect()
}

async fn text(shop: &Shop) {
    row("text search, cold", &text_search(shop).await, None, None);
    println!("  goal: p99 5 ms");
    row("suggest", &suggest(shop).await, None, None);
    println!("  goal: p99 2 ms");
}

/// Searches for words that nobody has searched for before.
pub(crate) async fn text_search(shop: &Shop) -> Measured {
    let words = words(shop).await;
    drive(&shop.address, 1, MEASURE, |connection| {
        let searches = prices(connection).zip(words.iter().cycle());
        let searches = searches.map(|(price, word)| {
            load::get(&format!("/api/products?q={word}&minPrice={price}"), None)
        });
        searches.collect()
    })
    .await
}

/// Suggestions for the first three letters of words.
pub(crate) async fn suggest(shop: &Shop) -> Measured {
    let words = words(shop).await;
    drive(&shop.address, 1, MEASURE, |_| {
        let typed = words.iter().map(|word| {
            let start: String = word.chars().take(3).collect();
            load::get(&format!("/api/products/suggest?q={start}"), None)
        });
        typed.collect()
    })
    .await
}

/// Answers of 304, beside a bare handler's.
async fn unchanged(shop: &Shop) {
    let path = format!("/api/products/{}", shop.product_id);
    let tag = shop.tag(&path).await;
    let bare = bare::Bare::start("");
    let limit = drive(&bare.address, READERS, MEASURE, |_| {
        vec![load::get_if("/", &tag)]
    })
    .await;
    let measured = drive(&shop.address, READERS, MEASURE, |_| {
        vec![load::get_if(&path, &tag)]
    })
    .await;
    row("304 for a product", &measured, None, Some(&limit));
    row("  limit: bare handler", &limit, None, None);
}

/// The readers' wait, alone and while staff save products.
async fn while_staff_write(shop: &Shop) {
    let read = || {
        drive(&shop.address, READERS, MEASURE, |place| {
            let some = shop.some_products.iter().cycle().skip(place);
            let some = some.take(shop.some_products.len());
            some.map(|id| load::get(&format!("/api/products/{id}"), None))
                .collect()
        })
    };
    let alone = read().await;
    let stop = Arc::new(AtomicBool::new(false));
    let staff = async {
        let mut saved = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            let id = &shop.some_products[2];
            let change = json!({ "description": format!("saved {saved}") });
            shop.patch(&format!("/api/products/{id}"), &change).await;
            saved += 1;
            tokio::time::sleep(SAVE_EVERY).await;
        }
        saved
    };
    let readers = async {
        let measured = read().await;
        stop.store(true, Ordering::Relaxed);
        measured
    };
    let (saved, beside) = tokio::join!(staff, readers);
    row("readers of 10 products", &alone, None, None);
    row("  while staff save one", &beside, None, Some(&alone));
    println!(
        "  {saved} saves; p99 {:.2} times what it is alone (goal 1.5)",
        beside.p99_ms / alone.p99_ms
    );
}

/// The list with its facets as one aggregation, with an index made for it.
async fn over_mongodb(shop: &Shop) {
    let types: Value = serde_json::from_str(&shop.get("/api/product-types").await).unwrap();
    let types = types["items"].as_array().unwrap();
    let fields = &types.iter().find(|one| one["id"] == TYPE).unwrap()["fields"];
    let fields = fields.as_object().unwrap().iter();
    let facets: Vec<String> = fields
        .filter(|(_, field)| field["filterable"] == true)
        .map(|(name, _)| name.clone())
        .collect();
    for connections in [1, MANY] {
        let measured =
            driver::facet_lists(&shop.mongodb_uri, connections, MEASURE, TYPE, &facets).await;
        let name = format!("MongoDB alone, {connections} at once");
        row(&name, &measured, None, None);
    }
}
