//! Registering and signing in.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::{Answer, PASSWORD, TestShop};
use crate::accounts::{AccountError, Attempt, Device, Email, NewPassword, Role};

#[actix_web::test]
async fn a_customer_registers_signs_in_and_is_shown() {
    let shop = TestShop::start().await;
    let body = json!({ "email": " Ada@Example.com", "password": PASSWORD, "name": "Ada" });
    let registered = shop.post("/api/auth/register", &body).await;
    let ada = registered.signed_in(StatusCode::CREATED);
    let user = &ada.user;
    let expected = json!({
        "id": user["id"], "email": "ada@example.com", "emailVerified": false, "name": "Ada",
        "phone": null, "role": "customer", "addresses": [], "marketingConsent": false, "version": 1,
        "createdAt": user["createdAt"], "updatedAt": user["updatedAt"],
    });
    assert_eq!(*user, expected);
    assert_eq!(user["id"].as_str().unwrap().len(), 24);
    assert_eq!(registered.body["tokenType"], "Bearer");
    assert_eq!(registered.body["expiresIn"], 900);
    assert_eq!(registered.header("cache-control"), "no-store");
    for part in [
        "; HttpOnly",
        "; SameSite=Strict",
        "; Path=/api/auth",
        "; Max-Age=2592000",
    ] {
        assert!(
            registered.cookie().contains(part),
            "{part} in {}",
            registered.cookie()
        );
    }
    assert!(!registered.cookie().contains("Secure"));

    let again = shop.login("ADA@example.com", PASSWORD).await;
    let again = again.signed_in(StatusCode::OK);
    assert_eq!(again.user, expected);
    assert_ne!(again.refresh, ada.refresh);
    let profile = shop.get("/api/auth/profile", &again.access).await;
    assert_eq!((profile.status, profile.body), (StatusCode::OK, expected));
    shop.finish().await;
}

#[actix_web::test]
async fn on_https_the_cookie_is_secure() {
    let shop = TestShop::with(&[("BODEGA__SERVER__PUBLIC_URL", "https://shop.example")]).await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let registered = shop.post("/api/auth/register", &body).await;
    assert!(registered.cookie().contains("; Secure"));
    shop.finish().await;
}

#[actix_web::test]
async fn every_faulty_field_is_named_and_nothing_is_written() {
    let shop = TestShop::start().await;
    let both = json!({ "email": "ada", "password": "short", "name": "" });
    let refused = shop.post("/api/auth/register", &both).await;
    refused.expect(422, "validation_failed");
    assert_eq!(refused.pointers(), ["/email", "/name", "/password"]);
    assert!(!refused.body.to_string().contains("short"));
    for (body, pointer) in [
        (
            json!({ "email": "a@b.example", "password": PASSWORD, "role": "admin" }),
            "/role",
        ),
        (
            json!({ "email": { "$ne": null }, "password": PASSWORD }),
            "/email",
        ),
        (
            json!({ "email": "a@b.example", "password": { "$gt": "" } }),
            "/password",
        ),
        (
            json!({ "email": "a@b.example", "password": "x".repeat(1_025) }),
            "/password",
        ),
        (json!({ "email": "a@b.example" }), "/password"),
        (
            json!({ "email": "a@b.example", "password": PASSWORD, "name": "a\u{0}b" }),
            "/name",
        ),
    ] {
        let refused = shop.post("/api/auth/register", &body).await;
        refused.expect(422, "validation_failed");
        assert_eq!(refused.pointers(), [pointer], "{body}");
    }
    let form = shop
        .call(Method::POST, "/api/auth/login")
        .body("email=a&password=b");
    Answer::of(form).await.expect(415, "unsupported_media_type");
    let users = shop.mongo.database().collection::<bson::Document>("users");
    assert_eq!(users.count_documents(bson::doc! {}).await.unwrap(), 0);
    shop.finish().await;
}

#[actix_web::test]
async fn a_taken_email_is_refused_in_any_spelling_also_when_two_race() {
    let shop = TestShop::start().await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD });
    let race = (0..8).map(|_| shop.post("/api/auth/register", &body));
    let race = futures_util::future::join_all(race).await;
    let made = race
        .iter()
        .filter(|answer| answer.status == StatusCode::CREATED);
    assert_eq!(made.count(), 1);
    let body = json!({ "email": "ADA@EXAMPLE.com", "password": "another password" });
    shop.post("/api/auth/register", &body)
        .await
        .expect(409, "email_taken");
    shop.login("ada@example.com", "another password")
        .await
        .expect(401, "invalid_credentials");
    shop.finish().await;
}

#[actix_web::test]
async fn an_unknown_email_and_a_wrong_password_are_answered_alike() {
    let shop = TestShop::start().await;
    shop.register("ada@example.com").await;
    let comparable = |mut answer: Answer| {
        answer.body["requestId"].take();
        for varies in ["x-request-id", "date"] {
            assert!(answer.headers.remove(varies).is_some());
        }
        (answer.status, answer.headers, answer.body)
    };
    let wrong = comparable(shop.login("ada@example.com", "a wrong password").await);
    let unknown = comparable(shop.login("eve@example.com", "a wrong password").await);
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.0, StatusCode::UNAUTHORIZED);
    assert!(!wrong.1.contains_key("set-cookie"));
    shop.finish().await;
}

#[actix_web::test]
async fn every_try_costs_one_run_of_bcrypt_whether_the_account_exists_or_not() {
    let shop = TestShop::start().await;
    shop.register("ada@example.com").await;
    let accounts = &shop.accounts;
    let runs_of = async |email: &str, password: &str| {
        let before = accounts.0.passwords.runs();
        let attempt = Attempt::new(password);
        let email = Email::parse(email).unwrap();
        let done = accounts.login(&email, &attempt, &Device::default()).await;
        (done.is_ok(), accounts.0.passwords.runs() - before)
    };
    assert_eq!(runs_of("ada@example.com", PASSWORD).await, (true, 1));
    assert_eq!(
        runs_of("ada@example.com", "a wrong password").await,
        (false, 1)
    );
    assert_eq!(runs_of("nobody@example.com", PASSWORD).await, (false, 1));
    let before = accounts.0.passwords.runs();
    let taken = Email::parse("ada@example.com").unwrap();
    let (password, device) = (NewPassword::new(PASSWORD), Device::default());
    let refused = accounts.register(taken, &password, None, &device).await;
    assert!(matches!(refused, Err(AccountError::EmailTaken)));
    assert_eq!(accounts.0.passwords.runs() - before, 1);
    shop.finish().await;
}

#[actix_web::test]
async fn passwords_that_differ_after_the_72nd_byte_are_two() {
    let shop = TestShop::start().await;
    let (right, wrong) = (
        format!("{}a", "p".repeat(99)),
        format!("{}b", "p".repeat(99)),
    );
    let body = json!({ "email": "ada@example.com", "password": right });
    shop.post("/api/auth/register", &body)
        .await
        .signed_in(StatusCode::CREATED);
    shop.login("ada@example.com", &wrong)
        .await
        .expect(401, "invalid_credentials");
    shop.login("ada@example.com", &right[..72])
        .await
        .expect(401, "invalid_credentials");
    shop.login("ada@example.com", &right)
        .await
        .signed_in(StatusCode::OK);
    shop.finish().await;
}

#[actix_web::test]
async fn a_hash_of_another_cost_is_renewed_at_sign_in() {
    let shop = TestShop::with(&[("BODEGA__AUTH__BCRYPT_COST", "5")]).await;
    let mut old = shop.config.auth.clone();
    old.bcrypt_cost = 4;
    let tokens = crate::accounts::Tokens::new(&old);
    let old = crate::accounts::Accounts::new(&shop.mongo, &tokens, &old);
    let email = Email::parse("ada@example.com").unwrap();
    let made = old
        .create_user(
            email.clone(),
            &NewPassword::new(PASSWORD),
            Role::Customer,
            None,
        )
        .await
        .unwrap();
    assert!(made.password_hash.as_str().starts_with("$2b$04$"));
    shop.login("ada@example.com", PASSWORD)
        .await
        .signed_in(StatusCode::OK);
    let renewed = shop.accounts.find_user(&email).await.unwrap().unwrap();
    assert!(renewed.password_hash.as_str().starts_with("$2b$05$"));
    shop.login("ada@example.com", PASSWORD)
        .await
        .signed_in(StatusCode::OK);
    shop.finish().await;
}

#[actix_web::test]
async fn tries_at_one_account_are_limited_and_other_accounts_are_not() {
    let shop = TestShop::with(&[
        ("BODEGA__RATE_LIMIT__ENABLED", "true"),
        ("BODEGA__RATE_LIMIT__ACCOUNT_BURST", "2"),
        ("BODEGA__RATE_LIMIT__ACCOUNT_PER_MINUTE", "1"),
    ])
    .await;
    for _ in 0..2 {
        shop.login("ada@example.com", "a wrong password")
            .await
            .expect(401, "invalid_credentials");
    }
    let refused = shop.login("Ada@example.com", "a wrong password").await;
    refused.expect(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    shop.login("bob@example.com", "a wrong password")
        .await
        .expect(401, "invalid_credentials");
    shop.finish().await;
}
