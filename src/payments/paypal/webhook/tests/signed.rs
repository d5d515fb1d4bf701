//! Messages that PayPal's own keys signed: they verify at their time, and in no other form.

use std::time::Duration;

use super::super::*;
use crate::{
    clock::Timestamp,
    payments::paypal::{
        environment::Environment,
        testing::{Authority, Message, shared},
    },
};

const SIGNED: [&str; 5] = [
    "2017-03-30-sandbox-plan-created",
    "2024-08-02-live-simulator-capture-completed",
    "2024-08-02-live-simulator-capture-declined",
    "2024-08-02-live-simulator-capture-pending",
    "2024-08-02-live-simulator-capture-refunded",
];

/// A message that PayPal's own key signed, with what it takes to check it.
struct Genuine {
    message: Message,
    webhook_id: String,
    pem: Vec<u8>,
    trust: Trust,
    sent: UnixTime,
    environment: Environment,
}

impl Genuine {
    fn read(name: &str) -> Self {
        let file = |part: &str| shared(&format!("paypal/signed/{name}/{part}"));
        let meta: serde_json::Value = serde_json::from_slice(&file("meta.json")).unwrap();
        let headers: serde_json::Value = serde_json::from_slice(&file("headers.json")).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let names = [
            "PAYPAL-TRANSMISSION-ID",
            "PAYPAL-TRANSMISSION-TIME",
            "PAYPAL-TRANSMISSION-SIG",
            "PAYPAL-CERT-URL",
            "PAYPAL-AUTH-ALGO",
        ];
        let sent = Timestamp::parse(headers["PAYPAL-TRANSMISSION-TIME"].as_str().unwrap());
        Self {
            message: Message {
                headers: names.map(|name| (name, text(&headers[name]))).to_vec(),
                body: file("body.json"),
            },
            webhook_id: text(&meta["webhook_id"]),
            pem: shared(&format!("paypal/certs/{}", text(&meta["cert"]))),
            trust: Trust::of_pem(&shared("paypal/certs/ca-bundle.pem")).unwrap(),
            sent: at(sent.unwrap()),
            environment: if name.contains("sandbox") {
                Environment::Sandbox
            } else {
                Environment::Live
            },
        }
    }

    fn check(&self, message: &Message, webhook_id: &str, now: UnixTime) -> bool {
        let rules = Rules {
            trust: &self.trust,
            name: self.environment.certificate_name(),
            now,
        };
        Transmission::read(&message.header_map()).is_ok_and(|transmission| {
            check_message(&transmission, &message.body, webhook_id, &self.pem, rules).is_ok()
        })
    }
}

fn at(moment: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(moment.seconds().unsigned_abs()))
}

#[test]
fn what_paypal_signed_verifies_at_its_time_and_no_longer_once_anything_is_changed() {
    for name in SIGNED {
        let genuine = Genuine::read(name);
        let check = |message: &Message| genuine.check(message, &genuine.webhook_id, genuine.sent);
        assert!(check(&genuine.message), "{name}");
        let body = &genuine.message.body;
        for place in 0..body.len() {
            let mut changed = body.clone();
            changed[place] ^= 1;
            assert!(
                !check(&genuine.message.saying(changed)),
                "{name} byte {place}"
            );
        }
        assert!(
            !check(&genuine.message.saying(&body[1..])),
            "{name} shorter"
        );
        assert!(
            !check(&genuine.message.saying([body, b"\n".as_slice()].concat())),
            "{name} longer"
        );
        for (header, value) in &genuine.message.headers {
            if *header == "PAYPAL-CERT-URL" {
                continue; // not signed: the test below
            }
            for place in 0..value.len() {
                let mut changed = value.clone().into_bytes();
                changed[place] ^= 1;
                // What is no text is refused before; base64 may carry unused bits.
                let Ok(changed) = String::from_utf8(changed) else {
                    continue;
                };
                let Ok(_sendable) = actix_web::http::header::HeaderValue::from_str(&changed) else {
                    continue;
                };
                let message = genuine.message.with(header, changed);
                assert!(!check(&message), "{name} {header} {place}");
            }
        }
        let other = format!("{}X", genuine.webhook_id);
        assert!(
            !genuine.check(&genuine.message, &other, genuine.sent),
            "{name}"
        );
        let today = at(Timestamp::now());
        assert!(
            !genuine.check(&genuine.message, &genuine.webhook_id, today),
            "{name} expired"
        );
    }
}

#[test]
fn what_paypal_signed_stands_under_its_own_chain_name_and_key_only() {
    for name in SIGNED {
        let genuine = Genuine::read(name);
        let check_under = |pem: &[u8], trust: &Trust, name: &str| {
            let rules = Rules {
                trust,
                name,
                now: genuine.sent,
            };
            let transmission = Transmission::read(&genuine.message.header_map()).unwrap();
            check_message(
                &transmission,
                &genuine.message.body,
                &genuine.webhook_id,
                pem,
                rules,
            )
            .is_ok()
        };
        let (pem, name_of) = (&genuine.pem, genuine.environment.certificate_name());
        assert!(check_under(pem, &genuine.trust, name_of));
        let other_name = match genuine.environment {
            Environment::Live => Environment::Sandbox.certificate_name(),
            Environment::Sandbox => Environment::Live.certificate_name(),
        };
        assert!(!check_under(pem, &genuine.trust, other_name), "{name}");
        let stranger = Trust::of_pem(Authority::new().roots_pem().as_bytes()).unwrap();
        assert!(!check_under(pem, &stranger, name_of), "{name} other root");
        let root = shared("paypal/ca/DigiCertHighAssuranceEVRootCA.pem");
        let root_alone = Trust::of_pem(&root).unwrap();
        assert!(!check_under(pem, &root_alone, name_of), "{name} no chain");
        let others = Genuine::read(if name == SIGNED[0] {
            SIGNED[1]
        } else {
            SIGNED[0]
        });
        let other_name = others.environment.certificate_name();
        assert!(
            !check_under(&others.pem, &others.trust, other_name),
            "{name} other key"
        );
    }
}

#[test]
fn a_sandbox_certificate_fails_in_live_and_the_other_way_round() {
    let check = |name: &str, environment: Environment| {
        let genuine = Genuine::read(name);
        let trust = Trust::built_in().unwrap();
        let name = environment.certificate_name();
        check_certificate(
            &genuine.pem,
            Rules {
                trust: &trust,
                name,
                now: genuine.sent,
            },
        )
    };
    let (sandbox, live) = (SIGNED[0], SIGNED[1]);
    assert_eq!(check(sandbox, Environment::Sandbox), Ok(()));
    assert_eq!(check(live, Environment::Live), Ok(()));
    assert!(check(sandbox, Environment::Live).is_err());
    assert!(check(live, Environment::Sandbox).is_err());
}
