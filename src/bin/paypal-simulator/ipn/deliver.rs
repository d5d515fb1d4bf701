//! Sends IPN messages until the shop answers 200, with doubling waits.

use std::time::Duration;

use serde_json::json;

use super::Job;
use crate::{
    events::deliver::{backoff, post},
    world::Simulator,
};

/// Delivers one message through all its attempts.
pub(crate) async fn message(sim: &Simulator, job: Job) {
    let headers = vec![(
        "Content-Type",
        "application/x-www-form-urlencoded".to_owned(),
    )];
    let mut attempt: u32 = 1;
    loop {
        let timeout = Duration::from_millis(sim.lock().settings.webhook_timeout_ms);
        let result = post(sim, &job.url, &headers, job.body.clone(), timeout).await;
        let wait = {
            let mut world = sim.lock();
            world.record(
                "ipn.delivery",
                json!({
                    "txnId": job.txn_id,
                    "paymentStatus": job.payment_status,
                    "forged": job.forged,
                    "attempt": attempt,
                    "status": result.as_ref().ok(),
                    "error": result.as_ref().err(),
                }),
            );
            if result == Ok(200) || job.forged || attempt >= world.settings.ipn_attempts {
                return;
            }
            backoff(world.settings.ipn_retry_base_ms, attempt, u64::MAX)
        };
        tokio::time::sleep(wait).await;
        attempt = attempt.saturating_add(1);
    }
}
