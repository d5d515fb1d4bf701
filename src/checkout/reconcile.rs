//! The reconciler: finishes what nobody came back for, all day, not only after a crash.

use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::StreamExt;

use super::{
    model::Checkout,
    ports::{CheckoutStore, DiscountDesk, OrderBook, World},
    settle::{SettleError, Settlement},
};
use crate::{
    catalog::StockRoom,
    id::CheckoutId,
    mongo::{Mongo, StoreError, lease::Lease},
    orders::Refunds,
};

/// Checkouts that a sweep settles at once: the provider is not flooded.
const AT_ONCE: usize = 8;
/// Checkouts that a sweep takes on before it asks for more.
pub(super) const BATCH: usize = 200;
/// How often a sweep asks for more: with thousands of open checkouts none waits for many sweeps.
const MAX_BATCHES: usize = 10;

/// Sweeps unfinished checkouts and refunds; one node at a time, by lease.
pub struct Reconciler {
    settlement: Settlement,
    refunds: Refunds,
    lease: Lease,
    every: Duration,
}

impl Reconciler {
    /// Looks after the checkouts of `settlement` every `checkout.reconcile_seconds`.
    #[must_use]
    pub fn new(mongo: &Mongo, settlement: Settlement, refunds: Refunds) -> Self {
        let every = settlement.config.reconcile_every();
        Self {
            settlement,
            refunds,
            lease: Lease::new(mongo, "reconciler"),
            every,
        }
    }

    fn sweep_later(ctx: &mut Context<Self>, wait: Duration) {
        ctx.run_later(wait, |this, ctx| {
            let work = Sweep {
                settlement: this.settlement.clone(),
                refunds: this.refunds.clone(),
                lease: this.lease.clone(),
                every: this.every,
            };
            // On a task of its own: a panic in one sweep does not end the actor.
            let sweep = actix_web::rt::spawn(Box::pin(async move { work.run().await }));
            let then = sweep.into_actor(this).map(|done, this, ctx| {
                match done {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "a sweep failed; the next one goes on");
                    }
                    Err(error) => tracing::error!(%error, "a sweep panicked; the next one goes on"),
                }
                Self::sweep_later(ctx, this.every);
            });
            ctx.spawn(then);
        });
    }
}

impl Actor for Reconciler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Soon after the start: what a crash left behind does not wait for a whole round.
        Self::sweep_later(ctx, Duration::from_secs(1).min(self.every));
    }
}

struct Sweep {
    settlement: Settlement,
    refunds: Refunds,
    lease: Lease,
    every: Duration,
}

impl Sweep {
    async fn run(&self) -> Result<(), StoreError> {
        if !self.lease.take(self.every.saturating_mul(3)).await? {
            return Ok(());
        }
        Box::pin(self.settlement.sweep(self.every)).await?;
        self.refunds.resume().await
    }
}

impl<W: World> Settlement<W> {
    /// One round of a sweep that comes `every` so often: settles what nobody came back for and frees
    /// holds that no checkout stands behind. Several nodes may sweep at once.
    pub(super) async fn sweep(&self, every: Duration) -> Result<(), StoreError> {
        let idle = every.min(Duration::from_secs(5));
        for _ in 0..MAX_BATCHES {
            let unfinished = self.checkouts.unfinished(idle).await?;
            let more = unfinished.len() >= BATCH;
            futures_util::stream::iter(unfinished)
                .for_each_concurrent(AT_ONCE, |id| self.look_after(id))
                .await;
            if !more {
                break;
            }
        }
        self.free_orphans().await?;
        self.ask_again().await
    }

    /// Asks about payments that were taken on and not decided: the message that decides them may be lost.
    async fn ask_again(&self) -> Result<(), StoreError> {
        for _ in 0..BATCH {
            let Some(capture) = self.orders.unconfirmed().await? else {
                break;
            };
            if let Err(error) = self.capture_moved(&capture, None, None, None).await {
                tracing::warn!(%capture, %error, "a pending payment cannot be asked about now");
            }
        }
        Ok(())
    }

    async fn look_after(&self, id: CheckoutId) {
        match self.settle(id).await {
            Ok(settled) => tracing::debug!(checkout.id = %id, ?settled, "looked after"),
            Err(SettleError::NotFound) => return,
            Err(error) => tracing::warn!(checkout.id = %id, %error, "cannot settle now"),
        }
        if let Err(error) = self.checkouts.looked_at(id).await {
            tracing::warn!(checkout.id = %id, %error, "cannot mark a look");
        }
    }

    /// Frees holds and claims whose checkout is over and settled, or was never written: a run that was held
    /// up for long may have taken them, or even pinned them, after its checkout had ended.
    async fn free_orphans(&self) -> Result<(), StoreError> {
        for (checkout, variant) in self.stock.doubtful_holds().await? {
            let found = self.checkouts.find(checkout).await?;
            if found.is_none_or(|checkout| is_settled(&checkout)) {
                tracing::info!(checkout.id = %checkout, variant.id = %variant, "freeing an orphaned hold");
                self.stock.release(checkout, vec![variant]).await?;
            }
        }
        for stale in self.discounts.stale_claims().await? {
            let found = self.checkouts.find(stale.checkout).await?;
            if found.is_none_or(|checkout| is_settled(&checkout)) {
                tracing::info!(checkout.id = %stale.checkout, discount = %stale.code, "freeing an orphaned claim");
                self.discounts.release(&stale.into()).await?;
            }
        }
        Ok(())
    }
}

fn is_settled(checkout: &Checkout) -> bool {
    checkout.status.is_final() && !checkout.stock_open
}
