//! Reads that members beside the primary answer, and that never go back behind what this node has seen.
//!
//! A member may be behind. A node that had taken an old version from one after the feed told it of the new
//! would hold it for good. So each such read names the latest moment of the database that the node knows of
//! (MongoDB's `afterClusterTime`), and the member waits until it has come there. One that does not in time is left
//! alone for a while, and the primary answers.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bson::{Timestamp, doc};
use mongodb::{
    ClientSession, Collection,
    options::{CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria},
};
use tokio::time::{Instant, timeout};

use super::{Mongo, StoreError};

/// How long a member may take to come to the moment that is asked for, and to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long the primary is asked alone after another member was late.
const REST: Duration = Duration::from_secs(2);

/// The latest moment of the database that somebody has seen: of a write that was acknowledged, or of a change that
/// the feed told. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<AtomicU64>);

impl Seen {
    /// Takes note of a moment; an earlier one than is known changes nothing.
    pub fn advance(&self, to: Timestamp) {
        let packed = u64::from(to.time) << 32 | u64::from(to.increment);
        self.0.fetch_max(packed, Ordering::AcqRel);
    }

    fn latest(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The moment in its parts; none: nothing was seen so far.
fn unpacked(moment: u64) -> Option<Timestamp> {
    let part = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (moment > 0).then(|| Timestamp {
        time: part(moment >> 32),
        increment: part(moment),
    })
}

/// How a node reads what need not come from the primary; cheap to clone.
#[derive(Debug, Clone)]
pub struct Reads {
    mongo: Mongo,
    /// What the feed has told; none: everything is read from the primary.
    told: Option<Seen>,
    resting: Arc<Mutex<Option<Instant>>>,
}

impl Reads {
    /// Everything is read from the primary.
    #[must_use]
    pub fn primary(mongo: &Mongo) -> Self {
        Self {
            mongo: mongo.clone(),
            told: None,
            resting: Arc::default(),
        }
    }

    /// Secondaries answer where there are some, behind nothing that the feed has `told` or this node has written.
    #[must_use]
    pub fn secondaries(mongo: &Mongo, told: Seen) -> Self {
        Self {
            told: Some(told),
            ..Self::primary(mongo)
        }
    }

    /// The collection as secondaries answer for it.
    #[must_use]
    pub fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        let beside = ReadPreference::SecondaryPreferred { options: None };
        let options = CollectionOptions::builder()
            .selection_criteria(SelectionCriteria::ReadPreference(beside))
            // What a majority has: nothing of it is taken back.
            .read_concern(ReadConcern::majority())
            .build();
        self.mongo.database().collection_with_options(name, options)
    }

    /// A session whose reads are not older than what this node has seen; `None` where the primary is to be asked.
    pub async fn session(&self) -> Option<ClientSession> {
        let told = self.told.as_ref()?;
        if self.is_resting() {
            return None;
        }
        let seen = unpacked(told.latest().max(self.mongo.seen.latest()))?;
        // Sessions are causally consistent unless told otherwise.
        let mut session = self.mongo.client.start_session().await.ok()?;
        session.advance_operation_time(seen);
        Some(session)
    }

    /// What a member answers within its time; `None` where it does not, and the primary is to be asked.
    pub async fn answer<T>(
        &self,
        read: impl Future<Output = mongodb::error::Result<T>>,
    ) -> Option<T> {
        let late = match timeout(PATIENCE, read).await {
            Ok(Ok(found)) => return Some(found),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "it did not answer in time".to_owned(),
        };
        metrics::counter!("bodega_mongodb_late_secondaries_total").increment(1);
        tracing::debug!(late, "a secondary is left alone for a while");
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        *resting = Some(Instant::now() + REST);
        None
    }

    /// Asks the primary what time it is, so that the next reads show everything that was acknowledged before, by
    /// whichever node.
    ///
    /// # Errors
    /// When no primary answers.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        if self.told.is_some() {
            self.mongo.seen.advance(self.mongo.now().await?);
        }
        Ok(())
    }

    fn is_resting(&self) -> bool {
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.is_some_and(|until| Instant::now() < until)
    }
}

impl Mongo {
    /// The moment that the primary has come to.
    async fn now(&self) -> Result<Timestamp, StoreError> {
        moment_of(&self.client).await
    }
}

/// The moment that the primary of `client` has come to.
pub(super) async fn moment_of(client: &mongodb::Client) -> Result<Timestamp, StoreError> {
    let mut session = client.start_session().await?;
    let admin = client.database("admin");
    let ping = admin.run_command(doc! { "ping": 1 });
    ping.session(&mut session).await?;
    session.operation_time().ok_or_else(|| {
        mongodb::error::Error::custom("the database does not tell its operation time").into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_only_moves_on() {
        let seen = Seen::default();
        assert_eq!(unpacked(seen.latest()), None);
        let moment = |time, increment| Timestamp { time, increment };
        seen.advance(moment(7, u32::MAX));
        seen.advance(moment(7, 3));
        assert_eq!(unpacked(seen.latest()), Some(moment(7, u32::MAX)));
        seen.advance(moment(8, 0));
        seen.clone().advance(moment(6, 9));
        assert_eq!(unpacked(seen.latest()), Some(moment(8, 0)));
    }
}
