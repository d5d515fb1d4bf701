//! Lists, and what staff find by words.

use super::*;

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
