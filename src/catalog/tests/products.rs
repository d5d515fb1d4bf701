//! Creating, reading, replacing, patching, archiving.

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::*;

#[actix_web::test]
async fn a_product_is_created_and_read_by_id_and_by_slug() {
    let shop = TestShop::open().await;
    let created = shop.post("/api/products", &mug()).await.expect(201);
    let product = created.json();
    assert_eq!(created.header("location"), at(&product));
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(product["stock"], json!({"available": 10, "reserved": 0}));
    let by_id = shop.get(&at(&product)).await.expect(200);
    let by_slug = shop.get("/api/products/harbour-mug").await.expect(200);
    assert_eq!(by_id.bytes, by_slug.bytes);
    assert_eq!(by_id.header("etag"), "\"1\"");
    let seen = by_id.json();
    assert_eq!(seen["stock"], json!({"available": 10}));
    assert_eq!(seen["variants"][0]["stock"], json!({"available": 10}));
    assert_eq!(seen["variants"][0]["sku"], "MUG-1");
    assert_eq!(seen["attributes"], mug()["attributes"]);
    assert_eq!(
        (
            &seen["type"],
            &seen["status"],
            &seen["version"],
            &seen["options"]
        ),
        (&json!("generic"), &json!("active"), &json!(1), &json!([]))
    );
    shop.close().await;
}

#[actix_web::test]
async fn a_tag_is_the_version_and_changes_when_stock_does() {
    let shop = TestShop::open().await;
    let product = shop.create(&mug()).await;
    let path = at(&product);
    let asked = |tag: String| {
        TestRequest::get()
            .uri(&path)
            .insert_header(("if-none-match", tag))
    };
    let held = shop.call(asked("\"1\"".into())).await.expect(304);
    assert!(held.bytes.is_empty());
    assert_eq!(held.header("etag"), "\"1\"");
    let move_ = json!({"delta": -3, "reason": "broken"});
    shop.post(&format!("{path}/stock"), &move_)
        .await
        .expect(200);
    let moved = shop.call(asked("\"1\"".into())).await.expect(200);
    assert_eq!(moved.json()["stock"]["available"], 7);
    assert_eq!(moved.json()["version"], 1);
    let tag = moved.header("etag").to_owned();
    assert!(tag.starts_with("\"1.") && tag.len() > 10, "{tag}");
    shop.call(asked(tag.clone())).await.expect(304);
    // A write compares versions only: stock that moved does not refuse an edit.
    let edit = |tag: &str| {
        let patch = json!({"title": "Harbour Mug XL"});
        let tag = ("if-match", tag.to_owned());
        TestRequest::patch()
            .uri(&path)
            .insert_header(tag)
            .set_json(patch)
    };
    let edited = shop.staff(edit(&tag)).await.expect(200);
    assert_eq!(edited.header("etag"), "\"2\"");
    assert_eq!(edited.json()["stock"]["available"], 7);
    shop.staff(edit(&tag)).await.problem(412, "stale_version");
    shop.staff(edit("\"9\""))
        .await
        .problem(412, "stale_version");
    shop.staff(edit("\"2\"")).await.expect(200);
    assert_eq!(shop.get(&path).await.header("etag"), "\"3\"");
    shop.close().await;
}

#[actix_web::test]
async fn a_body_is_sent_compressed_to_those_who_take_it() {
    let shop = TestShop::open().await;
    let mut long = mug();
    long["description"] = json!("a mug, ".repeat(500));
    let path = at(&shop.create(&long).await);
    let request = TestRequest::get()
        .uri(&path)
        .insert_header(("accept-encoding", "gzip"));
    let packed = shop.call(request).await.expect(200);
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(packed.bytes.as_ref());
    std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
    let unpacked = shop.get(&path).await;
    assert_eq!(plain, unpacked.bytes);
    assert!(unpacked.headers.get("content-encoding").is_none());
    shop.close().await;
}

#[actix_web::test]
async fn a_patch_sets_merges_and_removes() {
    let shop = TestShop::open().await;
    let path = at(&shop.create(&mug()).await);
    let patch = json!({
        "brand": null, "price": usd(999),
        "attributes": {"glaze": {"matt": null, "layers": 2}, "new": [1]},
    });
    let patched = shop.patch(&path, &patch).await.expect(200).json();
    assert_eq!(patched["brand"], Value::Null);
    assert_eq!(
        patched["attributes"],
        json!({"glaze": {"color": "blue", "layers": 2}, "new": [1]})
    );
    assert_eq!(patched["variants"][0]["price"], usd(999));
    assert_eq!(
        (&patched["slug"], &patched["version"]),
        (&json!("harbour-mug"), &json!(2))
    );
    assert_eq!(patched["stock"]["available"], 10);
    for (patch, pointer) in [
        (json!({"titel": null}), "/titel"),
        (json!({"title": null}), "/title"),
        (json!({"version": 7}), "/version"),
        (json!({"attributes": {"a.b": 1}}), "/attributes/a.b"),
        (json!({"stock": {"available": 7}}), "/stock/available"),
        (json!({"type": "unheard-of"}), "/type"),
    ] {
        let refused = shop.patch(&path, &patch).await;
        assert_eq!(
            refused.problem(422, "validation_failed"),
            [pointer],
            "{patch}"
        );
    }
    shop.patch(&path, &json!([1]))
        .await
        .problem(422, "validation_failed");
    assert_eq!(shop.get(&path).await.json()["version"], 2);
    shop.close().await;
}

#[actix_web::test]
async fn a_patch_of_variants_keeps_those_it_names() {
    let shop = TestShop::open().await;
    let product = shop.create(&tee()).await;
    let black = product["variants"][0]["id"].clone();
    let patch = json!({"variants": [
        {"id": black, "sku": "TEE-BLK", "options": {"color": "black"}, "price": usd(2_500)},
        {"options": {"color": "red"}, "price": usd(1_800), "stock": {"onHand": 2}},
    ]});
    let patched = shop.patch(&at(&product), &patch).await.expect(200).json();
    assert_eq!(patched["variants"][0]["id"], black);
    assert_eq!(patched["variants"][0]["stock"]["available"], 5);
    assert_eq!(patched["variants"][1]["sku"], "TEE-RED");
    assert_eq!(patched["variants"][1]["stock"]["available"], 2);
    // The price was the cheapest variant's, and still is.
    assert_eq!(patched["price"], usd(1_800));
    shop.close().await;
}

#[actix_web::test]
async fn operators_where_text_belongs_are_refused_by_name() {
    let shop = TestShop::open().await;
    for (member, value, pointer) in [
        ("sku", json!({"$ne": 1}), "/sku"),
        ("title", json!({"$gt": ""}), "/title"),
        ("categories", json!([{"$ne": null}]), "/categories/0"),
        ("type", json!({"$in": ["generic"]}), "/type"),
        (
            "price",
            json!({"amount": {"$gt": 0}, "currency": "USD"}),
            "/price/amount",
        ),
        ("status", json!({"$ne": "draft"}), "/status"),
        (
            "attributes",
            json!({"a": {"$where": "1"}}),
            "/attributes/a/$where",
        ),
        ("stock", json!({"onHand": -1}), "/stock/onHand"),
        ("stock", json!({"onHand": 1.5}), "/stock/onHand"),
        ("role", json!("admin"), "/role"),
    ] {
        let mut product = mug();
        product[member] = value;
        let refused = shop.post("/api/products", &product).await;
        assert_eq!(
            refused.problem(422, "validation_failed"),
            [pointer],
            "{product}"
        );
    }
    assert_eq!(shop.get("/api/products").await.json()["total"], 0);
    shop.close().await;
}

#[actix_web::test]
async fn skus_and_slugs_stand_once_and_made_slugs_are_numbered() {
    let shop = TestShop::open().await;
    let first = shop.create(&mug()).await;
    shop.create(&tee()).await;
    shop.post("/api/products", &mug())
        .await
        .problem(409, "sku_taken");
    let mut other = mug();
    other["sku"] = json!("TEE-W");
    shop.post("/api/products", &other)
        .await
        .problem(409, "sku_taken");
    other["sku"] = json!("MUG-2");
    assert_eq!(shop.create(&other).await["slug"], "harbour-mug-2");
    other["sku"] = json!("MUG-3");
    assert_eq!(shop.create(&other).await["slug"], "harbour-mug-3");
    other["sku"] = json!("MUG-4");
    other["slug"] = json!("harbour-mug");
    let refused = shop.post("/api/products", &other).await;
    assert_eq!(refused.problem(409, "slug_taken"), ["/slug"]);
    other["sku"] = json!("TEE");
    other["slug"] = json!("free");
    shop.put(&at(&first), &other)
        .await
        .problem(409, "sku_taken");
    let same = shop
        .patch(&at(&first), &json!({"slug": "harbour-mug-2"}))
        .await;
    same.problem(409, "slug_taken");
    assert_eq!(shop.get(&at(&first)).await.json()["version"], 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_slug_that_moves_names_its_new_product() {
    let shop = TestShop::open().await;
    let first = shop.create(&mug()).await;
    shop.get("/api/products/harbour-mug").await.expect(200);
    shop.patch(&at(&first), &json!({"slug": "old-mug"}))
        .await
        .expect(200);
    let moved = shop.get("/api/products/harbour-mug").await.expect(301);
    assert_eq!(moved.header("location"), "/api/products/old-mug");
    let as_staff = shop.staff(TestRequest::get().uri("/api/products/harbour-mug"));
    as_staff.await.expect(301);
    // A slug that is made leaves old addresses alone; one that is asked for takes them.
    let mut other = mug();
    other["sku"] = json!("MUG-3");
    assert_eq!(shop.create(&other).await["slug"], "harbour-mug-2");
    other["sku"] = json!("MUG-2");
    other["slug"] = json!("harbour-mug");
    let second = shop.create(&other).await;
    let seen = shop.get("/api/products/harbour-mug").await.json();
    assert_eq!(seen["id"], second["id"]);
    // Back again: the slug between leads to it too, and a draft leads nobody anywhere.
    let back = json!({"slug": "new-mug"});
    shop.patch(&at(&first), &back).await.expect(200);
    let moved = shop.get("/api/products/old-mug").await.expect(301);
    assert_eq!(moved.header("location"), "/api/products/new-mug");
    let draft = json!({"status": "draft"});
    shop.patch(&at(&first), &draft).await.expect(200);
    shop.get("/api/products/old-mug")
        .await
        .problem(404, "not_found");
    shop.close().await;
}

#[actix_web::test]
async fn drafts_and_archived_products_exist_for_staff_only() {
    let shop = TestShop::open().await;
    let mut draft = mug();
    draft["status"] = json!("draft");
    let product = shop.create(&draft).await;
    let path = at(&product);
    let as_staff = || shop.staff(TestRequest::get().uri(&path));
    shop.get(&path).await.problem(404, "not_found");
    shop.get("/api/products/harbour-mug")
        .await
        .problem(404, "not_found");
    let seen = as_staff().await.expect(200);
    assert_eq!(seen.json()["status"], "draft");
    assert_eq!(seen.header("cache-control"), "no-store");
    shop.patch(&path, &json!({"status": "active"}))
        .await
        .expect(200);
    shop.get(&path).await.expect(200);
    let delete = || TestRequest::delete().uri(&path);
    let stale = delete().insert_header(("if-match", "\"1\""));
    shop.staff(stale).await.problem(412, "stale_version");
    assert_eq!(
        shop.staff(delete()).await.expect(204).header("etag"),
        "\"3\""
    );
    assert_eq!(
        shop.staff(delete()).await.expect(204).header("etag"),
        "\"3\""
    );
    shop.get(&path).await.problem(404, "not_found");
    assert_eq!(as_staff().await.json()["status"], "archived");
    shop.close().await;
}

#[actix_web::test]
async fn only_staff_write() {
    let shop = TestShop::open().await;
    let path = at(&shop.create(&mug()).await);
    let writes = || {
        [
            TestRequest::post().uri("/api/products").set_json(tee()),
            TestRequest::put().uri(&path).set_json(tee()),
            TestRequest::patch()
                .uri(&path)
                .set_json(json!({"title": "x"})),
            TestRequest::delete().uri(&path),
            TestRequest::post()
                .uri(&format!("{path}/stock"))
                .set_json(json!({"delta": 1, "reason": "x"})),
            TestRequest::post()
                .uri("/api/product-types")
                .set_json(json!({"id": "x", "name": "x"})),
            TestRequest::put()
                .uri("/api/product-types/x")
                .set_json(json!({"name": "x"})),
            TestRequest::delete().uri("/api/product-types/x"),
            TestRequest::get().uri("/api/products?hidden=true"),
        ]
    };
    for write in writes() {
        shop.call(write).await.problem(401, "unauthenticated");
    }
    for write in writes() {
        let token = ("authorization", shop.token(Role::Customer));
        shop.call(write.insert_header(token))
            .await
            .problem(403, "forbidden");
    }
    assert_eq!(shop.get(&path).await.header("etag"), "\"1\"");
    shop.close().await;
}

#[actix_web::test]
async fn what_does_not_exist_is_not_found() {
    let shop = TestShop::open().await;
    for name in ["662e41f09c1d4c3a8f0b7a11", "no-such", "%24ne", "a.b", "%00"] {
        let path = format!("/api/products/{name}");
        shop.get(&path).await.problem(404, "not_found");
        shop.staff(TestRequest::get().uri(&path))
            .await
            .problem(404, "not_found");
        shop.put(&path, &mug()).await.problem(404, "not_found");
        shop.patch(&path, &json!({}))
            .await
            .problem(404, "not_found");
        shop.staff(TestRequest::delete().uri(&path))
            .await
            .problem(404, "not_found");
        let door = json!({"delta": 1, "reason": "x"});
        shop.post(&format!("{path}/stock"), &door)
            .await
            .problem(404, "not_found");
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_price_that_is_patched_is_what_a_buyer_pays() {
    let shop = TestShop::open().await;
    let mut shirt = tee();
    shirt["price"] = usd(1_000);
    shirt["variants"] = json!([
        {"sku": "TEE-B", "options": {"color": "black"}},
        {"sku": "TEE-W", "options": {"color": "white"}, "price": usd(3_000)},
    ]);
    let path = at(&shop.create(&shirt).await);
    let lower = json!({"price": usd(800)});
    let patched = shop.patch(&path, &lower).await.expect(200).json();
    assert_eq!(patched["price"], usd(800));
    assert_eq!(patched["variants"][0]["price"], usd(800));
    assert_eq!(patched["variants"][1]["price"], usd(3_000));
    let found = async |query: &str| {
        let list = shop.get(&format!("/api/products?{query}")).await.json();
        list["total"].clone()
    };
    for (query, total) in [
        ("minPrice=2000", 1),
        ("maxPrice=800", 1),
        ("minPrice=3001", 0),
    ] {
        assert_eq!(found(query).await, total, "{query}");
    }
    // Nobody pays a price that no variant has, and nobody finds it.
    shirt["price"] = usd(2_500);
    shirt["variants"][0]["price"] = usd(1_000);
    shop.put(&path, &shirt).await.expect(200);
    for (query, total) in [
        ("maxPrice=1000", 1),
        ("minPrice=2000&maxPrice=2600", 0),
        ("minPrice=3000", 1),
    ] {
        assert_eq!(found(query).await, total, "{query}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn writers_who_race_lose_nothing() {
    let shop = TestShop::open().await;
    let path = at(&shop.create(&mug()).await);
    let patches = (0..20).map(|n| {
        let mut attributes = serde_json::Map::new();
        attributes.insert(format!("k{n}"), json!(n));
        json!({ "attributes": attributes })
    });
    let patches: Vec<_> = patches.collect();
    let writes = patches.iter().map(|patch| shop.patch(&path, patch));
    let answers = futures_util::future::join_all(writes).await;
    let statuses: Vec<u16> = answers.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200; 20]);
    let seen = shop.get(&path).await.json();
    assert_eq!(seen["version"], 21);
    assert_eq!(seen["attributes"].as_object().unwrap().len(), 21);
    shop.close().await;
}
