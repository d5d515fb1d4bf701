//! Faults on demand, for tests: crash points, and saboteurs that the tests must catch. A build without the
//! feature `faults` has neither: a crash point is nothing, and no saboteur is ever planted.
//!
//! `CRASH_AT=name:n` makes the process abort, as a power cut would, at its n-th passage of the point of
//! that name; `name` alone means the first.
//!
//! `BODEGA_PLANT=name` plants the saboteur of that name: at its place in the code a rule is broken. What
//! catches each is shown by `scripts/lib/planted-faults` and stands in `docs/reliability-planted.md`.
//!
//! A name that nobody knows ends the process at once, so that no test passes because it has misspelt one.

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
        /// An order's event has come from the change feed.
        FeedRead = "feed-read",
        /// An order's event is handed to the buyer's streams.
        Publish = "publish",
        /// Events that wait are read, and nothing of them is published.
        OutboxRead = "outbox-read",
        /// The broker has events, and the shop has not written that down.
        OutboxPublished = "outbox-published",
        /// A provider's message is stored and not answered.
        InboxInsert = "inbox-insert",
        /// A worker has claimed a message and not begun with it.
        InboxClaimed = "inbox-claimed",
        /// What a message asks for is done, and the message not marked as done.
        Effect = "effect",
        /// An erased person's checkouts are without them, and nothing else is.
        EraseBegun = "erase-begun",
    }
}

named! {
    /// A rule that can be broken, to see whether the tests notice.
    Plant {
        /// The unique indexes `checkout` and `capture` are made as plain ones.
        IndexDropped = "index-dropped",
        /// Writes are confirmed by one member, unjournaled.
        WritesUnconfirmed = "writes-unconfirmed",
        /// What a buyer or staff is shown may be what only one member has.
        ReadsUnconfirmed = "reads-unconfirmed",
        /// A message that is repeated is stored again.
        InboxRepeats = "inbox-repeats",
        /// A capture is sent without its request id.
        CaptureKeyless = "capture-keyless",
        /// Shares are computed in floating point.
        ShareInFloats = "share-in-floats",
        /// A capture of any amount pays.
        AmountUnchecked = "amount-unchecked",
        /// Stock is held whether there is enough or not.
        HoldUnconditional = "hold-unconditional",
        /// Holds are never given back.
        HoldKept = "hold-kept",
        /// Refunds have no limit.
        RefundUnlimited = "refund-unlimited",
        /// A buyer's events do not count 1, 2, 3.
        EventUnnumbered = "event-unnumbered",
        /// Foreign pages may use the cookie.
        OriginUnchecked = "origin-unchecked",
        /// A spent refresh token does not end its family.
        FamilyKept = "family-kept",
        /// Webhook messages are not verified.
        WebhookUnverified = "webhook-unverified",
        /// The checksum of a webhook message is taken over its JSON written anew.
        ChecksumOfCopy = "checksum-of-copy",
        /// IPN messages are believed without asking PayPal.
        IpnUnverified = "ipn-unverified",
        /// A checkout expires by the node's own clock.
        LocalClock = "local-clock",
        /// A return can be taken into stock twice.
        RestockTwice = "restock-twice",
        /// A pending capture counts as paid.
        PendingPaid = "pending-paid",
        /// An idempotency key replays its answer to any request.
        FingerprintIgnored = "fingerprint-ignored",
        /// The buyer says what the cart costs.
        TotalBelieved = "total-believed",
        /// An order may take any status.
        TransitionUnchecked = "transition-unchecked",
        /// Anyone may see a checkout.
        StrangerServed = "stranger-served",
    }
}

/// Does nothing in this build.
#[cfg(not(feature = "faults"))]
#[inline]
pub const fn crash_point(_point: Point) {}

/// Never, in this build.
#[cfg(not(feature = "faults"))]
#[inline]
#[must_use]
pub const fn planted(_plant: Plant) -> bool {
    false
}

#[cfg(feature = "faults")]
pub use on::{crash_point, planted};

#[cfg(feature = "faults")]
mod on {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    use super::{Plant, Point};

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

    static PLANTED: LazyLock<Option<Plant>> =
        LazyLock::new(|| Some(Plant::called(&std::env::var("BODEGA_PLANT").ok()?)));

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
    /// Whether this rule is to be broken.
    #[must_use]
    pub fn planted(plant: Plant) -> bool {
        *PLANTED == Some(plant)
    }
}

#[cfg(all(test, feature = "faults"))]
mod tests {
    use super::*;

    #[test]
    fn each_saboteur_has_tests_that_are_to_catch_it() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lib/planted-faults");
        let list = std::fs::read_to_string(script).unwrap();
        for plant in Plant::ALL {
            let row = format!("\n{}|", plant.name());
            assert!(list.contains(&row), "{} is not in the list", plant.name());
        }
    }
}
