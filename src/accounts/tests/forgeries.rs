//! Forged access tokens: none is let in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, SECRET, SignedIn, TestShop};

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// Puts a token together with a HS256 signature under `key`, whatever its header says.
fn token(header: &Value, claims: &Value, key: &[u8]) -> String {
    let signed = format!("{}.{}", encoded(header), encoded(claims));
    let mut mac = <Hmac<sha2::Sha256> as Mac>::new_from_slice(key).unwrap();
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signed}.{signature}")
}

fn good_header() -> Value {
    json!({ "alg": "HS256", "typ": "at+jwt" })
}

fn good_claims(user: &SignedIn) -> Value {
    let now = crate::clock::Timestamp::now().seconds();
    json!({ "sub": user.user["id"], "sid": user.refresh[..24], "role": "customer", "iss": "bodega",
        "aud": "bodega", "iat": now, "exp": now + 900 })
}

fn with(json: &Value, field: &str, value: impl Into<Value>) -> Value {
    let mut changed = json.clone();
    changed[field] = value.into();
    changed
}

fn without(json: &Value, field: &str) -> Value {
    let mut changed = json.clone();
    changed.as_object_mut().unwrap().remove(field);
    changed
}

/// Headers that name another algorithm or another key, under a signature that would fit ours.
fn bad_headers() -> Vec<(&'static str, Value)> {
    let header = good_header();
    let jwk = json!({ "kty": "oct", "k": "AA" });
    vec![
        ("HS384", with(&header, "alg", "HS384")),
        ("HS512", with(&header, "alg", "HS512")),
        ("RS256 swap", with(&header, "alg", "RS256")),
        ("ES256 swap", with(&header, "alg", "ES256")),
        ("EdDSA swap", with(&header, "alg", "EdDSA")),
        ("lower case alg", with(&header, "alg", "hs256")),
        ("alg as array", with(&header, "alg", json!(["HS256"]))),
        ("no alg", without(&header, "alg")),
        ("no typ", without(&header, "typ")),
        ("typ JWT", with(&header, "typ", "JWT")),
        ("typ of a refresh token", with(&header, "typ", "rt+jwt")),
        ("alg none, signed", with(&header, "alg", "none")),
        (
            "a critical extension",
            with(&header, "crit", json!(["exp"])),
        ),
        (
            "no critical extension, said so",
            with(&header, "crit", json!([])),
        ),
        ("jwk of its own, other key", with(&header, "jwk", jwk)),
    ]
}

/// Claims that are not ours, under our signature.
fn bad_claims(claims: &Value) -> Vec<(&'static str, Value)> {
    let now = claims["iat"].as_i64().unwrap();
    vec![
        ("wrong iss", with(claims, "iss", "evil")),
        ("no iss", without(claims, "iss")),
        ("wrong aud", with(claims, "aud", "evil")),
        (
            "aud as a list with others",
            with(claims, "aud", json!(["bodega", "evil"])),
        ),
        ("no aud", without(claims, "aud")),
        ("expired", with(claims, "exp", now - 120)),
        ("no exp", without(claims, "exp")),
        ("exp as text", with(claims, "exp", "9999999999")),
        ("exp beyond numbers", with(claims, "exp", 1e300)),
        ("not yet valid", with(claims, "nbf", now + 3_600)),
        ("no sub", without(claims, "sub")),
        (
            "sub an operator",
            with(claims, "sub", json!({ "$ne": null })),
        ),
        ("no session", without(claims, "sid")),
        ("a role that is none", with(claims, "role", "root")),
        ("no role", without(claims, "role")),
    ]
}

/// Texts that were never signed, made from a good token.
fn broken(good: &str, user: &SignedIn) -> Vec<(&'static str, String)> {
    let parts: Vec<&str> = good.split('.').collect();
    let none = |alg: &str| encoded(&json!({ "alg": alg, "typ": "at+jwt" }));
    let admin = encoded(&with(&good_claims(user), "role", "admin"));
    vec![
        ("alg none", format!("{}.{}.", none("none"), parts[1])),
        ("alg None", format!("{}.{}.", none("None"), parts[1])),
        (
            "alg nOnE, our signature",
            format!("{}.{}.{}", none("nOnE"), parts[1], parts[2]),
        ),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.{}", parts[2])),
        (
            "admin in the claims",
            format!("{}.{admin}.{}", parts[0], parts[2]),
        ),
        ("signature cut", good[..good.len() - 2].to_owned()),
        (
            "signature of another",
            format!("{}.{}.{}", parts[0], parts[1], "A".repeat(43)),
        ),
        ("the refresh token", user.refresh.clone()),
        ("an operator", "{\"$ne\":null}".to_owned()),
        ("60 kB", "A".repeat(60_000)),
        (
            "long and signed",
            token(
                &good_header(),
                &with(&good_claims(user), "x", "y".repeat(4_000)),
                SECRET.as_bytes(),
            ),
        ),
    ]
}

#[actix_web::test]
async fn no_forged_token_is_let_in() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let (header, claims, key) = (good_header(), good_claims(&ada), SECRET.as_bytes());
    let good = token(&header, &claims, key);
    assert!(
        shop.admits(&good).await,
        "the table's own token is good, so what fails is the change"
    );

    let mut table = broken(&good, &ada);
    table.extend(bad_headers().into_iter().map(|(name, bad)| {
        // A key that a header brings along must not count: there, the signature is not ours.
        let key = if bad.get("jwk").is_some() {
            b"\0".as_slice()
        } else {
            key
        };
        (name, token(&bad, &claims, key))
    }));
    table.extend(
        bad_claims(&claims)
            .into_iter()
            .map(|(name, bad)| (name, token(&header, &bad, key))),
    );
    for (name, kid, key) in [
        ("kid a file", "../../../../dev/null", b"".as_slice()),
        ("kid a URL", "https://evil.example/key", b"evil"),
        ("kid an injection", "x' UNION SELECT 'evil", b"evil"),
        (
            "another secret",
            "",
            b"another secret, as long as ours is!!!!!!",
        ),
        ("the public webhook id", "", b"WEBHOOK_ID"),
    ] {
        table.push((name, token(&with(&header, "kid", kid), &claims, key)));
    }
    assert!(table.len() >= 40, "{}", table.len());
    for (name, forged) in &table {
        let refused = shop.get("/api/auth/profile", forged).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (401, "invalid_token"),
            "{name}"
        );
        assert_eq!(refused.header("www-authenticate"), "Bearer", "{name}");
    }
    shop.finish().await;
}

#[actix_web::test]
async fn other_schemes_are_refused_and_no_header_asks_to_sign_in() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let call = |value: String| {
        let call = shop.call(Method::GET, "/api/auth/profile");
        Answer::of(call.header("authorization", value))
    };
    for value in [
        format!("Basic {}", ada.access),
        ada.access.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer {0} {0}", ada.access),
        format!("Bearer {0},{0}", ada.access),
    ] {
        call(value).await.expect(401, "invalid_token");
    }
    assert_eq!(
        call(format!("bearer {}", ada.access)).await.status.as_u16(),
        200
    );
    let bare = Answer::of(shop.call(Method::GET, "/api/auth/profile")).await;
    bare.expect(401, "unauthenticated");
    let query = format!("/api/auth/profile?access_token={}", ada.access);
    Answer::of(shop.call(Method::GET, &query))
        .await
        .expect(401, "unauthenticated");
    shop.finish().await;
}

/// A megabyte of header never reaches a handler: the server refuses it while reading.
#[actix_web::test]
async fn a_token_of_a_megabyte_is_refused() {
    let shop = TestShop::start().await;
    let call = shop.call(Method::GET, "/api/auth/profile");
    let sent = call.bearer_auth("A".repeat(1 << 20)).send().await;
    // Answered 4xx, or cut off before all of it was sent.
    assert!(sent.is_err() || sent.is_ok_and(|answer| answer.status().is_client_error()));
    assert_eq!(
        Answer::of(shop.call(Method::GET, "/healthz"))
            .await
            .status
            .as_u16(),
        200
    );
    shop.finish().await;
}
