//! Uploaded pictures over HTTP.

use std::collections::HashSet;

use actix_web::test::TestRequest;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{
    pictures::{all, gif, jpeg, png},
    *,
};
use crate::{
    catalog::images::{Showing, sweep},
    mongo::StoreError,
};

fn upload(product: &Value, kind: &str, query: &str, bytes: Vec<u8>) -> TestRequest {
    TestRequest::post()
        .uri(&format!("{}/images{query}", at(product)))
        .insert_header(("content-type", kind.to_owned()))
        .set_payload(bytes)
}

#[actix_web::test]
async fn an_uploaded_picture_is_the_products_and_is_served_for_ever() {
    let shop = TestShop::open().await;
    let mut product = shop.create(&mug()).await;
    for (place, (kind, bytes)) in all(640, 480).into_iter().enumerate() {
        let kind = kind.content_type();
        let tag = shop.staff(TestRequest::get().uri(&at(&product))).await;
        let request = upload(&product, kind, "?alt=from%20above", bytes.clone())
            .insert_header(("if-match", tag.header("etag")));
        let added = shop.staff(request).await.expect(201);
        product = added.json();
        let image = &product["images"][place];
        assert_eq!(image["url"], added.header("location"));
        assert_eq!(image["alt"], "from above");

        let shown = shop.get(image["url"].as_str().unwrap()).await.expect(200);
        assert_eq!(shown.bytes, bytes);
        assert_eq!(shown.header("content-type"), kind);
        assert_eq!(shown.header("x-content-type-options"), "nosniff");
        assert!(shown.header("content-security-policy").contains("sandbox"));
        let kept = "public, max-age=31536000, immutable";
        assert_eq!(shown.header("cache-control"), kept);
        let asked = TestRequest::get()
            .uri(image["url"].as_str().unwrap())
            .insert_header(("if-none-match", shown.header("etag")));
        let held = shop.call(asked).await.expect(304);
        assert_eq!(held.header("cache-control"), kept);
    }
    assert_eq!(
        shop.get(&at(&product)).await.json()["images"],
        product["images"]
    );
    // The same picture again says what it shows anew, and stands once.
    let again = upload(&product, "image/gif", "?alt=below", gif(640, 480));
    let again = shop.staff(again).await.expect(201).json();
    assert_eq!(again["images"].as_array().unwrap().len(), 4);
    assert_eq!(again["images"][3]["alt"], "below");
    // Another product shows it too, from the same file.
    let other = shop.create(&tee()).await;
    let other = upload(&other, "IMAGE/GIF; q=1", "", gif(640, 480));
    let other = shop.staff(other).await.expect(201).json();
    assert_eq!(other["images"][0]["url"], again["images"][3]["url"]);
    assert_eq!(
        std::fs::read_dir(&shop.config.images.dir).unwrap().count(),
        4
    );

    let log = format!(
        "/api/admin/audit?entity=product&entityId={}",
        product["id"].as_str().unwrap()
    );
    let token = shop.token(Role::Admin);
    let asked = TestRequest::get()
        .uri(&log)
        .insert_header(("authorization", token));
    let log = shop.call(asked).await.expect(200).json();
    let log = log["items"].as_array().unwrap();
    assert_eq!(log.len(), 6, "made, four pictures, one said anew: {log:?}");
    assert!(log[0].to_string().contains("below"), "{}", log[0]);
    shop.close().await;
}

#[actix_web::test]
async fn what_is_no_picture_is_refused_and_nothing_kept() {
    let shop = TestShop::open().await;
    let product = shop.create(&mug()).await;
    let send = async |kind: &str, bytes: &[u8]| {
        let request = upload(&product, kind, "", bytes.to_vec());
        shop.staff(request).await
    };
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    let picture = png(3, 2);
    let cut = &picture[..picture.len() - 1];
    let page = [&picture[..], b"<script>alert(1)</script>"].concat();
    for (kind, bytes, status, code) in [
        ("image/svg+xml", &svg[..], 415, "unsupported_media_type"),
        ("text/html", &picture, 415, "unsupported_media_type"),
        ("application/json", b"{}", 415, "unsupported_media_type"),
        ("image/jpeg", &picture, 415, "unsupported_media_type"),
        ("image/png", svg, 422, "image_invalid"),
        ("image/png", b"", 422, "image_invalid"),
        ("image/png", cut, 422, "image_invalid"),
        ("image/png", &page, 422, "image_invalid"),
        ("image/jpeg", &jpeg(60_000, 60_000), 422, "image_too_large"),
        ("image/png", &vec![0; (5 << 20) + 1], 413, "body_too_large"),
    ] {
        let places = send(kind, bytes).await.problem(status, code);
        assert!(places.is_empty());
    }
    let long = format!("?alt={}", "x".repeat(601));
    let long = upload(&product, "image/png", &long, picture.clone());
    let places = shop.staff(long).await.problem(422, "validation_failed");
    assert_eq!(places, ["/alt"]);
    let odd = upload(&product, "image/png", "?title=x", picture.clone());
    let places = shop.staff(odd).await.problem(422, "validation_failed");
    assert_eq!(places, ["/title"]);
    let packed = upload(&product, "image/png", "", picture.clone());
    let packed = packed.insert_header(("content-encoding", "gzip"));
    shop.staff(packed)
        .await
        .problem(415, "unsupported_media_type");
    let stale = upload(&product, "image/png", "", picture.clone());
    let stale = stale.insert_header(("if-match", "\"9\""));
    shop.staff(stale).await.problem(412, "stale_version");
    let nothing = json!({"id": "no-such-product"});
    let nobodys = upload(&nothing, "image/png", "", picture.clone());
    shop.staff(nobodys).await.problem(404, "not_found");
    let visitor = || upload(&product, "image/png", "", picture.clone());
    shop.call(visitor()).await.expect(401);
    let customer = shop.token(Role::Customer);
    shop.call(visitor().insert_header(("authorization", customer)))
        .await
        .expect(403);
    assert!(!shop.config.images.dir.exists(), "nothing is kept");
    assert_eq!(
        shop.get(&at(&product)).await.json(),
        shop.get("/api/products/harbour-mug").await.json()
    );
    assert_eq!(shop.get(&at(&product)).await.json()["version"], 1);
    let digest = "0".repeat(64);
    for name in [
        format!("{digest}.png"),
        format!("{digest}.svg"),
        "..%2f..%2fetc%2fpasswd".into(),
        "x".into(),
    ] {
        shop.get(&format!("/images/{name}")).await.expect(404);
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_picture_is_taken_from_the_version_that_is_named() {
    let shop = TestShop::open().await;
    let product = shop.create(&mug()).await;
    for bytes in [png(3, 2), png(4, 2)] {
        let request = upload(&product, "image/png", "", bytes);
        shop.staff(request).await.expect(201);
    }
    let second = shop.get(&at(&product)).await.json()["images"][1].clone();
    let remove = async |place: &str, version: Option<&str>| {
        let request = TestRequest::delete().uri(&format!("{}/images/{place}", at(&product)));
        let tag = version.map(|version| ("if-match", version.to_owned()));
        shop.staff(match tag {
            Some(tag) => request.insert_header(tag),
            None => request,
        })
        .await
    };
    remove("0", None)
        .await
        .problem(428, "precondition_required");
    remove("0", Some("\"2\""))
        .await
        .problem(412, "stale_version");
    remove("2", Some("\"3\"")).await.problem(404, "not_found");
    let left = remove("0", Some("\"3\"")).await.expect(200).json();
    assert_eq!(
        (&left["images"], &left["version"]),
        (&json!([second]), &json!(4))
    );
    shop.get(product["images"][0]["url"].as_str().unwrap_or("/images/x"))
        .await
        .expect(404);
    shop.close().await;
}

/// Orders that show one picture.
struct Ordered(String);

impl Showing for Ordered {
    fn shown<'a>(
        &'a self,
        addresses: &'a [String],
    ) -> BoxFuture<'a, Result<HashSet<String>, StoreError>> {
        let shown = addresses.iter().filter(|address| **address == self.0);
        Box::pin(std::future::ready(Ok(shown.cloned().collect())))
    }
}

#[actix_web::test]
async fn a_picture_that_nothing_shows_any_more_is_removed_after_its_time() {
    let shop = TestShop::open().await;
    let mut product = shop.create(&mug()).await;
    for (kind, bytes) in [
        ("image/png", png(1, 1)),
        ("image/png", png(2, 2)),
        ("image/gif", gif(3, 3)),
        ("image/jpeg", jpeg(4, 4)),
    ] {
        let request = upload(&product, kind, "", bytes);
        product = shop.staff(request).await.expect(201).json();
    }
    let url = |place: usize| product["images"][place]["url"].as_str().unwrap().to_owned();
    let (kept, ordered, of_variant, gone) = (url(0), url(1), url(2), url(3));
    // What is left: one on the product, one on an archived product's variant, and two on none, of which one is
    // on an order.
    let mut other = mug();
    other["sku"] = json!("OTHER");
    other["slug"] = json!("other");
    other["status"] = json!("archived");
    other["variants"] = json!([{ "sku": "OTHER-V", "image": { "url": of_variant, "alt": "" } }]);
    shop.create(&other).await;
    let left =
        json!({ "images": [{ "url": kept, "alt": "" }, { "url": "/images/by-hand", "alt": "" }] });
    shop.patch(&at(&product), &left).await.expect(200);

    let known = &shop.node.catalog.shared.pictures;
    let orders = Ordered(ordered.clone());
    let day = Duration::from_hours(24);
    assert_eq!(sweep(&shop.images, known, &orders, day).await.unwrap(), 0);
    shop.get(&gone).await.expect(200);
    assert_eq!(
        sweep(&shop.images, known, &orders, Duration::ZERO)
            .await
            .unwrap(),
        1
    );
    shop.get(&gone).await.problem(404, "not_found");
    for url in [&kept, &ordered, &of_variant] {
        shop.get(url).await.expect(200);
    }
    // Uploaded again it is there again, and stays while it is shown.
    let again = upload(&product, "image/jpeg", "", jpeg(4, 4));
    shop.staff(again).await.expect(201);
    let nothing = sweep(&shop.images, known, &orders, Duration::ZERO);
    assert_eq!(nothing.await.unwrap(), 0);
    shop.get(&gone).await.expect(200);
    shop.close().await;
}
