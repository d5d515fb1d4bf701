//! F1: a node that dies at any step of the way from a cart to an order, or at any moment, costs nothing. What
//! was paid becomes an order or goes back whole, nobody is charged twice, and the books are in order.
//!
//! `BODEGA_TORTURE=full`: each point twenty times, and two hundred kills.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    Acks, Client, PATIENCE, Running, TestShop, checkout_of, free_port, scaled, take_another_amount,
};

/// The longest that a checkout may take to come to rest once its node is back.
const SETTLED: Duration = Duration::from_secs(30);
/// Pause between two looks, and two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// How a purchase ends that a crash interrupts.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// As an order.
    Order,
    /// With the money back: the provider took another amount than agreed.
    Refund,
}

/// Asks one of the nodes after the other until `done` takes an answer.
async fn insist<T>(
    nodes: &[Client],
    ask: impl Fn(&Client) -> RequestBuilder,
    done: impl Fn(u16, Value) -> Option<T>,
) -> T {
    let began = Instant::now();
    for node in nodes.iter().cycle() {
        if let Ok(answer) = ask(node).send().await {
            let status = answer.status().as_u16();
            if let Ok(body) = answer.json().await
                && let Some(taken) = done(status, body)
            {
                return taken;
            }
        }
        assert!(began.elapsed() < PATIENCE, "no node answers as it should");
        tokio::time::sleep(PAUSE).await;
    }
    unreachable!("there is a node")
}

/// A body that comes with success.
fn success(status: u16, body: Value) -> Option<Value> {
    (200..300).contains(&status).then_some(body)
}

/// Fills the cart and checks out, trying again under the same key until it is done; `None` where the checkout
/// was over before its answer came.
async fn check_out(nodes: &[Client], product: &Value) -> Option<Value> {
    let line = json!({ "productId": product["id"], "quantity": 1 });
    let add = |node: &Client| node.request(Method::POST, "/api/cart").json(&line);
    let cart = insist(nodes, add, success).await;
    let (key, body) = (bson::oid::ObjectId::new().to_hex(), checkout_of(&cart));
    let begin = |node: &Client| {
        let request = node.request(Method::POST, "/api/payment/checkout");
        request.header("idempotency-key", &key).json(&body)
    };
    insist(nodes, begin, |status, body| {
        match (status, body["code"].as_str()) {
            (201, _) => Some(Some(body)),
            (409, Some("request_in_progress" | "conflict")) | (500.., _) => None,
            (409, Some("checkout_closed")) => Some(None),
            _ => panic!("{status}: {body}"),
        }
    })
    .await
}

/// Comes back from the provider once, whoever answers.
async fn come_back(node: &Client, checkout: &Value) {
    let key = bson::oid::ObjectId::new().to_hex();
    let body = json!({ "checkoutId": checkout["id"] });
    let request = node.request(Method::POST, "/api/orders");
    // Nobody may be there to answer; the order comes all the same.
    let _answer = request
        .header("idempotency-key", key)
        .json(&body)
        .send()
        .await;
}

/// The checkout once nothing more becomes of it.
async fn at_rest(nodes: &[Client], checkout: &Value, end: End) -> Value {
    let path = format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap());
    let show = |node: &Client| node.request(Method::GET, &path);
    insist(nodes, show, |status, body| {
        let over = match end {
            End::Order => body["status"] == "Completed",
            End::Refund => body["refunded"] == true,
        };
        (status == 200 && over).then_some(body)
    })
    .await
}

/// Watches a node and starts it again when it has died; says when it was back, and how long that took.
async fn revive(shop: &mut TestShop) -> (Instant, Duration) {
    let began = Instant::now();
    while !shop.server.has_ended() {
        assert!(began.elapsed() < PATIENCE, "the node passes without dying");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let died = Instant::now();
    shop.kill_and_restart().await;
    (Instant::now(), died.elapsed())
}

/// A buyer with a live stream open, that nobody reads.
async fn with_stream(buyer: &Client) -> reqwest::Response {
    let stream = buyer.request(Method::GET, "/api/realtime/events");
    let stream = stream.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    stream
}

/// Has the provider hold its messages back and every one that came before followed: the next node is not to die of
/// what is left of another purchase.
async fn fall_silent(admin: &Client, paypal: &Client) {
    paypal
        .post("/control/webhooks/pause", &json!({}))
        .await
        .expect(200);
    let pending = |node: &Client| node.request(Method::GET, "/api/admin/webhooks?state=pending");
    let none = |status, body: Value| (status == 200 && body["total"] == 0).then_some(());
    insist(std::slice::from_ref(admin), pending, none).await;
}

async fn die_at(point: &str, end: End) {
    let mut shop = TestShop::start().await;
    let admin = shop.admin().await;
    let rounds = scaled(1, 20);
    let mug = shop.product(&admin, "MUG", 900, 100).await;
    for round in 0..rounds {
        let paypal = shop.paypal();
        fall_silent(&admin, &paypal).await;
        shop.crash_at(point).await;
        let buyer = shop.customer().await;
        if end == End::Refund {
            take_another_amount(&paypal).await;
        }
        let stream = with_stream(&buyer).await;
        paypal
            .post("/control/webhooks/resume", &json!({}))
            .await
            .expect(200);
        let here = std::slice::from_ref(&buyer);
        let purchase = async {
            let checkout = check_out(here, &mug)
                .await
                .expect("a checkout that is open");
            let order = checkout["providerOrderId"].as_str().unwrap();
            let approve = format!("/control/orders/{order}/approve");
            paypal.post(&approve, &json!({})).await.expect(200);
            come_back(&buyer, &checkout).await;
            at_rest(here, &checkout, end).await;
            (checkout, Instant::now())
        };
        let ((checkout, settled), (back, restart)) =
            futures_util::future::join(purchase, revive(&mut shop)).await;
        drop(stream);
        let took = settled.saturating_duration_since(back);
        println!("{point} {round}: back in {restart:?}, at rest {took:?} later");
        assert!(took < SETTLED, "{point}: at rest after {took:?}");
        let captures = shop.journal("capture").await;
        let own = |line: &&Value| line["customId"] == checkout["id"];
        assert_eq!(captures.iter().filter(own).count(), 1, "{point}");
        let orders = buyer.get("/api/orders").await.expect(200).body;
        assert_eq!(orders["total"], usize::from(end == End::Order), "{point}");
        if end == End::Refund {
            let updated = shop.journal("capture.updated").await;
            let last = updated.iter().rfind(own).expect("a refund");
            assert_eq!(last["status"], "REFUNDED", "{point}");
        }
    }
    shop.assert_books_are_in_order(&[]);
}

macro_rules! points {
    ($($name:ident $point:literal $end:ident,)*) => {
        $(#[actix_web::test]
        async fn $name() {
            die_at($point, End::$end).await;
        })*
    };
}

points! {
    before_the_key_is_stored "key-before" Order,
    after_the_key_is_stored "key-after" Order,
    with_stock_held_and_no_payment "hold-taken" Order,
    with_a_payment_that_is_not_written_down "create-answered" Order,
    with_the_stock_pinned "pinned" Order,
    with_the_capture_about_to_leave "capture-sent" Order,
    with_money_that_is_not_written_down "capture-answered" Order,
    with_the_order_not_committed "commit-before" Order,
    with_the_order_committed "commit-after" Order,
    with_units_sold_that_the_checkout_holds "sold" Order,
    before_the_checkouts_answer "response" Order,
    before_the_orders_answer "response:2" Order,
    with_the_refund_about_to_leave "refund-sent" Refund,
    with_a_refund_that_is_not_written_down "refund-answered" Refund,
    with_an_event_read_from_the_feed "feed-read" Order,
    with_an_event_handed_on "publish" Order,
    with_a_message_stored_and_not_answered "inbox-insert" Order,
    with_a_message_claimed "inbox-claimed" Order,
    with_a_message_followed_and_not_marked "effect" Order,
}

/// Buys again and again, at whatever node answers, until `stop`; how often it was left with an order.
async fn keep_buying(
    nodes: Vec<Client>,
    paypal: Client,
    product: &Value,
    acks: &Acks,
    stop: &std::cell::Cell<bool>,
) -> usize {
    let mut bought = 0;
    while !stop.get() {
        let Some(checkout) = check_out(&nodes, product).await else {
            continue;
        };
        let id = &checkout["id"];
        acks.keep(&json!({ "kind": "checkout", "id": id }));
        let order = checkout["providerOrderId"].as_str().unwrap();
        let approve = format!("/control/orders/{order}/approve");
        paypal.post(&approve, &json!({})).await.expect(200);
        come_back(&nodes[bought % nodes.len()], &checkout).await;
        at_rest(&nodes, &checkout, End::Order).await;
        acks.keep(&json!({ "kind": "order", "id": id, "version": 1 }));
        bought += 1;
    }
    bought
}

/// Kills a node at random, again and again, and starts it anew; each time how long it took.
async fn keep_killing(
    shop: &TestShop,
    nodes: &mut [Running],
    ports: &[u16],
    kills: usize,
    mut dice: StdRng,
) -> Vec<Duration> {
    let mut restarts = Vec::with_capacity(kills);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(dice.random_range(200..1_500))).await;
        let which = dice.random_range(0..nodes.len());
        nodes[which].kill();
        let died = Instant::now();
        nodes[which] = shop.node(ports[which]).await;
        restarts.push(died.elapsed());
    }
    restarts
}

#[actix_web::test]
async fn nodes_killed_at_random_under_purchases_lose_nothing() {
    let (kills, buyers) = (scaled(4, 200), scaled(6, 20));
    let seed = std::env::var("BODEGA_SEED")
        .map_or_else(|_| rand::rng().random(), |seed| seed.parse().unwrap());
    println!("seed: BODEGA_SEED={seed}");
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let mug = shop.product(&admin, "MUG", 900, 1_000_000).await;
    let ports = [free_port(), free_port()];
    let mut nodes = vec![shop.node(ports[0]).await, shop.node(ports[1]).await];
    let urls: Vec<String> = nodes.iter().map(|node| node.url.clone()).collect();
    let people = shop.customers(buyers).await;
    let acks = Acks::new();
    let stop = std::cell::Cell::new(false);
    let buying = people.iter().map(|person| {
        let nodes = urls.iter().map(|url| person.at(url)).collect();
        keep_buying(nodes, shop.paypal(), &mug, &acks, &stop)
    });
    let killing = async {
        let dice = StdRng::seed_from_u64(seed);
        let restarts = keep_killing(&shop, &mut nodes, &ports, kills, dice).await;
        stop.set(true);
        restarts
    };
    let (bought, restarts) = futures_util::future::join(join_all(buying), killing).await;
    let orders: usize = bought.iter().sum();
    let slowest = restarts.iter().max().unwrap();
    println!(
        "{kills} kills under {buyers} buyers: {orders} orders, ready again in {slowest:?} at most"
    );
    assert!(orders >= buyers, "somebody has bought");
    shop.assert_books_are_in_order(&["--acks", acks.path().to_str().unwrap()]);
}
