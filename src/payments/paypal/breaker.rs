//! The circuit breaker: while PayPal does not answer, calls fail at once instead of waiting for it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Failures in a row after which calls are refused.
const THRESHOLD: u32 = 5;
/// While open, one call in this time goes through, to see whether PayPal is back.
const PROBE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    last_probe: Option<Instant>,
}

/// Counts transport failures and 5xx in a row; one for all workers.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

impl Breaker {
    /// Lets a call through, or says how long to wait.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures < THRESHOLD {
            return Ok(());
        }
        let next_probe = state.last_probe.map_or(now, |probe| probe + PROBE_EVERY);
        let wait = next_probe.saturating_duration_since(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        state.last_probe = Some(now);
        Ok(())
    }

    /// PayPal answered, whatever it said.
    pub(super) fn answered(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures >= THRESHOLD {
            tracing::info!("paypal answers again");
        }
        *state = State::default();
    }

    /// PayPal did not answer, or only with a 5xx.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures = state.failures.saturating_add(1);
        if state.failures >= THRESHOLD {
            // Counted from the end of a failed probe: whoever comes next is refused at once, however long
            // the probe took.
            state.last_probe = Some(now);
        }
        if state.failures == THRESHOLD {
            metrics::counter!("bodega_paypal_breaker_opened_total").increment(1);
            tracing::error!("paypal does not answer: calls are refused, one a second tries again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_probes_once_a_second() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 1..THRESHOLD {
            breaker.failed(start);
        }
        assert!(breaker.admit(start).is_ok(), "one failure short");
        breaker.failed(start);
        assert!(breaker.admit(start).is_err(), "open");
        let moments = (1..=100).map(|tenth| start + Duration::from_millis(100 * tenth));
        let probes = moments.filter(|moment| {
            let let_through = breaker.admit(*moment).is_ok();
            if let_through {
                breaker.failed(*moment);
            }
            let_through
        });
        assert_eq!(probes.count(), 10, "ten seconds, ten probes");
        let later = start + Duration::from_secs(11);
        assert!(breaker.admit(later).is_ok());
        breaker.answered();
        assert!(breaker.admit(later).is_ok() && breaker.admit(later).is_ok());
    }

    #[test]
    fn an_answer_between_failures_keeps_it_closed() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            breaker.failed(now);
            breaker.answered();
        }
        assert!(breaker.admit(now).is_ok());
    }
}
