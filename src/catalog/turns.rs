//! Writers of one thing: those of this node stand in line; where one of another node was faster, a write is
//! tried again, a little later each time and not for ever.

use std::time::Duration;

use rand::Rng;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use crate::id::ProductId;

/// How long a write is tried again.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most that is waited before the second try.
const SHORTEST: Duration = Duration::from_millis(4);
/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_millis(128);

/// Lines: as many as a byte has values.
const LINES: usize = 256;

/// The lines that this node's writers of products stand in; a few products share each.
#[derive(Debug)]
pub(super) struct Lines([Mutex<()>; LINES]);

impl Default for Lines {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Lines {
    /// Waits until it is this writer's turn; the turn ends when the guard is dropped.
    #[expect(
        clippy::indexing_slicing,
        reason = "there are as many lines as a byte has values"
    )]
    pub(super) async fn stand(&self, product: ProductId) -> MutexGuard<'_, ()> {
        // The last bytes of an id count up.
        let [.., last] = product.object_id().bytes();
        self.0[usize::from(last)].lock().await
    }
}

/// The tries of one write.
#[derive(Debug)]
pub(super) struct Turns {
    began: Instant,
    tries: u32,
}

impl Turns {
    /// Begins with a first try.
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            tries: 0,
        }
    }

    /// Waits for the next try; `false` where there has been time enough. The pauses are drawn, so that writers who
    /// have met do not keep meeting.
    pub(super) async fn next(&mut self) -> bool {
        let Some(most) = most_pause(self.tries, self.began.elapsed()) else {
            return false;
        };
        self.tries = self.tries.saturating_add(1);
        if !most.is_zero() {
            tokio::time::sleep(rand::rng().random_range(Duration::ZERO..=most)).await;
        }
        true
    }
}

/// The most that is waited after so many `tries` in the time that has `passed`, growing with each; none before the
/// first. `None`: it is not tried again.
fn most_pause(tries: u32, passed: Duration) -> Option<Duration> {
    match tries.checked_sub(1) {
        None => Some(Duration::ZERO),
        Some(_) if passed >= PATIENCE => None,
        Some(again) => Some(
            SHORTEST
                .saturating_mul(2_u32.saturating_pow(again))
                .min(LONGEST),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_tried_often_and_for_about_two_seconds() {
        // As if each pause were as long as it may be.
        let (mut tries, mut passed) = (0, Duration::ZERO);
        while let Some(most) = most_pause(tries, passed) {
            assert!(most <= LONGEST && (tries == 0) == most.is_zero());
            passed += most;
            tries += 1;
        }
        assert!(tries >= 16, "{tries}");
        assert!(
            PATIENCE <= passed && passed < PATIENCE + LONGEST,
            "{passed:?}"
        );
        assert_eq!(
            most_pause(0, PATIENCE),
            Some(Duration::ZERO),
            "the first try"
        );
        assert_eq!(most_pause(u32::MAX, Duration::ZERO), Some(LONGEST));
    }
}
