//! The hub as the rest of the shop knows it.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Addr, Arbiter, MailboxError};
use tokio::sync::Semaphore;

use super::{
    hub_actor::{Channel, CloseAll, CloseSession, HubActor, Join, NotJoined},
    link::Joined,
};
use crate::{
    accounts::{Principal, Revocations},
    config::RealtimeConfig,
    id::SessionId,
    mongo::feed::Feed,
    orders::Orders,
};

/// How many may wait to join.
const MAX_JOINING: usize = 1_024;
/// How often the watchdog looks: actix' own supervisor does not restart an actor that panicked.
const WATCH: Duration = Duration::from_millis(500);
/// How long streams may take to say goodbye at shutdown.
const GOODBYE: Duration = Duration::from_secs(3);

/// The node's hub of live streams; cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    addr: RwLock<Addr<HubActor>>,
    arbiter: Arbiter,
    feed: Feed,
    revocations: Revocations,
    orders: Orders,
    config: RealtimeConfig,
    joining: Arc<Semaphore>,
    streams: Arc<AtomicUsize>,
    closing: AtomicBool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.arbiter.stop();
    }
}

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JoinError {
    /// The user has as many as one may have on a node.
    TooMany,
    /// The node stops, or too many join at once.
    NotNow,
}

/// Counts a stream as long as it is held.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        metrics::gauge!("bodega_streams").decrement(1.0);
    }
}

fn start(
    arbiter: &Arbiter,
    feed: &Feed,
    revocations: &Revocations,
    config: &RealtimeConfig,
) -> Addr<HubActor> {
    let actor = HubActor {
        feed: feed.clone(),
        revocations: revocations.clone(),
        max_streams_per_user: config.max_streams_per_user,
        users: HashMap::new(),
        staff: Vec::new(),
        closing: false,
    };
    HubActor::start_in_arbiter(&arbiter.handle(), move |_ctx| actor)
}

impl Hub {
    /// Starts the hub on a thread of its own; to be called inside the actix system. `feed` is over
    /// [`super::FED`] and the accounts' collection.
    #[must_use]
    pub fn start(
        config: &RealtimeConfig,
        feed: &Feed,
        orders: &Orders,
        revocations: &Revocations,
    ) -> Self {
        let arbiter = Arbiter::new();
        let addr = start(&arbiter, feed, revocations, config);
        let inner = Arc::new(Inner {
            addr: RwLock::new(addr),
            arbiter,
            feed: feed.clone(),
            revocations: revocations.clone(),
            orders: orders.clone(),
            config: config.clone(),
            joining: Arc::new(Semaphore::new(MAX_JOINING)),
            streams: Arc::default(),
            closing: AtomicBool::new(false),
        });
        tokio::spawn(watch(Arc::downgrade(&inner)));
        Self(inner)
    }

    /// The orders whose events are told.
    pub(super) fn orders(&self) -> &Orders {
        &self.0.orders
    }

    /// Seconds between heartbeats.
    pub(super) fn heartbeat_seconds(&self) -> u64 {
        self.0.config.heartbeat_seconds.max(1)
    }

    /// Time between heartbeats.
    pub(super) fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds())
    }

    /// Whether a sign-in has ended.
    pub(super) fn has_ended(&self, session: SessionId) -> bool {
        self.0.revocations.contains(session)
    }

    /// How many streams this node has.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.0.streams.load(Ordering::SeqCst)
    }

    /// Counts a stream until the answer is dropped.
    pub(super) fn counted(&self) -> Counted {
        self.0.streams.fetch_add(1, Ordering::SeqCst);
        metrics::gauge!("bodega_streams").increment(1.0);
        Counted(self.0.streams.clone())
    }

    pub(super) fn addr(&self) -> Addr<HubActor> {
        let addr = self.0.addr.read().unwrap_or_else(PoisonError::into_inner);
        addr.clone()
    }

    /// Brings a stream in.
    pub(super) async fn join(
        &self,
        principal: Principal,
        channel: Channel,
    ) -> Result<Joined, JoinError> {
        let permit = self.0.joining.clone().try_acquire_owned();
        let permit = permit.map_err(|_full| JoinError::NotNow)?;
        let join = Join {
            principal,
            channel,
            permit,
        };
        match self.addr().send(join).await {
            Ok(Ok(joined)) => Ok(joined),
            Ok(Err(NotJoined::TooMany)) => Err(JoinError::TooMany),
            Ok(Err(NotJoined::Closing)) => Err(JoinError::NotNow),
            Err(MailboxError::Closed | MailboxError::Timeout) => {
                self.0.revive();
                Err(JoinError::NotNow)
            }
        }
    }

    /// Ends the streams of a sign-in on this node with 4001. The hub also follows the change feed over
    /// sign-ins; this is for whoever does not want to wait for it.
    pub async fn close_session(&self, session: SessionId) {
        // A hub that is gone holds no streams; they come back through its successor, which looks anew.
        let _hub_is_gone = self.addr().send(CloseSession(session)).await;
    }

    /// Ends every stream with 1012 and waits a moment for the goodbyes to be sent; nobody joins any more.
    /// To be called before the server stops: one open stream would hold it up for its whole time limit.
    pub async fn shutdown(&self) {
        self.0.closing.store(true, Ordering::SeqCst);
        let _hub_is_gone = self.addr().send(CloseAll).await;
        let until = tokio::time::Instant::now() + GOODBYE;
        while self.streams() > 0 && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Inner {
    /// Starts the actor again where it is gone. Its streams notice, join again and read what they missed.
    fn revive(&self) {
        if self.closing.load(Ordering::SeqCst) {
            return;
        }
        let mut addr = self.addr.write().unwrap_or_else(PoisonError::into_inner);
        if !addr.connected() {
            metrics::counter!("bodega_hub_restarts_total").increment(1);
            tracing::error!("the hub was gone; starting it again");
            *addr = start(&self.arbiter, &self.feed, &self.revocations, &self.config);
        }
    }
}

/// Looks after the actor as long as anybody holds the hub.
async fn watch(hub: Weak<Inner>) {
    loop {
        tokio::time::sleep(WATCH).await;
        let Some(hub) = hub.upgrade() else { return };
        let gone = {
            let addr = hub.addr.read().unwrap_or_else(PoisonError::into_inner);
            !addr.connected()
        };
        if gone {
            hub.revive();
        }
    }
}
