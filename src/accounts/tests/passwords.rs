//! New passwords and e-mailed links.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::json;

use super::support::{Answer, PASSWORD, SignedIn, TestShop};
use crate::accounts::{LinkPurpose, Mail};

const NEW: &str = "another good password";

async fn change(shop: &TestShop, user: &SignedIn, current: &str, new: &str) -> Answer {
    let call = shop
        .call(Method::POST, "/api/auth/password")
        .bearer_auth(&user.access);
    Answer::of(call.json(&json!({ "currentPassword": current, "newPassword": new }))).await
}

/// The mail of `purpose` that waits in the outbox, once it is there.
async fn mail(shop: &TestShop, purpose: LinkPurpose) -> Mail {
    for _ in 0..200 {
        let waiting = shop.accounts.0.outbox.unsent(100).await.unwrap();
        if let Some(mail) = waiting.into_iter().find(|mail| mail.purpose == purpose) {
            return mail;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no mail came");
}

fn token(shop: &TestShop, mail: &Mail) -> String {
    let token = shop.accounts.link_token(mail.link, mail.purpose);
    token.expose_secret().to_owned()
}

async fn reset(shop: &TestShop, token: &str, new: &str) -> Answer {
    let body = json!({ "token": token, "newPassword": new });
    shop.post("/api/auth/password/reset", &body).await
}

#[actix_web::test]
async fn a_new_password_ends_the_other_devices_only() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let phone = shop
        .login("ada@example.com", PASSWORD)
        .await
        .signed_in(StatusCode::OK);
    change(&shop, &ada, "a wrong password", NEW)
        .await
        .expect(401, "invalid_credentials");
    let short = change(&shop, &ada, PASSWORD, "short").await;
    short.expect(422, "validation_failed");
    assert_eq!(short.pointers(), ["/newPassword"]);
    assert!(shop.admits(&phone.access).await);
    assert_eq!(
        change(&shop, &ada, PASSWORD, NEW).await.status,
        StatusCode::NO_CONTENT
    );
    assert!(shop.admits(&ada.access).await && !shop.admits(&phone.access).await);
    shop.refresh(&phone.refresh)
        .await
        .expect(401, "invalid_token");
    shop.refresh(&ada.refresh).await.expect(200, "");
    shop.login("ada@example.com", PASSWORD)
        .await
        .expect(401, "invalid_credentials");
    shop.login("ada@example.com", NEW)
        .await
        .signed_in(StatusCode::OK);
    shop.finish().await;
}

#[actix_web::test]
async fn of_two_changes_at_once_one_wins() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let words = ["password number one", "password number two"];
    let race = words.map(|new| change(&shop, &ada, PASSWORD, new));
    let answers = futures_util::future::join_all(race).await;
    let won: Vec<bool> = answers
        .iter()
        .map(|a| a.status == StatusCode::NO_CONTENT)
        .collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{answers:?}");
    for (word, won) in words.iter().zip(won) {
        let login = shop.login("ada@example.com", word).await;
        assert_eq!(login.status == StatusCode::OK, won);
    }
    shop.finish().await;
}

#[actix_web::test]
async fn a_forgotten_password_is_reset_once_by_the_mailed_link() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let forgot = shop
        .post(
            "/api/auth/password/forgot",
            &json!({ "email": "ADA@example.com" }),
        )
        .await;
    assert_eq!(forgot.status, StatusCode::ACCEPTED);
    let mail = mail(&shop, LinkPurpose::ResetPassword).await;
    assert_eq!(mail.to.as_str(), "ada@example.com");
    let token = token(&shop, &mail);
    for wrong in [
        "",
        "x",
        &format!("{}.{}", mail.link, "A".repeat(43)),
        &"x".repeat(10_000),
    ] {
        let refused = reset(&shop, wrong, NEW).await;
        refused.expect(422, "validation_failed");
        assert_eq!(refused.pointers(), ["/token"]);
    }
    let race = (0..4).map(|_| reset(&shop, &token, NEW));
    let race = futures_util::future::join_all(race).await;
    assert_eq!(
        race.iter()
            .filter(|a| a.status == StatusCode::NO_CONTENT)
            .count(),
        1,
        "{race:?}"
    );
    reset(&shop, &token, "a third password")
        .await
        .expect(422, "validation_failed");
    assert!(!shop.admits(&ada.access).await);
    shop.refresh(&ada.refresh)
        .await
        .expect(401, "invalid_token");
    shop.login("ada@example.com", PASSWORD)
        .await
        .expect(401, "invalid_credentials");
    let back = shop
        .login("ada@example.com", NEW)
        .await
        .signed_in(StatusCode::OK);
    assert_eq!(back.user["emailVerified"], true);
    shop.finish().await;
}

#[actix_web::test]
async fn asking_for_an_unknown_email_is_answered_alike_and_mails_nobody() {
    let shop = TestShop::start().await;
    shop.register("ada@example.com").await;
    let unknown = shop
        .post(
            "/api/auth/password/forgot",
            &json!({ "email": "eve@example.com" }),
        )
        .await;
    let known = shop
        .post(
            "/api/auth/password/forgot",
            &json!({ "email": "ada@example.com" }),
        )
        .await;
    assert_eq!((unknown.status, &unknown.body), (known.status, &known.body));
    // The known one was asked for later: once its mail is there, the other's would be too.
    mail(&shop, LinkPurpose::ResetPassword).await;
    let waiting = shop.accounts.0.outbox.unsent(100).await.unwrap();
    assert!(
        waiting
            .iter()
            .all(|mail| mail.to.as_str() == "ada@example.com")
    );
    shop.finish().await;
}

#[actix_web::test]
async fn a_newer_link_replaces_the_older_and_a_new_password_ends_it() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let user = shop
        .accounts
        .user(ada.user["id"].as_str().unwrap().parse().unwrap())
        .await
        .unwrap();
    shop.accounts
        .send_link(&user, LinkPurpose::ResetPassword)
        .await
        .unwrap();
    let older = token(&shop, &mail(&shop, LinkPurpose::ResetPassword).await);
    shop.accounts
        .send_link(&user, LinkPurpose::ResetPassword)
        .await
        .unwrap();
    reset(&shop, &older, NEW)
        .await
        .expect(422, "validation_failed");
    let waiting = shop.accounts.0.outbox.unsent(100).await.unwrap();
    let newer = token(&shop, waiting.last().unwrap());
    assert_eq!(
        change(&shop, &ada, PASSWORD, NEW).await.status,
        StatusCode::NO_CONTENT
    );
    reset(&shop, &newer, "a third password")
        .await
        .expect(422, "validation_failed");
    shop.finish().await;
}

#[actix_web::test]
async fn the_link_sent_at_registration_confirms_the_email_once() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let token = token(&shop, &mail(&shop, LinkPurpose::VerifyEmail).await);
    // A link for one purpose is none for the other.
    reset(&shop, &token, NEW)
        .await
        .expect(422, "validation_failed");
    let verify = || async {
        shop.post("/api/auth/verify", &json!({ "token": token }))
            .await
    };
    assert_eq!(verify().await.status, StatusCode::NO_CONTENT);
    verify().await.expect(422, "validation_failed");
    let shown = shop.get("/api/auth/profile", &ada.access).await;
    assert_eq!(
        (&shown.body["emailVerified"], &shown.body["version"]),
        (&true.into(), &2.into())
    );
    shop.finish().await;
}
