//! The profile over HTTP.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{Answer, SignedIn, TestShop};

async fn put(shop: &TestShop, user: &SignedIn, body: &Value) -> Answer {
    let call = shop
        .call(Method::PUT, "/api/auth/profile")
        .bearer_auth(&user.access);
    Answer::of(call.json(body)).await
}

fn home() -> Value {
    json!({ "label": "home", "name": "Ada", "line1": "1 Main St", "city": "Springfield",
        "region": "CA", "postalCode": "90001", "country": "US", "isDefault": true })
}

#[actix_web::test]
async fn what_is_left_out_stays_and_null_clears() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let body = json!({ "name": "Ada", "phone": "+1 555 0100", "marketingConsent": true, "addresses": [home()] });
    let saved = put(&shop, &ada, &body).await;
    assert_eq!(
        (saved.status, saved.header("etag")),
        (StatusCode::OK, "\"2\"")
    );
    let mut expected = home();
    expected["id"] = saved.body["addresses"][0]["id"].clone();
    assert_eq!(saved.body["addresses"], json!([expected]));
    assert_eq!(expected["id"].as_str().unwrap().len(), 24);

    let changed = put(&shop, &ada, &json!({ "phone": null })).await;
    assert_eq!(
        (&changed.body["name"], &changed.body["phone"]),
        (&"Ada".into(), &Value::Null)
    );
    assert_eq!(changed.body["addresses"], json!([expected]));
    assert_eq!(
        (&changed.body["version"], &changed.body["marketingConsent"]),
        (&3.into(), &true.into())
    );
    assert!(changed.body["updatedAt"].as_str() >= saved.body["updatedAt"].as_str());

    let same = put(&shop, &ada, &json!({})).await;
    assert_eq!(
        same.body, changed.body,
        "nothing changed, so no new version"
    );

    // An entry keeps its id; the list replaces the book.
    let mut moved = home();
    moved["id"] = expected["id"].clone();
    moved["line1"] = "2 Main St".into();
    let office = json!({ "name": "Ada", "line1": "3 Main St", "city": "Springfield", "postalCode": "1", "country": "US" });
    let both = put(&shop, &ada, &json!({ "addresses": [office, moved] })).await;
    assert_eq!(both.body["addresses"][1]["id"], expected["id"]);
    assert_eq!(both.body["addresses"][1]["line1"], "2 Main St");
    assert_eq!(both.body["addresses"][0]["isDefault"], false);
    let shown = shop.get("/api/auth/profile", &ada.access).await;
    assert_eq!(shown.body, both.body);
    assert_eq!(
        put(&shop, &ada, &json!({ "addresses": [] })).await.body["addresses"],
        json!([])
    );
    shop.finish().await;
}

#[actix_web::test]
async fn the_version_is_the_entity_tag() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let profile = |method: Method| {
        shop.call(method, "/api/auth/profile")
            .bearer_auth(&ada.access)
    };
    let held = Answer::of(profile(Method::GET).header("if-none-match", "\"1\"")).await;
    assert_eq!(
        (held.status, held.header("etag")),
        (StatusCode::NOT_MODIFIED, "\"1\"")
    );
    assert_eq!(held.header("cache-control"), "no-store");
    let stale = Answer::of(profile(Method::GET).header("if-none-match", "\"0\"")).await;
    assert_eq!(
        (stale.status, stale.header("etag")),
        (StatusCode::OK, "\"1\"")
    );
    assert_eq!(stale.header("cache-control"), "no-store");
    let change = |tag: &'static str, name: &'static str| {
        Answer::of(
            profile(Method::PUT)
                .header("if-match", tag)
                .json(&json!({ "name": name })),
        )
    };
    assert_eq!(change("\"1\"", "a").await.body["version"], 2);
    change("\"1\"", "b").await.expect(412, "stale_version");
    change("nonsense", "b").await.expect(412, "stale_version");
    assert_eq!(change("*", "c").await.body["version"], 3);
    shop.finish().await;
}

#[actix_web::test]
async fn changes_at_once_all_count() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let bodies: Vec<Value> = (0..12)
        .map(|n| json!({ "name": format!("name {n}") }))
        .collect();
    let race = bodies.iter().map(|body| put(&shop, &ada, body));
    for answer in futures_util::future::join_all(race).await {
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    }
    let shown = shop.get("/api/auth/profile", &ada.access).await;
    assert_eq!(shown.body["version"], 13);
    shop.finish().await;
}

#[actix_web::test]
async fn each_faulty_place_is_named() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let with = |field: &str, value: Value| {
        let mut address = home();
        address[field] = value;
        json!({ "addresses": [address] })
    };
    let many: Vec<Value> = (0..21)
        .map(|_| with("isDefault", false.into())["addresses"][0].clone())
        .collect();
    for (body, pointer) in [
        (json!({ "role": "admin" }), "/role"),
        (json!({ "email": "eve@example.com" }), "/email"),
        (json!({ "emailVerified": true }), "/emailVerified"),
        (json!({ "version": 9 }), "/version"),
        (json!({ "id": "0".repeat(24) }), "/id"),
        (json!({ "name": "" }), "/name"),
        (json!({ "name": "x".repeat(201) }), "/name"),
        (json!({ "name": { "$ne": 1 } }), "/name"),
        (json!({ "phone": "1\n2" }), "/phone"),
        (json!({ "marketingConsent": "yes" }), "/marketingConsent"),
        (with("country", "usa".into()), "/addresses/0/country"),
        (with("postalCode", "".into()), "/addresses/0/postalCode"),
        (with("line1", "a\u{7}".into()), "/addresses/0/line1"),
        (with("planet", "Mars".into()), "/addresses/0/planet"),
        (with("id", "x".into()), "/addresses/0/id"),
        (with("id", "0".repeat(24).into()), "/addresses/0/id"),
        (
            json!({ "addresses": [home(), home()] }),
            "/addresses/1/isDefault",
        ),
        (json!({ "addresses": many }), "/addresses"),
    ] {
        let refused = put(&shop, &ada, &body).await;
        refused.expect(422, "validation_failed");
        assert_eq!(refused.pointers(), [pointer], "{body}");
    }
    let shown = shop.get("/api/auth/profile", &ada.access).await;
    assert_eq!(shown.body, ada.user, "nothing was written");
    shop.finish().await;
}
