use std::{collections::HashMap, path::Path};

use actix_web::{
    App,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    http::{Method, StatusCode, header::HeaderMap},
    test::{TestRequest, call_service, init_service},
    web,
};
use bson::doc;
use serde_json::{Value, json};

use crate::{
    accounts::{self, Accounts, Email, NewPassword, Role, Tokens},
    checkout,
    clock::Timestamp,
    config::{self, Config},
    id::{OrderId, SessionId, UserId},
    idempotency::{self, Idempotency},
    orders::testing::{Mood, TestShop, new_order},
};

fn config() -> Config {
    let settings = [
        (
            "BODEGA__AUTH__JWT_SECRET",
            "a secret of the tests, 32 bytes and more",
        ),
        ("BODEGA__AUTH__BCRYPT_COST", "4"),
        ("BODEGA__PAYPAL__CLIENT_ID", "id"),
        ("BODEGA__PAYPAL__CLIENT_SECRET", "secret"),
        ("BODEGA__PAYPAL__WEBHOOK_ID", "WH-1"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    config::load_from(Path::new("no-such-folder"), HashMap::from(settings)).unwrap()
}

/// An answer, read.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    fn pointer(&self) -> &str {
        self.body["errors"][0]["pointer"]
            .as_str()
            .unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Calls the room's handlers as somebody.
macro_rules! room {
    ($shop:ident, $call:ident) => {
        let config = config();
        let tokens = Tokens::new(&config.auth);
        let app = App::new()
            .app_data(web::Data::new($shop.orders.clone()))
            .app_data(web::Data::new($shop.refunds.clone()))
            .app_data(web::Data::new(Idempotency::new(&$shop.mongo)))
            .app_data(web::Data::new(Accounts::new(
                &$shop.mongo,
                &tokens,
                &config.auth,
            )))
            .app_data(web::Data::new(tokens.clone()))
            .app_data(web::Data::new(config))
            .configure(|app| {
                let mut table = utoipa_actix_web::service_config::ServiceConfig::new(app);
                super::routes(&mut table);
            });
        let app = init_service(app).await;
        let $call = async |user: (UserId, Role),
                           method: Method,
                           path: &str,
                           headers: &[(&str, &str)],
                           body: Value| {
            let token = tokens.sign(user.0, SessionId::new(), user.1).unwrap();
            let mut request = TestRequest::with_uri(path)
                .method(method)
                .insert_header(("authorization", format!("Bearer {token}")));
            for header in headers {
                request = request.insert_header(*header);
            }
            if !body.is_null() {
                request = request.set_json(body);
            }
            answer(&app, request).await
        };
    };
}

async fn answer<S, B>(app: &S, request: TestRequest) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    let response = call_service(app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = actix_web::test::read_body(response).await;
    Answer {
        status: status.as_u16(),
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

async fn shop() -> TestShop {
    // The users and checkouts that staff ask about stand in other rooms' collections.
    let others = [
        idempotency::collections(),
        accounts::collections(),
        checkout::collections(),
    ];
    TestShop::open(others.concat()).await
}

#[actix_web::test]
async fn a_buyer_sees_own_orders_only() {
    let shop = shop().await;
    room!(shop, call);
    let (buyer, other) = (
        (UserId::new(), Role::Customer),
        (UserId::new(), Role::Customer),
    );
    let staff = (UserId::new(), Role::Staff);
    let order = shop.place(&new_order(buyer.0)).await;
    let path = format!("/api/orders/{}", order.id);
    let mine = call(buyer, Method::GET, &path, &[], Value::Null).await;
    assert_eq!((mine.status, mine.header("etag")), (200, "\"1\""));
    assert_eq!(mine.body["payment"]["provider"], "paypal");
    assert_eq!(mine.body["history"][0]["by"], "system");
    assert_eq!(mine.body.get("userId"), None);
    assert_eq!(mine.header("cache-control"), "no-store");
    let known = [("if-none-match", "\"1\"")];
    let same = call(buyer, Method::GET, &path, &known, Value::Null).await;
    assert_eq!(
        (same.status, same.header("cache-control")),
        (304, "no-store")
    );
    let theirs = call(other, Method::GET, &path, &[], Value::Null).await;
    assert_eq!(theirs.code(), (404, "not_found"));
    let seen = call(staff, Method::GET, &path, &[], Value::Null).await;
    assert_eq!(seen.body["userId"], json!(buyer.0));
    let none = call(other, Method::GET, "/api/orders", &[], Value::Null).await;
    assert_eq!(
        none.body,
        json!({ "items": [], "nextCursor": null, "total": 0 })
    );
    for path in ["/api/admin/orders", "/api/admin/summary"] {
        assert_eq!(
            call(buyer, Method::GET, path, &[], Value::Null)
                .await
                .code(),
            (403, "forbidden")
        );
    }
    shop.close().await;
}

#[actix_web::test]
async fn lists_come_in_pages_newest_first() {
    let shop = shop().await;
    room!(shop, call);
    let buyer = (UserId::new(), Role::Customer);
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(json!(shop.place(&new_order(buyer.0)).await.id));
    }
    placed.reverse();
    let mut seen = Vec::new();
    let mut path = "/api/orders?limit=2".to_owned();
    loop {
        let page = call(buyer, Method::GET, &path, &[], Value::Null).await.body;
        assert_eq!(page["total"], 5);
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|order| order["id"].clone()),
        );
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        path = format!("/api/orders?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, placed);
    let foreign = path.replace("/api/orders", "/api/admin/orders");
    let staff = (UserId::new(), Role::Staff);
    assert_eq!(
        call(staff, Method::GET, &foreign, &[], Value::Null)
            .await
            .pointer(),
        "/cursor"
    );
    for (query, pointer) in [
        ("status=Lost", "/status"),
        ("limit=0", "/limit"),
        ("cursor=x", "/cursor"),
        ("stauts=Pending", "/stauts"),
    ] {
        let refused = call(
            buyer,
            Method::GET,
            &format!("/api/orders?{query}"),
            &[],
            Value::Null,
        )
        .await;
        assert_eq!(
            (refused.status, refused.pointer()),
            (422, pointer),
            "{query}"
        );
    }
    let shipped = call(
        buyer,
        Method::GET,
        "/api/orders?status=Shipped",
        &[],
        Value::Null,
    )
    .await;
    assert_eq!(shipped.body["total"], 0);
    for (query, total) in [
        ("q=lovelace", 5),
        ("q=nobody", 0),
        ("from=2999-01-01T00:00:00Z", 0),
    ] {
        let path = format!("/api/admin/orders?{query}");
        assert_eq!(
            call(staff, Method::GET, &path, &[], Value::Null).await.body["total"],
            total
        );
    }
    shop.close().await;
}

#[actix_web::test]
async fn staff_find_orders_by_whatever_names_them() {
    let shop = shop().await;
    room!(shop, call);
    let numbered = |number: &str| crate::orders::NewOrder {
        number: number.into(),
        ..new_order(UserId::new())
    };
    let order = shop.place(&numbered("7QK2-M0PX-3V9A")).await;
    shop.place(&numbered("7QK2-M0PY-3V9A")).await;
    let staff = (UserId::new(), Role::Staff);
    let id = order.id.to_string();
    let capture = order.payment.capture.as_str();
    for (q, total) in [
        (id.as_str(), 1),
        (&id.to_uppercase(), 1),
        (&id[..23], 0),
        (capture, 1),
        (&capture.to_lowercase(), 1),
        ("7QK2-M0PX-3V9A", 1),
        ("7qk2m0px3v9a", 1),
        ("7QK2M0P", 2),
        ("7QK2", 2),
        ("7QK2M0PZ", 0),
        (&format!("{id}+lovelace"), 1),
    ] {
        let path = format!("/api/admin/orders?q={q}");
        let found = call(staff, Method::GET, &path, &[], Value::Null).await;
        assert_eq!(
            (found.status, &found.body["total"]),
            (200, &json!(total)),
            "{q}"
        );
    }
    let refused = call(
        staff,
        Method::GET,
        "/api/admin/orders?q=%00",
        &[],
        Value::Null,
    )
    .await;
    assert_eq!((refused.status, refused.pointer()), (422, "/q"));
    shop.close().await;
}

#[actix_web::test]
async fn staff_find_orders_by_the_buyers_email() {
    let shop = shop().await;
    room!(shop, call);
    let auth = config().auth;
    let accounts = Accounts::new(&shop.mongo, &Tokens::new(&auth), &auth);
    let email = Email::parse("ada@example.com").unwrap();
    let password = NewPassword::new("correct horse battery staple");
    let ada = accounts
        .create_user(email, &password, Role::Customer, None)
        .await
        .unwrap();
    let order = shop.place(&new_order(ada.id)).await;
    shop.place(&new_order(UserId::new())).await;
    let staff = (UserId::new(), Role::Staff);
    for (q, total) in [("Ada@Example.com", 1), ("eve@example.com", 0)] {
        let path = format!("/api/admin/orders?q={q}");
        let found = call(staff, Method::GET, &path, &[], Value::Null).await.body;
        assert_eq!(found["total"], total, "{q}");
        if total == 1 {
            assert_eq!(found["items"][0]["id"], json!(order.id));
        }
    }
    shop.close().await;
}

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
