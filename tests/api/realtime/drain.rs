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
use serde_json::json;

use super::support::{event, events, user_of};
use crate::support::{Client, EventSource, Socket, TestShop, checkout_of, scaled};

/// The goal for the whole end; a busy machine may take longer.
const GOAL: Duration = Duration::from_secs(10);
const BUSY: Duration = Duration::from_secs(30);
/// How many sockets a buyer has.
const EACH: usize = 10;

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
    // A checkout that the provider keeps waiting is under way when the end comes.
    let waiting = shop.customer().await;
    let cart = json!({ "productId": product["id"], "quantity": 1 });
    let cart = waiting.post("/api/cart", &cart).await.expect(200).body;
    let slow = json!({ "operation": "create", "fault": "delay", "delayMs": 1_500 });
    shop.paypal()
        .post("/control/faults", &slow)
        .await
        .expect(200);
    let wish = checkout_of(&cart);
    let checkout = waiting.post("/api/payment/checkout", &wish);
    let ending = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let began = Instant::now();
        let code = shop.server.end().await;
        gone.store(true, Ordering::SeqCst);
        (code, began.elapsed())
    };
    let ((code, took), added, checkout) = tokio::join!(ending, shopping, checkout);
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
