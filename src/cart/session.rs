//! The cart session: an actor that owns one cart on this node.
//!
//! Commands that arrive while a write is under way wait together and are written at once (group
//! commit); each is answered after its write is durable. The actor keeps the cart as last read or
//! written and believes it only as far as the database confirms it: a write is conditional on the
//! version, and a refusal is answered only from a cart that was read, or written, after the command
//! arrived. On a version miss (another node wrote) everything is applied again to what is there now.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak, atomic::AtomicU64},
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, ContextFutureSpawner, Handler,
    Message, ResponseFuture, WrapFuture,
};
use futures_util::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use super::{
    calls::Calls,
    commit::{Commit, Known},
    directory::Shard,
    error::CartError,
    model::{Batch, Cart, Command, Owner},
    store::{Shelf, Stored},
};
use crate::id::{CartId, LineId, ProductId, VariantId};

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

/// Asks what a line is of, as far as the session remembers: product and variant stay the same for as long
/// as the line is there, so that an old memory is as good as a new one.
#[derive(Message)]
#[rtype(result = "Option<(ProductId, VariantId)>")]
pub(super) struct WhatIs {
    pub(super) line: LineId,
    pub(super) owner: Owner,
    /// The place that the question takes in its cart's queue.
    pub(super) place: OwnedSemaphorePermit,
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

/// One cart on this node.
pub(super) struct CartSession {
    id: CartId,
    shared: Arc<Shared>,
    shard: Weak<Shard>,
    known: Known,
    /// The cart as it was after the latest write or reading, also while the next one is under way.
    latest: Option<Arc<Cart>>,
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
            latest: None,
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
        let commit = Commit::new(self.id, self.shared.clone(), self.known.take(), commands);
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
                if let Some(stored) = this.known.as_ref().and_then(Option::as_ref) {
                    this.latest = Some(stored.cart.clone());
                }
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

impl Handler<WhatIs> for CartSession {
    type Result = Option<(ProductId, VariantId)>;

    fn handle(&mut self, question: WhatIs, _ctx: &mut Context<Self>) -> Self::Result {
        drop(question.place);
        let cart = self.latest.as_ref()?;
        let lines = cart.items.iter().filter(|_| cart.owner == question.owner);
        let mut found = lines.filter(|line| line.id == question.line);
        found.next().map(|line| (line.product, line.variant))
    }
}

impl Handler<Leave> for CartSession {
    type Result = ();

    fn handle(&mut self, _message: Leave, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
