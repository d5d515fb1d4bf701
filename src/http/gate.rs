//! The gate before everything that needs the database: while it does not answer, whoever comes is refused at
//! once and whoever waits soon, and only so much may be under way. Whoever waits for the payment provider is
//! answered soon, too.
//!
//! Work that is no longer waited for goes on to its own end: nothing is cut off halfway, and an answer 503
//! leaves open whether it was done, as a lost answer does.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
};
use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::patience::Patience;
use crate::{
    mongo::pulse::Pulse,
    problem::{Code, Problem},
};

/// Requests that need the database and are under way at once, on one node, those included that nobody waits
/// for any more: what they hold in memory has a bound.
const AT_ONCE: usize = 2_048;
/// When a refused client may come again.
const COME_AGAIN: Duration = Duration::from_secs(2);
/// How long something that is mostly answered from memory may take before the database's silence counts.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where everything lies that the gate stands before.
pub(crate) const API: &str = "/api/";
/// What a node answers from memory, it answers whether the database does or not.
const FROM_MEMORY: [&str; 6] = [
    "/api/products",
    "/api/categories",
    "/api/product-types",
    "/api/brands",
    "/api/docs",
    "/api/openapi.json",
];

/// One for all workers; cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate {
    pulse: Pulse,
    places: Arc<Semaphore>,
}

/// How a request may pass.
pub(super) enum Pass {
    /// It has nothing to do with the database.
    Free,
    /// It is answered from memory, but for what has to be looked up.
    Memory(Gate),
    /// It needs the database, and has its place.
    Database(Gate, OwnedSemaphorePermit),
}

/// What came of a request; the outer error is a panic's.
type Handled<B> = Result<Result<ServiceResponse<B>, Error>, Box<dyn Any + Send>>;

impl Gate {
    /// A gate that heeds the database's pulse.
    #[must_use]
    pub fn new(pulse: Pulse) -> Self {
        Self {
            pulse,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Lets a request pass, or says why not now.
    pub(super) fn admit(&self, method: &Method, path: &str) -> Result<Pass, Problem> {
        if !path.starts_with(API) {
            return Ok(Pass::Free);
        }
        if method.is_safe() && FROM_MEMORY.iter().any(|known| path.starts_with(known)) {
            return Ok(Pass::Memory(self.clone()));
        }
        if self.pulse.is_silent() {
            return Err(database_is_silent());
        }
        match self.places.clone().try_acquire_owned() {
            Ok(place) => Ok(Pass::Database(self.clone(), place)),
            Err(_full) => Err(Problem::new(Code::Busy).retry_after(COME_AGAIN)),
        }
    }
}

impl Pass {
    /// Has the request handled; one that waits for a database which has fallen silent, or too long for the
    /// payment provider, is answered without it.
    pub(super) async fn handled<B: MessageBody + 'static>(
        self,
        request: ServiceRequest,
        next: &Next<B>,
    ) -> Result<Handled<B>, Problem> {
        let mut work = AssertUnwindSafe(next.call(request)).catch_unwind();
        match self {
            Self::Free => Ok(work.await),
            Self::Memory(gate) => {
                let silence = async {
                    tokio::time::sleep(PATIENCE).await;
                    gate.pulse.silence().await;
                };
                tokio::select! {
                    biased;
                    done = &mut work => Ok(done),
                    () = silence => {
                        actix_web::rt::spawn(work);
                        Err(database_is_silent())
                    }
                }
            }
            Self::Database(gate, place) => {
                let patience = Patience::default();
                let mut work = Box::pin(patience.clone().with(work));
                let refused = tokio::select! {
                    biased;
                    done = &mut work => return Ok(done),
                    () = gate.pulse.silence() => database_is_silent(),
                    () = patience.lost() => provider_is_slow(),
                };
                actix_web::rt::spawn(async move {
                    let _nobody_waits = work.await;
                    drop(place);
                });
                Err(refused)
            }
        }
    }
}

fn provider_is_slow() -> Problem {
    Problem::new(Code::ProviderUnavailable)
        .detail("PayPal has not answered yet; what was asked for goes on")
        .retry_after(COME_AGAIN)
}

fn database_is_silent() -> Problem {
    Problem::new(Code::Unavailable)
        .detail("the database does not answer")
        .retry_after(COME_AGAIN)
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    fn refused(gate: &Gate, method: &Method, path: &str) -> Option<Code> {
        gate.admit(method, path).err().map(|problem| problem.code())
    }

    #[test]
    fn while_the_database_is_silent_only_what_needs_it_is_refused() {
        let (silent, told) = watch::channel(false);
        let gate = Gate::new(Pulse::of(told));
        let needing = [
            (Method::GET, "/api/cart"),
            (Method::POST, "/api/products"),
            (Method::POST, "/api/payment/webhook"),
            (Method::GET, "/api/realtime/events"),
        ];
        let free = [
            (Method::GET, "/api/products/a-mug"),
            (Method::HEAD, "/api/categories"),
            (Method::GET, "/healthz"),
            (Method::GET, "/readyz"),
        ];
        for (method, path) in needing.iter().chain(&free) {
            assert_eq!(refused(&gate, method, path), None, "{path}");
        }
        silent.send_replace(true);
        for (method, path) in &needing {
            assert_eq!(
                refused(&gate, method, path),
                Some(Code::Unavailable),
                "{path}"
            );
        }
        for (method, path) in &free {
            assert_eq!(refused(&gate, method, path), None, "{path}");
        }
    }

    #[test]
    fn only_so_much_is_under_way() {
        let (_silent, told) = watch::channel(false);
        let gate = Gate::new(Pulse::of(told));
        let mut passes: Vec<_> = (0..AT_ONCE)
            .map(|_| gate.admit(&Method::GET, "/api/cart").ok().unwrap())
            .collect();
        assert_eq!(refused(&gate, &Method::GET, "/api/cart"), Some(Code::Busy));
        assert_eq!(refused(&gate, &Method::GET, "/api/products"), None);
        passes.pop();
        assert_eq!(refused(&gate, &Method::GET, "/api/cart"), None);
    }
}
