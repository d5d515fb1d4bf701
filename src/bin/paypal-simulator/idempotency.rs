//! `PayPal-Request-Id`: what was done under which id, per method and path.
//!
//! A replay answers 200 with the present state of what the first request made. What PayPal leaves
//! open is chosen by setting: see [`crate::config::Settings`]. A request that was refused leaves no
//! trace, so its id may be used again.

use std::{collections::HashMap, sync::Arc};

use time::{Duration, OffsetDateTime};
use tokio::sync::Notify;

/// What a finished request made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Made {
    /// An order was created or captured.
    Order(String),
    /// A refund was made.
    Refund(String),
}

/// Method and path, and the id the client chose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Such as `POST /v2/checkout/orders`.
    pub(crate) scope: String,
    /// The header's value.
    pub(crate) id: String,
}

#[derive(Debug)]
struct Entry {
    fingerprint: u64,
    expires: OffsetDateTime,
    state: State,
}

#[derive(Debug)]
enum State {
    Running(Arc<Notify>),
    Done(Made),
}

/// What a request finds under its id.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing: it runs now and must be ended by `finish` or `release`.
    Fresh,
    /// The first request is still running; the notice comes when it ends.
    Running(Arc<Notify>),
    /// The first request ended; the flag tells whether the bodies are the same.
    Done { made: Made, same_body: bool },
}

/// All keys that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    entries: HashMap<Key, Entry>,
}

impl Keys {
    /// Looks the key up and takes it when it is free or its time is over.
    pub(crate) fn begin(
        &mut self,
        key: &Key,
        fingerprint: u64,
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Found {
        if let Some(entry) = self.entries.get(key).filter(|entry| entry.expires > now) {
            return match &entry.state {
                State::Running(notice) => Found::Running(notice.clone()),
                State::Done(made) => Found::Done {
                    made: made.clone(),
                    same_body: entry.fingerprint == fingerprint,
                },
            };
        }
        let state = State::Running(Arc::new(Notify::new()));
        let expires = now.saturating_add(lifetime);
        self.entries.insert(
            key.clone(),
            Entry {
                fingerprint,
                expires,
                state,
            },
        );
        Found::Fresh
    }

    /// Records what the request made and wakes those who wait for it.
    pub(crate) fn finish(&mut self, key: &Key, made: Made) {
        if let Some(entry) = self.entries.get_mut(key) {
            if let State::Running(notice) = &entry.state {
                notice.notify_waiters();
            }
            entry.state = State::Done(made);
        }
    }

    /// Frees the key after a refusal and wakes those who wait for it.
    pub(crate) fn release(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key)
            && let State::Running(notice) = entry.state
        {
            notice.notify_waiters();
        }
    }

    /// Forgets keys whose time is over, unless their request still runs.
    pub(crate) fn forget(&mut self, now: OffsetDateTime) {
        self.entries
            .retain(|_, entry| entry.expires > now || matches!(entry.state, State::Running(_)));
    }

    /// How many keys are remembered.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scope: &str) -> Key {
        Key {
            scope: scope.to_owned(),
            id: "checkout-1:create".to_owned(),
        }
    }

    const HOURS: Duration = Duration::hours(6);

    #[test]
    fn a_key_runs_once_and_then_replays() {
        let now = OffsetDateTime::now_utc();
        let mut keys = Keys::default();
        assert!(matches!(
            keys.begin(&key("POST /a"), 1, now, HOURS),
            Found::Fresh
        ));
        assert!(matches!(
            keys.begin(&key("POST /a"), 1, now, HOURS),
            Found::Running(_)
        ));
        keys.finish(&key("POST /a"), Made::Order("X".to_owned()));
        assert!(matches!(
            keys.begin(&key("POST /a"), 1, now, HOURS),
            Found::Done {
                same_body: true,
                ..
            }
        ));
        assert!(matches!(
            keys.begin(&key("POST /a"), 2, now, HOURS),
            Found::Done {
                same_body: false,
                ..
            }
        ));
    }

    #[test]
    fn the_same_id_on_another_path_is_another_key() {
        let now = OffsetDateTime::now_utc();
        let mut keys = Keys::default();
        assert!(matches!(
            keys.begin(&key("POST /a"), 1, now, HOURS),
            Found::Fresh
        ));
        assert!(matches!(
            keys.begin(&key("POST /b"), 1, now, HOURS),
            Found::Fresh
        ));
    }

    #[test]
    fn a_refused_request_and_an_old_one_free_the_key() {
        let now = OffsetDateTime::now_utc();
        let mut keys = Keys::default();
        let _ = keys.begin(&key("POST /a"), 1, now, HOURS);
        keys.release(&key("POST /a"));
        assert!(matches!(
            keys.begin(&key("POST /a"), 1, now, HOURS),
            Found::Fresh
        ));
        keys.finish(&key("POST /a"), Made::Order("X".to_owned()));
        keys.forget(now);
        assert_eq!(keys.len(), 1);
        assert!(matches!(
            keys.begin(&key("POST /a"), 1, now + HOURS, HOURS),
            Found::Fresh
        ));
        keys.forget(now + HOURS + HOURS);
        assert_eq!(keys.len(), 1, "it runs");
        keys.finish(&key("POST /a"), Made::Order("X".to_owned()));
        keys.forget(now + HOURS + HOURS);
        assert_eq!(keys.len(), 0);
    }
}
