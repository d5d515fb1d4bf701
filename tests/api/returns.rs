//! Money that has to go back whatever PayPal, its dashboard and its mistakes have made of it.

use serde_json::{Value, json};

use crate::support::{Client, Setup, TestShop, eventually, take_another_amount, usd};

fn checkout_path(checkout: &Value) -> String {
    format!("/api/payment/checkout/{}", checkout["id"].as_str().unwrap())
}

fn order_path(order: &Value) -> String {
    format!("/api/orders/{}", order["id"].as_str().unwrap())
}

/// An order for one mug of 9.00 (and 4.99 shipping), paid.
async fn paid(shop: &TestShop, admin: &Client, buyer: &Client) -> Value {
    let mug = shop.product(admin, "MUG", 900, 5).await;
    let checkout = shop.checkout(buyer, &mug, 1).await;
    shop.approve(&checkout).await;
    let wish = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &wish).await;
    assert!(matches!(order.status, 200 | 201), "{order:?}");
    order.body
}

/// Gives a part of a capture back in PayPal's dashboard.
async fn dashboard(shop: &TestShop, capture: &str, amount: &str) {
    let path = format!("/control/captures/{capture}/refund");
    let body = json!({ "amount": amount });
    shop.paypal().post(&path, &body).await.expect(200);
}

/// How a capture stands in PayPal's journal, and what was given back of it.
async fn capture_in_journal(shop: &TestShop, capture: &str) -> (String, String) {
    let lines = shop.journal("capture.updated").await;
    let last = lines.iter().rev().find(|line| line["id"] == capture);
    let last = last.cloned().unwrap_or_default();
    let text = |field: &str| last[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("refunded"))
}

async fn fault(shop: &TestShop, fault: &Value) {
    shop.paypal()
        .post("/control/faults", fault)
        .await
        .expect(200);
}

/// PayPal's messages are held: the shop has to find out by asking.
async fn without_messages() -> TestShop {
    Setup::default()
        .simulator("--webhook-delay-ms=600000")
        .start()
        .await
}

#[actix_web::test]
async fn a_cancelled_order_gives_back_what_the_dashboard_has_left() {
    let shop = without_messages().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let order = paid(&shop, &admin, &buyer).await;
    let capture = order["payment"]["captureId"].as_str().unwrap().to_owned();
    let total = order["total"]["amount"].as_i64().unwrap();
    dashboard(&shop, &capture, "3.00").await;
    let path = order_path(&order);
    let cancelled = json!({ "status": "Cancelled" });
    admin
        .put(&format!("{path}/status"), &cancelled)
        .await
        .expect(200);
    let shown = eventually("all money to be back", || async {
        let shown = admin.get(&path).await.body;
        (shown["payment"]["status"] == "Refunded").then_some(shown)
    })
    .await;
    assert_eq!(shown["status"], "Cancelled");
    assert_eq!(shown["payment"]["refunded"], usd(total));
    let refunds: Vec<(&Value, &Value)> = shown["refunds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refund| (&refund["status"], &refund["amount"]["amount"]))
        .collect();
    let expected = [
        (&json!("Failed"), &json!(total)),
        (&json!("Completed"), &json!(total - 300)),
    ];
    assert_eq!(refunds, expected);
    assert_eq!(capture_in_journal(&shop, &capture).await.0, "REFUNDED");
    shop.assert_books_are_in_order(&[]);
}

#[actix_web::test]
async fn a_purchase_that_cannot_be_kept_gives_back_what_the_dashboard_has_left() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 1).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    take_another_amount(&shop.paypal()).await;
    // The shop's own refund has to wait until somebody was faster at the dashboard.
    fault(
        &shop,
        &json!({ "operation": "refund", "fault": "status", "count": 1000 }),
    )
    .await;
    shop.approve(&checkout).await;
    let capture = eventually("the capture", || async {
        let lines = shop.journal("capture").await;
        let capture = lines.first()?["id"].as_str()?.to_owned();
        let shown = buyer.get(&checkout_path(&checkout)).await.body;
        (shown["refunded"] == false).then_some(capture)
    })
    .await;
    dashboard(&shop, &capture, "3.00").await;
    let faults = shop
        .paypal()
        .request(reqwest::Method::DELETE, "/control/faults");
    shop.paypal().send(faults).await.expect(200);
    eventually("the money to go back", || async {
        let shown = buyer.get(&checkout_path(&checkout)).await.body;
        (shown["refunded"] == true).then_some(())
    })
    .await;
    assert_eq!(capture_in_journal(&shop, &capture).await.0, "REFUNDED");
    shop.assert_books_are_in_order(&[]);
}

#[actix_web::test]
async fn a_refund_that_paypal_refuses_is_shown_to_staff_who_try_it_again() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 1).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    take_another_amount(&shop.paypal()).await;
    fault(&shop, &json!({ "operation": "refund", "fault": "failed" })).await;
    shop.approve(&checkout).await;
    let listed = eventually("the failed return", || async {
        // The rows are read before they are counted: between the two there may come one more.
        let listed = admin.get("/api/admin/returns").await.expect(200).body;
        (listed["items"] != json!([])).then_some(listed)
    })
    .await;
    assert_eq!(listed["total"], 1);
    let row = &listed["items"][0];
    assert_eq!(row["id"], checkout["id"]);
    assert_eq!(row["returns"][0]["state"], "Failed");
    assert!(row["returns"][0]["failure"].is_string());
    let shown = buyer.get(&checkout_path(&checkout)).await.body;
    assert_eq!(shown["refunded"], false);
    let (clean, said) = shop.check_books(&[]);
    assert!(!clean && said.contains("refuses to give capture"), "{said}");
    let retry = format!(
        "/api/admin/returns/{}/retry",
        checkout["id"].as_str().unwrap()
    );
    buyer
        .post(&retry, &json!({}))
        .await
        .expect_problem(403, "forbidden");
    let tried = admin.post(&retry, &json!({})).await.expect(200).body;
    assert_eq!(tried["returns"][0]["state"], "Done", "{tried}");
    assert_eq!(tried["returns"][0]["attempt"], 1);
    assert_eq!(admin.get("/api/admin/returns").await.body["total"], 0);
    // Two request ids, and the money went back once.
    let refunds = shop.journal("refund").await;
    let keys: std::collections::HashSet<&str> = refunds
        .iter()
        .map(|line| line["requestId"].as_str().unwrap())
        .collect();
    assert_eq!((refunds.len(), keys.len()), (2, 2), "{refunds:?}");
    shop.assert_books_are_in_order(&[]);
}

#[actix_web::test]
async fn a_refund_of_an_order_that_ends_as_cancelled_counts_for_nothing_and_can_be_made_anew() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let order = paid(&shop, &admin, &buyer).await;
    let total = order["total"]["amount"].as_i64().unwrap();
    fault(&shop, &json!({ "operation": "refund", "fault": "pending" })).await;
    let path = order_path(&order);
    let refunds = format!("{path}/refunds");
    let begun = admin.post(&refunds, &json!({})).await.expect(201).body;
    assert_eq!(begun["refund"]["status"], "Pending");
    let made = shop.journal("refund").await.swap_remove(0);
    let cancel = format!("/control/refunds/{}/cancel", made["id"].as_str().unwrap());
    shop.paypal().post(&cancel, &json!({})).await.expect(200);
    let shown = eventually("the refund to fail", || async {
        let shown = admin.get(&path).await.body;
        (shown["refunds"][0]["status"] == "Failed").then_some(shown)
    })
    .await;
    assert_eq!(shown["payment"]["refunded"], usd(0));
    assert!(shown["refunds"][0]["failure"].is_string(), "{shown}");
    let again = admin.post(&refunds, &json!({})).await.expect(201).body;
    assert_eq!(again["refund"]["status"], "Completed");
    assert_eq!(again["order"]["payment"]["refunded"], usd(total));
    shop.assert_books_are_in_order(&[]);
}

#[actix_web::test]
async fn a_refund_that_ends_at_paypal_is_concluded_by_the_webhook_and_none_is_missed_meanwhile() {
    let shop = Setup::default()
        .with("CHECKOUT__RECONCILE_SECONDS", 3_600)
        .start()
        .await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let order = paid(&shop, &admin, &buyer).await;
    fault(&shop, &json!({ "operation": "refund", "fault": "pending" })).await;
    let path = order_path(&order);
    let part = json!({ "amount": usd(400) });
    let begun = admin.post(&format!("{path}/refunds"), &part).await;
    let begun = begun.expect(201).body;
    assert_eq!(begun["refund"]["status"], "Pending");
    // Under way at PayPal, where it counts already, and booked as such here: nothing is amiss.
    let (clean, said) = shop.check_books(&[]);
    assert!(clean, "{said}");
    let made = shop.journal("refund").await.swap_remove(0);
    let complete = format!("/control/refunds/{}/complete", made["id"].as_str().unwrap());
    shop.paypal().post(&complete, &json!({})).await.expect(200);
    let shown = eventually("the refund to be concluded", || async {
        let shown = admin.get(&path).await.body;
        (shown["refunds"][0]["status"] == "Completed").then_some(shown)
    })
    .await;
    assert_eq!(shown["payment"]["refunded"], usd(400));
    let version = |order: &Value| order["version"].as_u64().unwrap();
    assert_eq!(version(&shown), version(&begun["order"]) + 1, "one change");
    shop.assert_books_are_in_order(&[]);
}

#[actix_web::test]
async fn a_second_capture_of_an_order_goes_back_and_the_order_stands() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let order = paid(&shop, &admin, &buyer).await;
    let first = order["payment"]["captureId"].as_str().unwrap().to_owned();
    // As long as PayPal does not give it back the checker names it.
    fault(
        &shop,
        &json!({ "operation": "refund", "fault": "issue", "issue": "REFUND_NOT_ALLOWED" }),
    )
    .await;
    let again = format!("/control/captures/{first}/again");
    let second = shop
        .paypal()
        .post(&again, &json!({}))
        .await
        .expect(200)
        .body;
    let second = second["id"].as_str().unwrap().to_owned();
    let listed = eventually("the second capture to be noticed", || async {
        let listed = admin.get("/api/admin/returns").await.expect(200).body;
        // The checkout learns of its order right after the buyer.
        (listed["items"][0]["orderId"] == order["id"]).then_some(listed)
    })
    .await;
    assert_eq!(listed["total"], 1);
    assert_eq!(listed["items"][0]["returns"][0]["captureId"], json!(second));
    for more in [&["--wait", "1"][..], &[]] {
        let (clean, said) = shop.check_books(more);
        assert!(!clean && said.contains("charged twice"), "{said}");
        assert!(said.contains(&second), "{said}");
    }
    let without_journal = shop.command(&["check", "--invariants"], "");
    assert!(
        !without_journal.0 && without_journal.1.contains(&second),
        "{}",
        without_journal.1
    );
    let id = listed["items"][0]["id"].as_str().unwrap();
    let retry = format!("/api/admin/returns/{id}/retry");
    admin.post(&retry, &json!({})).await.expect(200);
    eventually("the second capture to be back", || async {
        let (status, _) = capture_in_journal(&shop, &second).await;
        (status == "REFUNDED").then_some(())
    })
    .await;
    let shown = admin.get(&order_path(&order)).await.body;
    assert_eq!(shown["payment"]["status"], "Completed");
    assert_eq!(capture_in_journal(&shop, &first).await.0, "");
    shop.assert_books_are_in_order(&[]);
}
