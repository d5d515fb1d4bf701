//! Database calls with an upper bound: of time and of number.
//!
//! The driver has no client-side timeout, and its futures are not to be dropped half-way (RUST-937). So
//! a call runs to its end as a task of its own, on the process's runtime and not on an arbiter that may
//! end before it, and only the waiting for it is cut short.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::mongo::StoreError;

/// Calls under way at once, those included that nobody waits for any more.
const AT_ONCE: u32 = 256;

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// It never began.
    #[error("too many database calls are under way")]
    NotBegun,
    /// It did not end in time; it may still.
    #[error("no answer in time")]
    TimedOut,
    /// It panicked.
    #[error("the call panicked")]
    Panicked,
    /// It ended with an error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CallError {
    /// Whether a write may have happened all the same.
    pub(super) fn outcome_unknown(&self) -> bool {
        match self {
            Self::NotBegun => false,
            Self::TimedOut | Self::Panicked => true,
            Self::Store(error) => error.outcome_unknown(),
        }
    }
}

/// Runs database calls.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    runtime: Handle,
    places: Arc<Semaphore>,
    limit: Duration,
}

impl Calls {
    /// Calls run on the present runtime, each waited for up to `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            runtime: Handle::current(),
            places: Arc::new(Semaphore::new(
                usize::try_from(AT_ONCE).unwrap_or(usize::MAX),
            )),
            limit,
        }
    }

    /// Waits until every call has ended, those included that nobody waits for any more.
    pub(super) async fn ended(&self) {
        let _all = self.places.acquire_many(AT_ONCE).await;
    }

    /// Runs `call` and waits for it up to the limit.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, CallError> {
        let deadline = Instant::now() + self.limit;
        let place = timeout_at(deadline, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(CallError::NotBegun);
        };
        let running = self.runtime.spawn(async move {
            let done = call.await;
            drop(place);
            done
        });
        match timeout_at(deadline, running).await {
            Ok(Ok(done)) => Ok(done?),
            Ok(Err(_panicked)) => Err(CallError::Panicked),
            Err(_elapsed) => Err(CallError::TimedOut),
        }
    }
}
