//! Messages on their way from a node's door to its own workers: stored, and claimed with the same write, so
//! that following them costs no second one. What waits too long here is left to whoever looks into the inbox.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::store::MessageDocument;

/// Messages that may wait here; more are left in the inbox for whichever node has time.
const MOST: usize = 32;
/// How long one may wait here: well within its lease, so that it is followed while it is
/// this node's.
const PATIENCE: Duration = Duration::from_secs(5);

type Waiting = VecDeque<(Instant, MessageDocument)>;

/// A node's own messages, and the bell that wakes its workers.
#[derive(Debug, Default)]
pub(super) struct Hand {
    waiting: Mutex<Waiting>,
    bell: Notify,
    called: AtomicBool,
    open: AtomicBool,
}

impl Hand {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins, or ceases, to take messages: only while there are workers.
    pub(super) fn open(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
    }

    /// Whether one more may be given.
    pub(super) fn has_room(&self) -> bool {
        self.open.load(Ordering::SeqCst) && self.lock().len() < MOST
    }

    /// Gives a message that is claimed, and wakes a worker.
    pub(super) fn give(&self, message: MessageDocument) {
        self.lock().push_back((Instant::now(), message));
        self.bell.notify_one();
    }

    /// Takes the message that has waited longest, if it is this node's still.
    pub(super) fn take(&self) -> Option<MessageDocument> {
        let mut waiting = self.lock();
        while let Some((since, message)) = waiting.pop_front() {
            if since.elapsed() < PATIENCE {
                return Some(message);
            }
        }
        None
    }

    /// Calls a worker to look into the inbox.
    pub(super) fn call(&self) {
        self.called.store(true, Ordering::SeqCst);
        self.bell.notify_one();
    }

    /// Whether a worker was called; the call is answered with this.
    pub(super) fn is_called(&self) -> bool {
        self.called.swap(false, Ordering::SeqCst)
    }

    /// Waits to be woken.
    pub(super) async fn woken(&self) {
        self.bell.notified().await;
    }
}
