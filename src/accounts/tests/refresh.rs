//! Rotation of refresh tokens.

use std::collections::HashSet;

use reqwest::{Method, StatusCode};

use super::support::{Answer, TestShop};

#[actix_web::test]
async fn a_refresh_rotates_the_cookie_and_gives_a_working_access_token() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let refreshed = shop.refresh(&ada.refresh).await;
    assert_eq!(refreshed.status, StatusCode::OK);
    assert_eq!(refreshed.body["tokenType"], "Bearer");
    assert_eq!(refreshed.body["expiresIn"], 900);
    assert_eq!(refreshed.body.as_object().unwrap().len(), 3);
    assert_ne!(refreshed.refresh_token(), ada.refresh);
    assert!(refreshed.cookie().contains("; HttpOnly"));
    assert!(
        shop.admits(refreshed.body["accessToken"].as_str().unwrap())
            .await
    );
    shop.refresh(&refreshed.refresh_token())
        .await
        .expect(200, "");
    shop.finish().await;
}

#[actix_web::test]
async fn twenty_equal_refreshes_at_once_on_two_nodes_get_one_successor() {
    let shop = TestShop::start().await;
    let other = shop.another_node().await;
    let ada = shop.register("ada@example.com").await;
    let mut token = ada.refresh;
    for _ in 0..5 {
        let race = (0..20).map(|n| {
            let node = if n % 2 == 0 { &shop } else { &other };
            node.refresh(&token)
        });
        let answers = futures_util::future::join_all(race).await;
        let successors: HashSet<String> = answers
            .iter()
            .inspect(|answer| assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body))
            .map(Answer::refresh_token)
            .collect();
        assert_eq!(successors.len(), 1);
        token = successors.into_iter().next().unwrap();
    }
    shop.refresh(&token).await.expect(200, "");
    other.stop().await;
    shop.finish().await;
}

#[actix_web::test]
async fn the_token_before_the_last_ends_the_family_on_every_node() {
    let shop = TestShop::start().await;
    let other = shop.another_node().await;
    let ada = shop.register("ada@example.com").await;
    let elsewhere = shop
        .login("ada@example.com", super::support::PASSWORD)
        .await;
    let elsewhere = elsewhere.signed_in(StatusCode::OK);
    let second = shop.refresh(&ada.refresh).await.refresh_token();
    let third = shop.refresh(&second).await;
    shop.refresh(&ada.refresh).await.expect(401, "token_reused");
    // Dead: the token that lived, the one before it, and every access token of the family.
    shop.refresh(&third.refresh_token())
        .await
        .expect(401, "invalid_token");
    shop.refresh(&second).await.expect(401, "token_reused");
    let access = third.body["accessToken"].as_str().unwrap();
    assert!(!shop.admits(&ada.access).await && !shop.admits(access).await);
    other.refuses_soon(access).await;
    // The user's other device is another family.
    assert!(shop.admits(&elsewhere.access).await);
    shop.refresh(&elsewhere.refresh).await.expect(200, "");
    other.stop().await;
    shop.finish().await;
}

#[actix_web::test]
async fn after_the_grace_time_the_predecessor_ends_the_family() {
    let shop = TestShop::with(&[("BODEGA__AUTH__REFRESH_GRACE_SECONDS", "0")]).await;
    let ada = shop.register("ada@example.com").await;
    let next = shop.refresh(&ada.refresh).await.refresh_token();
    shop.refresh(&ada.refresh).await.expect(401, "token_reused");
    shop.refresh(&next).await.expect(401, "invalid_token");
    shop.finish().await;
}

#[actix_web::test]
async fn within_the_grace_time_the_predecessor_gets_the_same_successor() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let next = shop.refresh(&ada.refresh).await.refresh_token();
    for _ in 0..3 {
        assert_eq!(shop.refresh(&ada.refresh).await.refresh_token(), next);
    }
    shop.refresh(&next).await.expect(200, "");
    shop.finish().await;
}

#[actix_web::test]
async fn what_was_never_issued_is_refused_and_ends_nothing() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let (session, tail) = ada.refresh.split_once('.').unwrap();
    let mut changed = tail.to_owned();
    changed.replace_range(3..4, if &tail[3..4] == "A" { "B" } else { "A" });
    for token in [
        String::new(),
        "garbage".to_owned(),
        session.to_owned(),
        format!("{session}."),
        format!("{session}.{changed}"),
        format!("{session}.{}", "A".repeat(64)),
        format!("{}.{tail}", "0".repeat(24)),
        ada.access.clone(),
        "x".repeat(4_000),
    ] {
        shop.refresh(&token).await.expect(401, "invalid_token");
    }
    let bare = shop.call(Method::POST, "/api/auth/refresh");
    Answer::of(bare).await.expect(401, "invalid_token");
    shop.refresh(&ada.refresh).await.expect(200, "");
    shop.finish().await;
}

#[actix_web::test]
async fn the_database_holds_no_token() {
    use std::fmt::Write;

    use futures_util::TryStreamExt;

    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let next = shop.refresh(&ada.refresh).await.refresh_token();
    let forgot = serde_json::json!({ "email": "ada@example.com" });
    shop.post("/api/auth/password/forgot", &forgot).await;
    let database = shop.mongo.database();
    let mut dump = String::new();
    for name in database.list_collection_names().await.unwrap() {
        let documents = database.collection::<bson::Document>(&name);
        let documents = documents.find(bson::doc! {}).await.unwrap();
        let documents: Vec<_> = documents.try_collect().await.unwrap();
        write!(dump, "{documents:?}").unwrap();
    }
    assert!(dump.contains("ada@example.com"));
    let secrets =
        [&ada.refresh, &next].map(|token| token.split_once('.').unwrap().1[..43].to_owned());
    for secret in secrets
        .iter()
        .map(String::as_str)
        .chain([super::support::PASSWORD])
    {
        assert!(!dump.contains(secret));
    }
    shop.finish().await;
}

#[actix_web::test]
async fn a_foreign_page_can_neither_refresh_nor_sign_out() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let from = async |origin: &str, path: &str| {
        let cookie = format!("bodega_refresh={}", ada.refresh);
        let call = shop.call(Method::POST, path).header("origin", origin);
        Answer::of(call.header("cookie", cookie)).await
    };
    let over_https = shop.base().replace("http", "https");
    let over_ftp = shop.base().replace("http", "ftp");
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        &over_https,
        &over_ftp,
    ] {
        for path in ["/api/auth/refresh", "/api/auth/logout"] {
            let refused = from(origin, path).await;
            refused.expect(403, "foreign_origin");
            assert_eq!(refused.cookie(), "");
        }
    }
    // What anybody can say of where a request went proves nothing.
    let evil = shop
        .call(Method::POST, "/api/auth/refresh")
        .header("origin", "https://evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "host=evil.example;proto=https");
    Answer::of(evil).await.expect(403, "foreign_origin");
    from(shop.base(), "/api/auth/refresh").await.expect(200, "");
    shop.finish().await;
}

#[actix_web::test]
async fn beside_the_public_address_nothing_that_a_request_says_counts() {
    let public = [("BODEGA__SERVER__PUBLIC_URL", "https://shop.example")];
    let shop = TestShop::with(&public).await;
    let from = async |origin: &str, name: &str, value: &str| {
        let call = shop.call(Method::POST, "/api/auth/refresh");
        Answer::of(call.header("origin", origin).header(name, value)).await
    };
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
    ] {
        for origin in ["https://evil.example", "http://evil.example"] {
            let refused = from(origin, name, value).await;
            refused.expect(403, "foreign_origin");
        }
        let own = from("https://shop.example", name, value).await;
        own.expect(401, "invalid_token");
    }
    shop.finish().await;
}
