//! `cart.updated`: the buyer's other tabs and devices hear of every change, whoever made it and where.

use reqwest::Method;
use serde_json::{Value, json};

use super::{PASSWORD, add, one_of, plenty};
use crate::support::{Client, EventSource, Socket, TestShop, checkout_of};

/// Waits for the next word of the cart and passes over the orders' events.
async fn heard_by_socket(socket: &mut Socket) -> Value {
    loop {
        let message = socket.next().await;
        assert!(message.is_object(), "the socket was closed: {message}");
        if message["type"] == "cart.updated" {
            return message;
        }
    }
}

async fn heard_by_source(source: &mut EventSource) -> Value {
    loop {
        let (id, message) = source.next().await;
        if message["type"] == "cart.updated" {
            assert_eq!(id, None, "the cart's version orders it");
            return message;
        }
    }
}

/// A tab at one node and a phone at the other.
struct Devices {
    tab: Socket,
    phone: EventSource,
}

impl Devices {
    /// What both hear; when the change was.
    async fn expect(&mut self, version: u64, why: &str) -> Value {
        let by_tab = heard_by_socket(&mut self.tab).await;
        let by_phone = heard_by_source(&mut self.phone).await;
        assert_eq!(by_tab["version"], version, "{why}");
        assert_eq!(by_tab, by_phone, "the same of every node");
        by_tab["at"].clone()
    }
}

#[actix_web::test]
async fn every_change_reaches_the_buyers_other_devices_and_nobody_else() {
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let admin = shop.admin().await;
    let products = plenty(&shop, &admin, 2).await;
    let email = format!("h{}@example.com", bson::oid::ObjectId::new());
    let account = json!({ "email": email, "password": PASSWORD });
    let mut buyer = shop.guest();
    let registered = buyer.post("/api/auth/register", &account).await.expect(201);
    buyer.sign_in_as(registered.body["accessToken"].as_str().unwrap());
    let elsewhere = buyer.at(&second.url);
    let mut devices = Devices {
        tab: Socket::open(&buyer, "").await,
        phone: EventSource::open(&elsewhere, "").await,
    };
    let stranger = shop.customer().await;
    let mut other = Socket::open(&stranger, "").await;

    let cart = add(&buyer, &products[0]).await.expect(200).body;
    let at = devices.expect(1, "made at this node").await;
    assert_eq!(at, cart["updatedAt"]);
    let line = format!("/api/cart/{}", cart["items"][0]["id"].as_str().unwrap());
    let set = elsewhere.put(&line, &json!({ "quantity": 2 })).await;
    let at = devices.expect(2, "set at the other node").await;
    assert_eq!(at, set.expect(200).body["updatedAt"]);

    let guest = Client::new(&second.url);
    guest
        .post("/api/cart", &one_of(&products[1]))
        .await
        .expect(200);
    guest.post("/api/auth/login", &account).await.expect(200);
    devices.expect(3, "a guest's cart came along").await;

    let cart = buyer.get("/api/cart").await.expect(200).body;
    assert_eq!(
        (&cart["version"], &cart["itemCount"]),
        (&json!(3), &json!(3))
    );
    let checkout = buyer
        .post("/api/payment/checkout", &checkout_of(&cart))
        .await;
    let checkout = checkout.expect(201).body;
    shop.approve(&checkout).await;
    let wish = json!({ "checkoutId": checkout["id"] });
    let order = elsewhere.post("/api/orders", &wish).await;
    assert!(matches!(order.status, 200 | 201), "{order:?}");
    devices.expect(4, "what was ordered left the cart").await;
    let cart = elsewhere.get("/api/cart").await.expect(200).body;
    assert_eq!(
        (&cart["version"], &cart["itemCount"]),
        (&json!(4), &json!(0))
    );

    buyer
        .send(buyer.request(Method::DELETE, "/api/cart"))
        .await
        .expect(200);
    devices.expect(5, "cleared").await;

    // The stranger heard nothing of it: the first word of a cart is of their own.
    add(&stranger, &products[0]).await.expect(200);
    assert_eq!(heard_by_socket(&mut other).await["version"], 1);
}
