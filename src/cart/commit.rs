//! The group commit: several commands, applied in their order and written once.
//!
//! Where another node wrote first, all are applied again to what is there now; a write without an
//! answer is looked for by its mark before anything is written again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bson::oid::ObjectId;
use rand::Rng;

use super::{
    calls::CallError,
    error::CartError,
    model::{Batch, Command, fold},
    session::Shared,
    store::{Landed, Stored},
};
use crate::{clock::Timestamp, id::CartId};

/// How often a write is tried before its callers are told to come again.
const MAX_TRIES: u32 = 10;

/// What the actor knows of its cart: `None` nothing, `Some(None)` that there is none.
pub(super) type Known = Option<Option<Stored>>;

/// A write that was sent and not answered.
struct Unanswered {
    mark: ObjectId,
    over: u64,
    batch: Batch,
}

/// One group commit.
pub(super) struct Commit {
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
    /// A commit of `commands` to the cart that is known so far.
    pub(super) fn new(
        id: CartId,
        shared: Arc<Shared>,
        known: Known,
        commands: Vec<Arc<Command>>,
    ) -> Self {
        Self {
            id,
            shared,
            known,
            commands,
            at: Timestamp::now(),
            unanswered: Vec::new(),
        }
    }

    /// Applies and writes the commands; returns with it what is known of the cart now.
    pub(super) async fn run(mut self) -> (Known, Result<Batch, CartError>) {
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
        let shelf = &self.shared.shelf;
        let load = if self.unanswered.is_empty() {
            shelf.load(self.id)
        } else {
            // To find the write is to acknowledge it.
            shelf.load_for_good(self.id)
        };
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
        let save = self.shared.shelf.save(read, next.clone());
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
