//! What a message is, and when it is tried again.

use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = InboxMessageKind)]
pub enum Kind {
    /// A signed webhook event.
    Webhook,
    /// An Instant Payment Notification.
    Ipn,
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = InboxMessageState)]
pub enum State {
    /// To be followed.
    Pending,
    /// Followed.
    Done,
    /// Of no concern to the shop.
    Ignored,
    /// Not vouched for by PayPal, or not for this shop.
    Refused,
    /// Failed too often; the staff may replay it.
    Dead,
}

impl State {
    /// The state as stored and shown.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
            Self::Dead => "dead",
        }
    }
}

/// What became of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is over.
    Over { state: State, note: Option<String> },
    /// The world was not ready; the message is not to blame.
    NotNow {
        reason: String,
        after: Option<Duration>,
    },
    /// It failed.
    Failed(String),
}

impl Verdict {
    /// Over, without a word.
    pub(super) const fn done() -> Self {
        Self::Over {
            state: State::Done,
            note: None,
        }
    }

    /// Over, and why.
    pub(super) fn over(state: State, note: impl Into<String>) -> Self {
        Self::Over {
            state,
            note: Some(note.into()),
        }
    }
}

/// How often a message may fail.
pub(super) const MAX_FAILURES: i64 = 12;
/// PayPal itself gives up on a message after three days.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_hours(72);
/// The first pause after a failure; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No pause after a failure is longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// No pause is longer while the provider or the database is away, so that little time is lost once it
/// is back.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How long to wait after `tries` tries of which none went well: exponential, between half and all of
/// it at random.
fn pause(tries: i64, longest: Duration) -> Duration {
    let doublings = u32::try_from(tries.saturating_sub(1).clamp(0, 16)).unwrap_or_default();
    let most = FIRST_PAUSE.saturating_mul(1 << doublings).min(longest);
    rand::rng().random_range(most / 2..=most)
}

/// What is to be done after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing more.
    Settle(State, Option<String>),
    /// Another try.
    Retry {
        pause: Duration,
        reason: String,
        /// Whether the try counts as a failure.
        counts: bool,
    },
}

/// Decides after the `attempts`-th try of a message `age` old that has failed `failures` times before.
pub(super) fn next(verdict: Verdict, attempts: i64, failures: i64, age: Duration) -> Next {
    match verdict {
        Verdict::Over { state, note } => Next::Settle(state, note),
        Verdict::NotNow { reason, .. } if age >= GIVE_UP_AFTER => {
            Next::Settle(State::Dead, Some(reason))
        }
        Verdict::NotNow { reason, after } => Next::Retry {
            pause: after.map_or_else(
                || pause(attempts, LONGEST_WAIT),
                |after| after.min(LONGEST_WAIT),
            ),
            reason,
            counts: false,
        },
        Verdict::Failed(reason) if failures + 1 >= MAX_FAILURES => {
            Next::Settle(State::Dead, Some(reason))
        }
        Verdict::Failed(reason) => Next::Retry {
            pause: pause(failures + 1, LONGEST_PAUSE),
            reason,
            counts: true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_grow_up_to_their_limit() {
        for (failures, most) in [(0, 1), (1, 2), (4, 16), (8, 256), (9, 300), (10, 300)] {
            let Next::Retry { pause, counts, .. } =
                next(Verdict::Failed("x".into()), 1, failures, YOUNG)
            else {
                panic!("{failures}")
            };
            let most = Duration::from_secs(most);
            assert!(
                counts && pause <= most && pause >= most / 2,
                "{failures}: {pause:?}"
            );
        }
    }

    #[test]
    fn the_twelfth_failure_is_the_last() {
        let last = next(Verdict::Failed("x".into()), 50, MAX_FAILURES - 1, YOUNG);
        assert_eq!(last, Next::Settle(State::Dead, Some("x".into())));
    }

    #[test]
    fn an_outage_does_not_count_and_is_looked_at_often() {
        for attempts in [1, 10, 1_000_000] {
            let away = Verdict::NotNow {
                reason: "x".into(),
                after: None,
            };
            let Next::Retry { pause, counts, .. } = next(away, attempts, 11, YOUNG) else {
                panic!()
            };
            assert!(!counts && pause <= LONGEST_WAIT);
        }
        let asked = Verdict::NotNow {
            reason: "x".into(),
            after: Some(Duration::from_secs(3)),
        };
        let Next::Retry { pause, .. } = next(asked.clone(), 1, 0, YOUNG) else {
            panic!()
        };
        assert_eq!(pause, Duration::from_secs(3));
        let old = next(asked, 1, 0, GIVE_UP_AFTER);
        assert_eq!(old, Next::Settle(State::Dead, Some("x".into())));
    }
}
