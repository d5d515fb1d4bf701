//! Sign-ins that have ended while access tokens of theirs still live: asked at every request, in memory.
//!
//! Each node follows the change feed over `sessions`, so that a sign-out on one node holds on all. An
//! entry stays as long as an access token can live. Wherever an access token is read, it is looked up
//! here ([`super::Tokens::read`]); a disabled user and a change of role end the user's sign-ins.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use crate::id::SessionId;

/// The set is swept when it has grown by this many.
const SWEEP_EVERY: usize = 1_024;

/// The node's set of ended sign-ins; cheap to clone.
#[derive(Debug, Clone)]
pub struct Revocations {
    ended: Arc<RwLock<Ended>>,
    keep: Duration,
}

#[derive(Debug, Default)]
struct Ended {
    /// Until when each is kept.
    sessions: HashMap<SessionId, Instant>,
    sweep_at: usize,
}

impl Revocations {
    /// An empty set that keeps each entry for `keep`: at least the life of an access token.
    pub(super) fn new(keep: Duration) -> Self {
        Self {
            ended: Arc::default(),
            keep,
        }
    }

    /// How long an entry stays.
    pub(super) const fn keep(&self) -> Duration {
        self.keep
    }

    /// Whether the sign-in has ended.
    #[must_use]
    pub fn contains(&self, session: SessionId) -> bool {
        // The map is whole after a panic elsewhere: each change of it is one call.
        let ended = self.ended.read().unwrap_or_else(PoisonError::into_inner);
        ended.sessions.contains_key(&session)
    }

    /// Refuses the access tokens of `sessions` from now on.
    pub(super) fn add(&self, sessions: impl IntoIterator<Item = SessionId>) {
        self.add_at(Instant::now(), sessions);
    }

    fn add_at(&self, now: Instant, sessions: impl IntoIterator<Item = SessionId>) {
        let mut ended = self.ended.write().unwrap_or_else(PoisonError::into_inner);
        ended.sessions.extend(
            sessions
                .into_iter()
                .map(|session| (session, now + self.keep)),
        );
        if ended.sessions.len() >= ended.sweep_at {
            ended.sessions.retain(|_, until| *until > now);
            ended.sweep_at = ended.sessions.len() + SWEEP_EVERY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_swept_once_no_token_can_live() {
        let set = Revocations::new(Duration::from_mins(15));
        let (old, began) = (SessionId::new(), Instant::now());
        let others = || (0..=SWEEP_EVERY).map(|_| SessionId::new());
        set.add_at(began, [old]);
        set.add_at(began + Duration::from_secs(899), others());
        assert!(set.contains(old) && !set.contains(SessionId::new()));
        set.add_at(began + Duration::from_secs(901), others());
        assert!(!set.contains(old));
    }
}
