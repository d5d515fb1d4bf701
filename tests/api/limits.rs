//! Limits and money under races (R6 of the reliability goals), and clocks (F6): a coupon for one, refunds by
//! several at once, cancelling against shipping and capturing, prices that move during a checkout, shelves
//! that nobody empties, holds that end by the database's time. Over two nodes, judged by the shop's answers
//! and by the simulator's journal.

use std::{collections::HashMap, time::Duration};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::support::{Answer, Client, Setup, TestShop, checkout_of, eventually, scaled, usd};

async fn filled(buyer: &Client, product: &Value, quantity: usize) -> Value {
    let line = json!({ "productId": product["id"], "quantity": quantity });
    buyer.post("/api/cart", &line).await.expect(200).body
}

/// The cart with `code` in it.
async fn enter(buyer: &Client, code: &str) -> Value {
    let body = json!({ "code": code });
    let entered = buyer.post("/api/cart/discounts", &body).await;
    entered.expect(200).body
}

async fn check_out(buyer: &Client, cart: &Value) -> Answer {
    buyer
        .post("/api/payment/checkout", &checkout_of(cart))
        .await
}

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

async fn stock_of(admin: &Client, product: &Value) -> Value {
    let path = format!("/api/products/{}", product["id"].as_str().unwrap());
    admin.get(&path).await.expect(200).body["stock"].clone()
}

#[actix_web::test]
async fn a_coupon_for_one_is_used_by_one_of_a_hundred_carts() {
    let (carts, rounds) = (100, scaled(1, 20));
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let admin = shop.admin().await;
    let mug = shop.product(&admin, "MUG", 1_000, 100_000).await;
    let people = shop.customers(carts).await;
    let nodes = [shop.server.url.as_str(), &second.url].into_iter().cycle();
    let people: Vec<Client> = people
        .iter()
        .zip(nodes)
        .map(|(buyer, node)| buyer.at(node))
        .collect();
    for round in 0..rounds {
        let code = format!("ONE-{round}");
        let body = json!({ "code": code, "amount": usd(500), "limit": 1 });
        admin.post("/api/admin/discounts", &body).await.expect(201);
        let filling = people.iter().map(|buyer| async {
            filled(buyer, &mug, 1).await;
            enter(buyer, &code).await
        });
        let wishes = join_all(filling).await;
        let rush = people.iter().zip(&wishes);
        let answers = join_all(rush.map(|(buyer, cart)| check_out(buyer, cart))).await;
        let won: Vec<usize> = (0..carts).filter(|n| answers[*n].status == 201).collect();
        assert_eq!(won.len(), 1, "round {round}");
        for lost in answers.iter().filter(|answer| answer.status != 201) {
            // Whoever read the cart after the claim saw another total; whoever read it before met the limit.
            let code = lost.body["code"].as_str().unwrap();
            let known = matches!(code, "discount_used_up" | "cart_changed");
            assert!(lost.status == 409 && known, "{lost:?}");
        }
        let checkout = &answers[won[0]].body;
        assert_eq!(checkout["discountTotal"], usd(500));
        shop.approve(checkout).await;
        let path = format!("/api/admin/discounts/{code}");
        let counts = eventually("the use to be counted", || async {
            let found = admin.get(&path).await.body;
            (found["claimed"] == 0 && found["used"] != 0).then_some(found)
        });
        assert_eq!(counts.await["used"], 1);
        join_all(people.iter().map(|buyer| async {
            let empty = buyer.request(Method::DELETE, "/api/cart");
            buyer.send(empty).await.expect(200)
        }))
        .await;
    }
    assert_eq!(shop.journal("capture").await.len(), rounds);
    eventually("every lost checkout to be over", || async {
        let stock = stock_of(&admin, &mug).await;
        (stock == json!({ "available": 100_000 - rounds, "reserved": 0 })).then_some(())
    })
    .await;
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

#[actix_web::test]
async fn a_price_that_moves_during_a_checkout_is_confirmed_or_refused() {
    let rounds = scaled(12, 500);
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await.at(&second.url));
    let mug = shop.product(&admin, "MUG", 1_000, 100_000).await;
    let product = format!("/api/products/{}", mug["id"].as_str().unwrap());
    let mut confirmed = 0;
    filled(&buyer, &mug, 1).await;
    for round in 0..rounds {
        let seen = buyer.get("/api/cart").await.body;
        let price = 2_000 + i64::try_from(round).unwrap();
        let head_start = Duration::from_millis(u64::try_from(round % 5).unwrap() * 3);
        let change = json!({ "price": usd(price) });
        let (moved, answer) = tokio::join!(
            async {
                tokio::time::sleep(head_start).await;
                admin.patch(&product, &change).await
            },
            check_out(&buyer, &seen)
        );
        moved.expect(200);
        if answer.status == 201 {
            let agreed = seen["total"]["amount"].as_i64().unwrap() + 499;
            assert_eq!(answer.body["total"], usd(agreed));
            confirmed += 1;
            continue;
        }
        // The refusal shows the price that holds: with it the checkout goes through.
        let refused = answer.expect_problem(409, "cart_changed");
        let present = &refused.body["cart"];
        assert_eq!(present["total"], usd(price));
        let agreed = check_out(&buyer, present).await.expect(201);
        assert_eq!(agreed.body["total"], usd(price + 499));
    }
    println!("{confirmed} of {rounds} were confirmed at the old price");
}

#[actix_web::test]
async fn many_accounts_behind_one_address_do_not_empty_the_shelves() {
    let shop = Setup::default()
        .with("SERVER__TRUSTED_PROXIES", "127.0.0.1")
        .with("CHECKOUT__MAX_HELD_PER_ADDRESS", 3)
        .with("CHECKOUT__MAX_HELD_PER_USER", 2)
        .start()
        .await;
    let admin = shop.admin().await;
    let rare = shop.product(&admin, "RARE", 1_000, 50).await;
    let from = async |buyer: &Client, address: &str, quantity: usize| {
        let cart = filled(buyer, &rare, quantity).await;
        let request = buyer.request(Method::POST, "/api/payment/checkout");
        let request = request.header("x-forwarded-for", address);
        buyer.send(request.json(&checkout_of(&cart))).await
    };
    let people = shop.customers(6).await;
    let greedy = from(&people[0], "9.9.9.1", 3).await;
    let greedy = greedy.expect_problem(409, "insufficient_stock");
    assert_eq!(
        (
            &greedy.body["lines"][0]["wanted"],
            &greedy.body["lines"][0]["available"]
        ),
        (&json!(3), &json!(2))
    );
    for buyer in &people[1..4] {
        from(buyer, "9.9.9.9", 1).await.expect(201);
    }
    let fourth = from(&people[4], "9.9.9.9", 1).await;
    fourth.expect_problem(409, "insufficient_stock");
    from(&people[5], "9.9.9.8", 1).await.expect(201);
    assert_eq!(
        stock_of(&admin, &rare).await,
        json!({ "available": 46, "reserved": 4 })
    );
}

#[actix_web::test]
async fn two_lines_of_one_variant_count_together() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 1_000, 5).await;
    let engraved = |text: &str, quantity| json!({ "productId": mug["id"], "quantity": quantity, "options": { "engraving": text } });
    buyer
        .post("/api/cart", &engraved("Ann", 3))
        .await
        .expect(200);
    let cart = buyer
        .post("/api/cart", &engraved("Bob", 3))
        .await
        .expect(200)
        .body;
    assert_eq!(cart["items"].as_array().unwrap().len(), 2);
    let refused = check_out(&buyer, &cart)
        .await
        .expect_problem(409, "insufficient_stock");
    let lines = refused.body["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    assert!(
        lines
            .iter()
            .all(|line| line["wanted"] == 6 && line["available"] == 5)
    );
    let bob = format!("/api/cart/{}", cart["items"][1]["id"].as_str().unwrap());
    let cart = buyer
        .put(&bob, &json!({ "quantity": 2 }))
        .await
        .expect(200)
        .body;
    check_out(&buyer, &cart).await.expect(201);
    assert_eq!(
        stock_of(&admin, &mug).await,
        json!({ "available": 0, "reserved": 5 })
    );
}

/// How long after (below zero: before) the database's moment `expires` it is now; the database shares this
/// machine's clock.
fn seconds_past(expires: &Value) -> f64 {
    let expires = OffsetDateTime::parse(expires.as_str().unwrap(), &Rfc3339).unwrap();
    (OffsetDateTime::now_utc() - expires).as_seconds_f64()
}

#[actix_web::test]
async fn holds_and_claims_end_by_the_database_s_time_whatever_a_node_s_clock_says() {
    for (here, elsewhere) in [("+1d", "-1d"), ("-10m", "+10m")]
        .into_iter()
        .take(scaled(1, 2))
    {
        let shop = Setup::default()
            .at(here)
            .with("CHECKOUT__RESERVATION_SECONDS", 4)
            .simulator("--webhook-delay-ms=60000")
            .start()
            .await;
        let second = shop.second_node_at(elsewhere).await;
        let admin = shop.admin().await;
        let body = json!({ "code": "ONCE", "amount": usd(100), "limit": 2 });
        admin.post("/api/admin/discounts", &body).await.expect(201);
        let mug = shop.product(&admin, "MUG", 1_000, 2).await;
        // Each node knows its own tokens only: a day apart they are over for the other.
        let ann = shop.customer().await;
        let bob = shop.customer_at(&second.url).await;
        let begun = join_all([&ann, &bob].map(|buyer| async {
            filled(buyer, &mug, 1).await;
            let cart = enter(buyer, "ONCE").await;
            check_out(buyer, &cart).await.expect(201).body
        }))
        .await;
        for checkout in &begun {
            let left = -seconds_past(&checkout["expiresAt"]);
            assert!((0.0..=4.0).contains(&left), "{left} {checkout}");
        }
        for (buyer, checkout) in [&ann, &bob].into_iter().zip(&begun) {
            let path = format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap());
            let late = eventually("the expiry", || async {
                let shown = buyer.get(&path).await.expect(200).body;
                (shown["status"] != "AwaitingApproval").then(|| {
                    assert_eq!(shown["status"], "Expired");
                    seconds_past(&checkout["expiresAt"])
                })
            });
            let late = late.await;
            println!("{here}, {elsewhere}: over {late} s after its time");
            assert!((0.0..=30.0).contains(&late), "{late}");
        }
        eventually("units and uses to be free", || async {
            let stock = stock_of(&admin, &mug).await;
            let code = admin.get("/api/admin/discounts/ONCE").await.body;
            let free = stock == json!({ "available": 2, "reserved": 0 });
            (free && code["claimed"] == 0 && code["used"] == 0).then_some(())
        })
        .await;
    }
}
