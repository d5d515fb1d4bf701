//! Discount codes: staff make them, buyers enter them, what the cart shows is what is paid.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Setup, TestShop, checkout_of, eventually, usd};

async fn make(admin: &Client, body: Value) -> Value {
    let made = admin.post("/api/admin/discounts", &body).await;
    made.expect(201).body
}

async fn enter(buyer: &Client, code: &str) -> crate::support::Answer {
    buyer
        .post("/api/cart/discounts", &json!({ "code": code }))
        .await
}

async fn put_in(buyer: &Client, product: &Value, quantity: u32) -> Value {
    let line = json!({ "productId": product["id"], "quantity": quantity });
    buyer.post("/api/cart", &line).await.expect(200).body
}

async fn delete(client: &Client, path: &str) -> crate::support::Answer {
    client.send(client.request(Method::DELETE, path)).await
}

#[actix_web::test]
async fn staff_manage_codes_over_versions_and_customers_do_not() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let body = json!({ "code": "spring-10", "basisPoints": 1_000, "limit": 5 });
    buyer
        .post("/api/admin/discounts", &body)
        .await
        .expect_problem(403, "forbidden");
    let made = admin.post("/api/admin/discounts", &body).await.expect(201);
    assert_eq!(
        (made.header("etag"), made.header("location")),
        (Some("\"1\""), Some("/api/admin/discounts/SPRING-10"))
    );
    assert_eq!(
        (&made.body["code"], &made.body["used"], &made.body["active"]),
        (&json!("SPRING-10"), &json!(0), &json!(true))
    );
    admin
        .post("/api/admin/discounts", &body)
        .await
        .expect_problem(409, "discount_taken");
    for (wrong, pointer) in [
        (json!({ "code": "A" }), "/amount"),
        (
            json!({ "code": "A", "basisPoints": 1, "amount": usd(1) }),
            "/amount",
        ),
        (json!({ "basisPoints": 1 }), "/code"),
        (json!({ "code": "a b", "basisPoints": 1 }), "/code"),
        (
            json!({ "code": "A", "basisPoints": 10_001 }),
            "/basisPoints",
        ),
        (
            json!({ "code": "A", "basisPoints": 1, "limit": 0 }),
            "/limit",
        ),
        (json!({ "code": "A", "amount": usd(0) }), "/amount/amount"),
        (
            json!({ "code": "A", "amount": { "amount": 5, "currency": "EUR" } }),
            "/amount/currency",
        ),
        (json!({ "code": "A", "basisPoints": 1, "used": 0 }), "/used"),
        (
            json!({ "code": "A", "basisPoints": 1,
                "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z" }),
            "/endsAt",
        ),
    ] {
        let refused = admin.post("/api/admin/discounts", &wrong).await;
        let refused = refused.expect_problem(422, "validation_failed");
        assert_eq!(refused.pointers(), [pointer], "{wrong}");
    }
    let path = "/api/admin/discounts/SPRING-10";
    let next = json!({ "basisPoints": 2_000, "minimumSubtotal": usd(500) });
    let over = |version: &str| {
        let put = admin.request(Method::PUT, path).json(&next);
        admin.send(put.header("if-match", format!("\"{version}\"")))
    };
    over("2").await.expect_problem(412, "stale_version");
    assert_eq!(over("1").await.expect(200).body["version"], 2);
    let shown = admin.get(path).await.expect(200);
    assert_eq!(shown.body["minimumSubtotal"], usd(500));
    assert!(shown.body.get("limit").is_none());
    make(&admin, json!({ "code": "A", "amount": usd(300) })).await;
    let first = admin
        .get("/api/admin/discounts?limit=1")
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&first["items"][0]["code"], &first["total"]),
        (&json!("A"), &json!(2))
    );
    let cursor = first["nextCursor"].as_str().unwrap();
    let rest = admin
        .get(&format!("/api/admin/discounts?limit=1&cursor={cursor}"))
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&rest["items"][0]["code"], &rest["nextCursor"]),
        (&json!("SPRING-10"), &json!(null))
    );
    delete(&admin, path).await.expect(204);
    admin.get(path).await.expect_problem(404, "not_found");
}

#[actix_web::test]
async fn a_code_is_refused_with_its_reason_and_one_that_stops_applying_stays_with_a_notice() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 1_000, 50).await;
    make(
        &admin,
        json!({ "code": "OVER", "basisPoints": 1_000, "endsAt": "2020-01-01T00:00:00Z" }),
    )
    .await;
    make(
        &admin,
        json!({ "code": "SOON", "basisPoints": 1_000, "startsAt": "2120-01-01T00:00:00Z" }),
    )
    .await;
    make(
        &admin,
        json!({ "code": "OFF", "basisPoints": 1_000, "active": false }),
    )
    .await;
    make(
        &admin,
        json!({ "code": "BIG", "amount": usd(500), "minimumSubtotal": usd(2_000) }),
    )
    .await;
    put_in(&buyer, &mug, 1).await;
    for (code, status, problem) in [
        ("NONE", 422, "discount_unknown"),
        ("%00", 422, "discount_unknown"),
        ("OFF", 422, "discount_unknown"),
        ("OVER", 409, "discount_expired"),
        ("SOON", 409, "discount_not_started"),
    ] {
        let refused = enter(&buyer, code).await.expect_problem(status, problem);
        assert_eq!(refused.pointers(), ["/code"]);
    }
    // Over another version than the present nothing is judged.
    for code in ["NONE", "%00", "OVER"] {
        let stale = buyer.request(Method::POST, "/api/cart/discounts");
        let stale = stale.header("if-match", "\"9\"");
        let stale = buyer.send(stale.json(&json!({ "code": code }))).await;
        let stale = stale.expect_problem(412, "stale_version");
        assert_eq!(stale.body["cart"]["version"], 1);
    }
    let short = enter(&buyer, "big")
        .await
        .expect_problem(409, "discount_minimum");
    assert_eq!(short.body["minimumSubtotal"], usd(2_000));
    let cart = put_in(&buyer, &mug, 1).await;
    let line = format!("/api/cart/{}", cart["items"][0]["id"].as_str().unwrap());
    let cart = enter(&buyer, "big").await.expect(200);
    assert_eq!(
        cart.body["discounts"],
        json!([{ "code": "BIG", "amount": usd(500) }])
    );
    assert_eq!(
        (&cart.body["discountTotal"], &cart.body["total"]),
        (&usd(500), &usd(1_500))
    );
    // What is shown may change without the cart: it is not to be kept.
    assert_eq!(cart.header("cache-control"), Some("no-store"));
    let cart = buyer
        .put(&line, &json!({ "quantity": 1 }))
        .await
        .expect(200)
        .body;
    assert_eq!(
        cart["discounts"],
        json!([{ "code": "BIG", "amount": usd(0), "notice": "minimum", "minimumSubtotal": usd(2_000) }])
    );
    assert_eq!(cart["total"], usd(1_000));
    let cart = buyer
        .put(&line, &json!({ "quantity": 3 }))
        .await
        .expect(200)
        .body;
    assert_eq!(cart["total"], usd(2_500));
    admin
        .put("/api/admin/discounts/BIG", &json!({ "amount": usd(700) }))
        .await
        .expect(200);
    assert_eq!(buyer.get("/api/cart").await.body["total"], usd(2_300));
    let cart = delete(&buyer, "/api/cart/discounts/big")
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&cart["discounts"], &cart["total"]),
        (&json!([]), &usd(3_000))
    );
    delete(&buyer, "/api/cart/discounts/BIG").await.expect(404);
}

#[actix_web::test]
async fn a_guest_s_codes_come_along_and_what_the_cart_shows_is_charged_to_the_cent() {
    let shop = Setup::default()
        .simulator("--webhook-delay-ms=60000")
        .start()
        .await;
    let admin = shop.admin().await;
    let mug = shop.product(&admin, "MUG", 1_005, 50).await;
    make(&admin, json!({ "code": "THREE", "amount": usd(300) })).await;
    make(
        &admin,
        json!({ "code": "TENTH", "basisPoints": 1_000, "limitPerUser": 1 }),
    )
    .await;
    let mut guest = shop.guest();
    put_in(&guest, &mug, 1).await;
    enter(&guest, "TENTH").await.expect(200);
    let cart = enter(&guest, "THREE").await.expect(200).body;
    let both =
        json!([{ "code": "TENTH", "amount": usd(71) }, { "code": "THREE", "amount": usd(300) }]);
    assert_eq!((&cart["discounts"], &cart["total"]), (&both, &usd(634)));
    let person = json!({ "email": "guest@example.com", "password": "correct horse battery" });
    let signed = guest.post("/api/auth/register", &person).await.expect(201);
    guest.sign_in_as(signed.body["accessToken"].as_str().unwrap());
    let cart = guest.get("/api/cart").await.expect(200).body;
    assert_eq!((&cart["discounts"], &cart["total"]), (&both, &usd(634)));
    let mut wish = checkout_of(&cart);
    wish["shippingAddress"]["region"] = json!("CA");
    let checkout = guest
        .post("/api/payment/checkout", &wish)
        .await
        .expect(201)
        .body;
    // (10.05 - 3.71 + 4.99) and 7.25 % of that.
    assert_eq!(
        (
            &checkout["discounts"],
            &checkout["discountTotal"],
            &checkout["tax"],
            &checkout["total"]
        ),
        (&both, &usd(371), &usd(82), &usd(1_215))
    );
    shop.approve(&checkout).await;
    let order = guest
        .post("/api/orders", &json!({ "checkoutId": checkout["id"] }))
        .await;
    assert!(matches!(order.status, 200 | 201), "{order:?}");
    assert_eq!(
        (&order.body["discountTotal"], &order.body["total"]),
        (&usd(371), &usd(1_215))
    );
    assert_eq!(shop.journal("capture").await[0]["amount"], "12.15");
    let counted = eventually("the uses to be counted", || async {
        let tenth = admin.get("/api/admin/discounts/TENTH").await.body;
        (tenth["used"] == 1 && tenth["claimed"] == 0).then_some(tenth)
    });
    counted.await;
    // Once a buyer: the same one is told so, another one is welcome.
    put_in(&guest, &mug, 1).await;
    enter(&guest, "TENTH")
        .await
        .expect_problem(409, "discount_used_before");
    let other = shop.customer().await;
    put_in(&other, &mug, 1).await;
    enter(&other, "TENTH").await.expect(200);
    delete(&admin, "/api/admin/discounts/TENTH")
        .await
        .expect_problem(409, "discount_in_use");
}

#[actix_web::test]
async fn a_use_is_given_back_when_its_checkout_ends_without_an_order() {
    let shop = TestShop::start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 1_000, 50).await;
    make(
        &admin,
        json!({ "code": "ONCE", "amount": usd(100), "limit": 1, "limitPerUser": 1 }),
    )
    .await;
    put_in(&buyer, &mug, 1).await;
    let cart = enter(&buyer, "ONCE").await.expect(200).body;
    let first = buyer
        .post("/api/payment/checkout", &checkout_of(&cart))
        .await
        .expect(201)
        .body;
    let claimed = async || admin.get("/api/admin/discounts/ONCE").await.body["claimed"].clone();
    assert_eq!(claimed().await, 1);
    // Theirs still: whoever goes back from PayPal and begins anew has not used it up.
    let seen = buyer.get("/api/cart").await.body;
    assert_eq!(seen["total"], usd(900));
    let again = buyer
        .post("/api/payment/checkout", &checkout_of(&seen))
        .await
        .expect(201)
        .body;
    assert_ne!(first["id"], again["id"]);
    assert_eq!(claimed().await, 1);
    let rival = shop.customer().await;
    put_in(&rival, &mug, 1).await;
    enter(&rival, "ONCE")
        .await
        .expect_problem(409, "discount_used_up");
    let cancel = format!(
        "/api/payment/checkout/{}/cancel",
        again["id"].as_str().unwrap()
    );
    buyer.post(&cancel, &json!(null)).await.expect(200);
    assert_eq!(claimed().await, 0);
    let cart = enter(&rival, "ONCE").await.expect(200).body;
    rival
        .post("/api/payment/checkout", &checkout_of(&cart))
        .await
        .expect(201);
    // Gone for the first buyer: the code stays in the cart and says why.
    let cart = buyer.get("/api/cart").await.body;
    assert_eq!(
        (&cart["discounts"][0]["notice"], &cart["total"]),
        (&json!("used_up"), &usd(1_000))
    );
}

#[actix_web::test]
async fn a_cart_that_costs_nothing_is_not_sent_to_paypal() {
    let shipping = "[[store.shipping]]\nid = \"standard\"\nname = \"Pick up\"\ncountries = [\"*\"]\n\
        price = 0\nfree_from = 0\ndays_min = 1\ndays_max = 1\n";
    let shop = Setup::default().configured(shipping).start().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 6_000, 50).await;
    make(&admin, json!({ "code": "ALL", "basisPoints": 10_000 })).await;
    put_in(&buyer, &mug, 1).await;
    let cart = enter(&buyer, "ALL").await.expect(200).body;
    assert_eq!(cart["total"], usd(0));
    buyer
        .post("/api/payment/checkout", &checkout_of(&cart))
        .await
        .expect_problem(409, "nothing_to_pay");
    let cart = delete(&buyer, "/api/cart/discounts/ALL")
        .await
        .expect(200)
        .body;
    buyer
        .post("/api/payment/checkout", &checkout_of(&cart))
        .await
        .expect(201);
}

#[actix_web::test]
async fn a_shop_in_forints_takes_whole_forints_only() {
    let shipping = "[[store.shipping]]\nid = \"standard\"\nname = \"Post\"\ncountries = [\"*\"]\n\
        price = 99000\nfree_from = 0\ndays_min = 1\ndays_max = 1\n\
        [[store.tax]]\ncountry = \"US\"\nbasis_points = 2700\n";
    let shop = Setup::default()
        .configured(shipping)
        .with("STORE__CURRENCY", "HUF")
        .start()
        .await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let huf = |amount: i64| json!({ "amount": amount, "currency": "HUF" });
    let mut mug = json!({ "sku": "MUG", "title": "Mug", "price": huf(149_950), "status": "active",
        "stock": { "onHand": 5 } });
    let refused = admin.post("/api/products", &mug).await;
    let refused = refused.expect_problem(422, "validation_failed");
    assert_eq!(refused.pointers(), ["/price/amount"]);
    mug["price"] = huf(149_900);
    let mug = admin.post("/api/products", &mug).await.expect(201).body;
    let cents = json!({ "code": "CENTS", "amount": huf(50) });
    let refused = admin.post("/api/admin/discounts", &cents).await;
    assert_eq!(
        refused.expect_problem(422, "validation_failed").pointers(),
        ["/amount/amount"]
    );
    make(&admin, json!({ "code": "TENTH", "basisPoints": 1_000 })).await;
    put_in(&buyer, &mug, 1).await;
    let cart = enter(&buyer, "TENTH").await.expect(200).body;
    // 149.90 forints off, and 27 % of 2,339 on: both rounded to whole forints.
    assert_eq!(
        (&cart["discountTotal"], &cart["total"]),
        (&huf(15_000), &huf(134_900))
    );
    let checkout = buyer
        .post("/api/payment/checkout", &checkout_of(&cart))
        .await
        .expect(201)
        .body;
    assert_eq!(
        (&checkout["tax"], &checkout["total"]),
        (&huf(63_200), &huf(297_100))
    );
    shop.approve(&checkout).await;
    let wish = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &wish).await;
    assert!(matches!(order.status, 200 | 201), "{order:?}");
    assert_eq!(shop.journal("capture").await[0]["amount"], "2971");
    let refunds = format!("/api/orders/{}/refunds", order.body["id"].as_str().unwrap());
    let cents = json!({ "amount": huf(150) });
    let refused = admin.post(&refunds, &cents).await;
    assert_eq!(
        refused.expect_problem(422, "validation_failed").pointers(),
        ["/amount/amount"]
    );
    admin
        .post(&refunds, &json!({ "amount": huf(100) }))
        .await
        .expect(201);
    assert_eq!(shop.journal("refund").await[0]["amount"], "1");
}
