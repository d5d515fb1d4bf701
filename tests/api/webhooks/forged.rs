//! Forged webhooks: every one is refused, nothing is written, and no foreign host is asked for anything.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use super::{Client, TestShop, fate, hold, last_line, release_nothing, settled, stored};
use crate::support::Setup;

/// A loopback address that is not the one named in the shop's configuration: a host to be lured to.
const LURE: &str = "127.0.0.2";

/// A host that only counts who comes.
struct Lure {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Lure {
    fn new() -> Self {
        let listener = TcpListener::bind((LURE, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let visits = Arc::new(AtomicUsize::new(0));
        let count = visits.clone();
        std::thread::spawn(move || {
            for _visit in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

/// Ways to write a URL that leads to the lure, or that a careless reader takes for the allowed one.
fn spellings(lure: u16, allowed: &str, certificate: &str) -> Vec<String> {
    let own = allowed.trim_start_matches("http://");
    let port = own.rsplit(':').next().unwrap();
    let path = format!("/v1/notifications/certs/{certificate}");
    let hosts = [
        format!("http://{LURE}:{lure}"),
        format!("https://{LURE}:{lure}"),
        format!("http://{own}@{LURE}:{lure}"),
        format!("http://127.0.0.1@{LURE}:{lure}"),
        format!("http://user:127.0.0.1@{LURE}:{lure}"),
        format!("http://2130706434:{lure}"),
        format!("http://0x7f000002:{lure}"),
        format!("http://0177.0.0.2:{lure}"),
        format!("http://127.2:{lure}"),
        format!("http://[::ffff:127.0.0.2]:{lure}"),
        format!("http://[::ffff:7f00:2]:{lure}"),
        format!("http://localhost:{port}"),
        format!("http://{LURE}:{lure}/http://{own}"),
        format!("http://{LURE}:{lure}?{own}"),
        format!("http://{LURE}:{lure}#{own}"),
        format!("http://{LURE}:{lure}\\@{own}"),
        format!("http:\\\\{LURE}:{lure}"),
        format!("//{LURE}:{lure}"),
        format!("http:/{LURE}:{lure}"),
        format!("HTTP://{own}"),
        format!("http://{own}.evil.test"),
        format!("ftp://{own}"),
        format!("http://{own}/../.."),
        format!("http://{own}/redirect?to=http://{LURE}:{lure}"),
        "https://169.254.169.254".to_owned(),
        "https://metadata.google.internal".to_owned(),
        "https://api.paypal.com".to_owned(),
        "https://api.sandbox.paypal.com.evil.test".to_owned(),
    ];
    hosts.map(|host| format!("{host}{path}")).to_vec()
}

/// An order, the events that tell of its payment and of its approval, and a shop at rest.
async fn sold(shop: &TestShop, admin: &Client) -> (Value, [String; 2]) {
    let buyer = shop.customer().await;
    let mug = shop.product(admin, "MUG", 900, 10).await;
    hold(shop).await;
    let checkout = shop.checkout(&buyer, &mug, 1).await;
    shop.approve(&checkout).await;
    let wish = json!({ "checkoutId": checkout["id"] });
    let order = buyer.post("/api/orders", &wish).await.expect(201).body;
    release_nothing(shop).await;
    let told = shop.journal("event").await;
    let of = |kind: &str| {
        let line = told.iter().find(|line| line["eventType"] == kind).unwrap();
        line["id"].as_str().unwrap().to_owned()
    };
    let events = [
        of("PAYMENT.CAPTURE.COMPLETED"),
        of("CHECKOUT.ORDER.APPROVED"),
    ];
    (order, events)
}

async fn forge(shop: &TestShop, forgery: &Value) -> u64 {
    let path = "/control/events/forge";
    let sent = shop.paypal().post(path, forgery).await.expect(200).body;
    sent["status"]
        .as_u64()
        .unwrap_or_else(|| panic!("not answered: {sent}"))
}

#[actix_web::test]
async fn forgeries_are_refused_leave_nothing_behind_and_lead_nowhere() {
    forgeries_are_refused("local").await;
}

#[actix_web::test]
async fn forgeries_are_refused_as_well_where_paypal_is_asked() {
    forgeries_are_refused("api").await;
}

async fn forgeries_are_refused(verification: &str) {
    let lure = Lure::new();
    let shop = Setup::default()
        .with("CHECKOUT__RECONCILE_SECONDS", 3_600)
        .with("PAYPAL__WEBHOOK_VERIFICATION", verification)
        .start()
        .await;
    let admin = shop.admin().await;
    let (order, [event, another]) = sold(&shop, &admin).await;
    let kinds = shop
        .paypal()
        .get("/control/events/forge")
        .await
        .expect(200)
        .body;
    let kinds = kinds["items"].as_array().unwrap().clone();
    assert!(kinds.len() >= 40, "{}", kinds.len());
    for kind in &kinds {
        let forgery = json!({ "kind": kind["kind"], "eventId": event });
        let status = forge(&shop, &forgery).await;
        assert_eq!(status, 400, "{kind}");
    }
    let certificate = shop
        .paypal()
        .get("/control/certificates")
        .await
        .expect(200)
        .body;
    let certificate = certificate["id"].as_str().unwrap();
    let spellings = spellings(lure.port, &shop.simulator.url, certificate);
    for url in &spellings {
        // Signed by the right key over the right bytes: only the place of the certificate is wrong.
        let forgery = json!({ "kind": "cert-host", "eventId": event, "certUrl": url });
        assert_eq!(forge(&shop, &forgery).await, 400, "{url}");
    }
    assert_eq!(stored(&admin, "").await, 0, "a forgery was stored");
    assert_eq!(lure.visits(), 0, "a stranger's host was asked");
    // The genuine event is taken after all that, and so is one under a new certificate.
    super::resend(&shop, &event, 1).await;
    assert_eq!(settled(&admin, &event).await["state"], "done");
    let rotate = json!({ "kind": "good" });
    let path = "/control/certificates/rotate";
    shop.paypal().post(path, &rotate).await.expect(200);
    super::resend(&shop, &another, 1).await;
    assert_eq!(settled(&admin, &another).await["state"], "done");
    let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
    let now = admin.get(&path).await.expect(200).body;
    assert_eq!(fate(&now), fate(&order));
    assert_eq!(now["version"], order["version"]);
}

#[actix_web::test]
async fn a_certificate_that_is_unfit_is_refused_until_a_good_one_signs() {
    let shop = Setup::default()
        .with("CHECKOUT__RECONCILE_SECONDS", 3_600)
        .start()
        .await;
    let admin = shop.admin().await;
    let (_order, [event, _approved]) = sold(&shop, &admin).await;
    // One attempt each: a later one would be signed by a later certificate.
    let once = json!({ "webhookAttempts": 1 });
    shop.paypal()
        .post("/control/settings", &once)
        .await
        .expect(200);
    for kind in [
        "expired",
        "not-yet-valid",
        "self-signed",
        "unknown-root",
        "wrong-san",
        "other-environment",
        "client-only",
        "ecdsa",
    ] {
        let path = "/control/certificates/rotate";
        let rotated = shop.paypal().post(path, &json!({ "kind": kind })).await;
        rotated.expect(200);
        let since = last_line(&shop).await;
        super::resend(&shop, &event, 1).await;
        let path = format!("/control/journal?kind=delivery&since={since}");
        let status = super::eventually("the delivery's answer", || async {
            let lines = shop.paypal().get(&path).await.expect(200).body;
            lines
                .as_array()
                .unwrap()
                .first()
                .map(|line| line["status"].clone())
        })
        .await;
        assert_eq!(status, 400, "{kind}");
        assert_eq!(stored(&admin, "").await, 0, "{kind}");
    }
    let path = "/control/certificates/rotate";
    shop.paypal()
        .post(path, &json!({ "kind": "good" }))
        .await
        .expect(200);
    super::resend(&shop, &event, 1).await;
    assert_eq!(settled(&admin, &event).await["state"], "done");
}
