//! The cart session: an actor that owns one cart on this node.
//!
//! Commands that arrive while a write is under way wait together and are written at once (group
//! commit); each is answered after its write is durable. The actor keeps the cart as last read or
//! written and believes it only as far as the database confirms it: a write is conditional on the
//! version, and a refusal is answered only from a cart that was read, or written, after the command
//! arrived. On a version miss (another node wrote) everything is applied again to what is there now.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, ContextFutureSpawner, Handler,
    Message, ResponseFuture, WrapFuture,
};
use bson::oid::ObjectId;
use futures_util::FutureExt;
use rand::Rng;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use super::{
    calls::{CallError, Calls},
    directory::Shard,
    error::CartError,
    model::{Batch, Cart, Command, fold},
    store::{Landed, Shelf, Stored},
};
use crate::{clock::Timestamp, id::CartId};

/// How often a write is tried before its callers are told to come again.
const MAX_TRIES: u32 = 10;

/// What a command comes to.
pub(super) type Answer = Result<Arc<Cart>, CartError>;

/// What all sessions of a node share.
pub(super) struct Shared {
    pub(super) shelf: Arc<dyn Shelf>,
    pub(super) calls: Calls,
    pub(super) idle: Duration,
    pub(super) counts: Counts,
}

/// What sessions have done on this node, ever.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Commands accepted and written.
    pub(super) commands: AtomicU64,
    /// Writes that brought them to the database.
    pub(super) writes: AtomicU64,
    /// Writes over a version that was not there any more.
    pub(super) misses: AtomicU64,
}

/// Applies `command`; answered once the change is durable.
#[derive(Message)]
#[rtype(result = "Answer")]
pub(super) struct Apply {
    pub(super) command: Arc<Command>,
    /// The places that the command takes: in its cart's queue, and on the node.
    pub(super) places: [OwnedSemaphorePermit; 2],
}

/// Ends the session; the directory has forgotten it already.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Leave;

struct Waiting {
    command: Arc<Command>,
    answer: oneshot::Sender<Answer>,
    _places: [OwnedSemaphorePermit; 2],
}

/// What the actor knows of its cart: `None` nothing, `Some(None)` that there is none.
type Known = Option<Option<Stored>>;

/// One cart on this node.
pub(super) struct CartSession {
    id: CartId,
    shared: Arc<Shared>,
    shard: Weak<Shard>,
    known: Known,
    waiting: Vec<Waiting>,
    writing: bool,
    touched: Instant,
}

impl CartSession {
    /// A session that has not read its cart yet.
    pub(super) fn new(id: CartId, shared: Arc<Shared>, shard: Weak<Shard>) -> Self {
        Self {
            id,
            shared,
            shard,
            known: None,
            waiting: Vec::new(),
            writing: false,
            touched: Instant::now(),
        }
    }

    /// Leaves once nobody has called for a while, unless a message is on its way.
    fn watch_idleness(&self, ctx: &mut Context<Self>) {
        let left = self.shared.idle.saturating_sub(self.touched.elapsed());
        ctx.run_later(left.max(Duration::from_millis(1)), |this, ctx| {
            let is_idle = this.touched.elapsed() >= this.shared.idle;
            let shard = this.shard.upgrade();
            if is_idle && shard.is_none_or(|shard| shard.let_go(this.id, &ctx.address())) {
                ctx.stop();
            } else {
                if is_idle {
                    this.touched = Instant::now();
                }
                this.watch_idleness(ctx);
            }
        });
    }

    /// Writes what waits, unless a write is under way: that one goes on with it when it ends.
    fn write_waiting(&mut self, ctx: &mut Context<Self>) {
        if self.writing || self.waiting.is_empty() {
            return;
        }
        self.writing = true;
        let waiting = std::mem::take(&mut self.waiting);
        let commands: Vec<_> = waiting.iter().map(|one| one.command.clone()).collect();
        let commit = Commit {
            id: self.id,
            shared: self.shared.clone(),
            known: self.known.take(),
            commands,
            at: Timestamp::now(),
            unanswered: Vec::new(),
        };
        // A panic must not end the actor with the others' commands in it.
        AssertUnwindSafe(commit.run())
            .catch_unwind()
            .into_actor(self)
            .map(|ended, this, ctx| {
                let (known, done) = ended.unwrap_or_else(|_panic| {
                    metrics::counter!("bodega_panics_total").increment(1);
                    tracing::error!(cart.id = %this.id, "a cart session panicked");
                    (None, Err(CartError::Interrupted))
                });
                this.known = known;
                answer(waiting, done, this.known.as_ref());
                this.writing = false;
                this.touched = Instant::now();
                this.write_waiting(ctx);
            })
            .spawn(ctx);
    }
}

/// Answers each command of a batch.
fn answer(waiting: Vec<Waiting>, done: Result<Batch, CartError>, known: Option<&Option<Stored>>) {
    let present = known.and_then(Option::as_ref).map(|stored| &stored.cart);
    let answers: Vec<Answer> = match done {
        Ok(batch) => {
            let refused = |refusal| CartError::Refused {
                refusal,
                present: present.cloned(),
            };
            let answers = batch.answers.into_iter();
            answers.map(|applied| applied.map_err(refused)).collect()
        }
        Err(error) => waiting.iter().map(|_| Err(error.clone())).collect(),
    };
    for (one, answer) in waiting.into_iter().zip(answers) {
        // Who has hung up meanwhile does not hear of it.
        let _gone = one.answer.send(answer);
    }
}

impl Actor for CartSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.watch_idleness(ctx);
    }
}

impl Handler<Apply> for CartSession {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, message: Apply, ctx: &mut Context<Self>) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        self.touched = Instant::now();
        self.waiting.push(Waiting {
            command: message.command,
            answer,
            _places: message.places,
        });
        self.write_waiting(ctx);
        Box::pin(async move { answered.await.unwrap_or(Err(CartError::Interrupted)) })
    }
}

impl Handler<Leave> for CartSession {
    type Result = ();

    fn handle(&mut self, _message: Leave, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

/// A write that was sent and not answered.
struct Unanswered {
    mark: ObjectId,
    over: u64,
    batch: Batch,
}

/// One group commit.
struct Commit {
    id: CartId,
    shared: Arc<Shared>,
    known: Known,
    commands: Vec<Arc<Command>>,
    at: Timestamp,
    unanswered: Vec<Unanswered>,
}

/// How one try ended, short of success.
enum Try {
    /// Another writer was first, or the answer to the write is missing.
    Again,
    Over(CartError),
}

impl Commit {
    /// Applies and writes the commands; returns with it what is known of the cart now.
    async fn run(mut self) -> (Known, Result<Batch, CartError>) {
        for attempt in 0..MAX_TRIES {
            if attempt > 0 {
                self.known = None;
                self.shared.counts.misses.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause(attempt)).await;
            }
            match self.attempt().await {
                Ok(batch) => {
                    self.count(&batch);
                    return (self.known, Ok(batch));
                }
                Err(Try::Again) => {}
                Err(Try::Over(error)) => return (None, Err(error)),
            }
        }
        let error = match self.unanswered.last() {
            None => CartError::Busy,
            Some(_) => CartError::Unknown("the database kept breaking off".to_owned()),
        };
        (None, Err(error))
    }

    async fn attempt(&mut self) -> Result<Batch, Try> {
        let believed = self.known.is_some();
        let read = match self.known.take() {
            Some(read) => read,
            None => self.load().await?,
        };
        if let Some(batch) = self.landed(read.as_ref())? {
            self.known = Some(read);
            return Ok(batch);
        }
        let (mut read, mut confirmed) = (read, !believed);
        loop {
            let cart = read.as_ref().map(|stored| &stored.cart);
            let commands = self.commands.iter().map(AsRef::as_ref);
            let batch = fold(self.id, cart, commands, self.at);
            if batch.changes() {
                return self.write(read, batch).await;
            }
            if confirmed {
                self.known = Some(read);
                return Ok(batch);
            }
            // Nothing would confirm that the cart is still as remembered: refuse only what was read.
            read = self.load().await?;
            confirmed = true;
        }
    }

    async fn load(&self) -> Result<Option<Stored>, Try> {
        let load = self.shared.shelf.load(self.id);
        self.shared.calls.run(load).await.map_err(|error| {
            Try::Over(if self.unanswered.is_empty() {
                failed(error)
            } else {
                CartError::Unknown(error.to_string())
            })
        })
    }

    /// Looks for the writes that had no answer in the cart as it is now.
    fn landed(&mut self, read: Option<&Stored>) -> Result<Option<Batch>, Try> {
        for index in 0..self.unanswered.len() {
            let Some(write) = self.unanswered.get(index) else {
                break;
            };
            let landed = read.map_or(
                // A cart that was there is gone: merged or expired, with or without this write.
                if write.over == 0 {
                    Landed::NotYet
                } else {
                    Landed::Forgotten
                },
                |stored| stored.landed(write.mark, write.over),
            );
            match landed {
                Landed::Yes => return Ok(Some(self.unanswered.swap_remove(index).batch)),
                Landed::NotYet => {}
                Landed::Forgotten => {
                    let reason = "too much was written since to tell".to_owned();
                    return Err(Try::Over(CartError::Unknown(reason)));
                }
            }
        }
        Ok(None)
    }

    async fn write(&mut self, read: Option<Stored>, batch: Batch) -> Result<Batch, Try> {
        let Some(next) = batch.next.clone() else {
            return Ok(batch);
        };
        let mark = ObjectId::new();
        let over = read.as_ref().map_or(0, |stored| stored.cart.version);
        let next = Stored::after(read.as_ref(), next, mark);
        let save = self.shared.shelf.save(over, next.clone());
        match self.shared.calls.run(save).await {
            Ok(true) => {
                self.known = Some(Some(next));
                Ok(batch)
            }
            Ok(false) => Err(Try::Again),
            Err(error) if error.outcome_unknown() => {
                tracing::warn!(cart.id = %self.id, %error, "a cart's write had no clear answer; looking");
                self.unanswered.push(Unanswered { mark, over, batch });
                Err(Try::Again)
            }
            Err(error) => Err(Try::Over(failed(error))),
        }
    }

    fn count(&self, batch: &Batch) {
        let accepted = batch.answers.iter().filter(|answer| answer.is_ok()).count();
        if accepted > 0 {
            let accepted = u64::try_from(accepted).unwrap_or(u64::MAX);
            self.shared
                .counts
                .commands
                .fetch_add(accepted, Ordering::Relaxed);
            self.shared.counts.writes.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("bodega_cart_commands_total").increment(accepted);
            metrics::counter!("bodega_cart_writes_total").increment(1);
        }
    }
}

/// Certainly nothing was written.
pub(super) fn failed(error: CallError) -> CartError {
    match error {
        CallError::NotBegun => CartError::Busy,
        CallError::TimedOut => CartError::Unavailable,
        CallError::Panicked => CartError::Interrupted,
        CallError::Store(error) => error.into(),
    }
}

/// Up to 2, 4, 8 … 64 ms, so that two nodes do not keep meeting.
fn pause(attempt: u32) -> Duration {
    let most = 1_u64 << attempt.min(6);
    Duration::from_millis(rand::rng().random_range(0..=most))
}
