//! Signed-in devices, and what ends them.

use reqwest::{Method, StatusCode};

use super::support::{Answer, PASSWORD, TestShop};
use crate::{
    accounts::{AccountError, Device, Email, NewPassword, Principal, Role, sessions::MAX_SESSIONS},
    id::{SessionId, UserId},
};

async fn end(shop: &TestShop, id: &str, access: &str) -> Answer {
    let path = format!("/api/auth/sessions/{id}");
    Answer::of(shop.call(Method::DELETE, &path).bearer_auth(access)).await
}

#[actix_web::test]
async fn signing_out_ends_the_session_at_once_and_clears_the_cookie() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let cookie = format!("bodega_refresh={}", ada.refresh);
    let logout = || shop.call(Method::POST, "/api/auth/logout");
    let out = Answer::of(logout().header("cookie", &cookie)).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(out.cookie().starts_with("bodega_refresh=;") && out.cookie().contains("Max-Age=0"));
    assert!(!shop.admits(&ada.access).await);
    shop.refresh(&ada.refresh)
        .await
        .expect(401, "invalid_token");
    for again in [
        logout().header("cookie", &cookie),
        logout(),
        logout().header("cookie", "bodega_refresh=x"),
    ] {
        let again = Answer::of(again).await;
        assert_eq!(again.status, StatusCode::NO_CONTENT);
        assert!(again.cookie().contains("Max-Age=0"));
    }
    shop.finish().await;
}

#[actix_web::test]
async fn signing_out_ends_the_access_tokens_sign_in_and_the_cookies() {
    let shop = TestShop::start().await;
    let logout = || shop.call(Method::POST, "/api/auth/logout");
    let ada = shop.register("ada@example.com").await;
    let out = Answer::of(logout().bearer_auth(&ada.access)).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(!shop.admits(&ada.access).await);
    shop.refresh(&ada.refresh)
        .await
        .expect(401, "invalid_token");

    // Two sign-ins in one request; a token that is none keeps neither from ending.
    for sent in [None, Some("x")] {
        let phone = shop.login("ada@example.com", PASSWORD).await;
        let phone = phone.signed_in(StatusCode::OK);
        let laptop = shop.login("ada@example.com", PASSWORD).await;
        let laptop = laptop.signed_in(StatusCode::OK);
        let cookie = format!("bodega_refresh={}", laptop.refresh);
        let out = logout()
            .bearer_auth(sent.unwrap_or(&phone.access))
            .header("cookie", cookie);
        assert_eq!(Answer::of(out).await.status, StatusCode::NO_CONTENT);
        assert!(!shop.admits(&laptop.access).await);
        assert_eq!(shop.admits(&phone.access).await, sent.is_some());
    }
    shop.finish().await;
}

#[actix_web::test]
async fn a_sign_out_holds_on_other_nodes_and_on_those_that_start_later() {
    let shop = TestShop::start().await;
    let other = shop.another_node().await;
    let ada = shop.register("ada@example.com").await;
    assert!(other.admits(&ada.access).await);
    let cookie = format!("bodega_refresh={}", ada.refresh);
    Answer::of(
        shop.call(Method::POST, "/api/auth/logout")
            .header("cookie", cookie),
    )
    .await;
    other.refuses_soon(&ada.access).await;
    let later = shop.another_node().await;
    assert!(!later.admits(&ada.access).await);
    later.stop().await;
    other.stop().await;
    shop.finish().await;
}

#[actix_web::test]
async fn devices_are_listed_and_signed_out_one_by_one() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let bob = shop.register("bob@example.com").await;
    let login = shop
        .call(Method::POST, "/api/auth/login")
        .header("user-agent", "$current phone")
        .json(&serde_json::json!({ "email": "ada@example.com", "password": PASSWORD }));
    let phone = Answer::of(login).await.signed_in(StatusCode::OK);
    let list = shop.get("/api/auth/sessions", &ada.access).await;
    assert_eq!(
        (list.status, &list.body["total"]),
        (StatusCode::OK, &2.into())
    );
    let items = list.body["items"].as_array().unwrap();
    assert_eq!(items[0]["userAgent"], "$current phone");
    assert_eq!(
        (&items[0]["current"], &items[1]["current"]),
        (&false.into(), &true.into())
    );
    assert_eq!(items[0]["ip"], "127.0.0.1");
    assert!(!list.body.to_string().contains(&phone.refresh[25..60]));

    let id = items[0]["id"].as_str().unwrap();
    for (wrong, access) in [
        (id, &bob.access),
        (&"0".repeat(24), &ada.access),
        ("x", &ada.access),
    ] {
        end(&shop, wrong, access).await.expect(404, "not_found");
    }
    assert!(shop.admits(&phone.access).await);
    assert_eq!(
        end(&shop, id, &ada.access).await.status,
        StatusCode::NO_CONTENT
    );
    assert!(!shop.admits(&phone.access).await);
    shop.refresh(&phone.refresh)
        .await
        .expect(401, "invalid_token");
    end(&shop, id, &ada.access).await.expect(404, "not_found");
    assert!(shop.admits(&ada.access).await);
    shop.finish().await;
}

#[actix_web::test]
async fn a_user_has_a_hundred_devices_at_most() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let user: UserId = ada.user["id"].as_str().unwrap().parse().unwrap();
    let rooms = &shop.accounts.0;
    let opened = (0..MAX_SESSIONS).map(|_| async {
        let token = rooms.refresh.first(SessionId::new());
        rooms.sessions.open(user, &token, &Device::default()).await
    });
    futures_util::future::try_join_all(opened).await.unwrap();
    let newest = shop
        .login("ada@example.com", PASSWORD)
        .await
        .signed_in(StatusCode::OK);
    assert!(!shop.admits(&ada.access).await, "used longest ago");
    let list = shop.get("/api/auth/sessions", &newest.access).await;
    assert_eq!(list.body["total"], MAX_SESSIONS);
    shop.finish().await;
}

#[actix_web::test]
async fn a_disabled_user_is_out_until_enabled_again() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let user: UserId = ada.user["id"].as_str().unwrap().parse().unwrap();
    // By another handle, as `bodega user set` does: the node learns of it from the feed.
    shop.accounts.set_enabled(user, false).await.unwrap();
    shop.refuses_soon(&ada.access).await;
    shop.refresh(&ada.refresh)
        .await
        .expect(401, "invalid_token");
    shop.login("ada@example.com", PASSWORD)
        .await
        .expect(401, "invalid_credentials");
    shop.accounts.set_enabled(user, true).await.unwrap();
    shop.login("ada@example.com", PASSWORD)
        .await
        .signed_in(StatusCode::OK);
    shop.refresh(&ada.refresh)
        .await
        .expect(401, "invalid_token");
    shop.finish().await;
}

#[actix_web::test]
async fn a_change_of_role_ends_the_sign_ins_that_name_the_old_one() {
    let shop = TestShop::start().await;
    let email = Email::parse("staff@example.com").unwrap();
    let password = NewPassword::new(PASSWORD);
    let made = shop
        .accounts
        .create_user(email, &password, Role::Admin, Some("Grace".into()));
    let user = made.await.unwrap().id;
    let admin = shop
        .login("staff@example.com", PASSWORD)
        .await
        .signed_in(StatusCode::OK);
    assert_eq!(
        (&admin.user["role"], &admin.user["name"]),
        (&"admin".into(), &"Grace".into())
    );
    shop.accounts.set_role(user, Role::Customer).await.unwrap();
    shop.refuses_soon(&admin.access).await;
    shop.refresh(&admin.refresh)
        .await
        .expect(401, "invalid_token");
    let again = shop
        .login("staff@example.com", PASSWORD)
        .await
        .signed_in(StatusCode::OK);
    assert_eq!(
        (&again.user["role"], &again.user["version"]),
        (&"customer".into(), &2.into())
    );
    shop.finish().await;
}

#[actix_web::test]
async fn a_sign_in_that_was_overtaken_by_a_new_password_leaves_no_session() {
    let shop = TestShop::start().await;
    let ada = shop.register("ada@example.com").await;
    let id: UserId = ada.user["id"].as_str().unwrap().parse().unwrap();
    let judged = shop.accounts.user(id).await.unwrap();
    let who = Principal {
        user: id,
        session: ada.refresh[..24].parse().unwrap(),
        role: Role::Customer,
        expires_at: crate::clock::Timestamp::now(),
    };
    let (old, new) = (
        crate::accounts::Attempt::new(PASSWORD),
        NewPassword::new("another password"),
    );
    shop.accounts
        .change_password(&who, &old, &new)
        .await
        .unwrap();
    // The password was right when it was judged; the session comes too late.
    let late = shop
        .accounts
        .open_session(&judged, &Device::default())
        .await;
    assert!(matches!(late, Err(AccountError::InvalidCredentials)));
    assert_eq!(shop.accounts.sessions(id).await.unwrap().len(), 1);
    shop.finish().await;
}
