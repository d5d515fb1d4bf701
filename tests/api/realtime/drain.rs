//! F8: a node that is told to end says goodbye to every stream, cuts no request it has taken, and is gone within
//! ten seconds; its clients go on elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::support::{event, events, user_of};
use crate::support::{Client, EventSource, Socket, TestShop, checkout_of, scaled};

/// The goal for the whole end; a busy machine may take longer.
const GOAL: Duration = Duration::from_secs(10);
const BUSY: Duration = Duration::from_secs(30);
/// How many sockets a buyer has.
const EACH: usize = 10;
/// How often each buyer begins a checkout anew.
const PACE: Duration = Duration::from_secs(2);

/// Adds to a cart, one request after another, until the node is gone; how many were answered.
async fn add_until_gone(buyer: &Client, product: &str, gone: Arc<AtomicBool>) -> i64 {
    let line = json!({ "productId": product, "quantity": 1 });
    let mut added = 0;
    while !gone.load(Ordering::SeqCst) && added < 900 {
        let request = buyer.request(reqwest::Method::POST, "/api/cart");
        match request.json(&line).send().await {
            Ok(answer) => {
                assert_eq!(answer.status(), 200);
                let whole = answer.bytes().await;
                assert!(whole.is_ok(), "an answer was cut: {whole:?}");
                added += 1;
            }
            Err(_nobody) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    added
}

/// What a buyer's checkouts came to.
#[derive(Default)]
struct Begun {
    checkouts: Vec<Value>,
    /// Told to come again.
    refused: usize,
}

impl Begun {
    /// A whole answer; `None` where the node takes no more requests, or told the buyer to come again.
    async fn answered(&mut self, buyer: &Client, path: &str, body: &Value) -> Option<Value> {
        let request = buyer.request(reqwest::Method::POST, path).json(body);
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let whole = answer.json().await;
        let whole: Value = whole.unwrap_or_else(|cut| panic!("an answer was cut: {cut}"));
        if status == 503 {
            self.refused += 1;
            return None;
        }
        assert!(status < 300, "{status}: {whole}");
        Some(whole)
    }
}

/// Begins checkouts, one every [`PACE`], until the node is gone.
async fn check_out_until_gone(
    buyer: &Client,
    product: &str,
    after: Duration,
    gone: Arc<AtomicBool>,
) -> Begun {
    let line = json!({ "productId": product, "quantity": 1 });
    let mut begun = Begun::default();
    tokio::time::sleep(after).await;
    let mut next = tokio::time::interval(PACE);
    while !gone.load(Ordering::SeqCst) {
        next.tick().await;
        let Some(cart) = begun.answered(buyer, "/api/cart", &line).await else {
            continue;
        };
        let wish = checkout_of(&cart);
        let path = "/api/payment/checkout";
        let checkout = begun.answered(buyer, path, &wish).await;
        begun.checkouts.extend(checkout);
    }
    begun
}

#[actix_web::test]
async fn a_node_that_is_told_to_end_says_goodbye_and_finishes_what_it_has_taken() {
    let mut shop = TestShop::start().await;
    let second = shop.second_node().await;
    let admin = shop.admin().await;
    let product = shop.product(&admin, "P", 100, 1_000_000).await;
    let product_id = product["id"].as_str().unwrap().to_owned();
    let book = events(&shop).await;

    let buyers = shop.customers(scaled(100, 1_000) / EACH).await;
    let mut people = Vec::new();
    for buyer in &buyers {
        let user = user_of(buyer).await;
        let mut sockets = Vec::new();
        for _ in 0..EACH {
            let mut socket = Socket::open(buyer, "&since=0").await;
            assert_eq!(socket.next().await["type"], "hello");
            sockets.push(socket);
        }
        book.insert_one(event(user, 1, 20)).await.unwrap();
        people.push((user, sockets));
    }
    let mut stream = EventSource::open(&buyers[0], "?since=1").await;
    for (_, sockets) in &mut people {
        for socket in sockets {
            assert_eq!(socket.event().await["id"], 1);
        }
    }

    let gone = Arc::new(AtomicBool::new(false));
    let shoppers = shop.customers(8).await;
    let shopping = shoppers
        .iter()
        .map(|shopper| add_until_gone(shopper, &product_id, gone.clone()));
    let shopping = join_all(shopping);
    // Fifty checkouts a second in the full form.
    let payers = shop.customers(scaled(4, 100)).await;
    let share = PACE / u32::try_from(payers.len()).unwrap();
    let paying = (0..)
        .zip(&payers)
        .map(|(nth, payer)| check_out_until_gone(payer, &product_id, share * nth, gone.clone()));
    let paying = join_all(paying);
    // A checkout that the provider keeps waiting is under way when the end comes.
    let waiting = shop.customer().await;
    let cart = json!({ "productId": product["id"], "quantity": 1 });
    let cart = waiting.post("/api/cart", &cart).await.expect(200).body;
    let wish = checkout_of(&cart);
    let (waiting_began, paypal) = (tokio::sync::Notify::new(), shop.paypal());
    let checkout = async {
        waiting_began.notified().await;
        let slow = json!({ "operation": "create", "fault": "delay", "delayMs": 1_500 });
        let slow = paypal.post("/control/faults", &slow);
        slow.await.expect(200);
        waiting.post("/api/payment/checkout", &wish).await
    };
    let ending = async {
        let load = Duration::from_millis(scaled(400, 10_000).try_into().unwrap());
        tokio::time::sleep(load).await;
        waiting_began.notify_one();
        tokio::time::sleep(Duration::from_millis(400)).await;
        let began = Instant::now();
        let code = shop.server.end().await;
        gone.store(true, Ordering::SeqCst);
        (code, began.elapsed())
    };
    let ((code, took), added, begun, checkout) = tokio::join!(ending, shopping, paying, checkout);
    println!("ended after {took:?} (goal {GOAL:?})");
    assert_eq!(code, Some(0));
    assert!(took < BUSY, "{took:?}");
    checkout.expect(201);

    let mut goodbyes = 0;
    for (_, sockets) in &mut people {
        for socket in sockets {
            assert_eq!(socket.end().await, 1012);
            goodbyes += 1;
        }
    }
    assert_eq!(stream.end().await, 1012, "server-sent events too");
    println!("{goodbyes} sockets, each with its goodbye");

    // What was answered is in the cart, and nothing that was not.
    let mut sum = 0;
    for (shopper, added) in shoppers.iter().zip(&added) {
        let cart = shopper.at(&second.url).get("/api/cart").await.expect(200);
        let quantity = cart.body["items"][0]["quantity"].as_i64().unwrap_or(0);
        assert_eq!(
            quantity, *added,
            "a request was taken, and its answer cut off"
        );
        sum += added;
    }
    println!("{sum} changes of carts, all answered");

    // Every checkout that the shop has begun was answered, and is known to the other node.
    let (mut count, mut refused) = (0, 0);
    for (payer, begun) in payers.iter().zip(&begun) {
        for checkout in &begun.checkouts {
            let id = checkout["id"].as_str().unwrap();
            let path = format!("/api/payment/checkout/{id}");
            payer.at(&second.url).get(&path).await.expect(200);
        }
        count += begun.checkouts.len();
        refused += begun.refused;
    }
    println!("{count} checkouts answered, {refused} refused for the moment");
    let books = shop.books().await;
    let kept = books.collection::<bson::Document>("checkouts");
    let kept = kept.estimated_document_count().await.unwrap();
    let kept = usize::try_from(kept).unwrap();
    assert!(
        (count + 1..=count + 1 + refused).contains(&kept),
        "{kept} checkouts, of which {count} and one were answered"
    );

    for (buyer, (user, _)) in buyers.iter().zip(&people) {
        book.insert_one(event(*user, 2, 20)).await.unwrap();
        let mut resumed = Socket::open(&buyer.at(&second.url), "&since=1").await;
        assert_eq!(
            resumed.event().await["id"],
            2,
            "the stream goes on elsewhere"
        );
    }
}
