//! Faults as a client meets them, and what the books say afterwards.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Sim, read};

async fn fault(sim: &Sim, fault: Value) {
    sim.control("/faults", fault).await;
}

/// A capture call as a client with a second of patience makes it; `None` when no whole answer came.
async fn try_capture(sim: &Sim, order: &str, key: &str) -> Option<(u16, String)> {
    let answer = sim
        .call(
            Method::POST,
            &format!("/v2/checkout/orders/{order}/capture"),
        )
        .header("PayPal-Request-Id", key)
        .timeout(Duration::from_secs(1))
        .body("{}")
        .send()
        .await
        .ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.text().await.ok()?))
}

#[actix_web::test]
async fn faults_before_the_work_leave_no_capture() {
    let sim = Sim::start(&[]).await;
    let order = sim.approved("before", "complete").await;
    for kind in ["refuse", "reset", "hang"] {
        fault(&sim, json!({ "operation": "capture", "fault": kind })).await;
        assert_eq!(try_capture(&sim, &order, "k").await, None, "{kind}");
    }
    for (body, status) in [
        (json!({ "fault": "status" }), 500),
        (json!({ "fault": "status", "status": 503 }), 503),
        (json!({ "fault": "status_html" }), 503),
        (json!({ "fault": "rate_limit", "retryAfter": 2 }), 429),
        (
            json!({ "fault": "issue", "issue": "PAYER_CANNOT_PAY" }),
            422,
        ),
        (json!({ "fault": "declined" }), 422),
    ] {
        let mut body = body;
        body["operation"] = json!("capture");
        fault(&sim, body.clone()).await;
        assert_eq!(
            try_capture(&sim, &order, "k").await.map(|a| a.0),
            Some(status),
            "{body}"
        );
    }
    assert!(sim.lines("capture").is_empty());
    assert_eq!(
        sim.capture(&order, "k").await.status,
        201,
        "the same id works afterwards"
    );
}

#[actix_web::test]
async fn after_the_work_the_capture_is_there_whatever_the_client_saw() {
    let sim = Sim::start(&[]).await;
    for kind in [
        "reset_after",
        "done_then_status",
        "done_then_timeout",
        "cut_body",
        "bad_json",
        "empty_body",
        "html",
    ] {
        let order = sim.approved(kind, "complete").await;
        fault(&sim, json!({ "operation": "capture", "fault": kind })).await;
        let answer = try_capture(&sim, &order, kind).await;
        let understood = answer
            .filter(|(status, _)| *status == 201)
            .is_some_and(|(_, text)| serde_json::from_str::<Value>(&text).is_ok());
        assert!(!understood, "{kind}");
        let replay = sim.capture(&order, kind).await;
        assert_eq!(
            (replay.status, &replay.body["status"]),
            (200, &json!("COMPLETED")),
            "{kind}"
        );
        let made = sim
            .lines("capture")
            .iter()
            .filter(|l| l["orderId"] == order.as_str())
            .count();
        assert_eq!(made, 1, "{kind}");
    }
}

#[actix_web::test]
async fn a_reset_is_a_reset() {
    let sim = Sim::start(&[]).await;
    fault(&sim, json!({ "operation": "token", "fault": "reset" })).await;
    let request = sim
        .http
        .post(format!("{}/v1/oauth2/token", sim.base))
        .body("x");
    let error = request.send().await.unwrap_err();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let io = cause
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::kind);
    assert_eq!(io, Some(std::io::ErrorKind::ConnectionReset), "{error:?}");
}

async fn altered(sim: &Sim, kind: &str) -> Answer {
    let order = sim.approved(kind, "complete").await;
    fault(sim, json!({ "operation": "capture", "fault": kind })).await;
    sim.capture(&order, kind).await
}

#[actix_web::test]
async fn answers_lie_about_amount_currency_and_status() {
    let sim = Sim::start(&[]).await;
    let capture =
        |answer: &Answer| answer.body["purchase_units"][0]["payments"]["captures"][0].clone();
    let wrong = altered(&sim, "wrong_amount").await;
    assert_eq!(
        (wrong.status, &capture(&wrong)["amount"]["value"]),
        (201, &json!("32.51"))
    );
    let foreign = altered(&sim, "wrong_currency").await;
    assert_eq!(capture(&foreign)["amount"]["currency_code"], "CAD");
    let unknown = altered(&sim, "unknown_enum").await;
    assert_eq!(capture(&unknown)["status"], "NEW_COMPLETED_2027");
    let more = altered(&sim, "extra_fields").await;
    assert_eq!(capture(&more)["x_new_text"], "new");
    let books: Vec<_> = sim
        .lines("capture")
        .iter()
        .map(|l| l["amount"].clone())
        .collect();
    assert_eq!(books, ["32.50"; 4], "the books know the truth");
}

#[actix_web::test]
async fn a_slow_drip_comes_whole_in_the_end() {
    let sim = Sim::start(&[]).await;
    let id = sim.create("drip").await;
    let drip = json!({ "operation": "show", "fault": "slow_drip", "delayMs": 1 });
    fault(&sim, drip).await;
    assert_eq!(sim.get(&format!("/v2/checkout/orders/{id}")).await.id(), id);
}

#[actix_web::test]
async fn a_refund_may_be_pending_and_end_either_way() {
    let sim = Sim::start(&[]).await;
    let (_, capture) = sim.paid("pending").await;
    let path = format!("/v2/payments/captures/{capture}/refund");
    for (end, left) in [("fail", "COMPLETED"), ("complete", "PARTIALLY_REFUNDED")] {
        fault(&sim, json!({ "operation": "refund", "fault": "pending" })).await;
        let part = json!({ "amount": { "currency_code": "EUR", "value": "2.50" } });
        let refund = sim.post(&path, end, part).await;
        assert_eq!(refund.body["status"], "PENDING");
        sim.control(&format!("/refunds/{}/{end}", refund.id()), json!({}))
            .await;
        let shown = sim.get(&format!("/v2/payments/captures/{capture}")).await;
        assert_eq!(shown.body["status"], left, "{end}");
    }
}

#[actix_web::test]
async fn a_mock_response_answers_on_every_money_call() {
    let sim = Sim::start(&[]).await;
    let (order, capture) = sim.paid("mock").await;
    let header = r#"{"mock_application_codes":"INTERNAL_SERVER_ERROR"}"#;
    for (method, path) in [
        (Method::POST, "/v2/checkout/orders".to_owned()),
        (Method::GET, format!("/v2/checkout/orders/{order}")),
        (Method::PATCH, format!("/v2/checkout/orders/{order}")),
        (Method::POST, format!("/v2/checkout/orders/{order}/capture")),
        (
            Method::POST,
            format!("/v2/payments/captures/{capture}/refund"),
        ),
    ] {
        let request = sim
            .call(method, &path)
            .header("PayPal-Mock-Response", header)
            .body("{}");
        assert_eq!(read(request).await.status, 500, "{path}");
    }
}

#[actix_web::test]
async fn certificates_and_webscr_can_go_wrong_too() {
    let sim = Sim::start(&[]).await;
    let url = format!(
        "{}/v1/notifications/certs/{}",
        sim.base,
        sim.world().signing.current().id
    );
    fault(
        &sim,
        json!({ "operation": "cert", "fault": "oversized", "bytes": 200_000 }),
    )
    .await;
    assert_eq!(
        sim.http
            .get(&url)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .len(),
        200_000
    );
    fault(&sim, json!({ "operation": "cert", "fault": "html" })).await;
    assert!(
        sim.http
            .get(&url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("<html>")
    );
    fault(
        &sim,
        json!({ "operation": "webscr", "fault": "status_html" }),
    )
    .await;
    let webscr = sim
        .http
        .post(format!("{}/cgi-bin/webscr", sim.base))
        .header("User-Agent", "x");
    assert_eq!(webscr.send().await.unwrap().status(), 503);
    let pem = sim
        .http
        .get(&url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\r\n"));
}

#[actix_web::test]
async fn in_an_outage_connections_are_refused_and_old_ones_cut() {
    let sim = Sim::start(&[]).await;
    let order = sim.approved("outage", "complete").await;
    sim.control("/outage", json!({ "ms": 300 })).await;
    assert_eq!(
        try_capture(&sim, &order, "k").await,
        None,
        "an old connection"
    );
    let address = sim.base.trim_start_matches("http://");
    let refused = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    super::eventually("the end of the outage", || async {
        try_capture(&sim, &order, "k")
            .await
            .filter(|(status, _)| *status == 201)
    })
    .await;
    assert_eq!(sim.lines("capture").len(), 1);
}
