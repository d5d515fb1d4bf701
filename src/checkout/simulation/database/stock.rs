//! Units, as `catalog/stock/holds.rs` keeps them.

use std::time::Duration;

use super::{
    super::{Flaw, machine::Link},
    Hold, millis,
};
use crate::{
    catalog::{HoldLine, Holder, StockRoom},
    id::{CheckoutId, VariantId},
    mongo::StoreError,
};

impl StockRoom for Link {
    async fn take(
        &self,
        holder: &Holder,
        line: HoldLine,
        life: Duration,
    ) -> Result<bool, StoreError> {
        let checkout = holder.checkout;
        let life = millis(life);
        self.write("take", Some(checkout), move |state| {
            let expires_at = Some(state.now + life);
            let Some(units) = state.database.stock.get_mut(&line.variant) else {
                return false;
            };
            let quantity = i64::from(line.quantity);
            let enough = units.available >= quantity || state.flaw == Flaw::HoldUnconditional;
            if !enough || units.holds.iter().any(|hold| hold.checkout == checkout) {
                return false;
            }
            units.available -= quantity;
            units.holds.push(Hold {
                checkout,
                quantity,
                expires_at,
            });
            true
        })
        .await
    }

    async fn holds(&self, checkout: CheckoutId, variant: VariantId) -> Result<bool, StoreError> {
        self.read("holds", Some(checkout), move |state| {
            state.held(checkout, variant, |_| {})
        })
        .await
    }

    async fn within_reach(&self, _holder: &Holder, variant: VariantId) -> Result<u32, StoreError> {
        self.read("within_reach", None, move |state| {
            let units = state.database.stock.get(&variant);
            units.map_or(0, |units| u32::try_from(units.available).unwrap_or(0))
        })
        .await
    }

    async fn pin_one(&self, checkout: CheckoutId, variant: VariantId) -> Result<bool, StoreError> {
        self.write("pin", Some(checkout), move |state| {
            let lies = state.flaw == Flaw::PinLies;
            state.held(checkout, variant, |hold| hold.expires_at = None) || lies
        })
        .await
    }

    async fn release_one(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> Result<(), StoreError> {
        self.write("release", Some(checkout), move |state| {
            state.let_go(checkout, variant, |units, quantity| {
                units.available += quantity;
            });
        })
        .await
    }

    async fn give_up_one(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> Result<(), StoreError> {
        self.write("give_up", Some(checkout), move |state| {
            let mut pinned = false;
            let held = state.held(checkout, variant, |hold| pinned = hold.expires_at.is_none());
            if held && !pinned {
                state.let_go(checkout, variant, |units, quantity| {
                    units.available += quantity;
                });
            }
        })
        .await
    }

    async fn sell_one(&self, checkout: CheckoutId, variant: VariantId) -> Result<(), StoreError> {
        self.write("sell", Some(checkout), move |state| {
            let mut pinned = false;
            state.held(checkout, variant, |hold| pinned = hold.expires_at.is_none());
            if !pinned {
                return;
            }
            state.let_go(checkout, variant, |units, quantity| units.sold += quantity);
        })
        .await
    }

    async fn doubtful_holds(&self) -> Result<Vec<(CheckoutId, VariantId)>, StoreError> {
        self.read("doubtful_holds", None, move |state| {
            let now = state.now;
            let all = state.database.stock.iter();
            all.flat_map(|(variant, units)| {
                let doubtful = units
                    .holds
                    .iter()
                    .filter(move |hold| hold.expires_at.is_none_or(|expires_at| expires_at < now));
                doubtful.map(|hold| (hold.checkout, *variant))
            })
            .collect()
        })
        .await
    }
}
