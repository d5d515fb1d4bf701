//! Faults on demand, for tests: crash points. Nothing of this is in a build without the feature `faults`.
//!
//! `CRASH_AT=name:n` makes the process abort, as a power cut would, at its n-th passage of the point of
//! that name; `name` alone means the first. A name that nobody knows ends the process at once, so that no
//! test passes because it has misspelt one.

macro_rules! named {
    ($(#[$about:meta])* $kind:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $kind { $($(#[$doc])* $variant,)* }

        #[cfg(feature = "faults")]
        impl $kind {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name by which the environment calls it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            fn called(name: &str) -> Self {
                let found = Self::ALL.iter().find(|one| one.name() == name);
                found.copied().unwrap_or_else(|| on::refuse(name))
            }
        }
    };
}

named! {
    /// A step of the way from a cart to an order, after (or before) which everything can end.
    Point {
        /// An idempotency key has come and is not stored.
        KeyBefore = "key-before",
        /// An idempotency key is stored, and nothing else.
        KeyAfter = "key-after",
        /// Stock is held, and the provider knows nothing.
        HoldTaken = "hold-taken",
        /// The provider has made the payment, and the shop has not written it down.
        CreateAnswered = "create-answered",
        /// Stock cannot lapse any more, and the intent to capture is not stored.
        Pinned = "pinned",
        /// The intent to capture is stored; the call is about to leave.
        CaptureSent = "capture-sent",
        /// The provider has taken the money, and the shop has not written it down.
        CaptureAnswered = "capture-answered",
        /// The order's transaction is written whole and not committed.
        CommitBefore = "commit-before",
        /// The order's transaction is committed.
        CommitAfter = "commit-after",
        /// Units are booked as sold, and the checkout does not know.
        Sold = "sold",
        /// The work of a request is done, and its answer neither kept nor sent.
        Response = "response",
        /// A refund is due; the call is about to leave.
        RefundSent = "refund-sent",
        /// The provider has given the money back, and the shop has not written it down.
        RefundAnswered = "refund-answered",
        /// An order's event has come from the change feed (which stands where an outbox would).
        FeedRead = "feed-read",
        /// An order's event is handed to the buyer's streams.
        Publish = "publish",
        /// A provider's message is stored and not answered.
        InboxInsert = "inbox-insert",
        /// A worker has claimed a message and not begun with it.
        InboxClaimed = "inbox-claimed",
        /// What a message asks for is done, and the message not marked as done.
        Effect = "effect",
    }
}

/// Does nothing in this build.
#[cfg(not(feature = "faults"))]
#[inline]
pub const fn crash_point(_point: Point) {}

#[cfg(feature = "faults")]
pub use on::crash_point;

#[cfg(feature = "faults")]
mod on {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    use super::Point;

    /// Where this process is to die.
    struct Aim {
        point: Point,
        passage: u32,
        passed: AtomicU32,
    }

    static AIM: LazyLock<Option<Aim>> = LazyLock::new(|| {
        let text = std::env::var("CRASH_AT").ok()?;
        let (name, passage) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Aim {
            point: Point::called(name),
            passage: passage.parse().unwrap_or_else(|_bad| refuse(&text)),
            passed: AtomicU32::new(0),
        })
    });

    /// Ends the process over a name that means nothing.
    pub(super) fn refuse(name: &str) -> ! {
        eprintln!("faults: nothing is called {name}");
        std::process::exit(2)
    }

    /// Aborts the process where it is meant to die here.
    pub fn crash_point(point: Point) {
        let Some(aim) = &*AIM else { return };
        if aim.point == point && aim.passed.fetch_add(1, Ordering::SeqCst) + 1 == aim.passage {
            eprintln!("faults: crash at {}:{}", point.name(), aim.passage);
            std::process::abort();
        }
    }
}
