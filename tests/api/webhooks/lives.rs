//! The life of an order in six events, told in every order, many times, late, and too early.

use std::time::Instant;

use futures_util::{StreamExt, future::join_all, stream};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};

use super::{
    Client, TestShop, eventually, fate, last_line, quiet_shop, release_nothing, resend, scaled,
    settled, stored, usd,
};
use crate::support::Setup;

/// The events of a life, as PayPal makes them.
const EVENTS: [&str; 6] = [
    "CHECKOUT.ORDER.APPROVED",
    "PAYMENT.CAPTURE.PENDING",
    "CHECKOUT.ORDER.COMPLETED",
    "PAYMENT.CAPTURE.COMPLETED",
    "PAYMENT.CAPTURE.REFUNDED",
    "CUSTOMER.DISPUTE.CREATED",
];

/// An order that has lived at PayPal, and has heard nothing of it.
struct Life {
    order: String,
    /// Ids, in the order in which they came about.
    events: Vec<String>,
}

/// Buys with a capture that waits, lets PayPal confirm it, refund a part in its dashboard and open a
/// dispute.
async fn live(shop: &TestShop, buyer: &Client, product: &Value) -> Life {
    let paypal = shop.paypal();
    let since = last_line(shop).await;
    let checkout = shop.checkout(buyer, product, 1).await;
    shop.approve_as(&checkout, &json!({ "then": "pending" }))
        .await;
    let wish = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &wish).await.expect(201).body;
    assert_eq!(order["payment"]["status"], "Pending");
    let capture = order["payment"]["captureId"].as_str().unwrap();
    let path = format!("/control/captures/{capture}");
    paypal
        .post(&format!("{path}/complete"), &json!({}))
        .await
        .expect(200);
    let part = json!({ "amount": "2.50" });
    paypal
        .post(&format!("{path}/refund"), &part)
        .await
        .expect(200);
    let dispute = json!({ "captureId": capture });
    paypal.post("/control/disputes", &dispute).await.expect(200);
    let path = format!("/control/journal?kind=event&since={since}");
    let lines = paypal.get(&path).await.expect(200).body;
    let lines = lines.as_array().unwrap();
    let told = |kind: &str| {
        let line = lines.iter().find(|line| line["eventType"] == kind).unwrap();
        line["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(lines.len(), EVENTS.len(), "{lines:?}");
    Life {
        order: order["id"].as_str().unwrap().to_owned(),
        events: EVENTS.map(told).to_vec(),
    }
}

/// The `n`th of the 720 orders of six.
fn permutation(mut n: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..EVENTS.len()).collect();
    let mut order = Vec::with_capacity(EVENTS.len());
    for base in (1..=EVENTS.len()).rev() {
        order.push(left.remove(n % base));
        n /= base;
    }
    order
}

/// Tells a life event by event, each after the one before is done with; some twice, some again later.
async fn tell(shop: &TestShop, admin: &Client, life: &Life, order: &[usize], seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut before: Vec<&String> = Vec::new();
    for place in order {
        let event = &life.events[*place];
        resend(shop, event, random.random_range(1..=2)).await;
        let stored = settled(admin, event).await;
        assert_eq!(stored["state"], "done", "{stored}");
        if random.random_bool(0.25) && !before.is_empty() {
            let again = before[random.random_range(0..before.len())];
            resend(shop, again, 1).await;
        }
        before.push(event);
    }
}

async fn order_of(admin: &Client, life: &Life) -> Value {
    let path = format!("/api/orders/{}", life.order);
    admin.get(&path).await.expect(200).body
}

fn seed() -> u64 {
    let seed =
        std::env::var("BODEGA_SEED").map_or_else(|_| rand::rng().random(), |s| s.parse().unwrap());
    println!("seed: BODEGA_SEED={seed}");
    seed
}

#[actix_web::test]
async fn in_every_order_and_with_repeats_six_events_lead_to_one_state() {
    let seed = seed();
    let count = scaled(24, 720);
    let mut orders: Vec<usize> = (1..720).collect();
    orders.shuffle(&mut StdRng::seed_from_u64(seed));
    // As it happened, and backwards, are always among them.
    let orders: Vec<usize> = [0, 719].into_iter().chain(orders).take(count).collect();
    let shop = quiet_shop().await;
    let admin = shop.admin().await;
    let mug = shop.product(&admin, "MUG", 900, 1_000).await;
    let buyers = shop.customers(count).await;
    let mut lives = Vec::with_capacity(count);
    for buyer in &buyers {
        lives.push(live(&shop, buyer, &mug).await);
    }
    release_nothing(&shop).await;
    let (shop, admin) = (&shop, &admin);
    let ends = stream::iter(lives.iter().zip(&orders)).map(|(life, number)| async move {
        let order = permutation(*number);
        tell(
            shop,
            admin,
            life,
            &order,
            seed.wrapping_add(u64::try_from(*number).unwrap()),
        )
        .await;
        (order, fate(&order_of(admin, life).await))
    });
    let ends: Vec<(Vec<usize>, Value)> = ends.buffered(8).collect().await;
    let expected = json!({
        "status": "Pending",
        "history": ["Pending"],
        "payment": "PartiallyRefunded",
        "refunded": usd(250),
        "total": usd(900 + 499),
        "disputes": [["OPEN", "MERCHANDISE_OR_SERVICE_NOT_RECEIVED", usd(900 + 499), null]],
    });
    for (order, end) in &ends {
        assert_eq!(*end, expected, "{order:?}");
    }
    assert_eq!(
        stored(admin, "").await,
        u64::try_from(count * EVENTS.len()).unwrap()
    );
    assert_eq!(stored(admin, "&state=dead").await, 0);
    // Every payment was captured once, and its dashboard refund booked once.
    assert_eq!(shop.journal("capture").await.len(), count);
    assert_eq!(shop.journal("refund").await.len(), count);
}

#[actix_web::test]
async fn fifty_copies_at_once_and_a_replay_after_three_days_change_nothing() {
    let shop = quiet_shop().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 10).await;
    let life = live(&shop, &buyer, &mug).await;
    release_nothing(&shop).await;
    let began = Instant::now();
    join_all(life.events.iter().map(|event| resend(&shop, event, 50))).await;
    for event in &life.events {
        assert_eq!(settled(&admin, event).await["state"], "done");
    }
    let copies = u64::try_from(50 * EVENTS.len()).unwrap();
    eventually("every copy's answer", || async {
        let answered = shop.journal("delivery").await;
        let taken = answered.iter().filter(|line| line["status"] == 200).count();
        (u64::try_from(taken).unwrap() >= copies).then_some(())
    })
    .await;
    println!("{copies} copies answered in {:?}", began.elapsed());
    assert_eq!(stored(&admin, "").await, 6, "each event is kept once");
    let first = order_of(&admin, &life).await;
    // Three days on: PayPal's last try, with tokens and request ids long forgotten.
    let later = json!({ "advanceSeconds": 3 * 24 * 3_600 });
    shop.paypal()
        .post("/control/clock", &later)
        .await
        .expect(200);
    for event in &life.events {
        resend(&shop, event, 1).await;
        let path = format!("/api/admin/webhooks/{event}/replay");
        admin.post(&path, &Value::Null).await.expect(200);
        assert_eq!(settled(&admin, event).await["state"], "done");
    }
    let last = order_of(&admin, &life).await;
    assert_eq!(fate(&last), fate(&first));
    assert_eq!(
        last["version"], first["version"],
        "nothing was changed at all"
    );
    assert_eq!(stored(&admin, "").await, 6);
}

#[actix_web::test]
async fn an_event_that_is_faster_than_our_own_commit_leads_to_the_same_order() {
    let shop = Setup::default()
        .with("CHECKOUT__RECONCILE_SECONDS", 3_600)
        .start()
        .await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 10).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    // The capture is made and told of, while its own answer keeps us waiting.
    let late = json!({ "operation": "capture", "fault": "done_then_timeout", "delayMs": 1_500 });
    shop.paypal()
        .post("/control/faults", &late)
        .await
        .expect(200);
    shop.approve(&checkout).await;
    let told = eventually("the capture's event", || async {
        let events = shop.journal("event").await;
        let told = events
            .iter()
            .find(|line| line["eventType"] == "PAYMENT.CAPTURE.COMPLETED")?;
        told["id"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(settled(&admin, &told).await["state"], "done");
    let orders = buyer.get("/api/orders").await.expect(200).body;
    assert_eq!(orders["total"], 1);
    assert_eq!(orders["items"][0]["payment"]["status"], "Completed");
    assert_eq!(shop.journal("capture").await.len(), 1);
    assert_eq!(
        orders["items"][0]["version"], 1,
        "it was paid from the start"
    );
}

#[actix_web::test]
async fn a_dashboard_refund_told_before_our_own_commit_is_booked() {
    let shop = quiet_shop().await;
    let (admin, buyer) = (shop.admin().await, shop.customer().await);
    let mug = shop.product(&admin, "MUG", 900, 10).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    shop.approve(&checkout).await;
    // Captured at PayPal, and the shop never heard the answer: nor that a part has gone back since.
    let id = checkout["providerOrderId"].as_str().unwrap();
    let lost = json!({ "operation": "capture", "fault": "reset_after", "count": 100 });
    shop.paypal()
        .post("/control/faults", &lost)
        .await
        .expect(200);
    let unread = json!({ "operation": "show", "fault": "status", "skip": 1, "count": 100 });
    shop.paypal()
        .post("/control/faults", &unread)
        .await
        .expect(200);
    let wish = json!({ "checkoutId": checkout["id"] });
    buyer
        .post("/api/orders", &wish)
        .await
        .expect_problem(503, "payment_provider_unavailable");
    let capture = shop.journal("capture").await.remove(0);
    assert_eq!(capture["orderId"], id);
    let path = format!(
        "/control/captures/{}/refund",
        capture["id"].as_str().unwrap()
    );
    let part = json!({ "amount": "2.50" });
    shop.paypal().post(&path, &part).await.expect(200);
    let faults = shop
        .paypal()
        .request(reqwest::Method::DELETE, "/control/faults");
    shop.paypal().send(faults).await.expect(200);
    release_nothing(&shop).await;
    let events = shop.journal("event").await;
    let refunded = events
        .iter()
        .find(|line| line["eventType"] == "PAYMENT.CAPTURE.REFUNDED")
        .unwrap();
    let refunded = refunded["id"].as_str().unwrap();
    resend(&shop, refunded, 1).await;
    assert_eq!(settled(&admin, refunded).await["state"], "done");
    let orders = buyer.get("/api/orders").await.expect(200).body;
    assert_eq!(orders["items"][0]["payment"]["refunded"], usd(250));
    assert_eq!(orders["items"][0]["payment"]["status"], "PartiallyRefunded");
}
