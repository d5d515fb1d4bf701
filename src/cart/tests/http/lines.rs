//! Lines over versions, and what a tag confirms.

use super::*;

#[actix_web::test]
async fn lines_are_set_and_removed_over_the_version_that_was_seen() {
    let mugs = two_mugs();
    let shop = counter(&mugs, &[]).await;
    let user = shop.user();
    let auth = ("authorization", user.as_str());
    for mug in &mugs {
        let add = json!({"productId": mug.product, "variantId": mug.variant, "quantity": 1});
        shop.post(&[auth], &add).await.expect(200);
    }
    let cart = shop
        .send("GET", "/api/cart", &[auth], None)
        .await
        .expect(200);
    let id = |index: usize| {
        format!(
            "/api/cart/{}",
            cart.body["items"][index]["id"].as_str().unwrap()
        )
    };
    let set = shop
        .send(
            "PUT",
            &id(0),
            &[auth, ("if-match", "\"2\"")],
            Some(r#"{"quantity":5}"#),
        )
        .await
        .expect(200);
    assert_eq!(
        (set.header("etag"), set.body["itemCount"].as_u64()),
        ("\"3\"", Some(6))
    );
    for (method, path, body) in [
        ("PUT", id(0), Some(r#"{"quantity":9}"#)),
        ("DELETE", id(0), None),
        ("DELETE", "/api/cart".to_owned(), None),
    ] {
        for tag in ["\"2\"", "2", "\"x\"", "W/\"3\""] {
            let stale = shop
                .send(method, &path, &[auth, ("if-match", tag)], body)
                .await
                .expect(412);
            assert_eq!(stale.body["code"], "stale_version");
            assert_eq!(stale.body["cart"], set.body);
        }
    }
    let named = shop
        .send(
            "PUT",
            &id(0),
            &[auth],
            Some(r#"{"options":{"engraving":"Zoë","color":"black"}}"#),
        )
        .await
        .expect(200);
    let options = &named.body["items"][0]["options"];
    assert_eq!(*options, json!({"color": "black", "engraving": "Zoë"}));
    let contradicts = shop
        .send(
            "PUT",
            &id(0),
            &[auth],
            Some(r#"{"options":{"color":"white"}}"#),
        )
        .await;
    assert_eq!(
        contradicts.expect(422).fault(),
        ("/options/color", "contradicts_variant")
    );
    let removed = shop
        .send("PUT", &id(0), &[auth], Some(r#"{"quantity":0}"#))
        .await
        .expect(200);
    assert_eq!(removed.body["items"].as_array().unwrap().len(), 1);
    shop.send("PUT", &id(0), &[auth], Some(r#"{"quantity":1}"#))
        .await
        .expect(404);
    shop.send("DELETE", &id(1), &[auth], None).await.expect(200);
    shop.send("DELETE", &id(1), &[auth], None).await.expect(404);
    let cleared = shop
        .send("DELETE", "/api/cart", &[auth], None)
        .await
        .expect(200);
    assert_eq!(
        (
            cleared.header("etag"),
            cleared.body["items"].as_array().unwrap().len()
        ),
        ("\"7\"", 0)
    );
    for path in [
        "/api/cart/x",
        "/api/cart/%00",
        "/api/cart/discounts",
        "/api/cart/{\"$ne\":1}",
    ] {
        shop.send(
            "DELETE",
            &path.replace('"', "%22").replace(['{', '}'], "%7B"),
            &[auth],
            None,
        )
        .await
        .expect(404);
    }
    shop.close().await;
}

/// How often the database's carts were read and updated so far, as the server counts it.
async fn reads_and_updates(database: &Database) -> (i64, i64) {
    let database = database.mongo.database();
    let admin = database.client().database("admin");
    let top = admin.run_command(bson::doc! { "top": 1 }).await.unwrap();
    let totals = top.get_document("totals").unwrap();
    let carts = totals
        .get_document(format!("{}.carts", database.name()))
        .unwrap();
    let count = |kind: &str| {
        let count = carts.get_document(kind).unwrap().get("count").unwrap();
        let count = count.as_i64().or(count.as_i32().map(i64::from));
        count.unwrap()
    };
    (count("queries"), count("update"))
}

#[actix_web::test]
async fn a_change_of_a_cart_in_use_is_one_update_and_no_reading() {
    let mugs = two_mugs();
    let shop = counter(&mugs, &[]).await;
    let user = shop.user();
    let auth = ("authorization", user.as_str());
    let add = |number: usize| {
        let mug: &Offer = &mugs[number % 2];
        json!({"productId": mug.product, "variantId": mug.variant, "quantity": 1})
    };
    let made = shop.post(&[auth], &add(0)).await.expect(200);
    let line = format!(
        "/api/cart/{}",
        made.body["items"][0]["id"].as_str().unwrap()
    );
    let before = reads_and_updates(&shop.database).await;
    for number in 0..3 {
        shop.post(&[auth], &add(number)).await.expect(200);
    }
    shop.send("PUT", &line, &[auth], Some(r#"{"quantity":5}"#))
        .await
        .expect(200);
    let last = shop.send("DELETE", &line, &[auth], None).await.expect(200);
    assert_eq!(last.header("etag"), "\"6\"");
    let after = reads_and_updates(&shop.database).await;
    assert_eq!((after.0 - before.0, after.1 - before.1), (0, 5));
    shop.close().await;
}

#[actix_web::test]
async fn a_tag_confirms_only_what_is_shown_as_it_was() {
    let mug = offer(1_250);
    let shop = counter(std::slice::from_ref(&mug), &[]).await;
    let user = shop.user();
    let auth = ("authorization", user.as_str());
    shop.post(&[auth], &json!({"productId": mug.product, "quantity": 2}))
        .await
        .expect(200);
    let held = [auth, ("if-none-match", "\"1\"")];
    let same = shop.send("GET", "/api/cart", &held, None).await.expect(304);
    assert_eq!(
        (same.header("etag"), same.header("cache-control")),
        ("\"1\"", "no-store")
    );

    shop.shelves.put(Offer {
        unit_price: Money::new(1_400, Currency::USD),
        ..mug.clone()
    });
    let dearer = shop.send("GET", "/api/cart", &held, None).await.expect(200);
    assert_eq!(
        (dearer.header("etag"), dearer.header("cache-control")),
        ("\"1\"", "no-store")
    );
    assert_eq!(dearer.body["items"][0]["notices"], json!(["price_changed"]));
    assert_eq!(dearer.body["total"]["amount"], 2800);

    shop.shelves.put(Offer {
        available: 1,
        ..mug.clone()
    });
    let scarce = shop.send("GET", "/api/cart", &held, None).await.expect(200);
    assert_eq!(
        scarce.body["items"][0]["notices"],
        json!(["insufficient_stock"])
    );

    shop.shelves.remove(mug.variant);
    let gone = shop.send("GET", "/api/cart", &held, None).await.expect(200);
    assert_eq!(gone.body["items"][0]["notices"], json!(["unavailable"]));
    assert_eq!(
        (
            gone.body["total"]["amount"].as_i64(),
            &gone.body["items"][0]["title"]
        ),
        (Some(0), &json!(mug.title))
    );

    // A change shows the buyer today's price; from then on that is the one that was seen.
    shop.shelves.put(Offer {
        unit_price: Money::new(1_400, Currency::USD),
        ..mug.clone()
    });
    let path = format!(
        "/api/cart/{}",
        gone.body["items"][0]["id"].as_str().unwrap()
    );
    let set = shop
        .send("PUT", &path, &[auth], Some(r#"{"quantity":3}"#))
        .await
        .expect(200);
    assert_eq!(set.body["items"][0]["notices"], json!([]));
    shop.send(
        "GET",
        "/api/cart",
        &[auth, ("if-none-match", "\"2\"")],
        None,
    )
    .await
    .expect(304);
    shop.close().await;
}
