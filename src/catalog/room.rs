//! Holding units for checkouts: the steps of a store, and how they go together.

use std::{future::Future, time::Duration};

use super::{HoldLine, Holder, Shortage};
use crate::{
    id::{CheckoutId, VariantId},
    mongo::StoreError,
};

/// The units of a shop, as checkouts use them.
///
/// A store has the steps, each of them atomic for one variant; how several lines go together is the same
/// over every store, and crash-safe because every step may be repeated.
pub trait StockRoom: Clone + Send + Sync + 'static {
    /// Takes one line for `holder` until `life` from now by the database's clock; `false` where fewer units
    /// are free, where the buyer or the client's network would hold more than its share, or where the
    /// checkout holds the variant already.
    fn take(
        &self,
        holder: &Holder,
        line: HoldLine,
        life: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Whether `checkout` holds `variant`.
    fn holds(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The most units of `variant` that `holder` could take now.
    fn within_reach(
        &self,
        holder: &Holder,
        variant: VariantId,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// Keeps one hold from expiring; `false` where it is gone.
    fn pin_one(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Gives the units of one hold back; a repeat changes nothing.
    fn release_one(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives the units of one hold back unless it is pinned: whoever pinned it counts on it.
    fn give_up_one(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Turns the units of one pinned hold into sold ones; a repeat changes nothing. One that is not pinned
    /// was taken by a run that was held up, after the units of its checkout had been sold: it stays.
    fn sell_one(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Holds that somebody should look at: expired by the database's clock, or pinned. A pinned one never
    /// expires, so only its checkout tells whether anybody counts on it still.
    fn doubtful_holds(
        &self,
    ) -> impl Future<Output = Result<Vec<(CheckoutId, VariantId)>, StoreError>> + Send;

    /// Holds every line for `holder` until `life` from now by the database's clock, or none of them.
    /// Lines are taken in the order of their variants, so that two checkouts cannot wait for each other.
    /// Lines that are short are the `Err` inside.
    fn hold(
        &self,
        holder: &Holder,
        lines: &[HoldLine],
        life: Duration,
    ) -> impl Future<Output = Result<Result<(), Vec<Shortage>>, StoreError>> + Send {
        async move {
            let mut lines = lines.to_vec();
            lines.sort_by_key(|line| line.variant);
            let mut short = Vec::new();
            for line in &lines {
                let taken = self.take(holder, *line, life).await?;
                if !taken && !self.holds(holder.checkout, line.variant).await? {
                    short.push(Shortage {
                        variant: line.variant,
                        wanted: line.quantity,
                        available: self.within_reach(holder, line.variant).await?,
                    });
                }
            }
            if short.is_empty() {
                return Ok(Ok(()));
            }
            // A run that was held up for long may come here when another has brought the checkout to its
            // payment: what is pinned by then stays.
            for line in &lines {
                self.give_up_one(holder.checkout, line.variant).await?;
            }
            Ok(Err(short))
        }
    }

    /// Keeps the hold of every variant from expiring, because money is about to be moved; `false` where
    /// one is gone.
    fn pin(
        &self,
        checkout: CheckoutId,
        variants: Vec<VariantId>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move {
            let mut all = true;
            for variant in variants {
                all &= self.pin_one(checkout, variant).await?;
            }
            Ok(all)
        }
    }

    /// Gives held units back; those that are not held any more stay as they are.
    fn release(
        &self,
        checkout: CheckoutId,
        variants: Vec<VariantId>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move {
            for variant in variants {
                self.release_one(checkout, variant).await?;
            }
            Ok(())
        }
    }

    /// Turns pinned units into sold ones; a repeat changes nothing.
    fn sell(
        &self,
        checkout: CheckoutId,
        variants: Vec<VariantId>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move {
            for variant in variants {
                self.sell_one(checkout, variant).await?;
            }
            Ok(())
        }
    }
}
