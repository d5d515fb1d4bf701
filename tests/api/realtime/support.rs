//! What the tests of live streams share.

use bson::{DateTime, Document, doc, oid::ObjectId};
use mongodb::Collection;
use serde_json::{Value, json};

use crate::support::{Client, TestShop};

/// A new order of `buyer`.
pub(super) async fn order(shop: &TestShop, buyer: &Client, product: &Value) -> Value {
    let checkout = shop.checkout(buyer, product, 1).await;
    shop.approve(&checkout).await;
    let wish = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &wish).await;
    assert!(matches!(order.status, 200 | 201), "{order:?}");
    order.body
}

/// Moves an order on, as staff do.
pub(super) async fn advance(staff: &Client, order: &Value, status: &str) {
    let path = format!("/api/orders/{}/status", order["id"].as_str().unwrap());
    let change = json!({ "status": status });
    staff.put(&path, &change).await.expect(200);
}

/// The id of whoever is signed in.
pub(super) async fn user_of(client: &Client) -> ObjectId {
    let profile = client.get("/api/auth/profile").await.expect(200).body;
    ObjectId::parse_str(profile["id"].as_str().unwrap()).unwrap()
}

/// The events in the database, where a test writes more of them than orders could make in its time: the hub
/// learns of events from there and from nowhere else.
pub(super) async fn events(shop: &TestShop) -> Collection<Document> {
    shop.books().await.collection("order_events")
}

/// Event `number` of `user`, with a note of so many bytes.
pub(super) fn event(user: ObjectId, number: i64, note: usize) -> Document {
    doc! {
        "_id": ObjectId::new(),
        "user": user,
        "number_for_user": number,
        "order": ObjectId::new(),
        "order_number": "B-1",
        "type": "order.status_changed",
        "status": "Processing",
        "previous_status": "Pending",
        "version": 2_i64,
        "at": DateTime::now(),
        "data": { "note": "x".repeat(note) },
    }
}
