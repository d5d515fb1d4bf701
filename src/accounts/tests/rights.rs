//! Erasure; the export is shown over all rooms, in `tests/api/my_data.rs`.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::{Answer, PASSWORD, TestShop};

#[actix_web::test]
async fn erasure_removes_the_person_from_every_collection_of_the_room() {
    use futures_util::TryStreamExt;
    let shop = TestShop::start().await;
    let other = shop.another_node().await;
    let login = json!({ "email": "ada@example.com", "password": PASSWORD, "name": "Canary Ada" });
    let register = shop
        .call(Method::POST, "/api/auth/register")
        .header("user-agent", "Canary Phone");
    let ada = Answer::of(register.json(&login))
        .await
        .signed_in(StatusCode::CREATED);
    let erase = |password: &str| {
        let call = shop
            .call(Method::DELETE, "/api/auth/account")
            .bearer_auth(&ada.access);
        Answer::of(call.json(&json!({ "password": password })))
    };
    erase("a wrong password")
        .await
        .expect(401, "invalid_credentials");
    assert!(shop.admits(&ada.access).await);
    let erased = erase(PASSWORD).await;
    assert_eq!(erased.status, StatusCode::NO_CONTENT);
    assert!(erased.cookie().contains("Max-Age=0"));
    assert!(!shop.admits(&ada.access).await);
    other.refuses_soon(&ada.access).await;
    let later = shop.another_node().await;
    assert!(!later.admits(&ada.access).await);
    shop.refresh(&ada.refresh)
        .await
        .expect(401, "invalid_token");
    shop.login("ada@example.com", PASSWORD)
        .await
        .expect(401, "invalid_credentials");

    let database = shop.mongo.database();
    for name in database.list_collection_names().await.unwrap() {
        let documents = database.collection::<bson::Document>(&name);
        let documents = documents.find(bson::doc! {}).await.unwrap();
        let documents: Vec<_> = documents.try_collect().await.unwrap();
        let dump = format!("{documents:?}");
        for canary in ["ada@example.com", "Canary", "127.0.0.1"] {
            assert!(!dump.contains(canary), "{canary} in {name}");
        }
        if name == "erasures" {
            assert!(dump.contains(ada.user["id"].as_str().unwrap()));
        }
    }
    // The address is free again, for another account.
    let again = shop.register("ada@example.com").await;
    assert_ne!(again.user["id"], ada.user["id"]);
    later.stop().await;
    other.stop().await;
    shop.finish().await;
}
