//! IPN messages and who vouches for them.

use serde_json::json;

use super::{Received, Shop, Sim};

async fn start(shop: &Shop) -> Sim {
    Sim::start(&["--ipn-url", &shop.url]).await
}

fn field(message: &Received, name: &str) -> Option<String> {
    url::form_urlencoded::parse(&message.body)
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

async fn vouch(sim: &Sim, body: Vec<u8>, agent: &str) -> (u16, String) {
    let request = sim
        .http
        .post(format!("{}/cgi-bin/webscr", sim.base))
        .header("User-Agent", agent)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn validation(message: &[u8]) -> Vec<u8> {
    [b"cmd=_notify-validate&".as_slice(), message].concat()
}

#[actix_web::test]
async fn a_payment_and_its_refund_are_told_in_windows_1252_and_vouched_for() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    let (_, capture) = sim.paid("ipn").await;
    sim.control(
        &format!("/captures/{capture}/refund"),
        json!({ "amount": "2.50" }),
    )
    .await;
    let messages = shop.messages(2).await;
    let by_status = |wanted: &str| {
        messages
            .iter()
            .find(|m| field(m, "payment_status").as_deref() == Some(wanted))
            .unwrap()
    };
    let paid = by_status("Completed");
    assert_eq!(field(paid, "txn_id").unwrap(), capture);
    assert_eq!(field(paid, "mc_gross").unwrap(), "32.50");
    assert_eq!(field(paid, "custom").unwrap(), "ipn");
    assert_eq!(field(paid, "test_ipn").unwrap(), "1");
    assert!(String::from_utf8_lossy(&paid.body).contains("last_name=M%FCller"));
    let refunded = by_status("Refunded");
    assert_eq!(field(refunded, "parent_txn_id").unwrap(), capture);
    assert_eq!(field(refunded, "mc_gross").unwrap(), "-2.50");
    for message in &messages {
        let verdict = vouch(&sim, validation(&message.body), "shop/1").await;
        assert_eq!(verdict, (200, "VERIFIED".to_owned()));
        let altered = [&message.body[..], b"&x=1"].concat();
        assert_eq!(
            vouch(&sim, validation(&altered), "shop/1").await.1,
            "INVALID"
        );
        let unprefixed = vouch(&sim, message.body.to_vec(), "shop/1").await;
        assert_eq!(unprefixed.1, "INVALID");
        assert_eq!(vouch(&sim, validation(&message.body), "").await.0, 403);
    }
}

#[actix_web::test]
async fn messages_are_repeated_until_200_and_pending_becomes_completed() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    sim.control("/settings", json!({ "ipnCharset": "UTF-8" }))
        .await;
    shop.answers(&[500, 204, 200]);
    let order = sim.approved("echeck", "pending").await;
    let capture = super::capture_id(&sim.capture(&order, "echeck").await.body);
    let messages = shop.messages(3).await;
    assert!(
        messages.iter().all(|m| m.body == messages[0].body),
        "a retry has the same bytes"
    );
    assert_eq!(field(&messages[0], "pending_reason").unwrap(), "echeck");
    sim.control(&format!("/captures/{capture}/complete"), json!({}))
        .await;
    let done = shop.messages(4).await.remove(3);
    assert_eq!(field(&done, "payment_status").unwrap(), "Completed");
    assert_eq!(field(&done, "txn_id").unwrap(), capture);
    assert_eq!(field(&done, "last_name").unwrap(), "Müller");
}

#[actix_web::test]
async fn altered_messages_are_sent_on_demand_and_forged_ones_denied() {
    let shop = Shop::start();
    let sim = start(&shop).await;
    let (_, capture) = sim.paid("demand").await;
    shop.messages(1).await;
    let wish = json!({ "captureId": capture, "set": { "mc_gross": "0.01" }, "forged": true });
    sim.control("/ipn", wish).await;
    let forged = shop.messages(2).await.remove(1);
    assert_eq!(field(&forged, "mc_gross").unwrap(), "0.01");
    assert_eq!(
        vouch(&sim, validation(&forged.body), "shop/1").await.1,
        "INVALID"
    );
    let wish = json!({ "captureId": capture, "set": { "receiver_email": "thief@example.com" },
        "double": ["txn_id"], "remove": ["charset"] });
    sim.control("/ipn", wish).await;
    let genuine = shop.messages(3).await.remove(2);
    assert_eq!(field(&genuine, "charset"), None);
    let twice = url::form_urlencoded::parse(&genuine.body)
        .filter(|(n, _)| n == "txn_id")
        .count();
    assert_eq!(twice, 2);
    assert_eq!(
        vouch(&sim, validation(&genuine.body), "shop/1").await.1,
        "VERIFIED"
    );
}
