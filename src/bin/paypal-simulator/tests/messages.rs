//! Webhooks as a shop receives and checks them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::Method;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use serde_json::{Value, json};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring};

use super::{Received, Shop, Sim, read};
use crate::events::forge;

const HOST: &str = "messageverificationcerts.sandbox.paypal.com";
const HOOK: &str = "WHSIM0000000000001";

/// Checks a message as `README.md` of the shared PayPal notes asks: five headers, the certificate's
/// URL, its chain, name and use, and the signature over the exact bytes.
async fn check(sim: &Sim, message: &Received) -> Result<(), String> {
    let one = |name: &str| {
        let all: Vec<_> = message
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .collect();
        match all.as_slice() {
            [(_, value)] if value.len() < 2_000 => Ok(value.clone()),
            _ => Err(format!("header {name}")),
        }
    };
    let (id, time) = (
        one("PAYPAL-TRANSMISSION-ID")?,
        one("PAYPAL-TRANSMISSION-TIME")?,
    );
    let (signature, url) = (one("PAYPAL-TRANSMISSION-SIG")?, one("PAYPAL-CERT-URL")?);
    if one("PAYPAL-AUTH-ALGO")? != "SHA256withRSA" {
        return Err("algorithm".to_owned());
    }
    let prefix = format!("{}/v1/notifications/certs/CERT-", sim.base);
    let rest = url.strip_prefix(&prefix).ok_or("certificate URL")?;
    if !rest.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Err("certificate id".to_owned());
    }
    let served = sim.http.get(&url).send().await.map_err(|e| e.to_string())?;
    if served.status() != 200 {
        return Err("certificate is not there".to_owned());
    }
    let pem = served.text().await.map_err(|e| e.to_string())?;
    let leaf = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| e.to_string())?;
    let bundle = sim.world().signing.bundle().to_owned();
    let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(bundle.as_bytes())
        .map(Result::unwrap)
        .collect();
    let anchors = [anchor_from_trusted_cert(&chain[0]).unwrap()];
    let cert = EndEntityCert::try_from(&leaf).map_err(|e| e.to_string())?;
    let algorithms = [ring::ECDSA_P256_SHA256, ring::RSA_PKCS1_2048_8192_SHA256];
    let usage = KeyUsage::server_auth();
    cert.verify_for_usage(
        &algorithms,
        &anchors,
        &chain[1..],
        UnixTime::now(),
        usage,
        None,
        None,
    )
    .map_err(|e| e.to_string())?;
    cert.verify_is_valid_for_subject_name(&ServerName::try_from(HOST).unwrap())
        .map_err(|e| e.to_string())?;
    let text = format!("{id}|{time}|{HOOK}|{}", crc32fast::hash(&message.body));
    let signature = BASE64_STANDARD
        .decode(signature)
        .map_err(|e| e.to_string())?;
    cert.verify_signature(
        ring::RSA_PKCS1_2048_8192_SHA256,
        text.as_bytes(),
        &signature,
    )
    .map_err(|e| e.to_string())?;
    serde_json::from_slice::<Value>(&message.body)
        .map(drop)
        .map_err(|e| e.to_string())
}

/// The verify call, with the body spliced in as it came.
async fn ask(sim: &Sim, message: &Received) -> Value {
    let head = json!({
        "auth_algo": message.header("PAYPAL-AUTH-ALGO"),
        "cert_url": message.header("PAYPAL-CERT-URL"),
        "transmission_id": message.header("PAYPAL-TRANSMISSION-ID"),
        "transmission_sig": message.header("PAYPAL-TRANSMISSION-SIG"),
        "transmission_time": message.header("PAYPAL-TRANSMISSION-TIME"),
        "webhook_id": HOOK,
    })
    .to_string();
    let head = head.strip_suffix('}').unwrap();
    let event = std::str::from_utf8(&message.body).unwrap();
    let body = format!("{head},\"webhook_event\":{event}}}");
    let path = "/v1/notifications/verify-webhook-signature";
    let answer = read(sim.call(Method::POST, path).body(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["verification_status"].clone()
}

async fn start(shop: &Shop) -> Sim {
    Sim::start(&["--webhook-url", &shop.url]).await
}

#[actix_web::test]
async fn every_step_of_an_orders_life_is_announced_and_signed() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    let (order, capture) = sim.paid("life").await;
    sim.control(
        &format!("/captures/{capture}/refund"),
        json!({ "amount": "2.50" }),
    )
    .await;
    sim.control(
        &format!("/captures/{capture}/reverse"),
        json!({ "amount": "10.00" }),
    )
    .await;
    sim.control("/disputes", json!({ "captureId": capture }))
        .await;
    let messages = shop.messages(6).await;
    for message in &messages {
        assert_eq!(check(&sim, message).await, Ok(()));
        assert_eq!(ask(&sim, message).await, "SUCCESS");
    }
    let approved = shop.event("CHECKOUT.ORDER.APPROVED").await.json();
    assert_eq!(approved["resource"]["id"], order);
    assert_eq!(
        approved["resource"]["purchase_units"][0]["custom_id"],
        "life"
    );
    let completed = shop.event("PAYMENT.CAPTURE.COMPLETED").await.json();
    assert_eq!(completed["resource"]["id"], capture);
    assert_eq!(completed["summary"], "Payment completed for € 32.50 EUR");
    let refunded = shop.event("PAYMENT.CAPTURE.REFUNDED").await.json();
    let up = &refunded["resource"]["links"][1];
    assert_eq!(
        up["href"],
        format!("{}/v2/payments/captures/{capture}", sim.base)
    );
    let reversed = shop.event("PAYMENT.CAPTURE.REVERSED").await.json();
    let total = &reversed["resource"]["seller_payable_breakdown"]["total_refunded_amount"];
    assert_eq!(total["value"], "12.50");
    let dispute = shop.event("CUSTOMER.DISPUTE.CREATED").await.json();
    let transaction = &dispute["resource"]["disputed_transactions"][0];
    assert_eq!(transaction["seller_transaction_id"], capture);
    shop.event("CHECKOUT.ORDER.COMPLETED").await;
}

#[actix_web::test]
async fn odd_bytes_verify_as_they_are_and_not_when_written_anew() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    sim.control("/settings", json!({ "eventFormat": "odd" }))
        .await;
    sim.approved("odd", "complete").await;
    let message = shop.messages(1).await.remove(0);
    assert_eq!(check(&sim, &message).await, Ok(()));
    assert_eq!(ask(&sim, &message).await, "SUCCESS");
    let mut rewritten = message.clone();
    rewritten.body = message.json().to_string().into();
    assert!(check(&sim, &rewritten).await.is_err());
    assert_eq!(ask(&sim, &rewritten).await, "FAILURE");
}

#[actix_web::test]
async fn every_forgery_is_refused_by_a_careful_shop() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    sim.approved("truth", "complete").await;
    let truth = shop.messages(1).await.remove(0);
    for (kind, _) in forge::KINDS {
        let before = shop.received().len();
        sim.control("/events/forge", json!({ "kind": kind })).await;
        let message = shop.messages(before + 1).await.pop().unwrap();
        assert!(check(&sim, &message).await.is_err(), "{kind} passes");
        assert_ne!(
            (message.body.clone(), message.headers.clone()),
            (truth.body.clone(), truth.headers.clone())
        );
    }
    let unknown = sim.http.post(format!("{}/control/events/forge", sim.base));
    assert_eq!(
        read(unknown.body("{\"kind\":\"nonsense\"}")).await.status,
        422
    );
}

#[actix_web::test]
async fn deliveries_are_tried_again_until_a_2xx_under_the_same_event_id() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    shop.answers(&[500, 400, 302, 204]);
    sim.approved("retry", "complete").await;
    let messages = shop.messages(4).await;
    let ids: Vec<_> = messages.iter().map(|m| m.json()["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    super::eventually("the last line", || async {
        (sim.lines("delivery").len() == 4).then_some(())
    })
    .await;
    let attempts: Vec<_> = sim
        .lines("delivery")
        .iter()
        .map(|l| l["attempt"].clone())
        .collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
}

#[actix_web::test]
async fn a_delivery_is_given_up_after_its_last_attempt() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    sim.control("/settings", json!({ "retryBaseMs": 1 })).await;
    shop.answers(&[500; 25]);
    sim.approved("lost", "complete").await;
    let lost = shop.messages(25).await[0].json()["id"].clone();
    let next = sim.approved("next", "complete").await;
    let last = shop.messages(26).await.remove(25);
    assert_eq!(last.json()["resource"]["id"], next);
    let attempts = shop
        .received()
        .iter()
        .filter(|m| m.json()["id"] == lost)
        .count();
    assert_eq!(attempts, 25);
}

#[actix_web::test]
async fn held_deliveries_come_in_the_order_asked_for_and_as_often() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    sim.control("/webhooks/pause", json!({})).await;
    sim.paid("held").await;
    assert!(shop.received().is_empty());
    let order = [
        "PAYMENT.CAPTURE.COMPLETED",
        "CHECKOUT.ORDER.COMPLETED",
        "CHECKOUT.ORDER.APPROVED",
    ];
    let wish = json!({ "order": order, "copies": 2, "gapMs": 40 });
    assert_eq!(
        sim.control("/webhooks/resume", wish).await.body["released"],
        6
    );
    let kinds: Vec<_> = shop.messages(6).await.iter().map(Received::kind).collect();
    let wanted: Vec<_> = order.iter().flat_map(|kind| [*kind, *kind]).collect();
    assert_eq!(kinds, wanted);
}

#[actix_web::test]
async fn events_are_copied_repeated_dropped_and_resent() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    sim.control("/settings", json!({ "webhookCopies": 3 }))
        .await;
    sim.approved("copies", "complete").await;
    shop.messages(3).await;
    sim.control(
        "/settings",
        json!({ "webhookCopies": 1, "webhookRepeatNext": 1 }),
    )
    .await;
    sim.approved("repeat", "complete").await;
    shop.messages(5).await;
    sim.control("/settings", json!({ "webhookDropNext": 1 }))
        .await;
    sim.approved("dropped", "complete").await;
    let dropped = super::eventually("the drop", || async {
        sim.lines("delivery")
            .into_iter()
            .find(|line| line["dropped"] == true)
    })
    .await;
    assert_eq!(shop.received().len(), 5);
    let id = dropped["eventId"].as_str().unwrap();
    sim.control(&format!("/events/{id}/resend"), json!({}))
        .await;
    assert_eq!(shop.messages(6).await[5].json()["id"], id);
    let listed = sim
        .get("/v1/notifications/webhooks-events?page_size=100")
        .await;
    assert_eq!(listed.body["events"][0]["id"], id);
    assert_eq!(listed.body["count"], 3);
}

#[actix_web::test]
async fn rotation_changes_certificate_and_verdict() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    sim.approved("before", "complete").await;
    let before = shop.messages(1).await.remove(0);
    sim.control("/certificates/rotate", json!({})).await;
    sim.approved("after", "complete").await;
    let after = shop.messages(2).await.remove(1);
    assert_ne!(
        before.header("PAYPAL-CERT-URL"),
        after.header("PAYPAL-CERT-URL")
    );
    for message in [&before, &after] {
        assert_eq!(
            check(&sim, message).await,
            Ok(()),
            "the old certificate is still served"
        );
    }
    sim.control("/certificates/rotate", json!({ "kind": "expired" }))
        .await;
    sim.approved("expired", "complete").await;
    let expired = shop.messages(3).await.remove(2);
    assert!(check(&sim, &expired).await.is_err());
    assert_eq!(ask(&sim, &expired).await, "FAILURE");
}

#[actix_web::test]
async fn hooks_are_registered_over_the_api_and_over_control() {
    let (one, two) = (Shop::start(), Shop::start());
    let sim = Sim::start(&[]).await;
    sim.control("/webhooks", json!({ "url": one.url, "webhookId": HOOK }))
        .await;
    let body = json!({ "url": two.url, "event_types": [{ "name": "*" }] });
    let added = sim.post("/v1/notifications/webhooks", "w", body).await;
    assert_eq!(added.status, 201);
    sim.approved("both", "complete").await;
    one.messages(1).await;
    two.messages(1).await;
    let gone = sim.call(
        Method::DELETE,
        &format!("/v1/notifications/webhooks/{}", added.id()),
    );
    assert_eq!(read(gone).await.status, 204);
    assert_eq!(
        sim.get("/v1/notifications/webhooks").await.body["webhooks"][0]["id"],
        HOOK
    );
}
