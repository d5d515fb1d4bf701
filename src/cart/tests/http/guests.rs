//! Guests, their tokens, and users.

use super::*;

#[actix_web::test]
async fn a_guest_without_a_cart_is_shown_an_empty_one_and_gets_one_with_the_first_line() {
    let mug = offer(1_250);
    let shop = counter(std::slice::from_ref(&mug), &[]).await;
    let nothing = shop.send("GET", "/api/cart", &[], None).await.expect(200);
    assert_eq!(
        nothing.body,
        json!({
            "id": null, "version": 0, "items": [], "subtotal": {"amount": 0, "currency": "USD"},
            "discounts": [], "discountTotal": {"amount": 0, "currency": "USD"},
            "total": {"amount": 0, "currency": "USD"}, "currency": "USD", "itemCount": 0, "updatedAt": null,
        })
    );
    assert_eq!(
        (nothing.header("etag"), nothing.header("set-cookie")),
        ("\"0\"", "")
    );
    shop.send("DELETE", "/api/cart", &[], None)
        .await
        .expect(200);

    let added = shop
        .post(&[], &json!({"productId": mug.product, "quantity": 2}))
        .await
        .expect(200);
    let token = added.header("x-cart-token").to_owned();
    let cookie = added.header("set-cookie").to_owned();
    assert!(
        cookie.starts_with(&format!("bodega_cart={token}; ")),
        "{cookie}"
    );
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"));
    let line = &added.body["items"][0];
    assert_eq!(added.header("etag"), "\"1\"");
    assert_eq!(
        *line,
        json!({
            "id": line["id"], "productId": mug.product, "variantId": mug.variant, "sku": mug.sku,
            "title": mug.title, "options": {"color": "black"}, "quantity": 2,
            "unitPrice": {"amount": 1250, "currency": "USD"},
            "lineTotal": {"amount": 2500, "currency": "USD"}, "available": 50, "notices": [],
        })
    );
    assert_eq!(added.body["total"]["amount"], 2500);

    let held = format!("bodega_cart={token}");
    for header in [("x-cart-token", token.as_str()), ("cookie", held.as_str())] {
        let shown = shop
            .send("GET", "/api/cart", &[header], None)
            .await
            .expect(200);
        assert_eq!(shown.body, added.body);
    }
    let again = shop
        .post(
            &[("cookie", &held)],
            &json!({"productId": mug.product, "quantity": 1}),
        )
        .await
        .expect(200);
    assert_eq!(
        (
            again.body["itemCount"].as_u64(),
            again.header("x-cart-token")
        ),
        (Some(3), "")
    );
    assert!(
        again.header("set-cookie").contains(&token),
        "its life begins anew"
    );
    shop.close().await;
}

#[actix_web::test]
async fn the_cookie_is_secure_where_the_shop_is() {
    let mug = offer(1_250);
    let https = [("BODEGA__SERVER__PUBLIC_URL", "https://shop.example")];
    let shop = counter(std::slice::from_ref(&mug), &https).await;
    let added = shop
        .post(&[], &json!({"productId": mug.product, "quantity": 1}))
        .await
        .expect(200);
    assert!(added.header("set-cookie").contains("; Secure"));
    shop.close().await;
}

#[actix_web::test]
async fn a_foreign_or_broken_token_counts_as_none() {
    let mug = offer(1_250);
    let shop = counter(std::slice::from_ref(&mug), &[]).await;
    let add = json!({"productId": mug.product, "quantity": 1});
    let mine = shop.post(&[], &add).await.expect(200);
    let mine = mine.header("x-cart-token").to_owned();
    let other = shop.post(&[], &add).await.expect(200);
    let other = other.header("x-cart-token").to_owned();
    let forged = format!(
        "{}.{}",
        mine.split_once('.').unwrap().0,
        other.split_once('.').unwrap().1
    );
    for token in [
        forged.as_str(),
        "x",
        "a.b",
        "{\"$ne\":1}",
        "662e41f09c1d4c3a8f0b7a11.AAAA",
    ] {
        let shown = shop
            .send("GET", "/api/cart", &[("x-cart-token", token)], None)
            .await
            .expect(200);
        assert_eq!(shown.body["id"], Value::Null);
        let added = shop
            .post(&[("x-cart-token", token)], &add)
            .await
            .expect(200);
        assert_eq!(added.body["itemCount"], 1);
        assert!(
            !added.header("x-cart-token").is_empty(),
            "a cart of its own"
        );
        let path = format!("/api/cart/{}", LineId::new());
        shop.send("DELETE", &path, &[("x-cart-token", token)], None)
            .await
            .expect(404);
        // To empty what is not there changes nothing, and heeds the version all the same.
        let clear = async |headers: &[(&str, &str)]| {
            let all = [&[("x-cart-token", token)], headers].concat();
            shop.send("DELETE", "/api/cart", &all, None).await
        };
        for agreed in [&[][..], &[("if-match", "\"0\"")], &[("if-match", "*")]] {
            let cleared = clear(agreed).await.expect(200);
            assert_eq!(
                (&cleared.body["id"], cleared.header("etag")),
                (&Value::Null, "\"0\"")
            );
        }
        let stale = clear(&[("if-match", "\"5\"")]).await.expect(412);
        assert_eq!(stale.body["code"], "stale_version");
        assert_eq!(stale.body["cart"]["version"], 0);
    }
    let stale = shop.send("DELETE", "/api/cart", &[("if-match", "\"5\"")], None);
    assert_eq!(stale.await.expect(412).body["cart"]["items"], json!([]));
    let shown = shop
        .send("GET", "/api/cart", &[("x-cart-token", &mine)], None)
        .await;
    assert_eq!(shown.body["itemCount"], 1, "mine is as it was");
    shop.close().await;
}

#[actix_web::test]
async fn a_user_has_one_cart_and_the_guest_s_token_beside_it_counts_for_nothing() {
    let mug = offer(1_250);
    let shop = counter(std::slice::from_ref(&mug), &[]).await;
    let add = json!({"productId": mug.product, "quantity": 1});
    let guest = shop.post(&[], &add).await.expect(200);
    let token = guest.header("x-cart-token").to_owned();
    let user = shop.user();
    let both = [
        ("authorization", user.as_str()),
        ("x-cart-token", token.as_str()),
    ];
    let empty = shop.send("GET", "/api/cart", &both, None).await.expect(200);
    assert_eq!(empty.body["itemCount"], 0);
    assert!(empty.body["id"].is_string());
    let added = shop.post(&both, &add).await.expect(200);
    assert_eq!(
        (&added.body["id"], added.header("set-cookie")),
        (&empty.body["id"], "")
    );
    assert_eq!(added.body["itemCount"], 1);
    shop.send("GET", "/api/cart", &[("authorization", "Bearer x")], None)
        .await
        .expect(401);
    shop.close().await;
}
