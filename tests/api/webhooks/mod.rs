//! PayPal's messages (F5 of the reliability goals): in any order, any number of times, late, before our
//! own commit, and forged.

mod forged;
mod ipn;
mod lives;
mod rate;

use serde_json::{Value, json};

use crate::support::{Client, Setup, TestShop, eventually, scaled, usd};

/// A shop that hears nothing but what a test sends: the reconciler sleeps, deliveries are held back.
async fn quiet_shop() -> TestShop {
    let shop = Setup::default()
        .with("CHECKOUT__RECONCILE_SECONDS", 3_600)
        .start()
        .await;
    hold(&shop).await;
    shop
}

/// From now on no event and no IPN message leaves PayPal by itself.
async fn hold(shop: &TestShop) {
    let paypal = shop.paypal();
    let none = json!({ "ipnUrl": null });
    paypal.post("/control/settings", &none).await.expect(200);
    let path = "/control/webhooks/pause";
    paypal.post(path, &json!({})).await.expect(200);
}

/// Throws away what was held back; from now on events are sent when they are asked for.
async fn release_nothing(shop: &TestShop) {
    let drop = json!({ "drop": true });
    let path = "/control/webhooks/resume";
    shop.paypal().post(path, &drop).await.expect(200);
}

/// Has PayPal deliver an event again, all copies at once.
async fn resend(shop: &TestShop, event: &str, copies: usize) {
    let path = format!("/control/events/{event}/resend");
    let body = json!({ "copies": copies });
    shop.paypal().post(&path, &body).await.expect(200);
}

/// Waits until the shop has done with an event.
async fn settled(admin: &Client, event: &str) -> Value {
    let path = format!("/api/admin/webhooks/{event}");
    eventually("the event's end", || async {
        let shown = admin.get(&path).await;
        let over = shown.status == 200 && shown.body["state"] != "pending";
        over.then_some(shown.body)
    })
    .await
}

/// How many messages the shop holds.
async fn stored(admin: &Client, filter: &str) -> u64 {
    let page = admin
        .get(&format!("/api/admin/webhooks?limit=1{filter}"))
        .await;
    page.expect(200).body["total"].as_u64().unwrap()
}

/// The number of PayPal's last line.
async fn last_line(shop: &TestShop) -> u64 {
    let lines = shop.paypal().get("/control/journal").await.expect(200).body;
    let last = lines.as_array().unwrap().last().cloned();
    last.map_or(0, |line| line["seq"].as_u64().unwrap())
}

/// Everything about an order that messages may change, and nothing that differs from order to order.
fn fate(order: &Value) -> Value {
    let statuses: Vec<&Value> = order["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["status"])
        .collect();
    let disputes: Vec<Value> = order["disputes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|dispute| {
            json!([
                dispute["status"],
                dispute["reason"],
                dispute["amount"],
                dispute["outcome"]
            ])
        })
        .collect();
    json!({
        "status": order["status"],
        "history": statuses,
        "payment": order["payment"]["status"],
        "refunded": order["payment"]["refunded"],
        "total": order["total"],
        "disputes": disputes,
    })
}
