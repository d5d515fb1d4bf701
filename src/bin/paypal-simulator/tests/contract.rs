//! Answers and events against PayPal's own OpenAPI documents, which lie beside the repository (or
//! where `BODEGA_SHARED_DIR` says) and are not part of it.
//!
//! Every test of this folder is judged by them when its simulator ends; those here go to every
//! corner on purpose.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    Shop, Sim, capture_id,
    paypal_openapi::{Extent, Judge},
    read,
};

fn documents() -> PathBuf {
    let shared = env::var_os("BODEGA_SHARED_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    shared.join("paypal")
}

/// Fails where an answer or an event in the record does not fit; counts what was seen.
pub(super) fn judge(record: &Path) -> Option<BTreeMap<String, usize>> {
    let Some(mut judge) = Judge::load(&documents()) else {
        eprintln!("NOT CHECKED: PayPal's OpenAPI documents are absent, see BODEGA_SHARED_DIR");
        return None;
    };
    let wrong = judge.file(record, Extent::Answers);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Some(judge.seen)
}

#[actix_web::test]
async fn answers_and_events_of_a_whole_life_fit() {
    let shop = Shop::start();
    let sim = Sim::start(&["--webhook-url", &shop.url]).await;
    let (id, capture) = sim.paid("c").await;
    let path = format!("/v2/payments/captures/{capture}");
    let part = json!({ "amount": { "currency_code": "EUR", "value": "2.50" },
        "custom_id": "custom", "invoice_id": "R-1", "note_to_payer": "Sorry" });
    let refund = sim.post(&format!("{path}/refund"), "r", part).await;
    sim.get(&format!("/v2/payments/refunds/{}", refund.id()))
        .await;
    sim.get(&format!("/v2/checkout/orders/{id}")).await;
    for then in ["pending", "denied", "failed"] {
        let id = sim.approved(then, then).await;
        let made = capture_id(&sim.capture(&id, then).await.body);
        sim.get(&format!("/v2/payments/captures/{made}")).await;
    }
    let lapsed = sim.approved("lapsed", "complete").await;
    sim.control(&format!("/orders/{lapsed}/expire"), json!({}))
        .await;
    sim.control(
        &format!("/captures/{capture}/reverse"),
        json!({ "amount": "1.00" }),
    )
    .await;
    let dispute = sim
        .control("/disputes", json!({ "captureId": capture }))
        .await;
    let dispute = dispute.body["dispute_id"].as_str().unwrap().to_owned();
    sim.get(&format!("/v1/customer/disputes/{dispute}")).await;
    sim.control(&format!("/disputes/{dispute}/update"), json!({}))
        .await;
    sim.control(&format!("/disputes/{dispute}/resolve"), json!({}))
        .await;
    sim.get("/v1/notifications/webhooks").await;
    let listed = sim.get("/v1/notifications/webhooks-events").await;
    let event = listed.body["events"][0]["id"].as_str().unwrap();
    sim.get(&format!("/v1/notifications/webhooks-events/{event}"))
        .await;
    let resend = format!("/v1/notifications/webhooks-events/{event}/resend");
    sim.post(&resend, "x", json!({})).await;
    let Some(seen) = judge(sim.record.as_ref().unwrap()) else {
        return;
    };
    for wanted in [
        "POST /v2/checkout/orders 201",
        "GET /v2/checkout/orders/{id} 200",
        "POST /v2/checkout/orders/{id}/capture 201",
        "GET /v2/payments/captures/{capture_id} 200",
        "POST /v2/payments/captures/{capture_id}/refund 201",
        "GET /v2/payments/refunds/{refund_id} 200",
        "GET /v1/customer/disputes/{id} 200",
        "GET /v1/notifications/webhooks 200",
        "GET /v1/notifications/webhooks-events 200",
        "GET /v1/notifications/webhooks-events/{event_id} 200",
        "POST /v1/notifications/webhooks-events/{event_id}/resend 202",
        "event CHECKOUT.ORDER.APPROVED",
        "event CHECKOUT.ORDER.COMPLETED",
        "event CHECKOUT.PAYMENT-APPROVAL.REVERSED",
        "event PAYMENT.CAPTURE.COMPLETED",
        "event PAYMENT.CAPTURE.PENDING",
        "event PAYMENT.CAPTURE.DENIED",
        "event PAYMENT.CAPTURE.REFUNDED",
        "event PAYMENT.CAPTURE.REVERSED",
        "event CUSTOMER.DISPUTE.CREATED",
        "event CUSTOMER.DISPUTE.UPDATED",
        "event CUSTOMER.DISPUTE.RESOLVED",
    ] {
        assert!(seen.contains_key(wanted), "{wanted} was not judged");
    }
}

#[actix_web::test]
async fn refusals_fit_too() {
    let sim = Sim::start(&[]).await;
    let (paid, capture) = sim.paid("paid").await;
    let create = "/v2/checkout/orders";
    let untyped = sim
        .http
        .post(format!("{}{create}", sim.base))
        .bearer_auth(&sim.token);
    let mut answers = vec![
        sim.post(create, "a", json!({ "intent": "SALE" })).await,
        sim.post(create, "b", json!([1])).await,
        sim.get("/v2/checkout/orders/NONE").await,
        sim.capture(&paid, "again").await,
        read(untyped.body("{}")).await,
        read(sim.http.get(format!("{}{create}/X", sim.base))).await,
    ];
    let much = json!({ "amount": { "currency_code": "EUR", "value": "99.00" } });
    let refund = format!("/v2/payments/captures/{capture}/refund");
    answers.push(sim.post(&refund, "r", much).await);
    for code in [
        "INTERNAL_SERVER_ERROR",
        "SERVICE_UNAVAILABLE",
        "RATE_LIMIT_REACHED",
    ] {
        answers.push(mocked(&sim, Method::POST, create, code).await);
    }
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [400, 400, 404, 422, 415, 401, 422, 500, 503, 429]);
}

async fn mocked(sim: &Sim, method: Method, path: &str, code: &str) -> super::Answer {
    let wish = json!({ "mock_application_codes": code }).to_string();
    let request = sim.call(method, path).header("PayPal-Mock-Response", wish);
    read(request.body("{}")).await
}

#[actix_web::test]
async fn every_documented_issue_of_every_call_can_be_mocked() {
    let Ok(text) = fs::read_to_string(documents().join("issues.json")) else {
        eprintln!("NOT CHECKED: PayPal's issues are absent, see BODEGA_SHARED_DIR");
        return;
    };
    let issues: Value = serde_json::from_str(&text).unwrap();
    let sim = Sim::start(&[]).await;
    let (order, capture) = sim.paid("mock").await;
    let part = json!({ "amount": { "currency_code": "EUR", "value": "1.00" } });
    let refund = format!("/v2/payments/captures/{capture}/refund");
    let refund = sim.post(&refund, "r", part).await.id();
    let mut count = 0;
    for operation in [
        "POST /v2/checkout/orders",
        "GET /v2/checkout/orders/{id}",
        "PATCH /v2/checkout/orders/{id}",
        "POST /v2/checkout/orders/{id}/authorize",
        "POST /v2/checkout/orders/{id}/capture",
        "GET /v2/payments/captures/{capture_id}",
        "POST /v2/payments/captures/{capture_id}/refund",
        "GET /v2/payments/refunds/{refund_id}",
    ] {
        let (method, path) = operation.split_once(' ').unwrap();
        let path = path
            .replace("{id}", &order)
            .replace("{capture_id}", &capture)
            .replace("{refund_id}", &refund);
        for (status, documented) in issues[operation].as_object().unwrap() {
            for (issue, text) in documented.as_object().unwrap() {
                let method = method.parse().unwrap();
                let answer = mocked(&sim, method, &path, issue).await;
                assert_eq!(answer.status.to_string(), *status, "{operation} {issue}");
                assert_eq!(answer.issue(), issue);
                if let Some(text) = text.as_str() {
                    assert_eq!(answer.body["details"][0]["description"], text);
                }
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count} issues");
}

#[actix_web::test]
async fn an_older_order_fits_as_well() {
    let sim = Sim::start(&[]).await;
    assert_eq!(
        sim.post("/v2/checkout/orders", "o", older()).await.status,
        201
    );
}

/// Every way to spoil one value of a request: without it, of another type, empty, long, another word.
fn spoilt(whole: &Value) -> Vec<(String, Value)> {
    let mut pointers = Vec::new();
    collect(whole, "", &mut pointers);
    let mut all = Vec::new();
    for pointer in pointers {
        let mut without = whole.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = without.pointer_mut(parent).unwrap();
        if let Some(items) = parent.as_array_mut() {
            items.remove(name.parse().unwrap());
        } else {
            parent.as_object_mut().unwrap().remove(name);
        }
        all.push((format!("without {pointer}"), without));
        let long = "x".repeat(3_000);
        for value in [
            json!(7),
            json!(""),
            json!(long),
            json!("~ !"),
            json!([]),
            json!({}),
            json!(true),
        ] {
            let mut changed = whole.clone();
            *changed.pointer_mut(&pointer).unwrap() = value.clone();
            all.push((format!("{pointer} = {value:.40}"), changed));
        }
    }
    all
}

fn collect(value: &Value, at: &str, pointers: &mut Vec<String>) {
    if !at.is_empty() {
        pointers.push(at.to_owned());
    }
    match value {
        Value::Object(map) => {
            for (name, member) in map {
                collect(member, &format!("{at}/{name}"), pointers);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{at}/{index}"), pointers);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[actix_web::test]
async fn what_paypals_documents_refuse_is_refused() {
    let Some(mut judge) = Judge::load(&documents()) else {
        eprintln!("NOT CHECKED: PayPal's OpenAPI documents are absent, see BODEGA_SHARED_DIR");
        return;
    };
    let sim = Sim::start(&[]).await;
    let (_, capture) = sim.paid("base").await;
    let refund = format!("/v2/payments/captures/{capture}/refund");
    let cases = [
        (
            "/v2/checkout/orders",
            crate::orders::check::tests::request(),
        ),
        ("/v2/checkout/orders", older()),
        (
            refund.as_str(),
            json!({
                "amount": { "currency_code": "EUR", "value": "0.01" },
                "custom_id": "c", "invoice_id": "i", "note_to_payer": "n"
            }),
        ),
    ];
    let mut told = Vec::new();
    for (path, whole) in &cases {
        for (number, (what, body)) in spoilt(whole).into_iter().enumerate() {
            let key = format!("{path} {number}");
            let request = sim
                .call(Method::POST, path)
                .header("PayPal-Request-Id", key);
            read(request.body(body.to_string())).await;
            told.push(format!("{path}: {what}"));
        }
    }
    let record = fs::read_to_string(sim.record.as_ref().unwrap()).unwrap();
    let lines = record
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let exchanges: Vec<Value> = lines.filter(|line| line["event"].is_null()).collect();
    let (mut refused, mut wrong) = (0, Vec::new());
    for (line, what) in exchanges.iter().rev().zip(told.iter().rev()) {
        let fits = judge.exchange(line, Extent::Both).is_empty();
        let taken = line["response"]["status"] == 201;
        if !fits && taken {
            wrong.push(what);
        }
        refused += usize::from(!fits);
    }
    assert!(wrong.is_empty(), "taken all the same: {wrong:#?}");
    assert!(refused > 300, "{refused} of {}", told.len());
}

fn older() -> Value {
    json!({
        "intent": "CAPTURE",
        "purchase_units": [{ "amount": { "currency_code": "EUR", "value": "32.50" } }],
        "application_context": {
            "return_url": "https://shop.example/return", "cancel_url": "https://shop.example/cancel",
            "brand_name": "Bodega", "locale": "en-US", "landing_page": "NO_PREFERENCE",
            "shipping_preference": "NO_SHIPPING", "user_action": "PAY_NOW"
        }
    })
}
