//! What clients were told, kept on disk line by line for `bodega check --invariants --acks`; and a purchase that
//! keeps it.

use std::{
    cell::RefCell,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Client, checkout_of};

/// The acknowledgements of one test.
pub(crate) struct Acks {
    file: RefCell<File>,
    path: PathBuf,
}

impl Acks {
    /// None yet.
    pub(crate) fn new() -> Self {
        let name = format!("acks-{}", bson::oid::ObjectId::new());
        let path = std::env::temp_dir().join(name);
        let file = RefCell::new(File::create(&path).unwrap());
        Self { file, path }
    }

    /// Keeps one, on disk before anything else is done.
    pub(crate) fn keep(&self, line: &Value) {
        let mut file = self.file.borrow_mut();
        writeln!(file, "{line}").unwrap();
        file.sync_data().unwrap();
    }

    /// Where they are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Acks {
    fn drop(&mut self) {
        // Left behind only where a test has failed and somebody wants to look.
        if !std::thread::panicking() {
            std::fs::remove_file(&self.path).unwrap();
        }
    }
}

fn new_key() -> String {
    bson::oid::ObjectId::new().to_hex()
}

/// From the cart to the order. `insist` repeats a request until it succeeds, is told that an earlier try has led
/// elsewhere (null), or the test ends (`None`). The order; null where it came to none.
pub(crate) async fn purchase(
    (buyer, paypal): (&Client, &Client),
    product: &Value,
    acks: &Acks,
    insist: impl AsyncFn(&dyn Fn() -> RequestBuilder) -> Option<Value>,
) -> Option<Value> {
    let line = json!({ "productId": product["id"], "quantity": 1 });
    let cart = insist(&|| buyer.request(Method::POST, "/api/cart").json(&line)).await?;
    let (key, body) = (new_key(), checkout_of(&cart));
    let begin = || {
        let request = buyer.request(Method::POST, "/api/payment/checkout");
        request.header("idempotency-key", &key).json(&body)
    };
    let checkout = insist(&begin).await?;
    if checkout.is_null() {
        return Some(Value::Null);
    }
    acks.keep(&json!({ "kind": "checkout", "id": checkout["id"] }));
    let payment = checkout["providerOrderId"].as_str().unwrap();
    let approve = format!("/control/orders/{payment}/approve");
    paypal.post(&approve, &json!({})).await.expect(200);
    let (key, body) = (new_key(), json!({ "checkoutId": checkout["id"] }));
    let come_back = || {
        let request = buyer.request(Method::POST, "/api/orders");
        request.header("idempotency-key", &key).json(&body)
    };
    let order = insist(&come_back).await?;
    if !order.is_null() {
        acks.keep(&json!({ "kind": "order", "id": order["id"], "version": order["version"] }));
    }
    Some(order)
}
