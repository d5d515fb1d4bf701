//! Messages under an authority of our own, and forty that are forged.

mod forgeries;
mod signed;

use rcgen::ExtendedKeyUsagePurpose;

use super::*;
use crate::{
    config::WebhookVerification,
    payments::paypal::{
        PayPal,
        testing::{Authority, Made, Message, Reply, Stub, config},
    },
};

const WEBHOOK: &str = "9HX12345AB678901C";
const BODY: &str = "{\"id\":\"WH-1-1\", \"event_type\":\"PAYMENT.CAPTURE.COMPLETED\",\"summary\":\"2,50 €\",\"resource\":{}}";
const PATH: &str = "/v1/notifications/certs/CERT-360caa42-fca2a594-1a5f47cb";

/// A peer that serves one certificate, and a shop that trusts the authority behind it.
struct Setting {
    stub: Stub,
    paypal: PayPal,
}

impl Setting {
    async fn new(roots: &str, pem: String) -> Self {
        let stub = Stub::start(move |seen| {
            if seen.line == format!("GET {PATH}") {
                Reply::Answer(
                    200,
                    "Content-Type: application/x-pem-file\r\n",
                    pem.clone().into_bytes(),
                )
            } else {
                Reply::json(404, "")
            }
        })
        .await;
        let file =
            std::env::temp_dir().join(format!("bodega-roots-{}.pem", bson::oid::ObjectId::new()));
        std::fs::write(&file, roots).unwrap();
        let mut config = config(&stub.url, 1);
        config.cert_roots_file = file.to_str().unwrap().to_owned();
        config.cert_hosts = vec!["127.0.0.1".to_owned()];
        let paypal = PayPal::new(&config).unwrap();
        std::fs::remove_file(file).unwrap();
        Self { stub, paypal }
    }

    fn url(&self) -> String {
        format!("{}{PATH}", self.stub.url)
    }

    async fn verify(&self, message: &Message) -> Result<(), VerifyError> {
        self.paypal
            .verify_webhook(&message.header_map(), &message.body)
            .await
    }
}

#[actix_web::test]
async fn a_message_verifies_and_its_certificate_is_fetched_once() {
    let authority = Authority::new();
    let leaf = authority.leaf(&Made::default());
    let setting = Setting::new(&authority.roots_pem(), leaf.pem.clone()).await;
    let message = leaf.sign(BODY.as_bytes(), WEBHOOK, &setting.url());
    for _ in 0..3 {
        assert_eq!(setting.verify(&message).await, Ok(()));
    }
    assert_eq!(setting.stub.calls().len(), 1);
}

#[actix_web::test]
async fn forty_forgeries_are_refused_without_a_foreign_fetch() {
    let authority = Authority::new();
    let leaf = authority.leaf(&Made::default());
    let setting = Setting::new(&authority.roots_pem(), leaf.pem.clone()).await;
    let good = leaf.sign(BODY.as_bytes(), WEBHOOK, &setting.url());
    assert_eq!(
        setting.verify(&good).await,
        Ok(()),
        "the genuine one is taken"
    );
    let forgeries = forgeries::of(&good);
    assert!(forgeries.len() >= 40);
    for (name, message) in &forgeries {
        let outcome = setting.verify(message).await;
        assert!(
            matches!(outcome, Err(VerifyError::False(_))),
            "{name}: {outcome:?}"
        );
    }
    let other_webhook = leaf.sign(BODY.as_bytes(), "WEBHOOK_ID", &setting.url());
    assert!(matches!(
        setting.verify(&other_webhook).await,
        Err(VerifyError::False(_))
    ));
    let lines: Vec<_> = setting
        .stub
        .calls()
        .into_iter()
        .map(|call| call.line)
        .collect();
    assert_eq!(lines, [format!("GET {PATH}"), format!("GET {PATH}0")]);
}

#[actix_web::test]
async fn a_certificate_that_is_not_fit_is_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let made = Made::default;
    let leaves = [
        (
            "expired",
            authority.leaf(&Made {
                years: (2020, 2021),
                ..made()
            }),
        ),
        (
            "not valid yet",
            authority.leaf(&Made {
                years: (2990, 2999),
                ..made()
            }),
        ),
        (
            "made out to somebody else",
            authority.leaf(&Made {
                name: "evil.test",
                ..made()
            }),
        ),
        (
            "made out to the other environment",
            authority.leaf(&Made {
                name: "messageverificationcerts.paypal.com",
                ..made()
            }),
        ),
        (
            "made out to a look-alike",
            authority.leaf(&Made {
                name: "messageverificationcerts.sandbox.paypal.com.evil.test",
                ..made()
            }),
        ),
        (
            "for clients",
            authority.leaf(&Made {
                purpose: Some(ExtendedKeyUsagePurpose::ClientAuth),
                ..made()
            }),
        ),
        (
            "for nothing",
            authority.leaf(&Made {
                purpose: None,
                ..made()
            }),
        ),
        (
            "of another kind of key",
            authority.leaf(&Made {
                rsa: false,
                ..made()
            }),
        ),
        ("of another authority", stranger.leaf(&made())),
        ("signed by itself", made().self_signed()),
    ];
    for (name, leaf) in leaves {
        let setting = Setting::new(&authority.roots_pem(), leaf.pem.clone()).await;
        let message = leaf.sign(BODY.as_bytes(), WEBHOOK, &setting.url());
        let outcome = setting.verify(&message).await;
        assert!(
            matches!(outcome, Err(VerifyError::False(_))),
            "{name}: {outcome:?}"
        );
        assert_eq!(
            setting.stub.calls().len(),
            1,
            "{name}: its key is not even asked for"
        );
    }
}

#[actix_web::test]
async fn what_is_served_but_is_no_certificate_is_tried_again_later() {
    let authority = Authority::new();
    let leaf = authority.leaf(&Made::default());
    let setting = Setting::new(&authority.roots_pem(), "<html>".to_owned()).await;
    let message = leaf.sign(BODY.as_bytes(), WEBHOOK, &setting.url());
    for _ in 0..2 {
        assert!(matches!(
            setting.verify(&message).await,
            Err(VerifyError::Unavailable(_))
        ));
    }
    assert_eq!(setting.stub.calls().len(), 2, "a failure is not kept");
}

#[actix_web::test]
async fn paypal_is_asked_with_the_body_as_it_came() {
    let leaf = Made::default().self_signed();
    let table = [
        (
            Reply::json(200, r#"{"verification_status":"SUCCESS"}"#),
            "true",
        ),
        (
            Reply::json(200, r#"{"verification_status":"FAILURE"}"#),
            "false",
        ),
        (
            Reply::json(200, r#"{"verification_status":"PERHAPS"}"#),
            "later",
        ),
        (Reply::json(400, r#"{"name":"VALIDATION_ERROR"}"#), "false"),
        (
            Reply::json(404, r#"{"name":"INVALID_RESOURCE_ID"}"#),
            "later",
        ),
        (Reply::json(503, "<html>"), "later"),
        (Reply::json(200, "<html>"), "later"),
        (Reply::Hang, "later"),
    ];
    for (reply, expected) in table {
        let shown = format!("{reply:?}");
        let stub = Stub::paypal(move |_| reply.clone()).await;
        let mut config = config(&stub.url, 1);
        config.webhook_verification = WebhookVerification::Api;
        let paypal = PayPal::new(&config).unwrap();
        let message = leaf.sign(
            BODY.as_bytes(),
            WEBHOOK,
            &format!("https://api.paypal.com{PATH}"),
        );
        let outcome = paypal
            .verify_webhook(&message.header_map(), &message.body)
            .await;
        let word = match outcome {
            Ok(()) => "true",
            Err(VerifyError::False(_)) => "false",
            Err(VerifyError::Unavailable(_)) => "later",
        };
        assert_eq!(word, expected, "{shown}");
        let asked = stub.calls().remove(0);
        assert_eq!(
            asked.line,
            "POST /v1/notifications/verify-webhook-signature"
        );
        let text = String::from_utf8(asked.body).unwrap();
        assert!(
            text.contains(&format!("\"webhook_event\":{BODY}}}")),
            "{text}"
        );
        assert!(
            text.contains(&format!("\"webhook_id\":\"{WEBHOOK}\"")),
            "{text}"
        );
    }
}

#[actix_web::test]
async fn paypal_is_not_asked_about_what_is_not_exactly_one_json_value() {
    let leaf = Made::default().self_signed();
    let stub = Stub::paypal(|_| Reply::json(200, r#"{"verification_status":"SUCCESS"}"#)).await;
    let mut config = config(&stub.url, 1);
    config.webhook_verification = WebhookVerification::Api;
    let paypal = PayPal::new(&config).unwrap();
    for body in [
        "",
        "{",
        "{}{}",
        "{},\"webhook_id\":\"X\"",
        "nul",
        "\u{feff}{}",
        "{} ",
        " {}",
        "{}\n",
    ] {
        let message = leaf.sign(body.as_bytes(), WEBHOOK, "https://api.paypal.com/x");
        let outcome = paypal
            .verify_webhook(&message.header_map(), &message.body)
            .await;
        assert!(matches!(outcome, Err(VerifyError::False(_))), "{body}");
    }
    assert!(stub.calls().is_empty());
}

#[actix_web::test]
async fn where_no_chain_can_be_built_paypal_is_asked_instead() {
    let leaf = Authority::new().leaf(&Made::default());
    let pem = leaf.pem.clone();
    let stub = Stub::paypal(move |seen| {
        if seen.line == format!("GET {PATH}") {
            Reply::Answer(200, "", pem.clone().into_bytes())
        } else {
            Reply::json(200, r#"{"verification_status":"SUCCESS"}"#)
        }
    })
    .await;
    let mut config = config(&stub.url, 1);
    config.cert_hosts = vec!["127.0.0.1".to_owned()];
    let paypal = PayPal::new(&config).unwrap();
    let message = leaf.sign(BODY.as_bytes(), WEBHOOK, &format!("{}{PATH}", stub.url));
    assert_eq!(
        paypal
            .verify_webhook(&message.header_map(), &message.body)
            .await,
        Ok(())
    );
    assert!(stub.calls()[1].line.ends_with("/verify-webhook-signature"));
}
