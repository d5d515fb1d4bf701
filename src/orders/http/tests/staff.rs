//! What staff do to orders, and what they learn of all of them.

use super::*;

#[actix_web::test]
async fn staff_move_an_order_along_and_hear_what_is_allowed() {
    let shop = shop().await;
    room!(shop, call);
    let staff = (UserId::new(), Role::Staff);
    let buyer = (UserId::new(), Role::Customer);
    let order = shop.place(&new_order(buyer.0)).await;
    let path = format!("/api/orders/{}/status", order.id);
    let put = async |body: Value, headers: &[(&str, &str)]| {
        call(staff, Method::PUT, &path, headers, body).await
    };
    let forbidden = call(
        buyer,
        Method::PUT,
        &path,
        &[],
        json!({ "status": "Cancelled" }),
    )
    .await;
    assert_eq!(forbidden.code(), (403, "forbidden"));
    let refused = put(json!({ "status": "Delivered" }), &[]).await;
    assert_eq!(refused.code(), (409, "invalid_transition"));
    assert_eq!(refused.body["allowed"], json!(["Processing", "Cancelled"]));
    let stale = put(json!({ "status": "Processing" }), &[("if-match", "\"7\"")]).await;
    assert_eq!(stale.code(), (412, "stale_version"));
    let moved = put(
        json!({ "status": "Processing", "note": "packing" }),
        &[("if-match", "\"1\"")],
    )
    .await;
    assert_eq!((moved.status, moved.header("etag")), (200, "\"2\""));
    assert_eq!(moved.body["history"][1]["by"], format!("staff:{}", staff.0));
    for (body, pointer) in [
        (json!({ "status": "Gone" }), "/status"),
        (json!({ "status": { "$ne": 1 } }), "/status"),
        (json!({ "status": "Shipped", "total": 1 }), "/total"),
        (json!({ "status": "Shipped", "note": "" }), "/note"),
        (
            json!({ "status": "Shipped", "tracking": { "carrier": "UPS" } }),
            "/tracking/number",
        ),
        (
            json!({ "status": "Shipped", "tracking": { "carrier": "U", "number": "1", "url": "javascript:alert(1)" } }),
            "/tracking/url",
        ),
        (
            json!({ "status": "Cancelled", "tracking": { "carrier": "U", "number": "1" } }),
            "/tracking",
        ),
    ] {
        let refused = put(body, &[]).await;
        assert_eq!((refused.status, refused.pointer()), (422, pointer));
    }
    let tracking = json!({ "carrier": "UPS", "number": "1Z", "url": "https://ups.example/1Z" });
    let shipped = put(json!({ "status": "Shipped", "tracking": tracking }), &[]).await;
    assert_eq!(
        (shipped.status, &shipped.body["tracking"]),
        (200, &tracking)
    );
    let shown = call(
        buyer,
        Method::GET,
        path.trim_end_matches("/status"),
        &[],
        Value::Null,
    )
    .await;
    assert_eq!(shown.body["history"][1]["by"], "staff");
    assert_eq!(shown.body["history"][1]["note"], "packing");
    let unknown = format!("/api/orders/{}/status", OrderId::new());
    let missing = call(
        staff,
        Method::PUT,
        &unknown,
        &[],
        json!({ "status": "Shipped" }),
    )
    .await;
    assert_eq!(missing.code(), (404, "not_found"));
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_is_made_once_for_its_key_and_never_too_large() {
    let shop = shop().await;
    room!(shop, call);
    let staff = (UserId::new(), Role::Staff);
    let new = new_order(UserId::new());
    let order = shop.sell(&new).await;
    let path = format!("/api/orders/{}/refunds", order.id);
    let post = async |body: Value, key: &str| {
        call(
            staff,
            Method::POST,
            &path,
            &[("idempotency-key", key)],
            body,
        )
        .await
    };
    let wish = json!({ "reason": "one broke", "items": [
        { "variantId": new.items[0].variant, "quantity": 1, "restock": true } ] });
    let made = post(wish.clone(), "k1").await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.body["refund"]["status"], "Completed");
    assert_eq!(
        made.body["refund"]["amount"],
        json!({ "amount": 450, "currency": "USD" })
    );
    assert_eq!(made.body["order"]["payment"]["status"], "PartiallyRefunded");
    let again = post(wish, "k1").await;
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (201, "true")
    );
    assert_eq!(again.body, made.body);
    assert_eq!(shop.gateway.given_back(&new.payment.capture), 450);
    assert_eq!(shop.available(new.items[0].variant).await, 1);

    let money = |amount: i64, currency: &str| json!({ "amount": { "amount": amount, "currency": currency } });
    assert_eq!(
        post(money(5, "USD"), "k1").await.code(),
        (422, "idempotency_key_reused")
    );
    let large = post(money(551, "USD"), "k2").await;
    assert_eq!(large.code(), (409, "refund_too_large"));
    assert_eq!(large.body["left"]["amount"], 550);
    for (body, pointer) in [
        (money(5, "EUR"), "/amount/currency"),
        (money(0, "USD"), "/amount/amount"),
        (money(-5, "USD"), "/amount/amount"),
        (json!({ "items": [{ "quantity": 1 }] }), "/items/0"),
        (
            json!({ "items": [{ "lineId": order.id, "quantity": 1 }] }),
            "/items/0",
        ),
        (
            json!({ "items": [{ "lineId": "x", "quantity": 1 }] }),
            "/items/0/lineId",
        ),
        (
            json!({ "items": [{ "lineId": new.items[0].line, "quantity": 2 }] }),
            "/items/0/quantity",
        ),
        (
            json!({ "items": [{ "lineId": new.items[0].line, "quantity": 0 }] }),
            "/items/0/quantity",
        ),
        (json!({ "amuont": 1 }), "/amuont"),
    ] {
        let refused = post(body.clone(), &format!("k3 {body}")).await;
        assert_eq!(
            (refused.status, refused.pointer()),
            (422, pointer),
            "{body} {}",
            refused.body
        );
    }
    shop.gateway.set_mood(Mood::Refuses);
    assert_eq!(
        post(json!({}), "k4").await.code(),
        (502, "payment_provider_error")
    );
    shop.gateway.set_mood(Mood::Completes);
    let rest = post(json!({}), "k5").await;
    assert_eq!(
        (
            rest.status,
            &rest.body["order"]["payment"]["refunded"]["amount"]
        ),
        (201, &json!(1_000))
    );
    assert_eq!(
        post(json!({}), "k6").await.code(),
        (409, "refund_not_possible")
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_refund_that_is_not_decided_is_answered_as_pending() {
    let shop = shop().await;
    room!(shop, call);
    let order = shop.place(&new_order(UserId::new())).await;
    shop.gateway.set_mood(Mood::AnswerLost);
    let path = format!("/api/orders/{}/refunds", order.id);
    let made = call(
        (UserId::new(), Role::Admin),
        Method::POST,
        &path,
        &[],
        json!({}),
    )
    .await;
    assert_eq!(
        (made.status, &made.body["refund"]["status"]),
        (201, &json!("Pending"))
    );
    assert_eq!(made.body["order"]["payment"]["status"], "Completed");
    shop.close().await;
}

#[actix_web::test]
async fn the_summary_adds_up() {
    let shop = shop().await;
    room!(shop, call);
    let staff = (UserId::new(), Role::Staff);
    let empty = call(staff, Method::GET, "/api/admin/summary", &[], Value::Null).await;
    assert_eq!(
        (empty.status, &empty.body["conversionRate"]),
        (200, &Value::Null)
    );

    let [sent, given_back, denied] = [(); 3].map(|()| new_order(UserId::new()));
    for new in [&sent, &given_back] {
        shop.place(new).await;
    }
    let mut denied = denied;
    denied.payment.status = crate::orders::PaymentStatus::Pending;
    shop.place(&denied).await;
    let denial = crate::orders::PaymentStatus::Denied;
    shop.orders
        .payment_changed(&denied.payment.capture, denial)
        .await
        .unwrap();
    for status in ["Processing", "Shipped"] {
        let path = format!("/api/orders/{}/status", sent.id);
        let moved = call(staff, Method::PUT, &path, &[], json!({ "status": status })).await;
        assert_eq!(moved.status, StatusCode::OK.as_u16());
    }
    let path = format!("/api/orders/{}/refunds", given_back.id);
    call(staff, Method::POST, &path, &[], json!({})).await;
    let checkouts = shop
        .mongo
        .database()
        .collection::<bson::Document>("checkouts");
    for status in [
        "Completed",
        "Completed",
        "Completed",
        "Failed",
        "Expired",
        "AwaitingApproval",
        "Cancelled",
    ] {
        let number = OrderId::new().to_string();
        let checkout = doc! { "status": status, "number": number, "created_at": Timestamp::now() };
        checkouts.insert_one(checkout).await.unwrap();
    }
    let summary = call(staff, Method::GET, "/api/admin/summary", &[], Value::Null)
        .await
        .body;
    for (pointer, value) in [
        ("/orders", json!(3)),
        ("/byStatus/Shipped", json!(1)),
        ("/byStatus/Cancelled", json!(2)),
        ("/revenue/amount", json!(2_000)),
        ("/refunded/amount", json!(1_000)),
        ("/netRevenue/amount", json!(1_000)),
        ("/averageOrder/amount", json!(1_000)),
        ("/checkouts", json!(7)),
        ("/completedCheckouts", json!(3)),
        ("/conversionRate", json!(0.4285)),
        ("/paymentFailures", json!(2)),
        ("/fulfilmentTime/shipped", json!(1)),
        ("/fulfilmentTime/medianSeconds", json!(0)),
    ] {
        assert_eq!(
            summary.pointer(pointer),
            Some(&value),
            "{pointer} of {summary}"
        );
    }
    let past = "/api/admin/summary?from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z";
    let past = call(staff, Method::GET, past, &[], Value::Null).await.body;
    assert_eq!(
        (&past["orders"], &past["averageOrder"]),
        (&json!(0), &Value::Null)
    );
    for query in [
        "from=yesterday",
        "from=2020-02-01T00:00:00Z&to=2020-01-01T00:00:00Z",
    ] {
        let path = format!("/api/admin/summary?{query}");
        assert_eq!(
            call(staff, Method::GET, &path, &[], Value::Null)
                .await
                .pointer(),
            "/from"
        );
    }
    shop.close().await;
}
