//! Money that goes back: by several at once, beside PayPal's dashboard, and against shipping and capturing.

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::stock_of;
use crate::support::{Client, Setup, TestShop, eventually, scaled, usd};

/// An order for one unit of `product`, paid.
async fn paid(shop: &TestShop, buyer: &Client, product: &Value) -> Value {
    let checkout = shop.checkout(buyer, product, 1).await;
    shop.approve(&checkout).await;
    let wish = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &wish).await;
    assert!(matches!(order.status, 200 | 201), "{order:?}");
    order.body
}

fn path_of(order: &Value) -> String {
    format!("/api/orders/{}", order["id"].as_str().unwrap())
}

fn cents(line: &Value) -> i64 {
    let text = line["amount"].as_str().unwrap();
    text.replace('.', "").parse().unwrap()
}

/// Waits until no refund of the order is under way and what is booked is what the journal says.
async fn refunds_come_to_rest(shop: &TestShop, admin: &Client, order: &Value) -> (Value, i64) {
    let capture = order["payment"]["captureId"].as_str().unwrap();
    eventually("the refunds to come to rest", || async {
        let order = admin.get(&path_of(order)).await.expect(200).body;
        let pending = order["refunds"].as_array().unwrap().iter();
        let open = pending
            .filter(|refund| refund["status"] == "Pending")
            .count();
        let given: i64 = shop
            .journal("refund")
            .await
            .iter()
            .filter(|line| line["captureId"] == capture)
            .map(cents)
            .sum();
        let booked = order["payment"]["refunded"]["amount"].as_i64().unwrap();
        (open == 0 && booked == given).then_some((order, given))
    })
    .await
}

#[actix_web::test]
async fn refunds_by_several_at_once_and_at_the_dashboard_never_exceed_the_capture() {
    let rounds = scaled(2, 100);
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let admins = [shop.admin().await, shop.admin().await.at(&second.url)];
    let buyer = shop.customer().await;
    let mug = shop.product(&admins[0], "MUG", 10_000, 100_000).await;
    for _ in 0..rounds {
        let order = paid(&shop, &buyer, &mug).await;
        let captured = order["total"]["amount"].as_i64().unwrap();
        assert_eq!(captured, 10_000);
        let path = format!("{}/refunds", path_of(&order));
        let capture = order["payment"]["captureId"].as_str().unwrap();
        let dashboard = (0..3).map(|n| {
            let body = json!({ "amount": format!("{}.00", 4 + n) });
            let path = format!("/control/captures/{capture}/refund");
            let paypal = shop.paypal();
            async move { paypal.post(&path, &body).await }
        });
        let sizes = (0..20_i64).map(|n| 250 + n * 97);
        let staff = sizes.enumerate().map(|(n, amount)| {
            let admin = &admins[n % 2];
            let (path, key) = (&path, format!("refund-{n}"));
            let body = json!({ "amount": usd(amount), "reason": "sorry" });
            async move { admin.post_with_key(path, &key, &body).await }
        });
        let (elsewhere, ours) = tokio::join!(join_all(dashboard), join_all(staff));
        assert!(elsewhere.iter().all(|answer| answer.status == 200));
        for answer in &ours {
            let known = match (answer.status, answer.body["code"].as_str()) {
                (201, None) | (503, Some("busy")) => true,
                (409, Some(code)) => matches!(code, "refund_too_large" | "refund_not_possible"),
                (502, Some(code)) => code == "payment_provider_error",
                _ => false,
            };
            assert!(known, "{answer:?}");
        }
        let (order, given) = refunds_come_to_rest(&shop, &admins[0], &order).await;
        assert!(given <= captured, "{given}");
        assert!(given >= 1_500 + 250, "somebody got through: {order}");
        let done = order["refunds"].as_array().unwrap().iter();
        let own: i64 = done
            .filter(|refund| refund["status"] == "Completed")
            .map(|refund| refund["amount"]["amount"].as_i64().unwrap())
            .sum();
        assert_eq!(own + 1_500, given, "each is booked once: {order}");
    }
}

#[actix_web::test]
async fn equal_keys_at_once_give_money_back_once() {
    let rounds = scaled(3, 100);
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let admin = shop.admin().await;
    let there = admin.at(&second.url);
    let buyer = shop.customer().await;
    let mug = shop.product(&admin, "MUG", 4_501, 100_000).await;
    for round in 0..rounds {
        let order = paid(&shop, &buyer, &mug).await;
        let path = format!("{}/refunds", path_of(&order));
        let body = json!({ "items": [{ "lineId": order["items"][0]["id"], "quantity": 1, "restock": true }] });
        let key = format!("once-{round}");
        let clicks = (0..10).map(|n| {
            let door = if n % 2 == 0 { &admin } else { &there };
            door.post_with_key(&path, &key, &body)
        });
        for answer in join_all(clicks).await {
            let waits = answer.body["code"] == "request_in_progress";
            assert!(
                answer.status == 201 || (answer.status == 409 && waits),
                "{answer:?}"
            );
        }
        let (order, given) = refunds_come_to_rest(&shop, &admin, &order).await;
        assert_eq!(
            (order["refunds"].as_array().unwrap().len(), given),
            (1, 4_501)
        );
        // A line is paid back once, whatever key asks.
        let again = admin
            .post_with_key(&path, &format!("again-{round}"), &body)
            .await;
        assert_eq!(again.expect(422).pointers(), ["/items/0/quantity"]);
    }
    eventually("the goods to be back on the shelf", || async {
        let stock = stock_of(&admin, &mug).await;
        (stock == json!({ "available": 100_000, "reserved": 0 })).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn an_order_is_cancelled_or_shipped_and_never_both() {
    let rounds = scaled(8, 300);
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let admin = shop.admin().await;
    let there = shop.admin().await.at(&second.url);
    let buyer = shop.customer().await;
    let mug = shop.product(&admin, "MUG", 1_000, 100_000).await;
    let mut ends: HashMap<String, usize> = HashMap::new();
    for _ in 0..rounds {
        let order = paid(&shop, &buyer, &mug).await;
        let status = format!("{}/status", path_of(&order));
        let to = |status: &str| json!({ "status": status });
        admin.put(&status, &to("Processing")).await.expect(200);
        let (shipped, cancelled) = (to("Shipped"), to("Cancelled"));
        let (ship, cancel) =
            tokio::join!(admin.put(&status, &shipped), there.put(&status, &cancelled));
        let (won, lost) = if ship.status == 200 {
            (ship, cancel)
        } else {
            (cancel, ship)
        };
        lost.expect_problem(409, "invalid_transition");
        let end = won.expect(200).body["status"].as_str().unwrap().to_owned();
        let (order, given) = refunds_come_to_rest(&shop, &admin, &order).await;
        assert_eq!(order["status"], end.as_str());
        let total = order["total"]["amount"].as_i64().unwrap();
        assert_eq!(given, if end == "Cancelled" { total } else { 0 }, "{order}");
        *ends.entry(end).or_default() += 1;
    }
    println!("ends: {ends:?}");
    let sold = ends.get("Shipped").copied().unwrap_or_default();
    eventually("cancelled goods to be back on the shelf", || async {
        let stock = stock_of(&admin, &mug).await;
        (stock == json!({ "available": 100_000 - sold, "reserved": 0 })).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_checkout_is_cancelled_or_captured_and_never_both() {
    let rounds = scaled(12, 300);
    let shop = Setup::default()
        .simulator("--webhook-delay-ms=60000")
        .start()
        .await;
    let second = shop.second_node().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let there = buyer.at(&second.url);
    let mug = shop.product(&admin, "MUG", 1_000, 100_000).await;
    let mut orders = 0;
    for round in 0..rounds {
        let checkout = shop.checkout(&buyer, &mug, 1).await;
        shop.approve(&checkout).await;
        let path = format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap());
        let cancel = format!("{path}/cancel");
        let wish = json!({ "checkoutId": checkout["id"] });
        // The one that begins first is not always the one that gets through.
        let head_start = Duration::from_millis(u64::try_from(round % 4).unwrap() * 4);
        let (order, cancelled) = tokio::join!(buyer.post("/api/orders", &wish), async {
            tokio::time::sleep(head_start).await;
            there.post(&cancel, &json!(null)).await
        });
        if cancelled.status == 200 {
            order.expect_problem(409, "checkout_closed");
            let empty = buyer.request(Method::DELETE, "/api/cart");
            buyer.send(empty).await.expect(200);
        } else {
            assert!(matches!(order.status, 200 | 201), "{order:?}");
            cancelled.expect_problem(409, "checkout_closed");
            orders += 1;
        }
        let payment = checkout["providerOrderId"].as_str().unwrap();
        let captures = shop.journal("capture").await;
        let taken = captures.iter().any(|line| line["orderId"] == payment);
        let shown = buyer.get(&path).await.body;
        assert_eq!(taken, shown["status"] == "Completed", "{shown}");
        assert_eq!(taken, shown["orderId"].is_string(), "{shown}");
    }
    println!("{orders} of {rounds} became orders");
    assert_eq!(shop.journal("capture").await.len(), orders);
    eventually("the stock to be right", || async {
        let stock = stock_of(&admin, &mug).await;
        (stock == json!({ "available": 100_000 - orders, "reserved": 0 })).then_some(())
    })
    .await;
}
