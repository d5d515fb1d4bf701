//! PayPal falls silent or is gone altogether: checkout says so at once, the rest of the shop is unharmed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{hurried, purchase::Purchase};
use crate::support::{Answer, Client, Setup, TestShop, eventually, scaled};

/// How often the shop's other doors are measured at a time.
const SAMPLES: usize = 100;

/// Far from the second that a try at PayPal may take.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Measures reading products and a cart.
async fn browse(buyer: &Client, times: &mut Vec<Duration>) {
    for n in 0..SAMPLES {
        let path = if n % 2 == 0 {
            "/api/products"
        } else {
            "/api/cart"
        };
        let began = Instant::now();
        buyer.get(path).await.expect(200);
        times.push(began.elapsed());
    }
}

/// The 50th and the 99th percentile.
fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let count = times.len();
    (times[count / 2], times[count * 99 / 100])
}

async fn calls_met(shop: &TestShop) -> usize {
    shop.journal("fault").await.len()
}

/// From now on PayPal takes every call and says nothing, and the shop has noticed.
async fn hang(purchase: &Purchase<'_>, wish: &Value, key: &str) {
    let hang =
        json!({ "operation": "any", "fault": "hang", "delayMs": 60_000, "count": 1_000_000 });
    purchase
        .paypal
        .post("/control/faults", &hang)
        .await
        .expect(200);
    eventually("the breaker to open", || async {
        let began = Instant::now();
        let refused = purchase.try_to_place(wish, key).await;
        let refused = refused.expect_problem(503, "payment_provider_unavailable");
        assert!(refused.header("retry-after").is_some());
        (began.elapsed() < AT_ONCE).then_some(())
    })
    .await;
}

async fn heal(purchase: &Purchase<'_>) {
    let faults = purchase
        .paypal
        .request(reqwest::Method::DELETE, "/control/faults");
    purchase.paypal.send(faults).await.expect(200);
}

#[actix_web::test]
async fn while_paypal_hangs_checkout_refuses_at_once_and_browsing_goes_on() {
    let shop = hurried().start().await;
    let admin = shop.admin().await;
    let purchase = Purchase::new(&shop, &admin, "HANG").await;
    let wish = purchase.fill().await;
    let reader = shop.customer().await;
    // By turns, so that what else goes on on the machine weighs on both alike.
    let (mut usual, mut hanging) = (Vec::new(), Vec::new());
    let mut key = String::new();
    let rounds = scaled(3, 20);
    for round in 0..rounds {
        if round > 0 {
            heal(&purchase).await;
            purchase.place(&wish, &format!("round {round}")).await;
        }
        browse(&reader, &mut usual).await;
        // A checkout that another has superseded is over: each time a new one.
        key = format!("hanging {round}");
        hang(&purchase, &wish, &key).await;
        browse(&reader, &mut hanging).await;
    }
    // Open: whoever comes is told at once, and PayPal is asked once a second at most.
    let (met, began) = (calls_met(&shop).await, Instant::now());
    let mut at_once = 0;
    while began.elapsed() < Duration::from_secs(4) {
        let asked = Instant::now();
        let refused = purchase.try_to_place(&wish, &key).await;
        refused.expect_problem(503, "payment_provider_unavailable");
        at_once += usize::from(asked.elapsed() < AT_ONCE);
    }
    let probes = calls_met(&shop).await - met;
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!(probes <= seconds + 1, "{probes} probes in {seconds} s");
    assert!(at_once >= 10, "only {at_once} were told at once");
    let (usual, now) = (percentiles(usual), percentiles(hanging));
    let times = |now: Duration, usual: Duration| now.as_secs_f64() / usual.as_secs_f64();
    println!(
        "browsing, p50 and p99: {usual:?} usually, {now:?} while PayPal hangs: {:.2} and {:.2} times",
        times(now.0, usual.0),
        times(now.1, usual.1)
    );
    // A shared machine: the goal of 1.2 times is read from the line above. What must never be is that
    // somebody waits for PayPal.
    assert!(now.1 < AT_ONCE.max(usual.1 * 3), "{usual:?}, now {now:?}");
    heal(&purchase).await;
    let healed = Instant::now();
    let checkout = purchase.place(&wish, &key).await;
    purchase.pay(&checkout).await;
    assert!(healed.elapsed() < super::HEALED_WITHIN);
}

/// With a budget for a call that is far longer than anybody should be kept waiting.
#[actix_web::test]
async fn while_paypal_takes_its_time_the_buyer_is_told_to_come_again_and_the_call_goes_on() {
    let patient = Setup::default().with("PAYPAL__TIMEOUT_SECONDS", 20);
    let shop = patient.start().await;
    let admin = shop.admin().await;
    let purchase = Purchase::new(&shop, &admin, "SLOW").await;
    let wish = purchase.fill().await;
    for operation in ["create", "capture"] {
        let slow = json!({ "operation": operation, "fault": "delay", "delayMs": 7_000 });
        purchase
            .paypal
            .post("/control/faults", &slow)
            .await
            .expect(200);
    }

    let refused = told_soon(purchase.try_to_place(&wish, "first")).await;
    refused.expect_problem(503, "payment_provider_unavailable");
    let checkout = purchase.place(&wish, "first").await;
    shop.approve(&checkout).await;
    // By now the order may stand already: the event of the approval leads to it, too.
    for _ in 0..2 {
        let early = told_soon(purchase.come_back(&checkout)).await;
        assert!(matches!(early.status, 503 | 200 | 201), "{early:?}");
    }
    purchase.ordered(&checkout, "Completed").await;
    assert_eq!(shop.journal("order.created").await.len(), 1);
    let again = shop.journal("replay").await;
    assert!(again.is_empty(), "no call was made twice: {again:?}");
    super::books_agree(&shop, &admin).await;
}

/// An answer within the goal of three seconds, twice over for a busy machine.
async fn told_soon(answer: impl Future<Output = Answer>) -> Answer {
    let began = Instant::now();
    let answer = answer.await;
    let took = began.elapsed();
    println!("{} after {took:?} (goal 3 s)", answer.status);
    assert!(took < Duration::from_secs(6), "{took:?}");
    answer
}

#[actix_web::test]
async fn a_payment_survives_an_outage_in_which_every_connection_is_refused() {
    let shop = hurried()
        .with("CHECKOUT__RECONCILE_SECONDS", 5)
        .start()
        .await;
    let admin = shop.admin().await;
    let purchase = Purchase::new(&shop, &admin, "OUTAGE").await;
    let checkout = purchase.place(&purchase.fill().await, "first").await;
    // Approved and gone: no event leaves, and nobody has captured yet.
    let path = "/control/webhooks/pause";
    purchase.paypal.post(path, &json!({})).await.expect(200);
    shop.approve(&checkout).await;
    let outage = json!({ "ms": 3_000 });
    purchase
        .paypal
        .post("/control/outage", &outage)
        .await
        .expect(200);
    let refused = purchase.come_back(&checkout).await;
    let refused = refused.expect_problem(503, "payment_provider_unavailable");
    assert!(refused.header("retry-after").is_some());
    purchase.ordered(&checkout, "Completed").await;
    super::books_agree(&shop, &admin).await;
}
