//! The database's pulse: whether it answers at all, found out beside the requests that wait for it.
//!
//! The driver has no time limit for an operation, and one whose line was cut waits until the driver's own
//! monitor has noticed. Whoever waits in a request is told sooner, and whoever comes meanwhile at once.

use std::time::Duration;

use bson::doc;
use mongodb::{Client, Database};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{StoreError, options};

/// Pause between two beats.
const EVERY: Duration = Duration::from_millis(250);
/// Without a beat for so long the database counts as silent.
const SILENCE: Duration = Duration::from_secs(2);
/// A beat that comes by then counts all the same: a process that itself stood still for long finds timer and
/// answer ready at one moment.
const GRACE: Duration = Duration::from_millis(250);
/// How long a beat waits for a primary, and how long a silent database is waited for before the next.
const BEAT: Duration = Duration::from_secs(1);

/// Whether the database answers; cheap to clone.
#[derive(Debug, Clone)]
pub struct Pulse(watch::Receiver<bool>);

impl Pulse {
    /// Begins to feel the primary's pulse, over connections of its own, for as long as anybody wants to know.
    ///
    /// # Errors
    /// When the URI cannot be parsed.
    pub async fn start(uri: &str) -> Result<Self, StoreError> {
        let mut settings = options(uri, "bodega-pulse").await?;
        settings.max_pool_size = Some(4);
        settings.min_pool_size = None;
        settings.server_selection_timeout = Some(BEAT);
        let client = Client::with_options(settings)?;
        let (silent, told) = watch::channel(false);
        tokio::spawn(feel(client.database("admin"), silent));
        Ok(Self(told))
    }

    /// A pulse that a test feels.
    #[cfg(test)]
    pub(crate) const fn of(told: watch::Receiver<bool>) -> Self {
        Self(told)
    }

    /// Whether the database is silent now.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once the database is silent.
    pub async fn silence(&self) {
        let mut told = self.0.clone();
        if told.wait_for(|silent| *silent).await.is_err() {
            // Nobody feels any more, so nobody can say.
            std::future::pending::<()>().await;
        }
    }
}

/// Whether a member answers that takes writes.
async fn beats(admin: Database) -> bool {
    let hello = admin.run_command(doc! { "hello": 1 }).await;
    hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false))
}

async fn feel(admin: Database, silent: watch::Sender<bool>) {
    let mut answered = Instant::now();
    while !silent.is_closed() {
        let asked = Instant::now();
        // A task of its own, and never cut short: a dropped operation costs the driver its connection.
        let mut beat = tokio::spawn(beats(admin.clone()));
        let mut heard = timeout_at(answered + SILENCE, &mut beat).await;
        if heard.is_err() {
            heard = timeout(GRACE, &mut beat).await;
        }
        if heard.is_err() {
            tell(&silent, true);
            heard = timeout(BEAT, &mut beat).await;
        }
        // An answer that took too long is no sign that others would not.
        if matches!(heard, Ok(Ok(true))) && asked.elapsed() < SILENCE + GRACE {
            answered = Instant::now();
            tell(&silent, false);
        } else if answered.elapsed() >= SILENCE {
            tell(&silent, true);
        }
        sleep(EVERY).await;
    }
}

fn tell(told: &watch::Sender<bool>, silent: bool) {
    let changed = told.send_if_modified(|held| std::mem::replace(held, silent) != silent);
    if changed && silent {
        metrics::counter!("bodega_mongodb_silences_total").increment(1);
        tracing::warn!("the database does not answer: requests that need it are refused");
    } else if changed {
        tracing::info!("the database answers again");
    }
}
