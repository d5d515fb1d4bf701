//! Buying: whole purchases beside the database's own limit, and a rush for one hot item.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    MEASURE, driver,
    load::{self, Measured},
    row,
    shop::Shop,
};

/// Who comes for the hot item, how many units there are of it, and how many buyers ask at once.
const RUSH: (usize, u32, usize) = (2_000, 100, 64);

/// All of it.
pub(crate) async fn measure(shop: &Shop) {
    purchases(shop).await;
    rush(shop).await;
}

/// Whole purchases: cart, checkout, approval, order; beside the driver's transaction of the same writes.
async fn purchases(shop: &Shop) {
    for buyers in [16, 64] {
        let limit = driver::order_transactions(&shop.mongodb_uri, buyers, MEASURE).await;
        let tokens = shop.buyers(buyers).await;
        let before = shop.spent().await;
        let measured = load::journeys(buyers, MEASURE, |n| purchase(shop, &tokens[n])).await;
        let spent = shop.spent().await.each(&before, measured.answered());
        let measured = Measured::from(measured);
        row(
            &format!("checkout to order, {buyers} buyers"),
            &measured,
            Some(shop.rss_mib()),
            Some(&limit),
        );
        println!("  {spent}");
        row("  limit: driver, one transaction", &limit, None, None);
    }
}

/// One purchase; whether there is an order at its end.
async fn purchase(shop: &Shop, token: &str) -> bool {
    let cart = shop
        .post(
            "/api/cart",
            token,
            &json!({ "productId": shop.product_id, "quantity": 1 }),
        )
        .await;
    let Some(items) = cart["items"].as_array() else {
        return false;
    };
    let checkout = wish(&cart, items);
    let checkout = shop.post("/api/payment/checkout", token, &checkout).await;
    let Some(payment) = checkout["providerOrderId"].as_str() else {
        return false;
    };
    shop.approve(payment).await;
    let order = shop
        .post(
            "/api/orders",
            token,
            &json!({ "checkoutId": checkout["id"] }),
        )
        .await;
    order["number"].is_string()
}

/// What a buyer asks who has seen `cart`.
fn wish(cart: &Value, items: &[Value]) -> Value {
    let items: Vec<Value> = items
        .iter()
        .map(|item| json!({ "id": item["id"], "quantity": item["quantity"] }))
        .collect();
    json!({
        "cart": { "version": cart["version"], "items": items, "total": cart["total"] },
        "shippingAddress": { "name": "B", "line1": "1", "city": "Austin", "region": "TX", "postalCode": "78701", "country": "US" },
        "shippingMethod": "standard",
    })
}

/// More buyers than units ask to pay at once; how many a second are decided, either way.
async fn rush(shop: &Shop) {
    let (buyers, units, at_once) = RUSH;
    let hot = &shop.some_products[1];
    shop.stock(hot, units).await;
    let mut requests = Vec::new();
    for token in shop.buyers(buyers).await {
        let line = json!({ "productId": hot, "quantity": 1 });
        let cart = shop.post("/api/cart", &token, &line).await;
        let wish = wish(&cart, cart["items"].as_array().unwrap());
        let body = wish.to_string();
        requests.push(load::post("/api/payment/checkout", &body, Some(&token)));
    }
    let began = Instant::now();
    let answers = load::each_once(&shop.address, at_once, requests).await;
    let over = began.elapsed();
    let (statuses, times): (Vec<u16>, Vec<_>) = answers.into_iter().unzip();
    let of = |status| statuses.iter().filter(|one| **one == status).count();
    let (sold, refused) = (of(201), of(409));
    let measured = Measured::of(times, buyers - sold - refused, over);
    let name = format!("hot item: {buyers} buyers, {units} units");
    row(&name, &measured, Some(shop.rss_mib()), None);
    println!("  decisions/s, goal 1,000; {sold} of {units} reserved, {refused} refused");
    assert_eq!(sold, usize::try_from(units).unwrap(), "exactly all units");
}
