//! D2: who has the account erased is gone from the shop within the minute; the books stay as they were.

use std::time::{Duration, Instant};

use bson::RawDocumentBuf;
use futures_util::TryStreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, PATIENCE, Setup, TestShop, checkout_of, eventually, scaled, usd};

/// Every text that the person leaves anywhere holds it, in whatever case.
const CANARY: &str = "canaryq7";
const PASSWORD: &str = "correct horse battery";
/// The goal.
const GONE_WITHIN: Duration = Duration::from_mins(1);

/// A word with the canary in it.
fn canary(of: &str) -> String {
    format!("CanaryQ7{of}")
}

fn address(of: &str) -> Value {
    json!({
        "name": canary(of), "line1": canary("Street"), "line2": canary("Flat"), "city": canary("Town"),
        "region": canary("Region"), "postalCode": canary("Code"), "country": "GB", "phone": canary("Phone"),
    })
}

fn holds_canary(bytes: &[u8]) -> bool {
    let bytes = bytes.to_ascii_lowercase();
    let mut places = bytes.windows(CANARY.len());
    places.any(|place| place == CANARY.as_bytes())
}

/// The collections of the shop in which the canary is.
async fn sung_in(shop: &TestShop) -> Vec<String> {
    let books = shop.books().await;
    let mut found = Vec::new();
    for name in books.list_collection_names().await.unwrap() {
        let documents = books.collection::<RawDocumentBuf>(&name);
        let documents = documents.find(bson::doc! {});
        let Ok(mut documents) = documents.await else {
            // A view or a system's own collection.
            assert!(name.starts_with("system."), "{name} cannot be read");
            continue;
        };
        while let Some(document) = documents.try_next().await.unwrap() {
            if holds_canary(document.as_bytes()) {
                found.push(name);
                break;
            }
        }
    }
    found.sort();
    found
}

/// Somebody new whose every word is a canary.
async fn somebody(shop: &TestShop) -> Client {
    let mut person = shop.guest();
    let id = bson::oid::ObjectId::new().to_hex();
    let who = json!({
        "email": format!("{CANARY}{id}@example.com"), "password": PASSWORD, "name": canary("Name"),
    });
    let answer = person.post("/api/auth/register", &who).await.expect(201);
    person.sign_in_as(answer.body["accessToken"].as_str().unwrap());
    person
}

/// Puts an engraved thing into the cart; the cart after it.
async fn put_in(person: &Client, product: &Value, quantity: u32) -> Value {
    let line = json!({
        "productId": product["id"], "quantity": quantity, "options": { "engraving": canary("Engraving") },
    });
    person.post("/api/cart", &line).await.expect(200).body
}

/// Begins a checkout of the cart under a key.
async fn check_out(person: &Client, cart: &Value) -> Value {
    let mut body = checkout_of(cart);
    body["shippingAddress"] = address("Receiver");
    body["billingAddress"] = address("Payer");
    body["returnUrl"] = json!(format!("{}/back?for={}", person.base(), canary("Return")));
    let key = canary(&bson::oid::ObjectId::new().to_hex());
    let begun = person.post_with_key("/api/payment/checkout", &key, &body);
    begun.await.expect(201).body
}

async fn approve(shop: &TestShop, checkout: &Value) {
    let payer = json!({ "payer": {
        "email": format!("{CANARY}@example.com"), "givenName": canary("Given"), "surname": canary("Sur"),
    } });
    shop.approve_as(checkout, &payer).await;
}

/// Buys four things; the order, paid and settled.
async fn buy(shop: &TestShop, admin: &Client, person: &Client, product: &Value) -> Value {
    let cart = put_in(person, product, 4).await;
    let checkout = check_out(person, &cart).await;
    approve(shop, &checkout).await;
    let (key, wish) = (canary("Order"), json!({ "checkoutId": checkout["id"] }));
    eventually("the order", || async {
        let answer = person.post_with_key("/api/orders", &key, &wish).await;
        (answer.status < 300).then_some(())
    })
    .await;
    let orders = person.get("/api/orders").await.expect(200).body;
    shown(admin, &orders["items"][0]).await
}

/// The order as staff see it.
async fn shown(admin: &Client, order: &Value) -> Value {
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    admin.get(&path).await.expect(200).body
}

/// Staff pay a part back and write about it.
async fn staff_at_work(admin: &Client, order: &Value) {
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    let refund = json!({ "amount": usd(500), "reason": canary("Reason") });
    admin
        .post_with_key(&format!("{path}/refunds"), "a-refund", &refund)
        .await
        .expect(201);
    for (status, tracking) in [("Processing", None), ("Shipped", Some("Parcel"))] {
        let mut body = json!({ "status": status, "note": canary("Note") });
        if let Some(parcel) = tracking {
            body["tracking"] = json!({ "carrier": "Post", "number": canary(parcel) });
        }
        admin
            .put(&format!("{path}/status"), &body)
            .await
            .expect(200);
    }
}

/// What the books say about an order.
fn sums(order: &Value) -> Value {
    let lines = order["items"].as_array().unwrap().iter();
    let lines: Vec<Value> = lines
        .map(|line| {
            json!([
                line["sku"],
                line["title"],
                line["quantity"],
                line["unitPrice"],
                line["lineTotal"]
            ])
        })
        .collect();
    let refunds = order["refunds"].as_array().unwrap().iter();
    let refunds: Vec<Value> = refunds
        .map(|refund| json!([refund["id"], refund["status"], refund["amount"]]))
        .collect();
    let names = [
        "number",
        "userId",
        "status",
        "subtotal",
        "discountTotal",
        "shipping",
        "tax",
        "total",
        "payment",
        "version",
        "createdAt",
        "updatedAt",
    ];
    let fields: Vec<&Value> = names.iter().map(|name| &order[*name]).collect();
    json!([fields, lines, refunds])
}

fn erasing(person: &Client) -> reqwest::RequestBuilder {
    let erase = person.request(Method::DELETE, "/api/auth/account");
    erase.json(&json!({ "password": PASSWORD }))
}

/// Waits until no collection holds the canary; fails by naming those that do.
async fn until_silent(shop: &TestShop, since: Instant) -> Duration {
    loop {
        let found = sung_in(shop).await;
        if found.is_empty() {
            return since.elapsed();
        }
        assert!(since.elapsed() < GONE_WITHIN, "still in {found:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_followed(admin: &Client) {
    eventually("every message to be followed", || async {
        let waiting = admin.get("/api/admin/webhooks?state=pending").await;
        (waiting.expect(200).body["total"] == 0).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn nobody_is_left_but_the_books_once_an_account_is_erased() {
    let log = std::env::temp_dir().join(format!("erasure-{}.log", bson::oid::ObjectId::new()));
    let shop = Setup::default()
        .with("LOG__FILTER", "info,bodega=debug")
        .logged_to(&log)
        .start()
        .await;
    let admin = shop.admin().await;
    let paypal = shop.paypal();
    let mug = shop.product(&admin, "MUG", 900, 50).await;
    let person = somebody(&shop).await;
    let order = buy(&shop, &admin, &person, &mug).await;
    staff_at_work(&admin, &order).await;
    let capture = &order["payment"]["captureId"];
    let ipn = json!({ "captureId": capture, "set": { "memo": canary("Memo") } });
    let sent = paypal.post("/control/ipn", &ipn).await;
    assert!(sent.status < 300, "{sent:?}");
    until_followed(&admin).await;

    // An open checkout, approved with the news of it held up, and a cart.
    paypal
        .post("/control/webhooks/pause", &json!({}))
        .await
        .expect(200);
    let cart = put_in(&person, &mug, 1).await;
    let open = check_out(&person, &cart).await;
    approve(&shop, &open).await;
    let before = sung_in(&shop).await;
    for name in [
        "carts",
        "checkouts",
        "idempotency",
        "inbox",
        "order_events",
        "orders",
        "users",
    ] {
        assert!(
            before.iter().any(|found| found == name),
            "{name}: {before:?}"
        );
    }
    let order = shown(&admin, &order).await;

    let erased = Instant::now();
    person.send(erasing(&person)).await.expect(204);
    person.get("/api/orders").await.expect(401);
    let gone = until_silent(&shop, erased).await;
    println!("gone from {before:?} after {gone:?}");

    let after = shown(&admin, &order).await;
    assert_eq!(sums(&after), sums(&order));
    assert_eq!(after["shippingAddress"]["name"], "erased");
    assert_eq!(after["shippingAddress"]["country"], "GB");
    assert!(after["personErasedAt"].is_string(), "{after}");
    let made: i32 = after["createdAt"].as_str().unwrap()[..4].parse().unwrap();
    let expected = format!("{}-01-01T00:00:00.000Z", made + 11);
    assert_eq!(after["deleteAfter"], expected.as_str());

    // Whatever is told late revives nothing, and leaves nothing.
    paypal
        .post("/control/webhooks/resume", &json!({ "copies": 2 }))
        .await
        .expect(200);
    for event in shop.journal("event").await {
        let resend = format!("/control/events/{}/resend", event["id"].as_str().unwrap());
        let resent = paypal.post(&resend, &json!({})).await;
        assert!(resent.status < 300, "{resent:?}");
    }
    let late = Instant::now();
    until_followed(&admin).await;
    let told = eventually("the late news to be in the inbox", || async {
        let inbox = admin.get("/api/admin/webhooks?limit=100").await.expect(200);
        let messages = inbox.body["items"].as_array().unwrap().clone();
        let approvals = messages
            .iter()
            .filter(|message| message["eventType"] == "CHECKOUT.ORDER.APPROVED");
        (approvals.count() == 2).then_some(messages)
    })
    .await;
    until_followed(&admin).await;
    println!(
        "{} messages, the late ones nameless after {:?}",
        told.len(),
        until_silent(&shop, late).await
    );
    assert_eq!(sums(&shown(&admin, &order).await), sums(&order));
    assert_eq!(shop.journal("capture").await.len(), 1, "nothing was taken");
    let all = admin.get("/api/admin/orders").await.expect(200).body;
    assert_eq!(all["total"], 1, "{all}");

    // A repeat of the refund under its key is answered as before, without the person, and pays nothing.
    let path = format!("/api/orders/{}/refunds", order["id"].as_str().unwrap());
    let refund = json!({ "amount": usd(500), "reason": canary("Reason") });
    let again = admin.post_with_key(&path, "a-refund", &refund).await;
    let again = again.expect(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert!(!holds_canary(again.text.as_bytes()), "{}", again.text);

    shop.assert_books_are_in_order(&[]);
    let log_of_shop = std::fs::read(&log).unwrap();
    assert!(!log_of_shop.is_empty());
    assert!(!holds_canary(&log_of_shop), "{}", log.display());
    std::fs::remove_file(&log).unwrap();
}

#[actix_web::test]
async fn an_erasure_cut_short_goes_on_after_the_next_start() {
    let mut shop = TestShop::start().await;
    let admin = shop.admin().await;
    let mug = shop.product(&admin, "MUG", 900, 50).await;
    for _ in 0..scaled(1, 20) {
        let person = somebody(&shop).await;
        let order = buy(&shop, &admin, &person, &mug).await;
        until_followed(&admin).await;
        let order = shown(&admin, &order).await;
        shop.crash_at("erase-begun").await;
        let erased = Instant::now();
        // The node may be dead before its answer is out.
        let _answer = erasing(&person).send().await;
        while !shop.server.has_ended() {
            assert!(erased.elapsed() < PATIENCE, "the node passes without dying");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(sung_in(&shop).await.contains(&"orders".to_owned()));
        shop.restart().await;
        person.get("/api/orders").await.expect(401);
        println!(
            "gone {:?} after the erasure",
            until_silent(&shop, erased).await
        );
        assert_eq!(sums(&shown(&admin, &order).await), sums(&order));
    }
    // Each row is closed once nothing more can come.
    let erasures = shop.books().await.collection::<bson::Document>("erasures");
    eventually("the erasures to be over", || async {
        let open = erasures.count_documents(bson::doc! { "done_at": null });
        (open.await.unwrap() == 0).then_some(())
    })
    .await;
    shop.assert_books_are_in_order(&[]);
}
