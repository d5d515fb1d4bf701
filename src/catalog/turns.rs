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
    until: Instant,
    /// The most that is waited before the next try; none before the first.
    pause: Option<Duration>,
}

impl Turns {
    /// Begins with a first try.
    pub(super) fn begin() -> Self {
        Self {
            until: Instant::now() + PATIENCE,
            pause: None,
        }
    }

    /// Waits for the next try; `false` where there has been time enough. The pauses grow and are drawn, so
    /// that writers who have met do not keep meeting.
    pub(super) async fn next(&mut self) -> bool {
        let Some(most) = self.pause else {
            self.pause = Some(Duration::from_millis(4));
            return true;
        };
        if Instant::now() >= self.until {
            return false;
        }
        self.pause = Some((most * 2).min(LONGEST));
        tokio::time::sleep(rand::rng().random_range(Duration::ZERO..=most)).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_is_tried_often_and_for_about_two_seconds() {
        let (began, mut turns, mut tries) = (Instant::now(), Turns::begin(), 0);
        while turns.next().await {
            tries += 1;
        }
        assert!((16..500).contains(&tries), "{tries}");
        let took = began.elapsed();
        assert!(PATIENCE <= took && took < PATIENCE * 2, "{took:?}");
    }
}
