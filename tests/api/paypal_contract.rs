//! What the shop says to PayPal and hears from there, judged by PayPal's own OpenAPI documents.
//!
//! Every shop of these tests is judged when it ends (see `TestShop`); the journeys here make sure that
//! every call is among what is judged, and that the judge is awake.

use serde_json::{Value, json};

use crate::{
    paypal_openapi::Extent,
    support::{Client, Setup, TestShop, eventually, judge, usd},
};

/// Buys one mug of 9.00, with what PayPal makes of the capture; the order's path and first view.
async fn bought(shop: &TestShop, admin: &Client, sku: &str, then: &str) -> (Client, Value) {
    let buyer = shop.customer().await;
    let mug = shop.product(admin, sku, 900, 5).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    shop.approve_as(&checkout, &json!({ "then": then })).await;
    let body = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &body).await;
    assert!(matches!(order.status, 200 | 201 | 402), "{order:?}");
    (buyer, order.body)
}

/// What was judged, unless the documents are absent.
fn assert_judged(shop: &TestShop, wanted: &[&str]) {
    let Some(seen) = judge(&shop.record(), Extent::Both) else {
        return;
    };
    for call in wanted {
        assert!(seen.contains_key(*call), "{call} was not judged: {seen:#?}");
    }
}

#[actix_web::test]
async fn payment_and_refunds_keep_to_paypals_documents() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let (buyer, order) = bought(&shop, &admin, "MUG", "complete").await;
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    let refunds = format!("{path}/refunds");
    let part = json!({ "amount": usd(250), "reason": "A chip in the rim, Zoë – sorry" });
    admin
        .post_with_key(&refunds, "part", &part)
        .await
        .expect(201);
    admin
        .post_with_key(&refunds, "rest", &json!({}))
        .await
        .expect(201);
    eventually("the refund", || async {
        let shown = buyer.get(&path).await.body;
        (shown["payment"]["status"] == "Refunded").then_some(())
    })
    .await;
    assert_judged(
        &shop,
        &[
            "POST /v1/oauth2/token 200",
            "POST /v2/checkout/orders 201",
            "GET /v2/checkout/orders/{id} 200",
            "POST /v2/checkout/orders/{id}/capture 201",
            "POST /v2/payments/captures/{capture_id}/refund 201",
            "event CHECKOUT.ORDER.APPROVED",
            "event PAYMENT.CAPTURE.COMPLETED",
            "event PAYMENT.CAPTURE.REFUNDED",
        ],
    );
}

#[actix_web::test]
async fn pending_and_declined_captures_keep_to_paypals_documents() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let (buyer, order) = bought(&shop, &admin, "ECHECK", "pending").await;
    assert_eq!(order["payment"]["status"], "Pending");
    let capture = order["payment"]["captureId"].as_str().unwrap();
    let complete = format!("/control/captures/{capture}/complete");
    shop.paypal().post(&complete, &json!({})).await.expect(200);
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    eventually("the money", || async {
        let shown = buyer.get(&path).await.body;
        (shown["payment"]["status"] == "Completed").then_some(())
    })
    .await;
    let (_, refused) = bought(&shop, &admin, "CARD", "decline").await;
    assert_eq!(refused["code"], "payment_declined");
    assert_judged(
        &shop,
        &[
            "POST /v2/checkout/orders/{id}/capture 201",
            "POST /v2/checkout/orders/{id}/capture 422",
            "event PAYMENT.CAPTURE.PENDING",
            "event PAYMENT.CAPTURE.COMPLETED",
        ],
    );
}

#[actix_web::test]
async fn verification_by_paypal_keeps_to_its_documents() {
    let shop = Setup::default()
        .with("PAYPAL__WEBHOOK_VERIFICATION", "api")
        .start()
        .await;
    let admin = shop.admin().await;
    shop.paypal()
        .post("/control/settings", &json!({ "eventFormat": "odd" }))
        .await
        .expect(200);
    bought(&shop, &admin, "MUG", "complete").await;
    eventually("a verified event", || async {
        let told = shop.journal("verify").await;
        told.iter()
            .any(|line| line["result"] == "SUCCESS")
            .then_some(())
    })
    .await;
    let call = "POST /v1/notifications/verify-webhook-signature 200";
    assert_judged(&shop, &[call]);
}

/// A whole exchange of a create call, good in every part.
fn exchange() -> Value {
    let request = json!({ "intent": "CAPTURE",
        "purchase_units": [{ "amount": { "currency_code": "USD", "value": "1.00" } }] });
    let answer = json!({ "id": "8NWZIN5DBBQZEF3LN", "status": "CREATED", "links": [] });
    json!({
        "fault": null,
        "request": {
            "method": "POST", "path": "/v2/checkout/orders", "query": "",
            "headers": { "content-type": "application/json", "paypal-request-id": "k" },
            "body": request.to_string(),
        },
        "response": {
            "status": 201, "body": answer.to_string(),
            "headers": { "content-type": "application/json", "paypal-debug-id": "f00" },
        },
    })
}

/// The exchange with one value replaced; bodies are opened for it.
fn spoilt(pointer: &str, value: Value) -> Value {
    let mut line = exchange();
    let parts: Vec<&str> = pointer.split('/').collect();
    match parts.as_slice() {
        [half, "body", member] => {
            let text = line[half]["body"].as_str().unwrap();
            let mut body: Value = serde_json::from_str(text).unwrap();
            body[member] = value;
            line[half]["body"] = json!(body.to_string());
        }
        [half, "headers", name] => line[half]["headers"][name] = value,
        [half, member] => line[half][member] = value,
        _ => panic!("{pointer}"),
    }
    line
}

#[test]
fn the_judge_sees_what_is_wrong() {
    let path = std::env::temp_dir().join(format!("judge-{}.jsonl", bson::oid::ObjectId::new()));
    let verdict = |line: Value| {
        std::fs::write(&path, format!("{line}\n")).unwrap();
        std::panic::catch_unwind(|| judge(&path, Extent::Both)).map_err(drop)
    };
    let good = verdict(exchange()).unwrap();
    if good.is_none() {
        return;
    }
    let words = json!({ "name": "UNPROCESSABLE_ENTITY",
        "details": [{ "issue": "AMOUNT_MISMATCH", "description": "Nope." }] });
    let mut other_words = spoilt("response/status", json!(422));
    other_words["response"]["body"] = json!(words.to_string());
    let bad = [
        (
            "an unknown member",
            spoilt("request/body/intend", json!("x")),
        ),
        (
            "an unknown word",
            spoilt("request/body/intent", json!("SALE")),
        ),
        (
            "no purchase unit",
            spoilt("request/body/purchase_units", json!([])),
        ),
        (
            "an answer's unknown member",
            spoilt("response/body/state", json!("x")),
        ),
        (
            "an answer's unknown status",
            spoilt("response/body/status", json!("DONE")),
        ),
        (
            "a long request id",
            spoilt("request/headers/paypal-request-id", json!("x".repeat(109))),
        ),
        ("an unknown query", spoilt("request/query", json!("page=2"))),
        (
            "an unknown path",
            spoilt("request/path", json!("/v2/checkout/order")),
        ),
        ("no media type", spoilt("request/headers", json!({}))),
        (
            "no debug id",
            spoilt("response/headers/paypal-debug-id", json!("")),
        ),
        ("an issue in other words", other_words),
    ];
    for (what, line) in bad {
        assert!(verdict(line).is_err(), "{what} is let through");
    }
    std::fs::remove_file(path).unwrap();
}
