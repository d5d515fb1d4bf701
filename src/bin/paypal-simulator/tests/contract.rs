//! Answers against PayPal's own OpenAPI documents, which lie beside the repository (or where
//! `BODEGA_SHARED_DIR` says) and are not part of it.

use std::{env, fs, path::PathBuf};

use jsonschema::Draft;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Shop, Sim, capture_id, order, read};

/// PayPal's documents, or nothing where they are absent.
struct Documents {
    orders: Value,
    payments: Value,
    webhooks: Value,
    disputes: Value,
}

impl Documents {
    fn load() -> Option<Self> {
        let shared = env::var_os("BODEGA_SHARED_DIR").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
            PathBuf::from,
        );
        let dir = shared.join("paypal");
        let read = |name: &str| {
            let text = fs::read_to_string(dir.join(name)).ok()?;
            Some(serde_json::from_str::<Value>(&text).unwrap())
        };
        let all = Self {
            orders: read("checkout_orders_v2.json")?,
            payments: read("payments_payment_v2.json")?,
            webhooks: read("notifications_webhooks_v1.json")?,
            disputes: read("customer_disputes_v1.json")?,
        };
        Some(all)
    }
}

fn faults(document: &Value, schema: &str, value: &Value) -> Vec<String> {
    assert!(
        document["components"]["schemas"].get(schema).is_some(),
        "no schema {schema}"
    );
    let whole = json!({
        "$ref": format!("#/components/schemas/{schema}"),
        "components": document["components"]
    });
    let validator = jsonschema::options()
        .with_draft(Draft::Draft4)
        .build(&whole)
        .unwrap();
    let named = |error: jsonschema::ValidationError<'_>| {
        format!(
            "{} at {}: {error}",
            error.schema_path(),
            error.instance_path()
        )
    };
    validator.iter_errors(value).map(named).collect()
}

fn fits(document: &Value, schema: &str, value: &Value) {
    assert!(!value.is_null(), "nothing to compare with {schema}");
    let found = faults(document, schema, value);
    assert!(found.is_empty(), "{schema}: {found:#?}\n{value:#}");
}

#[actix_web::test]
async fn answers_and_events_fit_paypals_documents() {
    let Some(documents) = Documents::load() else {
        eprintln!("NOT CHECKED: PayPal's OpenAPI documents are absent, see BODEGA_SHARED_DIR");
        return;
    };
    let shop = Shop::start();
    let sim = Sim::start(&["--webhook-url", &shop.url]).await;
    let created = sim.post("/v2/checkout/orders", "c", order("c")).await;
    fits(&documents.orders, "order", &created.body);
    let id = created.id();
    let show = format!("/v2/checkout/orders/{id}");
    sim.control(&format!("/orders/{id}/approve"), json!({}))
        .await;
    fits(&documents.orders, "order", &sim.get(&show).await.body);
    let captured = sim.capture(&id, "c").await;
    fits(&documents.orders, "order", &captured.body);
    let capture = capture_id(&captured.body);
    let path = format!("/v2/payments/captures/{capture}");
    fits(&documents.payments, "capture-2", &sim.get(&path).await.body);
    let part = json!({ "amount": { "currency_code": "EUR", "value": "2.50" } });
    let refund = sim.post(&format!("{path}/refund"), "r", part).await;
    fits(&documents.payments, "refund", &refund.body);
    fits(&documents.orders, "order", &sim.get(&show).await.body);
    for then in ["pending", "denied", "failed"] {
        let id = sim.approved(then, then).await;
        fits(
            &documents.orders,
            "order",
            &sim.capture(&id, then).await.body,
        );
    }
    sim.control(
        &format!("/captures/{capture}/reverse"),
        json!({ "amount": "1.00" }),
    )
    .await;
    let dispute = sim
        .control("/disputes", json!({ "captureId": capture }))
        .await;
    fits(&documents.disputes, "dispute", &dispute.body);
    let hooks = sim.get("/v1/notifications/webhooks").await;
    fits(&documents.webhooks, "webhook", &hooks.body["webhooks"][0]);
    for message in shop.messages(15).await {
        let event = message.json();
        fits(&documents.webhooks, "event", &event);
        let resource = &event["resource"];
        match event["resource_type"].as_str() {
            Some("checkout-order") => fits(&documents.orders, "order", resource),
            Some("capture") => fits(&documents.payments, "capture-2", resource),
            Some("refund") => fits(&documents.payments, "refund", resource),
            Some("dispute") => fits(&documents.disputes, "dispute", resource),
            other => panic!("an unknown resource type {other:?}"),
        }
    }
}

#[actix_web::test]
async fn refusals_fit_paypals_documents() {
    let Some(documents) = Documents::load() else {
        eprintln!("NOT CHECKED: PayPal's OpenAPI documents are absent, see BODEGA_SHARED_DIR");
        return;
    };
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
        "PREVIOUS_REQUEST_IN_PROGRESS",
        "PERMISSION_DENIED",
        "INTERNAL_SERVER_ERROR",
    ] {
        let wish = json!({ "mock_application_codes": code }).to_string();
        let request = sim
            .call(Method::POST, create)
            .header("PayPal-Mock-Response", wish);
        answers.push(read(request.body("{}")).await);
    }
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [400, 400, 404, 422, 415, 401, 422, 409, 403, 500]);
    for answer in answers {
        let schema = format!("error_{}", answer.status);
        fits(&documents.orders, &schema, &answer.body);
    }
}
