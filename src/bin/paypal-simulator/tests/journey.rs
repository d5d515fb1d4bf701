//! The ordinary way from token to refund, and its side roads.

use reqwest::Method;
use serde_json::json;

use super::{Sim, capture_id, order, read};

#[actix_web::test]
async fn an_order_is_created_approved_captured_and_refunded_in_parts() {
    let sim = Sim::start(&[]).await;
    let created = sim
        .post("/v2/checkout/orders", "k:create", order("k"))
        .await;
    assert_eq!(
        (created.status, &created.body["status"]),
        (201, &json!("PAYER_ACTION_REQUIRED"))
    );
    assert!(created.headers.contains_key("paypal-debug-id"));
    let id = created.id();
    let link = &created.body["links"][1];
    assert_eq!(link["rel"], "payer-action");
    assert_eq!(link["href"], format!("{}/checkoutnow?token={id}", sim.base));

    let early = sim.capture(&id, "k:early").await;
    assert_eq!((early.status, early.issue()), (422, "ORDER_NOT_APPROVED"));
    sim.control(
        &format!("/orders/{id}/approve"),
        json!({ "payer": { "givenName": "Ada" } }),
    )
    .await;
    assert_eq!(
        sim.get(&format!("/v2/checkout/orders/{id}")).await.body["status"],
        "APPROVED"
    );

    let captured = sim.capture(&id, "k:capture").await;
    assert_eq!(
        (captured.status, &captured.body["status"]),
        (201, &json!("COMPLETED"))
    );
    assert_eq!(captured.body["payer"]["name"]["given_name"], "Ada");
    let unit = &captured.body["purchase_units"][0];
    assert_eq!(unit["payments"]["captures"][0]["amount"]["value"], "32.50");
    assert_eq!(unit["payments"]["captures"][0]["custom_id"], "k");
    let again = sim.capture(&id, "k:other").await;
    assert_eq!(
        (again.status, again.issue()),
        (422, "ORDER_ALREADY_CAPTURED")
    );

    let capture = capture_id(&captured.body);
    let path = format!("/v2/payments/captures/{capture}/refund");
    let part = json!({ "amount": { "currency_code": "EUR", "value": "4.00" } });
    let first = sim.post(&path, "r1", part).await;
    assert_eq!(
        (first.status, &first.body["status"]),
        (201, &json!("COMPLETED"))
    );
    let shown = sim.get(&format!("/v2/payments/captures/{capture}")).await;
    assert_eq!(shown.body["status"], "PARTIALLY_REFUNDED");
    assert_eq!(
        shown.body["supplementary_data"]["related_ids"]["order_id"],
        id
    );
    let much = json!({ "amount": { "currency_code": "EUR", "value": "28.51" } });
    let refused = sim.post(&path, "r2", much).await;
    assert_eq!(
        (refused.status, refused.issue()),
        (422, "REFUND_AMOUNT_EXCEEDED")
    );
    let rest = sim.post(&path, "r3", json!({})).await;
    let breakdown = &rest.body["seller_payable_breakdown"];
    assert_eq!(breakdown["gross_amount"]["value"], "28.50");
    assert_eq!(breakdown["total_refunded_amount"]["value"], "32.50");
    assert_eq!(
        sim.get(&format!("/v2/payments/refunds/{}", rest.id()))
            .await
            .body,
        rest.body
    );
    let late = sim.post(&path, "r4", json!({})).await;
    assert_eq!((late.status, late.issue()), (422, "CAPTURE_FULLY_REFUNDED"));
    let money: Vec<_> = sim
        .lines("refund")
        .iter()
        .map(|l| l["amount"].clone())
        .collect();
    assert_eq!(money, ["4.00", "28.50"]);
}

#[actix_web::test]
async fn the_older_form_is_created_with_an_approve_link_and_minimal_answers_are_small() {
    let sim = Sim::start(&[]).await;
    let mut body = order("old");
    body.as_object_mut().unwrap().remove("payment_source");
    body["application_context"] = json!({ "return_url": "https://shop.example/r" });
    let request = sim
        .call(Method::POST, "/v2/checkout/orders")
        .header("Prefer", "return=minimal");
    let mut request = request.build().unwrap();
    request
        .headers_mut()
        .insert("Prefer", "return=minimal".parse().unwrap());
    *request.body_mut() = Some(body.to_string().into());
    let answer = sim.http.execute(request).await.unwrap();
    assert_eq!(answer.status(), 201);
    let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["status"], "CREATED");
    assert!(
        body["links"]
            .as_array()
            .unwrap()
            .iter()
            .any(|link| link["rel"] == "approve")
    );
    assert!(body.get("purchase_units").is_none());
}

#[actix_web::test]
async fn strangers_wrong_types_and_unknown_ids_are_refused() {
    let sim = Sim::start(&[]).await;
    let bad = sim.ask_token("sim-client", "wrong").await;
    assert_eq!(
        (bad.status, &bad.body["error"]),
        (401, &json!("invalid_client"))
    );
    let url = format!("{}/v2/checkout/orders/X", sim.base);
    let none = read(sim.http.get(&url)).await;
    assert_eq!(
        (none.status, &none.body["name"]),
        (401, &json!("AUTHENTICATION_FAILURE"))
    );
    let wrong = read(sim.http.get(&url).bearer_auth("A21AAwrong")).await;
    assert_eq!(
        (wrong.status, &wrong.body["error"]),
        (401, &json!("invalid_token"))
    );
    let unknown = sim.get("/v2/checkout/orders/8NWZIN5DBBQZEF3LN").await;
    assert_eq!(
        (unknown.status, unknown.issue()),
        (404, "INVALID_RESOURCE_ID")
    );
    let untyped = sim
        .http
        .post(format!("{}/v2/checkout/orders", sim.base))
        .bearer_auth(&sim.token);
    assert_eq!(read(untyped.body("{}")).await.status, 415);
    let broken = sim
        .call(Method::POST, "/v2/checkout/orders")
        .body("{\"intent\":");
    assert_eq!(read(broken).await.issue(), "MALFORMED_REQUEST_JSON");
    let nameless = sim
        .call(Method::POST, "/v2/checkout/orders")
        .body(order("n").to_string());
    assert_eq!(read(nameless).await.issue(), "PAYPAL_REQUEST_ID_REQUIRED");
    let nowhere = sim.get("/v2/nowhere").await;
    assert_eq!(nowhere.status, 404);
    assert!(nowhere.headers.contains_key("paypal-debug-id"));
}

#[actix_web::test]
async fn tokens_end_by_time_and_by_revocation() {
    let sim = Sim::start(&["--token-seconds", "60"]).await;
    let path = "/v2/checkout/orders/8NWZIN5DBBQZEF3LN";
    assert_eq!(sim.get(path).await.status, 404);
    sim.control("/clock", json!({ "advanceSeconds": 60 })).await;
    assert_eq!(sim.get(path).await.status, 401);
    let mut fresh = sim;
    fresh.token = fresh.new_token().await;
    assert_eq!(fresh.get(path).await.status, 404);
    fresh.control("/tokens/revoke", json!({})).await;
    assert_eq!(fresh.get(path).await.status, 401);
}

#[actix_web::test]
async fn the_short_form_type_is_taken_and_counted() {
    let sim = Sim::start(&[]).await;
    let request = sim
        .http
        .post(format!("{}/v1/oauth2/token", sim.base))
        .basic_auth("sim-client", Some("sim-secret"))
        .header("Content-Type", "x-www-form-urlencoded")
        .body("grant_type=client_credentials");
    assert_eq!(read(request).await.status, 200);
    assert_eq!(sim.world().tokens.wrong_form_type, 1);
}

#[actix_web::test]
async fn an_order_lapses_and_a_given_approval_is_reversed() {
    let sim = Sim::start(&["--order-seconds", "100"]).await;
    let idle = sim.create("idle").await;
    let approved = sim.approved("approved", "complete").await;
    let (paid, _) = sim.paid("paid").await;
    sim.control("/clock", json!({ "advanceSeconds": 100 }))
        .await;
    for id in [&idle, &approved] {
        assert_eq!(
            sim.get(&format!("/v2/checkout/orders/{id}")).await.status,
            404,
            "{id}"
        );
        assert_eq!(sim.capture(id, "late").await.status, 404);
    }
    assert_eq!(
        sim.get(&format!("/v2/checkout/orders/{paid}")).await.status,
        200
    );
    let reversed: Vec<_> = sim
        .lines("event")
        .into_iter()
        .filter(|line| line["eventType"] == "CHECKOUT.PAYMENT-APPROVAL.REVERSED")
        .collect();
    assert_eq!(reversed.len(), 1);
    assert_eq!(reversed[0]["resourceId"], approved);
}

#[actix_web::test]
async fn an_order_is_patched_until_it_is_approved_or_complete() {
    let sim = Sim::start(&[]).await;
    let id = sim.create("p").await;
    let path = format!("/v2/checkout/orders/{id}");
    let patch = |member: &str, op: &str, value: serde_json::Value| {
        let path = format!("/purchase_units/@reference_id=='default'/{member}");
        json!([{ "op": op, "path": path, "value": value }])
    };
    let send = async |body: serde_json::Value| {
        read(sim.call(Method::PATCH, &path).body(body.to_string())).await
    };
    let amount = json!({ "currency_code": "EUR", "value": "40.00" });
    assert_eq!(send(patch("amount", "replace", amount)).await.status, 204);
    assert_eq!(
        send(patch("invoice_id", "replace", json!("INV-9")))
            .await
            .status,
        204
    );
    let shown = sim.get(&path).await;
    assert_eq!(shown.body["purchase_units"][0]["amount"]["value"], "40.00");
    assert_eq!(shown.body["purchase_units"][0]["invoice_id"], "INV-9");
    assert_eq!(
        send(patch("payee", "replace", json!({}))).await.issue(),
        "NOT_PATCHABLE"
    );
    let bad = json!({ "currency_code": "EUR", "value": "4,00" });
    assert_eq!(send(patch("amount", "replace", bad)).await.status, 400);
    sim.control(&format!("/orders/{id}/approve"), json!({}))
        .await;
    let more = json!({ "currency_code": "EUR", "value": "41.00" });
    assert_eq!(
        send(patch("amount", "replace", more)).await.issue(),
        "AMOUNT_CHANGE_NOT_ALLOWED"
    );
    assert_eq!(sim.capture(&id, "p").await.status, 201);
    let late = send(patch("custom_id", "replace", json!("x"))).await;
    assert_eq!(late.issue(), "ORDER_ALREADY_COMPLETED");
}

#[actix_web::test]
async fn captures_may_be_pending_denied_or_declined() {
    let sim = Sim::start(&[]).await;
    let pending = sim.approved("pending", "pending").await;
    let answer = sim.capture(&pending, "pending").await;
    let unit = &answer.body["purchase_units"][0]["payments"]["captures"][0];
    assert_eq!(unit["status"], "PENDING");
    assert_eq!(unit["status_details"]["reason"], "ECHECK");
    assert!(unit.get("seller_receivable_breakdown").is_none());
    let capture = capture_id(&answer.body);
    let early = sim
        .post(
            &format!("/v2/payments/captures/{capture}/refund"),
            "r",
            json!({}),
        )
        .await;
    assert_eq!(early.issue(), "PENDING_CAPTURE");
    let done = sim
        .control(&format!("/captures/{capture}/complete"), json!({}))
        .await;
    assert_eq!(done.body["status"], "COMPLETED");

    let denied = sim.approved("denied", "denied").await;
    let answer = sim.capture(&denied, "denied").await;
    assert_eq!(
        (answer.status, &answer.body["status"]),
        (201, &json!("COMPLETED"))
    );
    let unit = &answer.body["purchase_units"][0]["payments"]["captures"][0];
    assert_eq!(unit["status"], "DECLINED");

    let declined = sim.approved("declined", "decline").await;
    for key in ["d1", "d1", "d2"] {
        let answer = sim.capture(&declined, key).await;
        assert_eq!(
            (answer.status, answer.issue()),
            (422, "INSTRUMENT_DECLINED")
        );
        let links = answer.body["links"].as_array().unwrap().clone();
        assert!(links.iter().any(|link| link["rel"] == "redirect"));
    }
    sim.control(&format!("/orders/{declined}/approve"), json!({}))
        .await;
    assert_eq!(sim.capture(&declined, "d1").await.status, 201);
}

#[actix_web::test]
async fn one_invoice_is_paid_once() {
    let sim = Sim::start(&[]).await;
    let first = sim.approved("same", "complete").await;
    let second = sim
        .post("/v2/checkout/orders", "other", order("same"))
        .await
        .id();
    sim.control(&format!("/orders/{second}/approve"), json!({}))
        .await;
    assert_eq!(sim.capture(&first, "a").await.status, 201);
    assert_eq!(
        sim.capture(&second, "b").await.issue(),
        "DUPLICATE_INVOICE_ID"
    );
    assert_eq!(sim.lines("capture").len(), 1);
}

#[actix_web::test]
async fn money_goes_back_by_dashboard_reversal_and_dispute() {
    let sim = Sim::start(&[]).await;
    let (_, capture) = sim.paid("x").await;
    sim.control(
        &format!("/captures/{capture}/refund"),
        json!({ "amount": "2.50" }),
    )
    .await;
    let dispute = sim
        .control("/disputes", json!({ "captureId": capture }))
        .await;
    let dispute = dispute.body["dispute_id"].as_str().unwrap().to_owned();
    let path = format!("/v2/payments/captures/{capture}/refund");
    let part = json!({ "amount": { "currency_code": "EUR", "value": "1.00" } });
    assert_eq!(
        sim.post(&path, "r", part).await.issue(),
        "TRANSACTION_DISPUTED"
    );
    let end = json!({ "outcome": "RESOLVED_BUYER_FAVOUR" });
    sim.control(&format!("/disputes/{dispute}/resolve"), end)
        .await;
    assert_eq!(
        sim.get(&format!("/v1/customer/disputes/{dispute}"))
            .await
            .body["status"],
        "RESOLVED"
    );
    let shown = sim.get(&format!("/v2/payments/captures/{capture}")).await;
    assert_eq!(shown.body["status"], "REFUNDED");
    let back: Vec<_> = sim
        .lines("refund")
        .iter()
        .map(|l| {
            (
                l["origin"].clone(),
                l["amount"].clone(),
                l["totalRefunded"].clone(),
            )
        })
        .collect();
    assert_eq!(back[0], (json!("dashboard"), json!("2.50"), json!("2.50")));
    assert_eq!(back[1], (json!("reversal"), json!("30.00"), json!("32.50")));
}

#[actix_web::test]
async fn finished_orders_are_forgotten_but_not_by_the_journal() {
    let sim = Sim::start(&[]).await;
    sim.control("/settings", json!({ "keepOrders": 2 })).await;
    let (first, first_capture) = sim.paid("first").await;
    let (second, second_capture) = sim.paid("second").await;
    let waiting = sim.approved("waiting", "pending").await;
    sim.capture(&waiting, "waiting").await;
    let open = sim.create("open").await;
    crate::forget::old(&mut sim.world());
    for (id, status) in [(first, 404), (second, 404), (waiting, 200), (open, 200)] {
        let shown = sim.get(&format!("/v2/checkout/orders/{id}")).await;
        assert_eq!(shown.status, status);
    }
    for capture in [first_capture, second_capture] {
        let path = format!("/v2/payments/captures/{capture}");
        assert_eq!(sim.get(&path).await.status, 404);
    }
    assert_eq!(sim.lines("capture").len(), 3);
}

#[actix_web::test]
async fn the_journal_is_read_from_any_line_and_by_kind() {
    let sim = Sim::start(&[]).await;
    sim.paid("journal").await;
    let read_journal = async |query: &str| {
        let url = format!("{}/control/journal{query}", sim.base);
        read(sim.http.get(url))
            .await
            .body
            .as_array()
            .unwrap()
            .clone()
    };
    let all = read_journal("").await;
    let numbers: Vec<_> = all
        .iter()
        .map(|line| line["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(
        numbers,
        (1..=all.len().try_into().unwrap()).collect::<Vec<u64>>()
    );
    assert_eq!(read_journal("?since=2").await, all[2..]);
    let captures = read_journal("?kind=capture").await;
    assert_eq!(captures.len(), 1);
    for (name, value) in [
        ("status", "COMPLETED"),
        ("amount", "32.50"),
        ("currency", "EUR"),
        ("refunded", "0.00"),
        ("customId", "journal"),
        ("invoiceId", "INV-journal"),
        ("requestId", "journal"),
        ("payee", "merchant@example.com"),
    ] {
        assert_eq!(captures[0][name], value, "{name}");
    }
    sim.control("/reset", json!({})).await;
    assert!(read_journal("").await.is_empty());
}
