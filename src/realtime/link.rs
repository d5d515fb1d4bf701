//! What binds a stream to the hub: an outbox of 64 KiB, and three words beside it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::{Notify, mpsc};

use super::frame::Frame;
use crate::id::SessionId;

/// How many bytes may wait for a stream before it counts as too slow.
pub(super) const OUTBOX: usize = 64 * 1024;
/// What a waiting message costs besides its text.
const COST: usize = 64;
/// How many messages fit the outbox, the shortest included.
const QUEUE: usize = OUTBOX / COST;

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The token has ended, or its sign-in.
    TokenEnded,
    /// The client takes its messages too slowly.
    TooSlow,
    /// The node stops, or the channel cannot say what was missed.
    Restarting,
    /// The database cannot be read now.
    Unavailable,
}

impl End {
    /// The WebSocket close code.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::TokenEnded => 4001,
            Self::TooSlow => 4008,
            Self::Restarting => 1012,
            Self::Unavailable => 1013,
        }
    }

    /// A word about it.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::TokenEnded => "the token has ended",
            Self::TooSlow => "too slow; resume with since",
            Self::Restarting => "restarting; connect again",
            Self::Unavailable => "try again later",
        }
    }
}

/// The words that hub and stream share.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The stream reads from the database: what does not fit the queue is read there, too.
    catching_up: AtomicBool,
    /// Something did not fit, or the feed lost its place: read from the database.
    pub(super) missed: Notify,
    cut: OnceLock<End>,
    /// Bytes handed over and not taken yet.
    waiting: AtomicUsize,
}

impl Link {
    /// Says whether the stream is reading from the database.
    pub(super) fn set_catching_up(&self, yes: bool) {
        self.catching_up.store(yes, Ordering::SeqCst);
    }

    /// Why the hub has let go of the stream, if it has.
    pub(super) fn cut(&self) -> Option<End> {
        self.cut.get().copied()
    }

    /// Makes room for a message; `false` where there is none. An empty outbox takes a message of any length.
    fn reserve(&self, cost: usize) -> bool {
        // Only the hub adds, so that nothing comes between.
        let waiting = self.waiting.load(Ordering::SeqCst);
        if waiting > 0 && waiting + cost > OUTBOX {
            return false;
        }
        self.waiting.fetch_add(cost, Ordering::SeqCst);
        true
    }
}

fn cost(frame: &Frame) -> usize {
    frame.json.len() + COST
}

/// The hub's end of a stream.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) session: SessionId,
    frames: mpsc::Sender<Arc<Frame>>,
    link: Arc<Link>,
}

/// The stream's end.
#[derive(Debug)]
pub(super) struct Joined {
    frames: mpsc::Receiver<Arc<Frame>>,
    pub(super) link: Arc<Link>,
}

impl Joined {
    /// The next message; `None` once the hub has let go and all is taken.
    pub(super) async fn recv(&mut self) -> Option<Frame> {
        let frame = self.frames.recv().await?;
        self.link.waiting.fetch_sub(cost(&frame), Ordering::SeqCst);
        Some(Arc::unwrap_or_clone(frame))
    }
}

/// Makes both ends. A queue has room for 32 messages from the start, so that it holds them by reference.
pub(super) fn pair(session: SessionId) -> (Subscriber, Joined) {
    let (sender, frames) = mpsc::channel(QUEUE);
    let link = Arc::new(Link::default());
    let subscriber = Subscriber {
        session,
        frames: sender,
        link: link.clone(),
    };
    (subscriber, Joined { frames, link })
}

impl Subscriber {
    /// Hands over a message; `false` where the stream is gone, or cut off because it is too slow.
    pub(super) fn offer(&self, frame: &Arc<Frame>) -> bool {
        if !self.link.reserve(cost(frame)) {
            if self.link.catching_up.load(Ordering::SeqCst) {
                self.link.missed.notify_one();
                return true;
            }
            metrics::counter!("bodega_streams_too_slow_total").increment(1);
            self.cut(End::TooSlow);
            return false;
        }
        // A message of whatever length has its place in the queue: only a stream that is gone takes none.
        self.frames.try_send(frame.clone()).is_ok()
    }

    /// Makes the stream read from the database.
    pub(super) fn reread(&self) {
        self.link.missed.notify_one();
    }

    /// Says why the stream ends; it does once this end is dropped. The first word stands.
    pub(super) fn cut(&self, end: End) {
        let _first_word_stands = self.link.cut.set(end);
    }

    /// Whether the stream is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.frames.is_closed()
    }
}
