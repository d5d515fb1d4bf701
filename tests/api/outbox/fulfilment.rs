//! examples/fulfilment, as a merchant's developer would run it.

use super::*;

/// Starts the example, which listens once this returns.
async fn start(shop: &TestShop, admin: &(String, String), exchange: &str) -> Running {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fulfilment");
    let queue = format!("{exchange}.fulfilment");
    let environment = [
        ("SHOP_URL", shop.server.url.as_str()),
        ("SHOP_EMAIL", &admin.0),
        ("SHOP_PASSWORD", &admin.1),
        ("AMQP_URL", &amqp_uri()),
        ("AMQP_EXCHANGE", exchange),
        ("AMQP_QUEUE", &queue),
    ];
    let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Running::start(script, &[], &environment).await
}

/// Waits until an order is in work, and has been put there once.
async fn assert_in_work(buyer: &Client, order: &Value) {
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    let order = eventually("fulfilment", || async {
        let order = buyer.get(&path).await.expect(200).body;
        (order["status"] == "Processing").then_some(order)
    })
    .await;
    let history = order["history"].as_array().unwrap();
    assert_eq!(history.len(), 2, "{order}");
}

#[actix_web::test]
async fn each_paid_order_is_taken_on_once_by_however_many_workers() {
    let exchange = exchange();
    let shop = relaying(&amqp_uri(), &exchange).start().await;
    let (admin, account) = shop.admin_with_password().await;
    let mug = shop.product(&admin, "MUG", 900, 1_000).await;
    let buyer = shop.customer().await;

    let first = start(&shop, &account, &exchange).await;
    let order = buy(&shop, &buyer, &mug).await;
    assert_in_work(&buyer, &order).await;

    // Nobody is there for a while; then two are.
    drop(first);
    let orders = [
        buy(&shop, &buyer, &mug).await,
        buy(&shop, &buyer, &mug).await,
    ];
    let _two = [
        start(&shop, &account, &exchange).await,
        start(&shop, &account, &exchange).await,
    ];
    for order in &orders {
        assert_in_work(&buyer, order).await;
    }
}

#[actix_web::test]
async fn an_order_whose_payment_is_pending_is_taken_on_once_it_is_paid() {
    let exchange = exchange();
    let shop = relaying(&amqp_uri(), &exchange).start().await;
    let (admin, account) = shop.admin_with_password().await;
    let mug = shop.product(&admin, "MUG", 900, 1_000).await;
    let buyer = shop.customer().await;
    let _worker = start(&shop, &account, &exchange).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    shop.approve_as(&checkout, &json!({ "then": "pending" }))
        .await;
    let body = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &body).await.body;
    assert_eq!(order["payment"]["status"], "Pending", "{order}");
    let capture = order["payment"]["captureId"].as_str().unwrap();
    let complete = format!("/control/captures/{capture}/complete");
    let answer = shop.paypal().post(&complete, &json!({})).await;
    assert!(answer.status < 300, "{answer:?}");
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    eventually("fulfilment", || async {
        let order = buyer.get(&path).await.expect(200).body;
        (order["status"] == "Processing").then_some(())
    })
    .await;
}
