//! PayPal misbehaves (F4 of the reliability goals): six calls, twelve faults, every cell judged by the
//! shop's books and by PayPal's own journal.

mod breaker;
mod purchase;
mod table;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::{
    purchase::{Purchase, books_agree},
    table::{Call, Cell, End, Wrong},
};
use crate::support::{Client, Setup, eventually, scaled, usd};

/// The longest that anything may take once PayPal is back.
const HEALED_WITHIN: Duration = Duration::from_secs(30);

/// A shop whose calls to PayPal have little time.
fn hurried() -> Setup {
    Setup::default().with("PAYPAL__TIMEOUT_SECONDS", 2)
}

/// The faults of a cell, from when they are put in place until they are taken away.
struct Trouble<'a> {
    paypal: &'a Client,
    since: u64,
}

impl<'a> Trouble<'a> {
    async fn begin(paypal: &'a Client, cell: &Cell) -> Self {
        let since = last_line(paypal).await;
        for fault in &cell.faults {
            let mut fault = fault.clone();
            fault["operation"] = json!(cell.call.operation());
            if fault.get("count").is_none() {
                fault["count"] = json!(1_000_000);
            }
            paypal.post("/control/faults", &fault).await.expect(200);
        }
        Self { paypal, since }
    }

    /// Whether a call has met one of the faults by now.
    async fn met(&self) -> bool {
        let path = format!("/control/journal?kind=fault&since={}", self.since);
        let lines = self.paypal.get(&path).await.expect(200).body;
        !lines.as_array().unwrap().is_empty()
    }

    /// Waits until all the faults that come once have come.
    async fn over(&self) {
        eventually("the faults to be used up", || async {
            let waiting = self.paypal.get("/control/faults").await.expect(200).body;
            waiting["items"]
                .as_array()
                .unwrap()
                .is_empty()
                .then_some(())
        })
        .await;
    }

    /// Takes the faults away.
    async fn end(self) -> Instant {
        let faults = self
            .paypal
            .request(reqwest::Method::DELETE, "/control/faults");
        self.paypal.send(faults).await.expect(200);
        Instant::now()
    }
}

async fn last_line(paypal: &Client) -> u64 {
    let lines = paypal.get("/control/journal").await.expect(200).body;
    let last = lines.as_array().unwrap().last().cloned();
    last.map_or(0, |line| line["seq"].as_u64().unwrap())
}

/// Goes through a row, cell by cell, in one shop.
async fn row(call: Call, setup: Setup) {
    let shop = setup.start().await;
    let admin = shop.admin().await;
    for round in 0..scaled(1, 10) {
        for wrong in Wrong::ALL {
            let cell = Cell::of(call, wrong);
            let began = Instant::now();
            let sku = format!("{call:?}-{wrong:?}-{round}");
            let purchase = Purchase::new(&shop, &admin, &sku).await;
            let healed = match call {
                Call::Token | Call::Create => placing(&purchase, &cell).await,
                Call::Capture | Call::Get => paying(&purchase, &cell).await,
                Call::Refund => refunding(&purchase, &cell).await,
                Call::Verify => telling(&purchase, &cell).await,
            };
            if let Some(healed) = healed {
                let took = healed.elapsed();
                assert!(took <= HEALED_WITHIN, "{call:?} {wrong:?}: {took:?}");
                println!("{call:?} {wrong:?}: done {took:?} after the fault");
            }
            println!("{call:?} {wrong:?}: {:?} in all", began.elapsed());
        }
    }
    books_agree(&shop, &admin).await;
}

/// The fault meets the shop while the checkout begins.
async fn placing(purchase: &Purchase<'_>, cell: &Cell) -> Option<Instant> {
    let wish = purchase.fill().await;
    if cell.call == Call::Token {
        let revoke = json!({});
        purchase
            .paypal
            .post("/control/tokens/revoke", &revoke)
            .await;
    }
    let trouble = Trouble::begin(&purchase.paypal, cell).await;
    match cell.end {
        End::Meanwhile => {
            let checkout = purchase.place(&wish, "first").await;
            assert!(trouble.met().await, "{:?}", cell.wrong);
            purchase.pay(&checkout).await;
            trouble.end().await;
            None
        }
        End::Healed => {
            eventually("the fault", || async {
                let refused = purchase.try_to_place(&wish, "first").await;
                let problem = refused.expect_problem(503, "payment_provider_unavailable");
                assert!(problem.header("retry-after").is_some());
                trouble.met().await.then_some(())
            })
            .await;
            let healed = trouble.end().await;
            let checkout = purchase.place(&wish, "first").await;
            purchase.pay(&checkout).await;
            Some(healed)
        }
        End::Anew => {
            let refused = eventually("the refusal", || async {
                let answer = purchase.try_to_place(&wish, "first").await;
                (answer.status != 503).then_some(answer)
            })
            .await;
            refused.expect_problem(502, "payment_provider_error");
            purchase.assert_stock_free().await;
            let healed = trouble.end().await;
            let checkout = purchase.place(&wish, "second").await;
            purchase.pay(&checkout).await;
            Some(healed)
        }
        End::Waits | End::Again => unreachable!("no such cell"),
    }
}

/// The fault meets the shop once the buyer has approved.
async fn paying(purchase: &Purchase<'_>, cell: &Cell) -> Option<Instant> {
    let wish = purchase.fill().await;
    let checkout = purchase.place(&wish, "first").await;
    let trouble = Trouble::begin(&purchase.paypal, cell).await;
    purchase.shop.approve(&checkout).await;
    match cell.end {
        End::Meanwhile => {
            purchase.ordered(&checkout, "Completed").await;
            assert!(trouble.met().await);
            if cell.wrong == Wrong::DoneThen {
                trouble.over().await;
            }
            trouble.end().await;
            None
        }
        End::Healed => {
            eventually("the fault", || async {
                let early = purchase.come_back(&checkout).await;
                assert!(
                    matches!(early.status, 503 | 409),
                    "told to come back: {early:?}"
                );
                trouble.met().await.then_some(())
            })
            .await;
            let healed = trouble.end().await;
            purchase.ordered(&checkout, "Completed").await;
            Some(healed)
        }
        End::Waits => {
            let order = purchase.ordered(&checkout, "Pending").await;
            let healed = trouble.end().await;
            let capture = order["payment"]["captureId"].as_str().unwrap();
            let path = format!("/control/captures/{capture}/complete");
            purchase.paypal.post(&path, &json!({})).await.expect(200);
            purchase.ordered(&checkout, "Completed").await;
            Some(healed)
        }
        End::Again => {
            eventually("the refusal", || async {
                let refused = purchase.come_back(&checkout).await;
                (refused.status == 402).then_some(())
            })
            .await;
            let healed = trouble.end().await;
            purchase.shop.approve(&checkout).await;
            purchase.ordered(&checkout, "Completed").await;
            Some(healed)
        }
        End::Anew => {
            eventually("the end of the checkout", || async {
                let over = purchase.come_back(&checkout).await;
                (over.body["code"] == "checkout_closed").then_some(())
            })
            .await;
            purchase.assert_stock_free().await;
            let healed = trouble.end().await;
            let checkout = purchase.place(&purchase.fill_again().await, "second").await;
            purchase.pay(&checkout).await;
            Some(healed)
        }
    }
}

/// The fault meets the shop while money is given back.
async fn refunding(purchase: &Purchase<'_>, cell: &Cell) -> Option<Instant> {
    let order = purchase.buy().await;
    let trouble = Trouble::begin(&purchase.paypal, cell).await;
    let part = json!({ "amount": usd(250), "reason": "a chip in the rim" });
    let asked = purchase.refund(&order, "first", &part).await;
    match cell.end {
        End::Meanwhile => {
            asked.expect(201);
            purchase.refunded(&order, 250).await;
            assert!(trouble.met().await);
            let healed = trouble.end().await;
            purchase.refund_stands(&order, "Completed").await;
            Some(healed)
        }
        End::Healed => {
            asked.expect(201);
            eventually("the fault", || async { trouble.met().await.then_some(()) }).await;
            // PayPal may have done it already; the books say so once its answer can be read.
            purchase.assert_booked(&order, 0).await;
            let healed = trouble.end().await;
            purchase.refunded(&order, 250).await;
            purchase.refund_stands(&order, "Completed").await;
            Some(healed)
        }
        End::Waits => {
            asked.expect(201);
            purchase.refund_stands(&order, "Pending").await;
            let healed = trouble.end().await;
            let refund = purchase.only_refund(&order).await;
            let path = format!("/control/refunds/{refund}/complete");
            purchase.paypal.post(&path, &json!({})).await.expect(200);
            purchase.refunded(&order, 250).await;
            purchase.refund_stands(&order, "Completed").await;
            Some(healed)
        }
        End::Again => {
            // Where the breaker was open, the sweep hears the refusal.
            assert!(matches!(asked.status, 201 | 502), "{asked:?}");
            purchase.refund_stands(&order, "Failed").await;
            purchase.assert_given_back(&order, 0).await;
            let healed = trouble.end().await;
            purchase.refund(&order, "second", &part).await.expect(201);
            purchase.refunded(&order, 250).await;
            Some(healed)
        }
        End::Anew => unreachable!("no such cell"),
    }
}

/// The fault meets the shop while it asks whether an event is PayPal's; nobody else wakes it.
async fn telling(purchase: &Purchase<'_>, cell: &Cell) -> Option<Instant> {
    let wish = purchase.fill().await;
    let checkout = purchase.place(&wish, "first").await;
    let trouble = Trouble::begin(&purchase.paypal, cell).await;
    purchase.shop.approve(&checkout).await;
    eventually("the fault", || async { trouble.met().await.then_some(()) }).await;
    let healed = match cell.end {
        End::Meanwhile => {
            trouble.over().await;
            trouble.end().await
        }
        End::Healed => {
            purchase.assert_no_order().await;
            trouble.end().await
        }
        End::Waits | End::Again | End::Anew => unreachable!("no such cell"),
    };
    purchase.told(&checkout).await;
    Some(healed)
}

#[actix_web::test]
async fn token() {
    row(Call::Token, hurried()).await;
}

#[actix_web::test]
async fn create() {
    row(Call::Create, hurried()).await;
}

#[actix_web::test]
async fn capture() {
    row(Call::Capture, hurried()).await;
}

#[actix_web::test]
async fn get() {
    row(Call::Get, hurried()).await;
}

#[actix_web::test]
async fn refund() {
    row(Call::Refund, hurried()).await;
}

#[actix_web::test]
async fn verify() {
    let asking = hurried()
        .with("PAYPAL__WEBHOOK_VERIFICATION", "api")
        .with("CHECKOUT__RECONCILE_SECONDS", 3_600);
    row(Call::Verify, asking).await;
}

/// What a journal's lines of one kind say last about each id.
fn latest(lines: &[Value]) -> std::collections::BTreeMap<String, Value> {
    let each = lines
        .iter()
        .map(|line| (line["id"].as_str().unwrap().to_owned(), line.clone()));
    each.collect()
}
