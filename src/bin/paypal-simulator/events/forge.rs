//! Messages that nobody may believe: each kind breaks one thing about a true event.

use std::{sync::Arc, time::Duration};

use actix_web::web::Bytes;
use serde_json::{Value, json};

use super::{
    Hook, Job,
    deliver::{self, Headers, cert_url},
};
use crate::{
    ids,
    signing::{Certificate, Kind},
    world::{Simulator, World},
};

/// What a forged message is made from.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// One of [`KINDS`].
    pub(crate) kind: String,
    /// The true event; the latest where it is absent.
    pub(crate) event_id: Option<String>,
    /// Where it goes; the first hook where it is absent.
    pub(crate) url: Option<String>,
    /// The certificate URL to claim, in place of the kind's own.
    pub(crate) cert_url: Option<String>,
}

/// Every kind, with what it breaks.
pub(crate) const KINDS: [(&str, &str); 40] = [
    ("body", "one byte of the body is changed after signing"),
    ("body-spacing", "the body is the same JSON in other bytes"),
    ("body-empty", "no body"),
    ("body-truncated", "the body ends early"),
    ("body-not-json", "the body is signed, but no JSON"),
    ("time", "another transmission time than was signed"),
    ("id", "another transmission id than was signed"),
    ("webhook-id", "signed for another webhook id"),
    ("crc", "the signature covers another CRC"),
    ("signature", "a signature of random bytes"),
    ("signature-empty", "an empty signature"),
    ("signature-short", "the signature ends early"),
    ("signature-not-base64", "a signature that is no base64"),
    ("other-event", "the headers of another message"),
    ("algorithm", "SHA1withRSA is claimed"),
    ("algorithm-none", "the algorithm `none` is claimed"),
    ("algorithm-case", "the algorithm in other letters"),
    ("missing-id", "no transmission id"),
    ("missing-time", "no transmission time"),
    ("missing-signature", "no signature"),
    ("missing-cert-url", "no certificate URL"),
    ("missing-algorithm", "no algorithm"),
    ("unsigned", "none of the headers"),
    ("double-signature", "the signature header twice"),
    ("double-cert-url", "two certificate URLs"),
    ("long-header", "a transmission id of 20,000 characters"),
    ("cert-host", "the certificate is at another host"),
    (
        "cert-host-suffix",
        "the certificate is at api.paypal.com.evil.test",
    ),
    (
        "cert-user-info",
        "the certificate is at api.paypal.com@evil.test",
    ),
    (
        "cert-path",
        "the certificate is at another path of the right host",
    ),
    ("cert-scheme", "the certificate is at a file URL"),
    ("cert-unknown", "there is no such certificate"),
    ("expired", "the certificate's time is over"),
    ("not-yet-valid", "the certificate's time has not come"),
    ("self-signed", "the certificate is signed by itself"),
    ("unknown-root", "the certificate hangs on an unknown root"),
    ("wrong-san", "the certificate is for another host name"),
    (
        "other-environment",
        "the certificate is for the other environment",
    ),
    ("client-only", "the certificate is not for servers"),
    ("ecdsa", "the certificate has an ECDSA key"),
];

struct Forged {
    url: String,
    headers: Headers,
    body: Bytes,
}

/// Sends one forged message, once, and tells what the shop answered.
pub(crate) async fn send(sim: &Simulator, order: Order) -> Result<Value, String> {
    let forged = forge(&mut sim.lock(), &order)?;
    let timeout = Duration::from_millis(sim.lock().settings.webhook_timeout_ms);
    let result = deliver::post(sim, &forged.url, &forged.headers, forged.body, timeout).await;
    let line = json!({
        "forged": order.kind,
        "url": forged.url,
        "status": result.as_ref().ok(),
        "error": result.as_ref().err(),
    });
    sim.lock().record("delivery", line.clone());
    Ok(line)
}

fn certificate(world: &mut World, kind: &str) -> Result<Arc<Certificate>, String> {
    let bad = match kind {
        "expired" => Kind::Expired,
        "not-yet-valid" => Kind::NotYetValid,
        "self-signed" => Kind::SelfSigned,
        "unknown-root" => Kind::UnknownRoot,
        "wrong-san" => Kind::WrongSan,
        "other-environment" => Kind::OtherEnvironment,
        "client-only" => Kind::ClientOnly,
        "ecdsa" => Kind::Ecdsa,
        _ => return Ok(world.signing.current()),
    };
    let environment = world.settings.certificate_environment;
    world
        .signing
        .issue(bad, environment, None)
        .map_err(|e| e.to_string())
}

fn forge(world: &mut World, order: &Order) -> Result<Forged, String> {
    let kind = order.kind.as_str();
    if !KINDS.iter().any(|(name, _)| *name == kind) {
        return Err(format!("unknown kind `{kind}`"));
    }
    let event = match &order.event_id {
        Some(id) => world.events.get(id),
        None => world.events.all().next_back(),
    };
    let event = event.cloned().ok_or("no event to forge from")?;
    let hook = world.events.hooks.first().cloned();
    let url = order
        .url
        .clone()
        .or_else(|| hook.as_ref().map(|hook| hook.url.clone()));
    let url = url.ok_or("no hook is registered, and no url given")?;
    let true_id = hook.map_or_else(|| world.flags.webhook_id.clone(), |hook| hook.id);
    let webhook_id = if kind == "webhook-id" {
        ids::webhook()
    } else {
        true_id
    };
    let certificate = certificate(world, kind)?;
    let job = Job::new(
        &event,
        &Hook {
            id: webhook_id,
            url: url.clone(),
        },
        world.now(),
        0,
    );
    let signed = match kind {
        "crc" | "other-event" => Bytes::from(format!("{{\"id\":\"{}\"}}", ids::event())),
        "body-not-json" => Bytes::from_static(b"id=WH-1&event_type=PAYMENT.CAPTURE.COMPLETED"),
        _ => event.body.clone(),
    };
    let honest = cert_url(&world.base, &certificate.id);
    let claimed = order
        .cert_url
        .clone()
        .unwrap_or_else(|| claimed_url(kind, honest, &certificate.id));
    let mut headers = deliver::headers(&certificate, claimed, &job, &signed);
    break_headers(kind, &mut headers);
    let body = match kind {
        "body-not-json" => signed,
        _ => break_body(kind, &event.body),
    };
    Ok(Forged { url, headers, body })
}

fn claimed_url(kind: &str, honest: String, id: &str) -> String {
    let path = format!("/v1/notifications/certs/{id}");
    match kind {
        "cert-host" => format!("https://evil.test{path}"),
        "cert-host-suffix" => format!("https://api.paypal.com.evil.test{path}"),
        "cert-user-info" => format!("https://api.paypal.com@evil.test{path}"),
        "cert-path" => honest.replace("/certs/", "/certs/../../../control/"),
        "cert-scheme" => format!("file:///etc{path}"),
        "cert-unknown" => honest.replace(id, &ids::certificate()),
        _ => honest,
    }
}

fn break_body(kind: &str, body: &Bytes) -> Bytes {
    match kind {
        "body" => {
            let mut bytes = body.to_vec();
            // The last digit or letter that is no bracket: still JSON, other content.
            if let Some(byte) = bytes
                .iter_mut()
                .rev()
                .find(|byte| byte.is_ascii_alphanumeric())
            {
                *byte = if *byte == b'X' { b'Y' } else { b'X' };
            }
            Bytes::from(bytes)
        }
        "body-spacing" => {
            let mut bytes = body.to_vec();
            bytes.push(b' ');
            Bytes::from(bytes)
        }
        "body-empty" => Bytes::new(),
        "body-truncated" => body.slice(..body.len() / 2),
        _ => body.clone(),
    }
}

fn break_headers(kind: &str, headers: &mut Headers) {
    let doubled: Option<&'static str> = match kind {
        "double-signature" => Some("PAYPAL-TRANSMISSION-SIG"),
        "double-cert-url" => Some("PAYPAL-CERT-URL"),
        _ => None,
    };
    if let Some(name) = doubled {
        headers.push((
            name,
            "https://evil.test/v1/notifications/certs/CERT-0".to_owned(),
        ));
    }
    let missing: Option<&str> = match kind {
        "missing-id" => Some("PAYPAL-TRANSMISSION-ID"),
        "missing-time" => Some("PAYPAL-TRANSMISSION-TIME"),
        "missing-signature" => Some("PAYPAL-TRANSMISSION-SIG"),
        "missing-cert-url" => Some("PAYPAL-CERT-URL"),
        "missing-algorithm" => Some("PAYPAL-AUTH-ALGO"),
        "unsigned" => Some("PAYPAL-"),
        _ => None,
    };
    if let Some(prefix) = missing {
        headers.retain(|(name, _)| !name.starts_with(prefix));
    }
    for (name, value) in headers {
        let replaced = match (kind, *name) {
            ("time", "PAYPAL-TRANSMISSION-TIME") => Some("2020-01-01T00:00:00Z".to_owned()),
            ("id", "PAYPAL-TRANSMISSION-ID") => Some(ids::uuid()),
            ("long-header", "PAYPAL-TRANSMISSION-ID") => Some("x".repeat(20_000)),
            ("signature", "PAYPAL-TRANSMISSION-SIG") => Some(
                value
                    .chars()
                    .rev()
                    .collect::<String>()
                    .trim_start_matches('=')
                    .to_owned()
                    + "==",
            ),
            ("signature-empty", "PAYPAL-TRANSMISSION-SIG") => Some(String::new()),
            ("signature-short", "PAYPAL-TRANSMISSION-SIG") => {
                Some(value.chars().take(100).collect())
            }
            ("signature-not-base64", "PAYPAL-TRANSMISSION-SIG") => Some("*".repeat(344)),
            ("algorithm", "PAYPAL-AUTH-ALGO") => Some("SHA1withRSA".to_owned()),
            ("algorithm-none", "PAYPAL-AUTH-ALGO") => Some("none".to_owned()),
            ("algorithm-case", "PAYPAL-AUTH-ALGO") => Some("sha256WITHrsa".to_owned()),
            _ => None,
        };
        if let Some(replaced) = replaced {
            *value = replaced;
        }
    }
}
