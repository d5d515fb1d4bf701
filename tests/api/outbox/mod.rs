//! Orders' events on their way to RabbitMQ: each comes, the first time in its order's order, whatever dies.
//!
//! `BODEGA_TORTURE=full`: a node dies two hundred times between commit and publish.

mod fulfilment;

use std::collections::BTreeSet;

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::{
    Client, Log, PATIENCE, Queue, Running, Setup, TestShop, amqp_uri, eventually, free_port,
    mongodb_uri, scaled, start_broker,
};

/// An exchange of the test's own.
fn exchange() -> String {
    format!("bodega.test.{}", bson::oid::ObjectId::new())
}

/// A shop that relays to `uri`.
fn relaying(uri: &str, exchange: &str) -> Setup {
    Setup::default()
        .with("OUTBOX__AMQP_URL", uri)
        .with("OUTBOX__EXCHANGE", exchange)
}

/// Buys one of `product`; the order.
async fn buy(shop: &TestShop, buyer: &Client, product: &Value) -> Value {
    let checkout = shop.checkout(buyer, product, 1).await;
    shop.approve(&checkout).await;
    let body = json!({ "checkoutId": checkout["id"] });
    let answer = buyer.post("/api/orders", &body).await;
    assert!(answer.status < 300, "{answer:?}");
    answer.body
}

/// Gives an order another status.
async fn move_on(admin: &Client, order: &Value, status: &str) {
    let path = format!("/api/orders/{}/status", order["id"].as_str().unwrap());
    admin
        .put(&path, &json!({ "status": status }))
        .await
        .expect(200);
}

/// Buys and follows an order to its door: four events.
async fn live(shop: &TestShop, admin: &Client, buyer: &Client, product: &Value) {
    let order = buy(shop, buyer, product).await;
    for status in ["Processing", "Shipped", "Delivered"] {
        move_on(admin, &order, status).await;
    }
}

/// The ids of the shop's events, straight from its database.
async fn written(shop: &TestShop) -> BTreeSet<String> {
    use futures_util::TryStreamExt;
    let client = mongodb::Client::with_uri_str(mongodb_uri()).await.unwrap();
    let events = client
        .database(shop.database())
        .collection::<bson::Document>("order_events");
    let found = events.find(bson::doc! { "at": { "$exists": true } });
    let found: Vec<bson::Document> = found
        .hint(mongodb::options::Hint::Name("unrelayed".into()))
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let ids = found
        .iter()
        .map(|event| event.get_object_id("_id").unwrap());
    ids.map(bson::oid::ObjectId::to_hex).collect()
}

/// Reads what is still to come, and compares with the database and the checker.
async fn assert_nothing_is_missing(shop: &TestShop, queue: &mut Queue, log: &mut Log) {
    let written = written(shop).await;
    queue.read(log, written.len()).await;
    let came: BTreeSet<String> = log.events.keys().cloned().collect();
    assert_eq!(came, written);
    let (clean, said) = shop.command(&["check", "--invariants", "--wait", "30"], "");
    assert!(clean, "{said}");
}

/// A measure of a node.
async fn measured(node: &Client, name: &str) -> Option<f64> {
    let text = node.get("/metrics").await.text;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[actix_web::test]
async fn every_event_comes_in_its_orders_order_and_two_nodes_do_not_repeat_each_other() {
    let exchange = exchange();
    let mut queue = Queue::open(&amqp_uri(), &exchange).await;
    let shop = relaying(&amqp_uri(), &exchange).start().await;
    let second = shop.second_node().await;
    let admin = shop.admin().await;
    let mug = shop.product(&admin, "MUG", 900, 1_000).await;
    // Sign-ups are refused beyond what a node hashes at once: not what is looked at here.
    let buyers = shop.customers(scaled(6, 200)).await;
    // No more at once than even a busy machine serves without sending anybody away.
    let lives = futures_util::stream::iter(buyers.iter().enumerate());
    let lives = lives.for_each_concurrent(16, async |(nth, buyer)| {
        let node = [&shop.server.url, &second.url][nth % 2];
        live(&shop, &admin.at(node), &buyer.at(node), &mug).await;
    });
    lives.await;
    let mut log = Log::default();
    assert_nothing_is_missing(&shop, &mut queue, &mut log).await;
    assert_eq!(log.repeats, 0, "nothing failed, so nothing was repeated");
    let created = log.events.values().find(|event| event.sequence == 1);
    let body = &created.unwrap().body;
    assert_eq!(body["type"], "order.created");
    for needed in ["number", "userId", "status", "at", "id"] {
        assert!(!body[needed].is_null(), "{needed}: {body}");
    }
}

#[actix_web::test]
async fn a_broker_that_goes_and_comes_back_harms_nobody() {
    let folder = std::env::temp_dir().join(exchange());
    let (port, exchange) = (free_port(), exchange());
    let broker = start_broker(&folder, port).await;
    let uri = broker.url().to_owned();
    drop(Queue::open(&uri, &exchange).await);
    let shop = relaying(&uri, &exchange).start().await;
    let admin = shop.admin().await;
    let mug = shop.product(&admin, "MUG", 900, 1_000).await;
    let buyer = shop.customer().await;
    live(&shop, &admin, &buyer, &mug).await;

    drop(broker);
    for _ in 0..scaled(2, 20) {
        live(&shop, &admin, &buyer, &mug).await;
    }
    shop.guest().get("/readyz").await.expect(200);
    eventually("a backlog that shows", || async {
        let events = measured(&admin, "bodega_outbox_backlog").await?;
        (events >= 4.0).then_some(())
    })
    .await;

    let broker = start_broker(&folder, port).await;
    live(&shop, &admin, &buyer, &mug).await;
    let mut queue = Queue::open(&uri, &exchange).await;
    let mut log = Log::default();
    assert_nothing_is_missing(&shop, &mut queue, &mut log).await;
    drop((queue, broker));
    std::fs::remove_dir_all(folder).unwrap();
}

/// A node relays and dies each time between commit and publish; another one, which does not relay, takes the
/// orders.
async fn die_at(point: &str) {
    let exchange = exchange();
    let mut queue = Queue::open(&amqp_uri(), &exchange).await;
    let mut shop = TestShop::start().await;
    let admin = shop.admin().await;
    let mug = shop.product(&admin, "MUG", 900, 1_000_000).await;
    let relay = [
        ("BODEGA__OUTBOX__AMQP_URL", amqp_uri()),
        ("BODEGA__OUTBOX__EXCHANGE", exchange.clone()),
        // At the second passage: the first relays what the last death left.
        ("CRASH_AT", format!("{point}:2")),
    ];
    let rounds = scaled(2, 100);
    for _ in 0..rounds {
        let mut relaying = shop.spawn_node(&relay);
        let buyer = shop.customer().await;
        let began = std::time::Instant::now();
        while relaying.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "the node passes without dying");
            let order = buy(&shop, &buyer, &mug).await;
            move_on(&admin, &order, "Processing").await;
        }
    }
    shop.set("OUTBOX__AMQP_URL", amqp_uri());
    shop.set("OUTBOX__EXCHANGE", &exchange);
    shop.kill_and_restart().await;
    let mut log = Log::default();
    assert_nothing_is_missing(&shop, &mut queue, &mut log).await;
    println!(
        "{point}: {rounds} deaths, {} events, {} repeats",
        log.events.len(),
        log.repeats
    );
}

#[actix_web::test]
async fn a_node_that_dies_with_events_read_and_not_published_loses_none() {
    die_at("outbox-read").await;
}

#[actix_web::test]
async fn a_node_that_dies_with_events_published_and_not_noted_repeats_them_in_order() {
    die_at("outbox-published").await;
}

#[actix_web::test]
async fn events_wait_for_the_first_broker_and_those_from_before_a_moment_can_be_left_out() {
    let exchange = exchange();
    let mut queue = Queue::open(&amqp_uri(), &exchange).await;
    let mut shop = TestShop::start().await;
    let admin = shop.admin().await;
    let mug = shop.product(&admin, "MUG", 900, 1_000).await;
    let buyer = shop.customer().await;
    live(&shop, &admin, &buyer, &mug).await;

    shop.set("OUTBOX__AMQP_URL", amqp_uri());
    shop.set("OUTBOX__EXCHANGE", &exchange);
    shop.kill_and_restart().await;
    let mut log = Log::default();
    assert_nothing_is_missing(&shop, &mut queue, &mut log).await;
    assert_eq!(log.events.len(), 4, "from the first order on");

    // A shop that had no broker meanwhile, and does not want to tell of it.
    shop.set("OUTBOX__AMQP_URL", "");
    shop.kill_and_restart().await;
    live(&shop, &admin.at(&shop.server.url), &buyer, &mug).await;
    let now = bson::DateTime::now().try_to_rfc3339_string().unwrap();
    shop.set("OUTBOX__AMQP_URL", amqp_uri());
    shop.set("OUTBOX__FROM", now);
    shop.kill_and_restart().await;
    let order = buy(&shop, &buyer, &mug).await;
    let next = queue.next().await.unwrap();
    assert_eq!(
        (next.order.as_str(), next.sequence),
        (order["id"].as_str().unwrap(), 1)
    );
    let (clean, said) = shop.command(&["check", "--invariants", "--wait", "30"], "");
    assert!(clean, "{said}");
}
