//! Two persons at one browser: neither is shown what is the other's, whatever the browser has kept.

use serde_json::json;

use crate::support::{Browser, TestShop};

/// Two sign-ins in a page: `show(who, path)` is the body that it is given for that person's token.
fn page(emails: &[String; 2]) -> String {
    let emails = json!(emails);
    format!(
        r#"(async () => {{
            const tokens = await Promise.all({emails}.map(async (email) => {{
                const answer = await fetch("/api/auth/login", {{ method: "POST",
                    headers: {{ "content-type": "application/json" }},
                    body: JSON.stringify({{ email, password: "correct horse battery" }}) }});
                return (await answer.json()).accessToken;
            }}));
            window.show = async (who, path) => {{
                const headers = {{ authorization: `Bearer ${{tokens[who]}}` }};
                return (await fetch(path, {{ headers }})).json();
            }};
        }})()"#
    )
}

#[actix_web::test]
async fn two_persons_at_one_browser_see_each_their_own() {
    let shop = TestShop::start().await;
    let admin = shop.admin().await;
    let product = shop.product(&admin, "P", 1_000, 50).await;
    let buyers = [shop.customer().await, shop.customer().await];
    let mut profiles = Vec::new();
    for (buyer, quantity) in buyers.iter().zip(1..) {
        // Both carts are at version 1, as both profiles are.
        let line = json!({ "productId": product["id"], "quantity": quantity });
        buyer.post("/api/cart", &line).await.expect(200);
        profiles.push(buyer.get("/api/auth/profile").await.expect(200).body);
    }
    let emails = [0, 1].map(|who: usize| profiles[who]["email"].as_str().unwrap().to_owned());
    let mut browser = Browser::open(&format!("{}/api/docs/", shop.server.url)).await;
    browser.evaluate(&page(&emails)).await;
    for _round in 0..2 {
        for (who, profile) in profiles.iter().enumerate() {
            let shown = format!("show({who}, '/api/auth/profile')");
            assert_eq!(browser.evaluate(&shown).await, *profile);
            let cart = browser.evaluate(&format!("show({who}, '/api/cart')")).await;
            assert_eq!(cart["itemCount"], who + 1);
        }
    }
}
