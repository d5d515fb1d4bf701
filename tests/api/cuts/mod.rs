//! F3: the line between the shop and its database, or PayPal, is cut: both ways, one way, by resets, with
//! losses, with delay.
//!
//! `BODEGA_TORTURE=full`: thirty seconds each.

mod load;
pub(crate) mod primary;

use std::time::{Duration, Instant};

use futures_util::future::join;
use serde_json::json;

use self::load::{Load, Seen, assert_success_or_503, counted, refusals};
use crate::support::{
    Client, Fault, Line, Setup, TestShop, eventually, memory_kib, mongodb_uri, scaled,
};

/// How long everybody goes on before a fault.
const BREATH: Duration = Duration::from_secs(2);
/// How long everybody goes on after it: the full rate has to be seen again within it.
const HEALED: Duration = Duration::from_secs(4);
/// What a refusal may take at the 99th percentile on a machine of one's own.
const GOAL: Duration = Duration::from_secs(3);
/// How much memory may grow during a fault.
const GROWTH_KIB: u64 = 64 * 1024;

const FAULTS: [Fault; 5] = [
    Fault::Cut,
    Fault::CutBack,
    Fault::Reset,
    Fault::Lossy,
    Fault::Slow(Duration::from_secs(2)),
];

fn length() -> Duration {
    Duration::from_secs(scaled(4, 30).try_into().unwrap())
}

/// A port in an address.
fn port_of(address: &str) -> u16 {
    let digits = address.rsplit(':').next().unwrap();
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Writes that succeeded in each second.
fn rate(seen: &[Seen], from: Instant, to: Instant) -> usize {
    let within = |one: &&Seen| one.is_success() && one.at >= from && one.at < to;
    let seconds = (to - from).as_secs().max(1);
    seen.iter().filter(within).count() / usize::try_from(seconds).unwrap()
}

/// From the fault's end until a second in which as much succeeded as before, but for a fifth; in steps of a
/// quarter.
fn recovery(seen: &[Seen], healed: Instant, before: usize) -> Option<Duration> {
    let step = Duration::from_millis(250);
    let last = seen.last()?.at;
    let begins = (0..).map(|n| healed + step * n);
    begins
        .take_while(|begin| *begin + Duration::from_secs(1) <= last)
        .find(|begin| rate(seen, *begin, *begin + Duration::from_secs(1)) * 5 >= before * 4)
        .map(|begin| begin - healed)
}

/// What is looked at while the line is down.
trait Down {
    async fn look(&self, shop: &TestShop, fault: Fault);
}

/// Everybody goes on while the line fails and is mended; all that must be true of it.
async fn through(shop: &TestShop, load: &Load, line: &Line, fault: Fault, down: &impl Down) {
    let (began, memory) = (Instant::now(), memory_kib(shop.server.pid()));
    tokio::time::sleep(BREATH).await;
    let broke = Instant::now();
    line.set(fault);
    down.look(shop, fault).await;
    let mut most = memory;
    while broke.elapsed() < length() {
        most = most.max(memory_kib(shop.server.pid()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    line.set(Fault::Well);
    let healed = Instant::now();
    tokio::time::sleep(HEALED).await;
    eventually("the shop to be ready", async || {
        (shop.guest().get("/readyz").await.status == 200).then_some(())
    })
    .await;
    let (reads, writes) = load.seen();
    let before = rate(&writes, began, broke);
    let (refused, recovered) = (refusals(&writes), recovery(&writes, healed, before));
    let ok = reads.iter().filter(|one| one.is_success()).count();
    println!(
        "{fault:?}: refusals p99 and longest {refused:?} (goal {GOAL:?}); {before} writes a second before, full rate again after {recovered:?} (goal 5 s); memory grew by {} KiB (goal {GROWTH_KIB}); catalogue {ok} of {} reads ok, longest {:?}; {:?}",
        most - memory,
        reads.len(),
        reads.iter().map(|one| one.took).max(),
        counted(&writes),
    );
    assert_success_or_503(&writes);
    assert!(ok * 100 >= reads.len() * 99, "{:?}", counted(&reads));
    assert!(most - memory <= GROWTH_KIB, "{} KiB", most - memory);
    // A busy machine has twice the time.
    assert!(
        refused.is_none_or(|(p99, _)| p99 <= GOAL * 2),
        "{refused:?}"
    );
}

/// The books, with everything that was acknowledged beside them.
fn assert_books_are_in_order(shop: &TestShop, load: &Load) {
    let said = shop.assert_books_are_in_order(&["--acks", load.acks_path().to_str().unwrap()]);
    assert!(said.contains("I5"), "{said}");
}

/// Without its database a node says so, and is alive.
struct NoDatabase;

impl Down for NoDatabase {
    async fn look(&self, shop: &TestShop, fault: Fault) {
        let guest = shop.guest();
        if fault == Fault::Lossy {
            return;
        }
        eventually("the node to say that it is not ready", async || {
            let ready = guest.get("/readyz").await;
            (ready.status == 503).then(|| ready.expect_problem(503, "not_ready"))
        })
        .await;
        guest.get("/healthz").await.expect(200);
        // PayPal comes again.
        let message = json!({ "id": "WH-1", "event_type": "CHECKOUT.ORDER.APPROVED" });
        let refused = guest.post("/api/payment/webhook", &message).await;
        let refused = refused.expect_problem(503, "unavailable");
        assert_eq!(refused.header("retry-after"), Some("2"));
    }
}

#[actix_web::test]
async fn a_cut_between_shop_and_database_refuses_soon_and_loses_nothing() {
    let line = Line::to(port_of(mongodb_uri().split("/?").next().unwrap()));
    let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true", line.port);
    let shop = Setup::default().with("MONGODB__URI", uri).start().await;
    let load = Load::begin(&shop, scaled(4, 16)).await;
    let cutting = async {
        for fault in FAULTS {
            through(&shop, &load, &line, fault, &NoDatabase).await;
        }
        load.stop();
    };
    join(load.run(), cutting).await;
    assert_books_are_in_order(&shop, &load);
}

/// Without PayPal a node serves everything else.
struct NoPayPal;

impl Down for NoPayPal {
    async fn look(&self, shop: &TestShop, _fault: Fault) {
        let guest: Client = shop.guest();
        guest.get("/readyz").await.expect(200);
        guest.get("/api/cart").await.expect(200);
    }
}

#[actix_web::test]
async fn a_cut_between_shop_and_paypal_refuses_checkouts_and_loses_no_money() {
    // As it is shipped.
    let shipped = Setup::default().with("PAYPAL__TIMEOUT_SECONDS", 8);
    let mut shop = shipped.start().await;
    let line = Line::to(port_of(&shop.simulator.url));
    shop.set(
        "PAYPAL__BASE_URL",
        format!("http://127.0.0.1:{}", line.port),
    );
    shop.kill_and_restart().await;
    let load = Load::begin(&shop, scaled(4, 16)).await;
    let cutting = async {
        for fault in FAULTS {
            through(&shop, &load, &line, fault, &NoPayPal).await;
        }
        load.stop();
    };
    join(load.run(), cutting).await;
    assert_books_are_in_order(&shop, &load);
}
