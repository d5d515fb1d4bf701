//! One buyer and one product: bought, paid, given back, and judged.

use serde_json::{Value, json};

use super::latest;
use crate::support::{Answer, Client, TestShop, checkout_of, eventually};

/// Units of each product.
const STOCK: u32 = 5;

/// A purchase in a shop whose PayPal misbehaves.
pub(super) struct Purchase<'a> {
    pub(super) shop: &'a TestShop,
    pub(super) paypal: Client,
    admin: &'a Client,
    buyer: Client,
    product: Value,
}

impl<'a> Purchase<'a> {
    pub(super) async fn new(shop: &'a TestShop, admin: &'a Client, sku: &str) -> Self {
        Self {
            shop,
            paypal: shop.paypal(),
            admin,
            buyer: shop.customer().await,
            product: shop.product(admin, sku, 900, STOCK).await,
        }
    }

    /// Puts the product into the cart: the wish to check it out.
    pub(super) async fn fill(&self) -> Value {
        let line = json!({ "productId": self.product["id"], "quantity": 1 });
        let cart = self.buyer.post("/api/cart", &line).await.expect(200).body;
        checkout_of(&cart)
    }

    /// The wish to check out what is in the cart still.
    pub(super) async fn fill_again(&self) -> Value {
        checkout_of(&self.buyer.get("/api/cart").await.expect(200).body)
    }

    pub(super) async fn try_to_place(&self, wish: &Value, key: &str) -> Answer {
        self.buyer
            .post_with_key("/api/payment/checkout", key, wish)
            .await
    }

    /// Begins the checkout, as a buyer does who comes back whenever told to.
    pub(super) async fn place(&self, wish: &Value, key: &str) -> Value {
        eventually("the checkout", || async {
            let answer = self.try_to_place(wish, key).await;
            let later = answer.status == 503 || answer.body["code"] == "request_in_progress";
            (!later).then(|| answer.expect(201).body)
        })
        .await
    }

    /// The buyer's return from PayPal.
    pub(super) async fn come_back(&self, checkout: &Value) -> Answer {
        let body = json!({ "checkoutId": checkout["id"] });
        self.buyer.post("/api/orders", &body).await
    }

    /// Approves, and waits until it is paid.
    pub(super) async fn pay(&self, checkout: &Value) {
        self.shop.approve(checkout).await;
        self.ordered(checkout, "Completed").await;
    }

    /// Comes back until there is an order whose payment stands so.
    pub(super) async fn ordered(&self, checkout: &Value, payment: &str) -> Value {
        let order = eventually("the order", || async {
            let answer = self.come_back(checkout).await;
            let there = matches!(answer.status, 200 | 201);
            (there && answer.body["payment"]["status"] == payment).then_some(answer.body)
        })
        .await;
        assert_eq!(order["total"], checkout["total"]);
        order
    }

    /// A paid order, without any fault.
    pub(super) async fn buy(&self) -> Value {
        let checkout = self.place(&self.fill().await, "first").await;
        self.shop.approve(&checkout).await;
        self.ordered(&checkout, "Completed").await
    }

    pub(super) async fn assert_stock_free(&self) {
        let path = format!("/api/products/{}", self.product["id"].as_str().unwrap());
        eventually("the free stock", || async {
            let shown = self.admin.get(&path).await.expect(200).body;
            (shown["stock"] == json!({ "available": STOCK, "reserved": 0 })).then_some(())
        })
        .await;
    }

    pub(super) async fn assert_no_order(&self) {
        assert_eq!(
            self.buyer.get("/api/orders").await.expect(200).body["total"],
            0
        );
    }

    /// Waits for the order that the event alone leads to; the event is in the inbox once.
    pub(super) async fn told(&self, checkout: &Value) {
        eventually("the order of the event", || async {
            let orders = self.buyer.get("/api/orders").await.expect(200).body;
            (orders["total"] == 1).then_some(())
        })
        .await;
        let order = checkout["providerOrderId"].as_str().unwrap();
        let told = self.shop.journal("event").await;
        let approved = told
            .iter()
            .filter(|event| event["resourceId"] == order)
            .find(|event| event["eventType"] == "CHECKOUT.ORDER.APPROVED")
            .unwrap();
        let path = format!("/api/admin/webhooks/{}", approved["id"].as_str().unwrap());
        let stored = eventually("the event's end", || async {
            let stored = self.admin.get(&path).await.expect(200).body;
            (stored["state"] == "done").then_some(stored)
        })
        .await;
        assert_eq!(stored["eventType"], "CHECKOUT.ORDER.APPROVED");
    }

    /// Staff give money back.
    pub(super) async fn refund(&self, order: &Value, key: &str, body: &Value) -> Answer {
        let path = format!("/api/orders/{}/refunds", order["id"].as_str().unwrap());
        self.admin.post_with_key(&path, key, body).await
    }

    async fn order(&self, order: &Value) -> Value {
        let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
        self.admin.get(&path).await.expect(200).body
    }

    /// How much the shop's books say was given back.
    pub(super) async fn assert_booked(&self, order: &Value, cents: i64) {
        let shown = self.order(order).await;
        assert_eq!(shown["payment"]["refunded"]["amount"], cents);
    }

    /// Waits until so much was given back, by the shop's books and by PayPal's.
    pub(super) async fn refunded(&self, order: &Value, cents: i64) {
        eventually("the refund in the books", || async {
            let shown = self.order(order).await;
            (shown["payment"]["refunded"]["amount"] == cents).then_some(())
        })
        .await;
        self.assert_given_back(order, cents).await;
    }

    /// Waits until one of the order's refunds stands so.
    pub(super) async fn refund_stands(&self, order: &Value, status: &str) {
        eventually("the refund's end", || async {
            let shown = self.order(order).await;
            let refunds = shown["refunds"].as_array().unwrap();
            refunds
                .iter()
                .any(|refund| refund["status"] == status)
                .then_some(())
        })
        .await;
    }

    /// How much PayPal itself has given back of the order.
    pub(super) async fn assert_given_back(&self, order: &Value, cents: i64) {
        let back: i64 = self
            .refunds_at_paypal(order)
            .await
            .values()
            .map(amount)
            .sum();
        assert_eq!(back, cents, "given back by PayPal's journal");
    }

    /// The order's one refund at PayPal.
    pub(super) async fn only_refund(&self, order: &Value) -> String {
        let refunds = self.refunds_at_paypal(order).await;
        assert_eq!(refunds.len(), 1, "{refunds:?}");
        refunds.into_keys().next().unwrap()
    }

    async fn refunds_at_paypal(&self, order: &Value) -> std::collections::BTreeMap<String, Value> {
        let mut lines = self.shop.journal("refund").await;
        lines.extend(self.shop.journal("refund.updated").await);
        lines.retain(|line| line["captureId"] == order["payment"]["captureId"]);
        latest(&lines)
    }
}

/// A line's amount in cents.
fn amount(line: &Value) -> i64 {
    let text = line["amount"].as_str().unwrap();
    text.replace('.', "").parse().unwrap()
}

/// Compares the shop's orders with PayPal's journal: money once, and no order without; and has the
/// checker judge everything else.
pub(super) async fn books_agree(shop: &TestShop, admin: &Client) {
    shop.assert_books_are_in_order(&[]);
    let mut lines = shop.journal("capture").await;
    lines.extend(shop.journal("capture.updated").await);
    let captures = latest(&lines);
    let mut orders: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/admin/orders?limit=100{cursor}");
        let page = admin.get(&path).await.expect(200).body;
        orders.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["nextCursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(orders.len(), captures.len(), "one order for each capture");
    for order in &orders {
        let id = order["payment"]["captureId"].as_str().unwrap();
        let capture = &captures[id];
        assert_eq!(order["total"]["amount"], amount(capture), "{order}");
        assert_eq!(
            order["payment"]["status"],
            json!(standing(capture)),
            "{order}"
        );
    }
    let mut of_checkouts: Vec<&Value> = captures.values().map(|line| &line["customId"]).collect();
    of_checkouts.sort_by_key(ToString::to_string);
    of_checkouts.dedup();
    assert_eq!(
        of_checkouts.len(),
        captures.len(),
        "one capture for each checkout"
    );
}

/// A capture's standing in the shop's words.
fn standing(capture: &Value) -> &'static str {
    match capture["status"].as_str().unwrap() {
        "COMPLETED" => "Completed",
        "PARTIALLY_REFUNDED" => "PartiallyRefunded",
        "REFUNDED" => "Refunded",
        other => panic!("a capture that was left {other}: {capture}"),
    }
}
