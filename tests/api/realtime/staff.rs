//! The staff channel: all orders, or those that pass a filter.

use serde_json::{Value, json};

use super::support::{advance, order};
use crate::support::{EventSource, Opening, Socket, TestShop, ticket};

#[actix_web::test]
async fn staff_see_every_order_or_what_they_filter_for() {
    let shop = TestShop::start().await;
    let second = shop.second_node().await;
    let admin = shop.admin().await;
    let there = admin.at(&second.url);
    let product = shop.product(&admin, "P", 1_000, 50).await;
    let buyers = [shop.customer().await, shop.customer().await];
    let mut all = Socket::open(&admin, "&channel=orders").await;
    let query = "&channel=orders&status=Shipped&status=Delivered&type=order.status_changed";
    let mut sent = Socket::open(&there, query).await;
    let query = "?channel=orders&type=order.created";
    let mut made = EventSource::open(&there, query).await;
    assert_eq!(all.next().await["type"], "hello");
    assert_eq!(sent.next().await["type"], "hello");
    assert_eq!(
        made.next().await.0,
        None,
        "no number: there is no place to resume"
    );

    let mut expected = Vec::new();
    for buyer in &buyers {
        let order = order(&shop, buyer, &product).await;
        for status in ["Processing", "Shipped", "Delivered"] {
            advance(&admin, &order, status).await;
        }
        let id = order["id"].clone();
        expected.extend(
            ["Pending", "Processing", "Shipped", "Delivered"]
                .map(|status| (id.clone(), json!(status))),
        );
    }
    let seen = |event: &Value| (event["orderId"].clone(), event["status"].clone());
    for expected in &expected {
        let event = all.event().await;
        assert_eq!(&seen(&event), expected);
        assert_eq!(event.get("id"), None);
    }
    for expected in expected
        .iter()
        .filter(|(_, status)| *status == "Shipped" || *status == "Delivered")
    {
        assert_eq!(&seen(&sent.event().await), expected);
    }
    for expected in expected.iter().filter(|(_, status)| *status == "Pending") {
        assert_eq!(&seen(&made.next().await.1), expected);
    }
}

#[actix_web::test]
async fn the_channel_is_for_staff_and_a_filter_for_the_channel() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    for (client, query, status, pointer) in [
        (&buyer, "channel=orders", 403, None),
        (&admin, "channel=orders&since=1", 422, Some("/since")),
        (&admin, "channel=everything", 422, Some("/channel")),
        (&admin, "channel=orders&status=Lost", 422, Some("/status")),
        (
            &admin,
            "channel=orders&type=cart.updated",
            422,
            Some("/type"),
        ),
        (&admin, "channel=orders&colour=red", 422, Some("/colour")),
        (
            &admin,
            "channel=orders&channel=orders",
            422,
            Some("/channel"),
        ),
        (&buyer, "status=Shipped", 422, Some("/status")),
        (&buyer, "type=order.created", 422, Some("/type")),
    ] {
        let answer = client.get(&format!("/api/realtime/events?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
        assert_eq!(answer.pointers().first().copied(), pointer, "{query}");
        let query = format!("{query}&ticket={}", ticket(client).await);
        let opening = Opening {
            query: &query,
            ..Opening::default()
        };
        let refused = opening.at(client.base()).await.err().unwrap();
        assert_eq!(refused.0, status, "{query}");
    }
}
