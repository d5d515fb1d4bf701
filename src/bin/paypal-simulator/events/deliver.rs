//! The background: deliveries with retries, and orders that approve themselves.
//!
//! A delivery ends with any 2xx. Otherwise it is tried again, up to `webhookAttempts` times, after
//! `retryBaseMs`, twice that, four times … up to 64 times. PayPal's own schedule is 25 attempts in 3
//! days; with a base of one second ours takes about 20 minutes. Each attempt is signed anew with the
//! certificate then in use; transmission id and time stay.

use std::time::Duration;

use actix_web::web::{self, Bytes};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use tokio::sync::mpsc;

use super::Job;
use crate::{
    approval::{self, Decision},
    ipn,
    signing::{self, Certificate},
    world::{Outgoing, Simulator},
};

/// Headers of a webhook message, in the order PayPal sends them.
pub(crate) type Headers = Vec<(&'static str, String)>;

/// The largest wait between two attempts, as a multiple of the first.
const LONGEST: u64 = 64;

/// Takes up background work until the simulator ends.
pub(crate) async fn run(sim: web::Data<Simulator>, mut work: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(item) = work.recv().await {
        let sim = sim.clone();
        actix_web::rt::spawn(async move {
            match item {
                Outgoing::Webhook(job) => webhook(&sim, job).await,
                Outgoing::Ipn(job) => ipn::deliver::message(&sim, job).await,
                Outgoing::Approve(id, delay_ms) => {
                    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                    let mut world = sim.lock();
                    if let Err(reason) = approval::approve(&mut world, &id, Decision::default()) {
                        world.record("order.not_approved", json!({ "id": id, "reason": reason }));
                    }
                }
            }
        });
    }
}

/// The `attempt`th wait, counted from 1.
pub(crate) fn backoff(base_ms: u64, attempt: u32, longest: u64) -> Duration {
    let factor = 1_u64
        .checked_shl(attempt.saturating_sub(1))
        .unwrap_or(longest)
        .min(longest);
    Duration::from_millis(base_ms.saturating_mul(factor))
}

/// The signed headers of one transmission.
pub(crate) fn headers(
    certificate: &Certificate,
    cert_url: String,
    job: &Job,
    body: &[u8],
) -> Headers {
    let message = signing::message(
        &job.transmission_id,
        &job.transmission_time,
        &job.hook.id,
        body,
    );
    // A key that cannot sign shows as an empty signature, which no verifier takes.
    let signature = certificate.sign(message.as_bytes()).unwrap_or_default();
    vec![
        ("PAYPAL-TRANSMISSION-ID", job.transmission_id.clone()),
        ("PAYPAL-TRANSMISSION-TIME", job.transmission_time.clone()),
        ("PAYPAL-TRANSMISSION-SIG", BASE64_STANDARD.encode(signature)),
        ("PAYPAL-CERT-URL", cert_url),
        ("PAYPAL-AUTH-ALGO", "SHA256withRSA".to_owned()),
        ("PAYPAL-AUTH-VERSION", "v2".to_owned()),
        ("Content-Type", "application/json".to_owned()),
    ]
}

/// Where a certificate is served.
pub(crate) fn cert_url(base: &str, id: &str) -> String {
    format!("{base}/v1/notifications/certs/{id}")
}

/// Sends one message and tells the shop's status.
pub(crate) async fn post(
    sim: &Simulator,
    url: &str,
    headers: &Headers,
    body: Bytes,
    timeout: Duration,
) -> Result<u16, String> {
    let _slot = sim.slots.acquire().await.map_err(|e| e.to_string())?;
    let mut request = sim.http.post(url).timeout(timeout).body(body);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    match request.send().await {
        Ok(answer) => Ok(answer.status().as_u16()),
        Err(error) => Err(error.without_url().to_string()),
    }
}

/// What an attempt led to.
enum Step {
    /// Delivered, lost on purpose, given up, or held back.
    Done,
    /// Once more after a wait.
    Again(Duration),
}

async fn webhook(sim: &Simulator, job: Job) {
    tokio::time::sleep(Duration::from_millis(job.delay_ms)).await;
    let mut attempt = 1;
    while let Step::Again(wait) = try_once(sim, &job, attempt).await {
        tokio::time::sleep(wait).await;
        attempt = attempt.saturating_add(1);
    }
}

/// What an attempt needs, taken under the lock.
fn prepare(sim: &Simulator, job: &Job) -> Option<(Headers, Duration)> {
    let mut world = sim.lock();
    if world.events.paused {
        world.events.held.push(job.clone());
        return None;
    }
    let kind = &job.event.event_type;
    if world.settings.webhook_drop_next > 0 {
        world.settings.webhook_drop_next = world.settings.webhook_drop_next.saturating_sub(1);
        let line = json!({ "eventId": job.event.id, "eventType": kind, "dropped": true });
        world.record("delivery", line);
        return None;
    }
    let certificate = world.signing.current();
    let (url, timeout) = (
        cert_url(&world.base, &certificate.id),
        world.settings.webhook_timeout_ms,
    );
    drop(world);
    let headers = headers(&certificate, url, job, &job.event.body);
    Some((headers, Duration::from_millis(timeout)))
}

async fn try_once(sim: &Simulator, job: &Job, attempt: u32) -> Step {
    let Some((headers, timeout)) = prepare(sim, job) else {
        return Step::Done;
    };
    let body = job.event.body.clone();
    let result = post(sim, &job.hook.url, &headers, body, timeout).await;
    let mut world = sim.lock();
    world.record(
        "delivery",
        json!({
            "eventId": job.event.id,
            "eventType": job.event.event_type,
            "url": job.hook.url,
            "webhookId": job.hook.id,
            "transmissionId": job.transmission_id,
            "attempt": attempt,
            "status": result.as_ref().ok(),
            "error": result.as_ref().err(),
        }),
    );
    let delivered = result.is_ok_and(|status| (200..300).contains(&status));
    if delivered {
        job.event.take();
    }
    let settings = &mut world.settings;
    if delivered && settings.webhook_repeat_next > 0 {
        settings.webhook_repeat_next = settings.webhook_repeat_next.saturating_sub(1);
        return Step::Again(Duration::ZERO);
    }
    if delivered || attempt >= settings.webhook_attempts {
        return Step::Done;
    }
    Step::Again(backoff(settings.retry_base_ms, attempt, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let waits: Vec<_> = (1..=9)
            .map(|n| backoff(10, n, LONGEST).as_millis())
            .collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 640, 640]);
        assert_eq!(backoff(10, 400, LONGEST).as_millis(), 640);
    }
}
