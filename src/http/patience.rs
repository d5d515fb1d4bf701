//! How long a request waits for the payment provider. A call may take longer than anybody should look at a
//! spinning wheel, and must not be cut short for that: its client is told to come again, the work goes on.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// What a request has, from the first time that it waits. With it every refusal is within three seconds.
const PATIENCE: Duration = Duration::from_millis(2_500);

tokio::task_local! {
    static WAITING: Patience;
}

/// A request's patience.
#[derive(Debug, Clone)]
pub(super) struct Patience(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    length: Duration,
    ends: OnceLock<Instant>,
    lost: Notify,
}

impl Default for Patience {
    fn default() -> Self {
        Self::of(PATIENCE)
    }
}

impl Patience {
    fn of(length: Duration) -> Self {
        Self(Arc::new(Inner {
            length,
            ends: OnceLock::new(),
            lost: Notify::new(),
        }))
    }

    /// Does `work` with this patience.
    pub(super) async fn with<T>(self, work: impl Future<Output = T>) -> T {
        WAITING.scope(self, work).await
    }

    /// Comes to pass once the work waits for the provider and has no patience left.
    pub(super) async fn lost(&self) {
        self.0.lost.notified().await;
    }
}

/// Waits for something that the payment provider holds up. Where a request waits, and too long, its client is
/// answered meanwhile; `held_up` itself always comes to its end.
pub(crate) async fn patiently<T>(held_up: impl Future<Output = T>) -> T {
    let Ok(patience) = WAITING.try_with(Patience::clone) else {
        return held_up.await;
    };
    let Inner { length, ends, lost } = &*patience.0;
    let ends = *ends.get_or_init(|| Instant::now() + *length);
    let mut held_up = pin!(held_up);
    tokio::select! {
        biased;
        done = &mut held_up => return done,
        () = tokio::time::sleep_until(ends) => lost.notify_one(),
    }
    held_up.await
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(60);

    /// A request that is held up twice for a moment; whether it was done before its patience was lost.
    async fn is_done_first(patience: Patience) -> bool {
        let began = Instant::now();
        let mut work = pin!(patience.clone().with(async {
            patiently(tokio::time::sleep(MOMENT)).await;
            patiently(tokio::time::sleep(MOMENT)).await;
        }));
        tokio::select! {
            biased;
            () = &mut work => return true,
            () = patience.lost() => {}
        }
        work.await;
        assert!(began.elapsed() >= MOMENT * 2, "the work goes on to its end");
        false
    }

    #[tokio::test]
    async fn a_requests_patience_is_one_for_all_that_holds_it_up() {
        assert!(is_done_first(Patience::default()).await);
        assert!(!is_done_first(Patience::of(MOMENT * 3 / 2)).await);
    }
}
