//! The directory: finds or starts the session of a cart, and bounds how many there are and how many
//! commands wait.
//!
//! Sessions are spread over arbiters (one thread each) by their cart's id. An actix mailbox never pushes
//! back, so each command takes a place in its cart's queue before it is sent. Looking a session up and
//! taking the place happen under one lock, and so does letting an idle session go, which is done only
//! while all its places are free: a command never meets a session that is leaving.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use actix::{Actor, Addr, Arbiter, ArbiterHandle, MailboxError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::{
    calls::Calls,
    error::CartError,
    model::{Command, Owner},
    session::{Answer, Apply, CartSession, Counts, Leave, Shared, WhatIs},
    store::Shelf,
};
use crate::{
    config::CartConfig,
    id::{CartId, LineId, ProductId, VariantId},
};

/// Commands under way on a node at once; beyond it the node is overloaded.
const COMMANDS_AT_ONCE: u32 = 16_384;

struct Entry {
    session: Addr<CartSession>,
    places: Arc<Semaphore>,
    /// Its key in [`Table::order`].
    used: u64,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<CartId, Entry>,
    /// The carts by last use, longest ago first.
    order: BTreeMap<u64, CartId>,
    uses: u64,
}

impl Table {
    fn remove(&mut self, id: CartId) -> Option<Entry> {
        let entry = self.sessions.remove(&id)?;
        self.order.remove(&entry.used);
        Some(entry)
    }

    fn touch(&mut self, id: CartId) {
        self.uses += 1;
        if let Some(entry) = self.sessions.get_mut(&id) {
            self.order.remove(&entry.used);
            entry.used = self.uses;
            self.order.insert(self.uses, id);
        }
    }
}

/// The sessions that live on one arbiter.
pub(super) struct Shard {
    arbiter: ArbiterHandle,
    table: Mutex<Table>,
    max_sessions: usize,
    max_waiting: usize,
}

/// A session to send to, and the place that was taken in its queue.
struct Found {
    session: Addr<CartSession>,
    place: OwnedSemaphorePermit,
}

impl Shard {
    fn table(&self) -> MutexGuard<'_, Table> {
        // What a panicking holder leaves is a map and an order: stale at worst, and checked at each use.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(self: &Arc<Self>, id: CartId, shared: &Arc<Shared>) -> Result<Found, CartError> {
        let mut table = self.table();
        if !table.sessions.contains_key(&id) {
            self.make_room(&mut table)?;
            let session = self.start(id, shared);
            table.sessions.insert(id, session);
        }
        table.touch(id);
        let entry = table.sessions.get(&id).ok_or(CartError::Busy)?;
        let place = entry.places.clone().try_acquire_owned();
        Ok(Found {
            place: place.map_err(|_full| CartError::Busy)?,
            session: entry.session.clone(),
        })
    }

    fn start(self: &Arc<Self>, id: CartId, shared: &Arc<Shared>) -> Entry {
        let (shared, shard) = (shared.clone(), Arc::downgrade(self));
        let session = CartSession::start_in_arbiter(&self.arbiter, move |_ctx| {
            CartSession::new(id, shared, shard)
        });
        Entry {
            session,
            places: Arc::new(Semaphore::new(self.max_waiting)),
            used: 0,
        }
    }

    /// The session of a cart, if it lives and has a place left.
    fn living(&self, id: CartId) -> Option<Found> {
        let table = self.table();
        let entry = table.sessions.get(&id)?;
        let place = entry.places.clone().try_acquire_owned().ok()?;
        Some(Found {
            place,
            session: entry.session.clone(),
        })
    }

    /// Lets the session go that was not used for longest, where the shard is full.
    fn make_room(&self, table: &mut Table) -> Result<(), CartError> {
        if table.sessions.len() < self.max_sessions {
            return Ok(());
        }
        let idle = |id: &&CartId| {
            table
                .sessions
                .get(*id)
                .is_some_and(|entry| self.is_free(entry))
        };
        let leaving = table.order.values().find(idle).copied();
        let entry = leaving.and_then(|id| table.remove(id));
        let entry = entry.ok_or(CartError::Busy)?;
        if entry.session.try_send(Leave).is_err() {
            tracing::debug!("a cart session had left already");
        }
        Ok(())
    }

    fn is_free(&self, entry: &Entry) -> bool {
        entry.places.available_permits() == self.max_waiting
    }

    /// Forgets an idle session, unless a command is on its way to it; `true` where it may leave.
    pub(super) fn let_go(&self, id: CartId, session: &Addr<CartSession>) -> bool {
        let mut table = self.table();
        match table.sessions.get(&id) {
            Some(entry) if entry.session == *session => {
                if !self.is_free(entry) {
                    return false;
                }
                table.remove(id);
                true
            }
            _replaced => true,
        }
    }

    /// Forgets a session that has ended without leaving.
    fn bury(&self, id: CartId, session: &Addr<CartSession>) {
        let mut table = self.table();
        if table
            .sessions
            .get(&id)
            .is_some_and(|entry| entry.session == *session)
        {
            table.remove(id);
        }
    }
}

/// The sessions of one node.
pub(super) struct Directory {
    shards: Vec<Arc<Shard>>,
    shared: Arc<Shared>,
    gate: Arc<Semaphore>,
}

impl Directory {
    /// Starts one arbiter a core.
    pub(super) fn start(config: &CartConfig, shelf: Arc<dyn Shelf>, calls: Calls) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let shard = |_core| {
            Arc::new(Shard {
                arbiter: Arbiter::new().handle(),
                table: Mutex::default(),
                max_sessions: config.max_sessions.div_ceil(cores),
                max_waiting: config.max_waiting,
            })
        };
        Self {
            shards: (0..cores).map(shard).collect(),
            shared: Arc::new(Shared {
                shelf,
                calls,
                idle: Duration::from_secs(config.idle_seconds),
                counts: Counts::default(),
            }),
            gate: Arc::new(Semaphore::new(
                usize::try_from(COMMANDS_AT_ONCE).unwrap_or(usize::MAX),
            )),
        }
    }

    /// Has the cart's session apply `command`; answers once the change is durable.
    pub(super) async fn apply(&self, id: CartId, command: Command) -> Answer {
        let command = Arc::new(command);
        match self.send(id, &command).await {
            // It ended before it took the command up (a panic): a new one does.
            Err(MailboxError::Closed) => self.send(id, &command).await,
            sent => sent,
        }
        .unwrap_or(Err(CartError::Interrupted))
    }

    async fn send(&self, id: CartId, command: &Arc<Command>) -> Result<Answer, MailboxError> {
        let gate = self.enter();
        let shard = self.shard(id);
        let found = gate.and_then(|gate| Ok((gate, shard.find(id, &self.shared)?)));
        let (gate, found) = match found {
            Ok(found) => found,
            Err(refused) => {
                metrics::counter!("bodega_cart_refused_total").increment(1);
                return Ok(Err(refused));
            }
        };
        let message = Apply {
            command: command.clone(),
            places: [gate, found.place],
        };
        let sent = found.session.send(message).await;
        if sent.is_err() {
            shard.bury(id, &found.session);
        }
        sent
    }

    /// What a line of the owner's cart is of, if the cart's session lives here and remembers it.
    pub(super) async fn what_is(
        &self,
        id: CartId,
        owner: Owner,
        line: LineId,
    ) -> Option<(ProductId, VariantId)> {
        let found = self.shard(id).living(id)?;
        let question = WhatIs {
            line,
            owner,
            place: found.place,
        };
        found.session.send(question).await.ok()?
    }

    /// Takes part in what [`Directory::drain`] waits for.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, CartError> {
        self.gate
            .clone()
            .try_acquire_owned()
            .map_err(|refused| match refused {
                TryAcquireError::NoPermits => CartError::Busy,
                TryAcquireError::Closed => CartError::Closing,
            })
    }

    fn shard(&self, id: CartId) -> &Arc<Shard> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let count = u64::try_from(self.shards.len()).unwrap_or(1);
        let index = usize::try_from(hasher.finish() % count).unwrap_or_default();
        #[expect(
            clippy::indexing_slicing,
            reason = "a remainder of the length; at least one core"
        )]
        &self.shards[index]
    }

    /// Takes no command any more, waits up to `patience` for those under way, and ends the arbiters;
    /// `false` where some were still under way.
    pub(super) async fn drain(&self, patience: Duration) -> bool {
        let under_way = async {
            let all = self.gate.acquire_many(COMMANDS_AT_ONCE).await;
            self.calls().ended().await;
            all
        };
        let all = tokio::time::timeout(patience, under_way).await;
        self.gate.close();
        for shard in &self.shards {
            shard.arbiter.stop();
        }
        all.is_ok()
    }

    /// Commands written, writes, and version misses, ever.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let counts = &self.shared.counts;
        (
            counts.commands.load(Ordering::Relaxed),
            counts.writes.load(Ordering::Relaxed),
            counts.misses.load(Ordering::Relaxed),
        )
    }

    /// Sessions in memory.
    pub(super) fn sessions(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.table().sessions.len())
            .sum()
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.shared.calls
    }
}
