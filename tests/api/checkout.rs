//! Checkout: a buyer never pays without an order nor twice for one.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Setup, TestShop, address, checkout_of, eventually, take_another_amount, usd};

#[actix_web::test]
async fn a_return_before_approval_is_told_so_and_after_it_makes_the_order() {
    let shop = Setup::default()
        .simulator("--webhook-delay-ms=60000")
        .start()
        .await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 5).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    let body = json!({ "checkoutId": checkout["id"] });
    let early = buyer
        .post("/api/orders", &body)
        .await
        .expect_problem(409, "payment_not_approved");
    assert_eq!(early.body["approveUrl"], checkout["approveUrl"]);
    shop.approve(&checkout).await;
    let order = buyer.post("/api/orders", &body).await;
    assert!(order.status == 201 || order.status == 200, "{order:?}");
    assert_eq!(order.body["total"], usd(900 + 499));
    let stranger = shop.customer().await;
    stranger
        .post("/api/orders", &body)
        .await
        .expect_problem(404, "not_found");
    let path = format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap());
    stranger.get(&path).await.expect_problem(404, "not_found");
    let shown = buyer.get(&path).await.expect(200).body;
    assert_eq!(
        (&shown["status"], &shown["orderId"]),
        (&json!("Completed"), &order.body["id"])
    );
}

#[actix_web::test]
async fn a_paid_checkout_becomes_an_order_with_neither_webhook_nor_buyer() {
    let shop = Setup::default()
        .simulator("--webhook-delay-ms=60000")
        .start()
        .await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 5).await;
    let checkout = shop.checkout(&buyer, &mug, 2).await;
    shop.approve(&checkout).await;
    eventually("the reconciler's order", || async {
        let orders = buyer.get("/api/orders").await.body;
        (orders["total"] == 1).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn returns_webhook_and_reconciler_at_once_make_one_order() {
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 5).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    shop.approve(&checkout).await;
    let body = json!({ "checkoutId": checkout["id"] });
    let there = buyer.at(&second.url);
    let doors = (0..20).map(|n| if n % 2 == 0 { &buyer } else { &there });
    let answers = join_all(doors.map(|door| door.post("/api/orders", &body))).await;
    for answer in &answers {
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        assert_eq!(answer.body["id"], answers[0].body["id"]);
    }
    let orders = buyer.get("/api/orders").await.body;
    assert_eq!(orders["total"], 1);
    let journal = shop.paypal().get("/control/journal").await.body;
    let captures = journal
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["kind"] == "capture")
        .count();
    assert_eq!(captures, 1);
}

#[actix_web::test]
async fn the_last_unit_is_sold_once() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let rare = shop.product(&admin, "RARE", 100_000, 1).await;
    let buyers = join_all((0..8).map(|_| shop.customer())).await;
    let attempts = buyers.iter().map(|buyer| async {
        let line = json!({ "productId": rare["id"], "quantity": 1 });
        let cart = buyer.post("/api/cart", &line).await.expect(200).body;
        buyer
            .post("/api/payment/checkout", &checkout_of(&cart))
            .await
    });
    let answers = join_all(attempts).await;
    let won: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .collect();
    assert_eq!(won.len(), 1);
    for lost in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(
            (lost.status, lost.body["code"].as_str()),
            (409, Some("insufficient_stock")),
            "{lost:?}"
        );
        assert_eq!(lost.body["lines"][0]["available"], 0);
    }
    shop.approve(&won[0].body).await;
    eventually("the sale", || async {
        let all = admin.get("/api/admin/orders").await.body;
        (all["total"] == 1).then_some(())
    })
    .await;
    let shown = admin.get("/api/products/rare").await;
    let shown = if shown.status == 200 {
        shown
    } else {
        admin
            .get(&format!("/api/products/{}", rare["id"].as_str().unwrap()))
            .await
    };
    assert_eq!(
        shown.body["stock"],
        json!({ "available": 0, "reserved": 0 })
    );
}

#[actix_web::test]
async fn a_cart_that_is_not_the_one_shown_is_refused_with_the_present_one() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 5).await;
    let empty = buyer.get("/api/cart").await.body;
    buyer
        .post("/api/payment/checkout", &checkout_of(&empty))
        .await
        .expect_problem(409, "cart_empty");
    let line = json!({ "productId": mug["id"], "quantity": 1 });
    let seen = buyer.post("/api/cart", &line).await.expect(200).body;
    buyer.post("/api/cart", &line).await.expect(200);
    let refused = buyer
        .post("/api/payment/checkout", &checkout_of(&seen))
        .await;
    let refused = refused.expect_problem(409, "cart_changed");
    assert_eq!(refused.body["cart"]["items"][0]["quantity"], 2);
    // The price moved after the buyer looked.
    let seen = buyer.get("/api/cart").await.body;
    let path = format!("/api/products/{}", mug["id"].as_str().unwrap());
    admin
        .patch(&path, &json!({ "price": usd(1_000) }))
        .await
        .expect(200);
    let refused = buyer
        .post("/api/payment/checkout", &checkout_of(&seen))
        .await;
    assert_eq!(
        refused.expect_problem(409, "cart_changed").body["cart"]["total"],
        usd(2_000)
    );
}

#[actix_web::test]
async fn cancelling_gives_the_stock_back_and_so_does_a_new_checkout() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 1).await;
    let first = shop.checkout(&buyer, &mug, 1).await;
    let cart = buyer.get("/api/cart").await.body;
    let second = buyer
        .post("/api/payment/checkout", &checkout_of(&cart))
        .await
        .expect(201)
        .body;
    let path = |checkout: &serde_json::Value| {
        format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap())
    };
    let superseded = buyer.get(&path(&first)).await.body;
    assert_eq!(
        (&superseded["status"], &superseded["reason"]),
        (&json!("Cancelled"), &json!("superseded"))
    );
    // Approving the superseded payment takes no money.
    shop.approve(&first).await;
    let body = json!({ "checkoutId": first["id"] });
    buyer
        .post("/api/orders", &body)
        .await
        .expect_problem(409, "checkout_closed");
    let cancel = format!("{}/cancel", path(&second));
    for _ in 0..2 {
        assert_eq!(
            buyer.post(&cancel, &json!(null)).await.expect(200).body["status"],
            "Cancelled"
        );
    }
    let product = buyer
        .get(&format!("/api/products/{}", mug["id"].as_str().unwrap()))
        .await
        .body;
    assert_eq!(product["stock"]["available"], 1);
    let journal = shop.paypal().get("/control/journal").await.body;
    assert!(
        journal
            .as_array()
            .unwrap()
            .iter()
            .all(|line| line["kind"] != "capture")
    );
}

#[actix_web::test]
async fn a_lapsed_reservation_frees_its_stock() {
    let shop = Setup::default()
        .with("CHECKOUT__RESERVATION_SECONDS", 1)
        .start()
        .await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 1).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    let path = format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap());
    eventually("the expiry", || async {
        (buyer.get(&path).await.body["status"] == "Expired").then_some(())
    })
    .await;
    eventually("the free unit", || async {
        let product = buyer
            .get(&format!("/api/products/{}", mug["id"].as_str().unwrap()))
            .await
            .body;
        (product["stock"]["available"] == 1).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_declined_payment_takes_nothing_and_may_be_tried_again() {
    let shop = Setup::default()
        .simulator("--webhook-delay-ms=60000")
        .start()
        .await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 1).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    shop.approve_as(&checkout, &json!({ "then": "decline" }))
        .await;
    let body = json!({ "checkoutId": checkout["id"] });
    let refused = buyer
        .post("/api/orders", &body)
        .await
        .expect_problem(402, "payment_declined");
    assert_eq!(refused.body["approveUrl"], checkout["approveUrl"]);
    shop.approve(&checkout).await;
    let paid = buyer.post("/api/orders", &body).await;
    assert!(matches!(paid.status, 200 | 201), "{paid:?}");
}

#[actix_web::test]
async fn a_payment_refused_for_good_is_declined_whoever_hears_of_it_first() {
    let shop = TestShop::start().await;
    let deaf = Setup::default()
        .with("CHECKOUT__RECONCILE_SECONDS", 3_600)
        .simulator("--webhook-delay-ms=600000")
        .start()
        .await;
    for (shop, told) in [(&shop, true), (&deaf, false)] {
        let (admin, buyer) = (shop.admin().await, shop.customer().await);
        let mug = shop.product(&admin, "MUG", 900, 3).await;
        for then in ["denied", "failed", "payer-cannot-pay"] {
            let empty = buyer.request(reqwest::Method::DELETE, "/api/cart");
            buyer.send(empty).await.expect(200);
            let checkout = shop.checkout(&buyer, &mug, 1).await;
            shop.approve_as(&checkout, &json!({ "then": then })).await;
            let path = format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap());
            if told {
                eventually("the webhook to end it", || async {
                    let shown = buyer.get(&path).await.expect(200).body;
                    (shown["status"] == "Failed").then_some(())
                })
                .await;
            }
            let body = json!({ "checkoutId": checkout["id"] });
            for _ in 0..2 {
                let refused = buyer.post("/api/orders", &body).await;
                let refused = refused.expect_problem(402, "payment_declined").body;
                assert_eq!(refused["approveUrl"], json!(null), "{then}: {refused}");
                assert_eq!(refused["reason"], "payment_refused", "{then}: {refused}");
            }
        }
    }
}

#[actix_web::test]
async fn of_many_returns_at_once_one_has_made_the_order() {
    let shop = Setup::default()
        .with("CHECKOUT__RECONCILE_SECONDS", 3_600)
        .simulator("--webhook-delay-ms=600000")
        .start()
        .await;
    let second = shop.second_node().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 5).await;
    let there = buyer.at(&second.url);
    for _ in 0..3 {
        let checkout = shop.checkout(&buyer, &mug, 1).await;
        shop.approve(&checkout).await;
        let body = json!({ "checkoutId": checkout["id"] });
        let doors = (0..6).map(|n| if n % 2 == 0 { &buyer } else { &there });
        let answers = join_all(doors.map(|door| door.post("/api/orders", &body))).await;
        let mut codes: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        codes.sort_unstable();
        assert_eq!(codes, [200, 200, 200, 200, 200, 201], "{answers:?}");
    }
}

#[actix_web::test]
async fn a_pending_capture_is_an_order_that_waits() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 1).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    shop.approve_as(&checkout, &json!({ "then": "pending" }))
        .await;
    let body = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &body).await.body;
    assert_eq!(
        (&order["status"], &order["payment"]["status"]),
        (&json!("Pending"), &json!("Pending"))
    );
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    let step = json!({ "status": "Processing" });
    let refused = admin
        .put(&format!("{path}/status"), &step)
        .await
        .expect_problem(409, "invalid_transition");
    assert!(refused.body["allowed"].as_array().is_some());
    let capture = order["payment"]["captureId"].as_str().unwrap();
    shop.paypal()
        .post(&format!("/control/captures/{capture}/complete"), &json!({}))
        .await;
    eventually("the confirmation", || async {
        (buyer.get(&path).await.body["payment"]["status"] == "Completed").then_some(())
    })
    .await;
    admin
        .put(&format!("{path}/status"), &step)
        .await
        .expect(200);
}

#[actix_web::test]
async fn a_pending_capture_is_confirmed_though_no_message_comes() {
    let shop = Setup::default()
        .simulator("--webhook-delay-ms=600000")
        .start()
        .await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 1).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    shop.approve_as(&checkout, &json!({ "then": "pending" }))
        .await;
    let body = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &body).await.body;
    assert_eq!(order["payment"]["status"], "Pending", "{order}");
    let capture = order["payment"]["captureId"].as_str().unwrap();
    let complete = format!("/control/captures/{capture}/complete");
    shop.paypal().post(&complete, &json!({})).await.expect(200);
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    eventually("the confirmation", || async {
        (buyer.get(&path).await.body["payment"]["status"] == "Completed").then_some(())
    })
    .await;
}

#[actix_web::test]
async fn twenty_equal_keys_run_once() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 50).await;
    let line = json!({ "productId": mug["id"], "quantity": 1 });
    let cart = buyer.post("/api/cart", &line).await.expect(200).body;
    let body = checkout_of(&cart);
    let calls = (0..20).map(|_| buyer.post_with_key("/api/payment/checkout", "k-1", &body));
    let answers = join_all(calls).await;
    let made: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .collect();
    assert!(!made.is_empty());
    assert!(
        made.iter()
            .all(|answer| answer.body["id"] == made[0].body["id"])
    );
    let first = made
        .iter()
        .filter(|answer| answer.header("idempotency-replayed").is_none())
        .count();
    assert_eq!(first, 1);
    for other in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(
            (other.status, other.body["code"].as_str()),
            (409, Some("request_in_progress")),
            "{other:?}"
        );
    }
    let mut another = body.clone();
    another["shippingMethod"] = json!("express");
    let reused = buyer
        .post_with_key("/api/payment/checkout", "k-1", &another)
        .await;
    reused.expect_problem(422, "idempotency_key_reused");
    let held = admin
        .get(&format!("/api/products/{}", mug["id"].as_str().unwrap()))
        .await
        .body;
    assert_eq!(held["stock"], json!({ "available": 49, "reserved": 1 }));
}

#[actix_web::test]
async fn a_server_killed_after_approval_makes_the_order_when_it_is_back() {
    let mut shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 5).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    shop.server.kill();
    shop.approve(&checkout).await;
    shop.kill_and_restart().await;
    let order = eventually("the order", || async {
        let orders = buyer.get("/api/orders").await.body;
        orders["items"].get(0).cloned()
    })
    .await;
    assert_eq!(order["number"], checkout["number"]);
}

#[actix_web::test]
async fn shipping_is_priced_for_the_cart_and_refused_where_it_does_not_go() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 50).await;
    let prices = |answer: serde_json::Value| -> Vec<(String, i64)> {
        let items = answer["items"].as_array().unwrap().iter();
        items
            .map(|m| {
                (
                    m["id"].as_str().unwrap().to_owned(),
                    m["price"]["amount"].as_i64().unwrap(),
                )
            })
            .collect()
    };
    let us = buyer
        .get("/api/payment/shipping-methods?country=US")
        .await
        .expect(200)
        .body;
    assert_eq!(
        prices(us),
        [("standard".to_owned(), 499), ("express".to_owned(), 1_499)]
    );
    let line = json!({ "productId": mug["id"], "quantity": 10 });
    let cart = buyer.post("/api/cart", &line).await.expect(200).body;
    let us = buyer
        .get("/api/payment/shipping-methods?country=US")
        .await
        .expect(200)
        .body;
    assert_eq!(prices(us)[0].1, 0, "free from 50.00");
    let mut body = checkout_of(&cart);
    body["shippingMethod"] = json!("express");
    body["shippingAddress"]["country"] = json!("FR");
    buyer
        .post("/api/payment/checkout", &body)
        .await
        .expect_problem(422, "shipping_unavailable");
    body["shippingAddress"] = address();
    body["shippingAddress"]["region"] = json!("CA");
    let taxed = buyer
        .post("/api/payment/checkout", &body)
        .await
        .expect(201)
        .body;
    assert_eq!(
        taxed["tax"],
        usd(761),
        "7.25 % of 90.00 and 14.99, rounded once"
    );
    assert_eq!(taxed["total"], usd(9_000 + 1_499 + 761));
    body["returnUrl"] = json!("https://evil.example/return");
    let refused = buyer
        .post("/api/payment/checkout", &body)
        .await
        .expect_problem(422, "validation_failed");
    assert_eq!(refused.pointers(), ["/returnUrl"]);
}

#[actix_web::test]
async fn a_regions_code_is_read_in_any_case_and_countries_are_real() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 50).await;
    let line = json!({ "productId": mug["id"], "quantity": 1 });
    let cart = buyer.post("/api/cart", &line).await.expect(200).body;
    let mut body = checkout_of(&cart);
    for region in ["CA", "ca", " CA"] {
        body["shippingAddress"]["region"] = json!(region);
        let taxed = buyer.post("/api/payment/checkout", &body).await;
        let taxed = taxed.expect(201).body;
        assert_eq!(taxed["tax"], usd(101), "{region:?}: 7.25 % of 13.99");
    }
    body["shippingAddress"]["country"] = json!("XX");
    let refused = buyer.post("/api/payment/checkout", &body).await;
    let refused = refused.expect_problem(422, "validation_failed");
    assert_eq!(refused.pointers(), ["/shippingAddress/country"]);
    // Where it is no code, the country's own rate is left.
    body["shippingAddress"]["country"] = json!("DE");
    body["shippingAddress"]["region"] = json!("Bayern");
    buyer.post("/api/payment/checkout", &body).await.expect(201);
    buyer
        .get("/api/payment/shipping-methods?country=XX")
        .await
        .expect_problem(422, "validation_failed");
}

#[actix_web::test]
async fn money_that_is_not_the_price_goes_back_by_itself() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 1).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    take_another_amount(&shop.paypal()).await;
    shop.approve(&checkout).await;
    let path = format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap());
    let ended = eventually("the money to go back", || async {
        let shown = buyer.get(&path).await.body;
        (shown["refunded"] == true || shown["status"] == "Completed").then_some(shown)
    })
    .await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&json!("Failed"), &json!("amount_mismatch"))
    );
    assert_eq!(buyer.get("/api/orders").await.body["total"], 0);
    let captures = shop.journal("capture.updated").await;
    assert_eq!(captures.last().unwrap()["status"], "REFUNDED");
    let stock = admin
        .get(&format!("/api/products/{}", mug["id"].as_str().unwrap()))
        .await
        .body;
    assert_eq!(stock["stock"]["available"], 1);
}
