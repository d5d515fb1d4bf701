//! IPN messages: a third door to the same order, and forged or altered ones that open nothing.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, TestShop, eventually, fate, quiet_shop, release_nothing, stored, usd};
use crate::support::Answer;

const FORM: &str = "application/x-www-form-urlencoded";

async fn send(shop: &TestShop, message: &Value) {
    let mut message = message.clone();
    message["url"] = json!(format!("{}/api/payment/ipn", shop.server.url));
    shop.paypal()
        .post("/control/ipn", &message)
        .await
        .expect(200);
}

/// A buyer whose pending payment PayPal has confirmed without the shop's knowing.
async fn unheard(shop: &TestShop, admin: &Client, sku: &str) -> (Client, Value) {
    let buyer = shop.customer().await;
    let mug = shop.product(admin, sku, 900, 10).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    shop.approve_as(&checkout, &json!({ "then": "pending" }))
        .await;
    let wish = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &wish).await.expect(201).body;
    let capture = order["payment"]["captureId"].as_str().unwrap();
    let path = format!("/control/captures/{capture}/complete");
    shop.paypal().post(&path, &json!({})).await.expect(200);
    (buyer, order)
}

async fn order(admin: &Client, order: &Value) -> Value {
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    admin.get(&path).await.expect(200).body
}

async fn raw(shop: &TestShop, body: Vec<u8>) -> Answer {
    let guest = shop.guest();
    let request = guest
        .request(Method::POST, "/api/payment/ipn")
        .header("content-type", FORM)
        .body(body);
    guest.send(request).await
}

async fn until_refused(admin: &Client, count: u64) {
    eventually("the refusals", || async {
        (stored(admin, "&state=refused").await == count).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_message_confirms_a_payment_and_another_a_refund() {
    let shop = quiet_shop().await;
    let admin = shop.admin().await;
    let (_buyer, bought) = unheard(&shop, &admin, "MUG").await;
    let capture = &bought["payment"]["captureId"];
    for charset in ["windows-1252", "UTF-8"] {
        let told = json!({ "captureId": capture, "charset": charset, "set": { "first_name": "Jörg" }, "copies": 3 });
        send(&shop, &told).await;
    }
    eventually("the confirmation", || async {
        let shown = order(&admin, &bought).await;
        (shown["payment"]["status"] == "Completed").then_some(())
    })
    .await;
    let path = format!("/control/captures/{}/refund", capture.as_str().unwrap());
    let part = json!({ "amount": "2.50" });
    let made = shop.paypal().post(&path, &part).await.expect(200).body;
    send(&shop, &json!({ "refundId": made["refundId"], "copies": 2 })).await;
    eventually("the refund", || async {
        let shown = order(&admin, &bought).await;
        (shown["payment"]["refunded"] == usd(250)).then_some(())
    })
    .await;
    let shown = order(&admin, &bought).await;
    assert_eq!(shown["payment"]["status"], "PartiallyRefunded");
    assert_eq!(stored(&admin, "&state=refused").await, 0);
    release_nothing(&shop).await;
}

#[actix_web::test]
async fn a_canceled_reversal_brings_the_payment_back() {
    let shop = quiet_shop().await;
    let admin = shop.admin().await;
    let (_buyer, bought) = unheard(&shop, &admin, "MUG").await;
    let capture = bought["payment"]["captureId"].as_str().unwrap();
    send(&shop, &json!({ "captureId": capture })).await;
    let until = async |status: &str| {
        eventually("the payment's status", || async {
            let shown = order(&admin, &bought).await;
            (shown["payment"]["status"] == status).then_some(shown)
        })
        .await
    };
    until("Completed").await;
    let control = async |what: &str, body: Value| {
        let path = format!("/control/captures/{capture}/{what}");
        shop.paypal().post(&path, &body).await.expect(200).body
    };
    let refunded = control("refund", json!({ "amount": "2.50" })).await;
    send(&shop, &json!({ "refundId": refunded["refundId"] })).await;
    let before = until("PartiallyRefunded").await;
    let reversed = control("reverse", json!({ "amount": "5.00" })).await;
    let told = json!({ "refundId": reversed["refundId"] });
    send(&shop, &told).await;
    until("Reversed").await;
    let summary = async || admin.get("/api/admin/summary").await.expect(200).body;
    let figures = summary().await;
    assert_eq!(figures["refunded"], usd(250 + 500), "{figures}");
    // While the money is gone at PayPal nobody is believed who says that it is back.
    let path = format!("/api/orders/{}/refunds", bought["id"].as_str().unwrap());
    admin
        .post(&path, &json!({}))
        .await
        .expect_problem(409, "refund_not_possible");
    control("cancel-reversal", json!({})).await;
    send(&shop, &told).await;
    let shown = until("PartiallyRefunded").await;
    assert_eq!(shown["payment"]["refunded"], usd(250));
    assert_eq!(shown["history"], before["history"], "the order stayed");
    let version = |order: &Value| order["version"].as_u64().unwrap();
    assert_eq!(version(&shown), version(&before) + 2);
    assert_eq!(summary().await["refunded"], usd(250));
    // The webhook's word about the reversal, days late, takes nothing back anew.
    release_nothing(&shop).await;
    let events = shop.journal("event").await;
    let late = events
        .iter()
        .find(|line| line["eventType"] == "PAYMENT.CAPTURE.REVERSED")
        .unwrap();
    let late = late["id"].as_str().unwrap();
    super::resend(&shop, late, 1).await;
    assert_eq!(super::settled(&admin, late).await["state"], "done");
    let after = order(&admin, &bought).await;
    assert_eq!(version(&after), version(&shown));
    let (clean, said) = shop.check_books(&[]);
    assert!(clean, "{said}");
    admin.post(&path, &json!({})).await.expect(201);
}

#[actix_web::test]
async fn forged_and_altered_messages_are_refused_and_change_nothing() {
    let shop = quiet_shop().await;
    let admin = shop.admin().await;
    let (_buyer, bought) = unheard(&shop, &admin, "MUG").await;
    let capture = &bought["payment"]["captureId"];
    // PayPal vouches for these, and they are not about this shop, this environment or this money.
    let altered = [
        json!({ "set": { "receiver_email": "thief@example.com", "business": "thief@example.com", "receiver_id": "THIEF" } }),
        json!({ "remove": ["receiver_email", "business", "receiver_id"] }),
        json!({ "set": { "receiver_email": "merchant@example.com.evil.test", "business": "x", "receiver_id": "x" } }),
        json!({ "set": { "mc_currency": "EUR" } }),
        json!({ "set": { "mc_currency": "usd" } }),
        json!({ "set": { "mc_gross": "13.98" } }),
        json!({ "set": { "mc_gross": "0.01" } }),
        json!({ "set": { "mc_gross": "-13.99" } }),
        json!({ "set": { "mc_gross": "13,99" } }),
        json!({ "remove": ["mc_gross"] }),
        json!({ "remove": ["mc_currency"] }),
        json!({ "remove": ["test_ipn"] }),
        json!({ "set": { "test_ipn": "0" } }),
        json!({ "double": ["mc_gross"] }),
        json!({ "double": ["txn_id"] }),
        json!({ "double": ["receiver_email"] }),
    ];
    // PayPal does not vouch for these.
    let forged = [
        json!({ "forged": true }),
        json!({ "forged": true, "charset": "UTF-8", "set": { "first_name": "Jörg" } }),
        json!({ "forged": true, "set": { "payment_status": "Refunded", "parent_txn_id": capture } }),
        json!({ "forged": true, "set": { "payment_status": "Reversed", "parent_txn_id": capture } }),
    ];
    let mut refused = 0;
    for message in altered.iter().chain(&forged) {
        let mut message = message.clone();
        message["captureId"] = capture.clone();
        send(&shop, &message).await;
        refused += 1;
        until_refused(&admin, refused).await;
    }
    let told = "test_ipn=1&receiver_email=merchant%40example.com&payment_status=Completed\
        &mc_gross=13.99&mc_currency=USD";
    let capture_id = capture.as_str().unwrap();
    let made_up: [Vec<u8>; 5] = [
        format!("{told}&txn_id={capture_id}").into_bytes(),
        format!("{told}&txn_id=0AA00000AA000000A").into_bytes(),
        format!("{told}&txn_id={capture_id}&charset=UTF-7").into_bytes(),
        [told.as_bytes(), b"&txn_id=\xff\xfe&charset=utf-16"].concat(),
        format!("cmd=_notify-validate&{told}&txn_id={capture_id}").into_bytes(),
    ];
    for body in made_up {
        raw(&shop, body).await.expect(200);
        refused += 1;
        until_refused(&admin, refused).await;
    }
    raw(&shop, vec![b'x'; 3 * 1024 * 1024]).await.expect(413);
    raw(&shop, Vec::new()).await.expect(400);
    assert_eq!(
        stored(&admin, "").await,
        refused,
        "what is too large or empty is not kept"
    );
    let now = order(&admin, &bought).await;
    assert_eq!(now["payment"]["status"], "Pending", "nobody was believed");
    assert_eq!(fate(&now), fate(&bought));
    assert_eq!(now["version"], bought["version"]);
    // A verified message about a payment that is nobody's here is followed to nothing.
    let orders = admin.get("/api/admin/orders").await.expect(200).body;
    assert_eq!(orders["total"], 1);
    // And the true one is heard.
    send(&shop, &json!({ "captureId": capture })).await;
    eventually("the confirmation", || async {
        let shown = order(&admin, &bought).await;
        (shown["payment"]["status"] == "Completed").then_some(())
    })
    .await;
}
