//! Carts under many hands, over two nodes (R2 of the reliability goals): no edit is lost, absolute edits
//! heed the version, guests' carts come along, and the buyer's other devices hear of it.

mod edits;
mod heard;
mod merging;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, Client, TestShop};

const PASSWORD: &str = "correct horse battery";

/// A product that there is enough of.
async fn plenty(shop: &TestShop, admin: &Client, count: usize) -> Vec<Value> {
    let mut products = Vec::with_capacity(count);
    for number in 0..count {
        let sku = format!("SKU-{number}");
        products.push(shop.product(admin, &sku, 1_000, 1_000_000).await);
    }
    products
}

fn one_of(product: &Value) -> Value {
    json!({ "productId": product["id"], "quantity": 1 })
}

/// Units of a product in a cart as it was shown.
fn units(cart: &Value, product: &Value) -> u64 {
    let lines = cart["items"].as_array().unwrap();
    let own = lines
        .iter()
        .filter(|line| line["productId"] == product["id"]);
    own.map(|line| line["quantity"].as_u64().unwrap()).sum()
}

/// Sends what `request` makes until there is room for it: 503 has changed nothing and says when to come again.
async fn insist(client: &Client, request: impl Fn() -> RequestBuilder) -> Answer {
    loop {
        let answer = client.send(request()).await;
        if answer.status != 503 {
            return answer;
        }
        let busy = answer.expect_problem(503, "busy");
        assert_eq!(busy.header("retry-after"), Some("1"));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn add(client: &Client, product: &Value) -> Answer {
    let line = one_of(product);
    let request = || client.request(Method::POST, "/api/cart").json(&line);
    insist(client, request).await
}
