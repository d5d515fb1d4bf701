//! The main job, end to end: from an empty account to a delivered and refunded order.

use serde_json::json;

use crate::support::{EventSource, Socket, TestShop, checkout_of, eventually};

#[actix_web::test]
async fn a_buyer_finds_pays_follows_and_returns_a_purchase() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let lamp = shop.product(&admin, "LAMP-1", 4_500, 10).await;
    let buyer = shop.customer().await;

    // Browse.
    let found = buyer
        .get("/api/products?q=product&sort=price&inStock=true")
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&found["total"], &found["items"][0]["sku"]),
        (&json!(1), &json!("LAMP-1"))
    );

    // Cart and checkout: 2 x 45.00, free shipping from 50.00, no tax in Texas.
    let line = json!({ "productId": lamp["id"], "quantity": 2 });
    let cart = buyer.post("/api/cart", &line).await.expect(200).body;
    assert_eq!(cart["total"], json!({ "amount": 9_000, "currency": "USD" }));
    let checkout = buyer
        .post("/api/payment/checkout", &checkout_of(&cart))
        .await
        .expect(201)
        .body;
    assert_eq!(
        (&checkout["status"], &checkout["total"]["amount"]),
        (&json!("AwaitingApproval"), &json!(9_000))
    );
    let shown = buyer
        .get(&format!("/api/products/{}", lamp["id"].as_str().unwrap()))
        .await
        .body;
    assert_eq!(shown["stock"]["available"], 8, "two are held");

    // Live streams stand before the money moves.
    let mut socket = Socket::open(&buyer, "&since=0").await;
    let hello = socket.next().await;
    assert_eq!(
        (&hello["type"], &hello["lastEventId"]),
        (&json!("hello"), &json!(0))
    );
    let mut events = EventSource::open(&buyer, "?since=0").await;
    assert_eq!(events.next().await.1["type"], "hello");

    // The buyer approves; the webhook alone makes the order.
    shop.approve(&checkout).await;
    let order = eventually("the order", || async {
        let orders = buyer.get("/api/orders").await.expect(200).body;
        orders["items"].get(0).cloned()
    })
    .await;
    assert_eq!(
        (&order["status"], &order["payment"]["status"]),
        (&json!("Pending"), &json!("Completed"))
    );
    assert_eq!(order["number"], checkout["number"]);
    assert_eq!(
        buyer.get("/api/cart").await.body["items"],
        json!([]),
        "the cart is emptied"
    );

    // The buyer's return finds it standing.
    let return_ = json!({ "checkoutId": checkout["id"] });
    let again = buyer.post("/api/orders", &return_).await.expect(200).body;
    assert_eq!(again["id"], order["id"]);

    // Three status changes, seen live on both streams, numbered without gap.
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    let tracking = json!({ "carrier": "Hermes", "number": "T-1" });
    for (status, body) in [
        ("Processing", json!({ "status": "Processing" })),
        (
            "Shipped",
            json!({ "status": "Shipped", "tracking": tracking }),
        ),
        (
            "Delivered",
            json!({ "status": "Delivered", "note": "left with the neighbour" }),
        ),
    ] {
        let changed = admin
            .put(&format!("{path}/status"), &body)
            .await
            .expect(200)
            .body;
        assert_eq!(changed["status"], status);
    }
    let expected = [
        ("order.created", "Pending"),
        ("order.status_changed", "Processing"),
        ("order.status_changed", "Shipped"),
        ("order.status_changed", "Delivered"),
    ];
    for (number, (kind, status)) in (1..).zip(expected) {
        let event = next_order_event(&mut socket).await;
        let seen = (&event["id"], &event["type"], &event["status"]);
        assert_eq!(seen, (&json!(number), &json!(kind), &json!(status)));
        let (id, data) = loop {
            let (id, data) = events.next().await;
            if data["type"] != "cart.updated" {
                break (id, data);
            }
        };
        assert_eq!(
            (id, &data["status"]),
            (Some(number.to_string()), &json!(status))
        );
    }

    // A new connection resumes after what it saw.
    let mut resumed = Socket::open(&buyer, "&since=3").await;
    assert_eq!(resumed.next().await["lastEventId"], 4);
    assert_eq!(next_order_event(&mut resumed).await["id"], 4);

    // Refund: the money goes back, and the order says so.
    let refund = admin
        .post_with_key(&format!("{path}/refunds"), "r-1", &json!({}))
        .await
        .expect(201);
    let replayed = admin
        .post_with_key(&format!("{path}/refunds"), "r-1", &json!({}))
        .await
        .expect(201);
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(refund.body, replayed.body);
    let order = buyer.get(&path).await.expect(200).body;
    assert_eq!(order["payment"]["status"], "Refunded");
    assert_eq!(
        order["payment"]["refunded"],
        json!({ "amount": 9_000, "currency": "USD" })
    );
    assert_eq!(order["status"], "Refunded");
    let history: Vec<_> = order["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| &h["status"])
        .collect();
    assert_eq!(
        history,
        ["Pending", "Processing", "Shipped", "Delivered", "Refunded"]
    );

    // PayPal's own books agree: one capture, one refund, of the same amount.
    let journal = shop.paypal().get("/control/journal").await.body;
    let journal = journal.as_array().unwrap();
    let of = |kind: &str| journal.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!((of("capture"), of("refund")), (1, 1), "{journal:#?}");
}

async fn next_order_event(socket: &mut Socket) -> serde_json::Value {
    loop {
        let event = socket.next().await;
        if event["type"] != "cart.updated" {
            return event;
        }
    }
}
