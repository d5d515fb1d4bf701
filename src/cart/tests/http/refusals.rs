//! Bad input, limits and overload.

use super::*;

#[actix_web::test]
async fn bad_input_is_named_and_changes_nothing() {
    let mugs = two_mugs();
    let shop = counter(&mugs, &[]).await;
    let user = shop.user();
    let auth = ("authorization", user.as_str());
    let (product, variant) = (mugs[0].product, mugs[0].variant);
    let good = json!({"productId": product, "variantId": variant, "quantity": 1});
    let added = shop.post(&[auth], &good).await.expect(200);
    let with = |name: &str, value: &str| {
        let mut fields = json!({"productId": product, "variantId": variant, "quantity": 1});
        fields.as_object_mut().unwrap().remove(name);
        let rest = fields.to_string();
        format!("{},\"{name}\":{value}}}", rest.trim_end_matches('}'))
    };
    let many = |n: usize| {
        let pairs: Vec<_> = (0..n).map(|i| format!("\"o{i}\":\"\"")).collect();
        format!("{{{}}}", pairs.join(","))
    };
    let id = |id: String| format!("\"{id}\"");
    let cases = [
        (with("quantity", "0"), "/quantity", "range"),
        (with("quantity", "-1"), "/quantity", "range"),
        (with("quantity", "1000"), "/quantity", "range"),
        (with("quantity", "999"), "/quantity", "range"),
        (with("quantity", "4294967296"), "/quantity", "range"),
        (with("quantity", "1.5"), "/quantity", "invalid_type"),
        (with("quantity", "1e9"), "/quantity", "invalid_type"),
        (with("quantity", "\"1\""), "/quantity", "invalid_type"),
        (with("quantity", "\"１\""), "/quantity", "invalid_type"),
        (with("quantity", "null"), "/quantity", "invalid_type"),
        (with("quantity", "{\"$gt\":0}"), "/quantity", "invalid_type"),
        (with("quantity", "[1]"), "/quantity", "invalid_type"),
        (with("price", "1"), "/price", "unknown_field"),
        (
            with("unitPrice", "{\"amount\":1,\"currency\":\"USD\"}"),
            "/unitPrice",
            "unknown_field",
        ),
        (with("$set", "1"), "/$set", "unknown_field"),
        (with("productId", "\"x\""), "/productId", "invalid"),
        (
            with("productId", "{\"$ne\":null}"),
            "/productId",
            "invalid_type",
        ),
        (
            with("productId", &id(ProductId::new().to_string())),
            "/productId",
            "unknown_product",
        ),
        (
            with("variantId", &id(VariantId::new().to_string())),
            "/variantId",
            "unknown_variant",
        ),
        (with("variantId", "null"), "/variantId", "required"),
        (with("options", "{\"a\":1}"), "/options/a", "invalid_type"),
        (
            with("options", "{\"a\":{\"$gt\":\"\"}}"),
            "/options/a",
            "invalid_type",
        ),
        (
            with("options", "{\"a\\u0000\":\"\"}"),
            "/options/a\u{0}",
            "control_character",
        ),
        (with("options", "{\"\":\"\"}"), "/options/", "length"),
        (
            with("options", "{\"color\":\"white\"}"),
            "/options/color",
            "contradicts_variant",
        ),
        (with("options", &many(21)), "/options", "length"),
    ];
    for (body, pointer, code) in &cases {
        let refused = shop
            .send("POST", "/api/cart", &[auth], Some(body))
            .await
            .expect(422);
        assert_eq!(refused.fault(), (*pointer, *code), "{body}");
    }
    let path = format!(
        "/api/cart/{}",
        added.body["items"][0]["id"].as_str().unwrap()
    );
    for (body, pointer, code) in [
        ("{}", "", "required"),
        (r#"{"quantity":-1}"#, "/quantity", "range"),
        (r#"{"quantity":1000}"#, "/quantity", "range"),
        (r#"{"quantity":1.5}"#, "/quantity", "invalid_type"),
        (
            r#"{"quantity":1,"unitPrice":1}"#,
            "/unitPrice",
            "unknown_field",
        ),
        (r#"{"quantity":1,"version":9}"#, "/version", "unknown_field"),
        (r#"{"quantity":{"$inc":1}}"#, "/quantity", "invalid_type"),
    ] {
        let refused = shop
            .send("PUT", &path, &[auth], Some(body))
            .await
            .expect(422);
        assert_eq!(refused.fault(), (pointer, code), "{body}");
    }
    let by_place = format!("[\"{product}\",\"{variant}\",1,null]");
    let refused = shop
        .send("POST", "/api/cart", &[auth], Some(&by_place))
        .await;
    assert_eq!(refused.expect(422).fault(), ("", "invalid_type"));
    for body in ["", "{", "nul", "tru"] {
        shop.send("POST", "/api/cart", &[auth], Some(body))
            .await
            .expect(400);
    }
    let plain = [auth, ("content-type", "text/plain")];
    shop.send("POST", "/api/cart", &plain, None)
        .await
        .expect(415);
    let cart = shop
        .send("GET", "/api/cart", &[auth], None)
        .await
        .expect(200);
    assert_eq!(cart.body, added.body, "nothing was written");
    shop.close().await;
}

#[actix_web::test]
async fn a_full_cart_an_unsaleable_product_and_a_code_are_refused() {
    let offers: Vec<_> = (0..201).map(offer).collect();
    let withdrawn = Offer {
        on_sale: false,
        ..offer(7)
    };
    let shop = counter(&offers, &[]).await;
    shop.shelves.put(withdrawn.clone());
    let user = shop.user();
    let auth = ("authorization", user.as_str());
    for offer in &offers[..200] {
        shop.post(&[auth], &json!({"productId": offer.product, "quantity": 1}))
            .await
            .expect(200);
    }
    let full = shop
        .post(
            &[auth],
            &json!({"productId": offers[200].product, "quantity": 1}),
        )
        .await;
    assert_eq!(full.expect(409).body["code"], "cart_full");
    let off = shop
        .post(
            &[auth],
            &json!({"productId": withdrawn.product, "quantity": 1}),
        )
        .await;
    assert_eq!(off.expect(422).fault(), ("/productId", "unavailable"));
    for headers in [vec![auth], vec![]] {
        let code = shop.send(
            "POST",
            "/api/cart/discounts",
            &headers,
            Some(r#"{"code":"SPRING"}"#),
        );
        let refused = code.await.expect(422);
        assert_eq!(
            (&refused.body["code"], refused.fault()),
            (&json!("discount_unknown"), ("/code", "unknown_code"))
        );
        assert_eq!(refused.header("set-cookie"), "", "no cart is made for it");
        shop.send("DELETE", "/api/cart/discounts/SPRING", &headers, None)
            .await
            .expect(404);
    }
    let empty = shop
        .send(
            "POST",
            "/api/cart/discounts",
            &[auth],
            Some(r#"{"code":""}"#),
        )
        .await;
    assert_eq!(empty.expect(422).fault(), ("/code", "length"));
    shop.close().await;
}

#[actix_web::test]
async fn too_much_at_once_is_busy_with_a_time_to_come_again() {
    let mug = offer(1_250);
    let shop = counter(
        std::slice::from_ref(&mug),
        &[("BODEGA__CART__MAX_WAITING", "2")],
    )
    .await;
    let user = shop.user();
    let auth = [("authorization", user.as_str())];
    let add = json!({"productId": mug.product, "quantity": 1});
    let answers = futures_util::future::join_all((0..20).map(|_| shop.post(&auth, &add))).await;
    let (taken, busy): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|a| a.status == StatusCode::OK);
    assert!(!taken.is_empty() && !busy.is_empty());
    for answer in busy {
        let answer = answer.expect(503);
        assert_eq!(
            (&answer.body["code"], answer.header("retry-after")),
            (&json!("busy"), "1")
        );
    }
    let cart = shop.send("GET", "/api/cart", &auth, None).await.expect(200);
    assert_eq!(
        cart.body["version"].as_u64(),
        u64::try_from(taken.len()).ok()
    );
    shop.close().await;
}
