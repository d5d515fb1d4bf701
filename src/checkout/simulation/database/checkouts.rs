//! Checkouts, as `checkout/store.rs` keeps them.

use std::time::Duration;

use super::{
    super::machine::{Link, Millis},
    SWEEP, ended, is_open, millis, touch,
};
use crate::{
    checkout::{
        model::{CaptureRecord, Checkout, CheckoutStatus, EndReason},
        ports::CheckoutStore,
        returns::Return,
        settle::LATE,
    },
    clock::Timestamp,
    id::{CartId, CheckoutId},
    mongo::StoreError,
    payments::{CaptureId, ProviderOrder, ProviderOrderId},
};

impl CheckoutStore for Link {
    async fn begin(&self, checkout: &Checkout, life: Duration) -> Result<bool, StoreError> {
        let checkout = checkout.clone();
        let life = millis(life);
        self.write("begin", Some(checkout.id), move |state| {
            state.begin_checkout(&checkout, life)
        })
        .await
    }

    async fn find(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        self.read("find", Some(id), move |state| {
            state.database.checkouts.get(&id).cloned()
        })
        .await
    }

    async fn open_of(&self, cart: CartId) -> Result<Option<Checkout>, StoreError> {
        self.read("open_of", None, move |state| {
            let mut all = state.database.checkouts.values();
            all.find(|checkout| checkout.cart == cart && is_open(checkout))
                .cloned()
        })
        .await
    }

    async fn of_payment(&self, id: &ProviderOrderId) -> Result<Option<Checkout>, StoreError> {
        let id = id.clone();
        self.read("of_payment", None, move |state| {
            let mut all = state.database.checkouts.values();
            all.find(|checkout| checkout.provider_order.as_ref() == Some(&id))
                .cloned()
        })
        .await
    }

    async fn of_capture(&self, id: &CaptureId) -> Result<Option<Checkout>, StoreError> {
        let id = id.clone();
        self.read("of_capture", None, move |state| {
            let mut all = state.database.checkouts.values();
            all.find(|checkout| {
                checkout
                    .capture
                    .as_ref()
                    .is_some_and(|taken| taken.id == id)
            })
            .cloned()
        })
        .await
    }

    async fn await_approval(
        &self,
        id: CheckoutId,
        payment: &ProviderOrder,
        life: Duration,
    ) -> Result<Option<Checkout>, StoreError> {
        let payment = payment.clone();
        let life = millis(life);
        self.write("await_approval", Some(id), move |state| {
            state.change(id, CheckoutStatus::Preparing, |checkout, now| {
                checkout.status = CheckoutStatus::AwaitingApproval;
                checkout.provider_order = Some(payment.id);
                checkout.approve_url = payment.approve_url;
                checkout.expires_at = Timestamp::from_millis(now + life);
            })
        })
        .await
    }

    async fn begin_capture(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        self.write("begin_capture", Some(id), move |state| {
            state.change(id, CheckoutStatus::AwaitingApproval, |checkout, _| {
                checkout.status = CheckoutStatus::Capturing;
                checkout.capture_open = true;
            })
        })
        .await
    }

    async fn back_to_buyer(
        &self,
        id: CheckoutId,
        life: Duration,
    ) -> Result<Option<Checkout>, StoreError> {
        let life = millis(life);
        self.write("back_to_buyer", Some(id), move |state| {
            state.change(id, CheckoutStatus::Capturing, |checkout, now| {
                checkout.status = CheckoutStatus::AwaitingApproval;
                checkout.capture = None;
                checkout.expires_at = Timestamp::from_millis(now + life);
            })
        })
        .await
    }

    async fn captured(
        &self,
        id: CheckoutId,
        capture: &CaptureRecord,
    ) -> Result<Option<Checkout>, StoreError> {
        let capture = capture.clone();
        self.write("captured", Some(id), move |state| {
            state.change(id, CheckoutStatus::Capturing, |checkout, _| {
                checkout.capture = Some(capture);
                checkout.capture_open = false;
            })
        })
        .await
    }

    async fn captured_late(
        &self,
        id: CheckoutId,
        capture: &CaptureRecord,
    ) -> Result<Option<Checkout>, StoreError> {
        let (capture, back) = (capture.clone(), Return::due(capture.id.clone()));
        self.write("captured_late", Some(id), move |state| {
            let now = state.now;
            let checkout = state.database.checkouts.get_mut(&id)?;
            if !ended(checkout) || checkout.capture.is_some() {
                return None;
            }
            checkout.capture = Some(capture);
            checkout.capture_open = false;
            checkout.returns.push(back);
            touch(checkout, now);
            Some(checkout.clone())
        })
        .await
    }

    async fn capture_over(&self, id: CheckoutId, late: Duration) -> Result<bool, StoreError> {
        let late = millis(late);
        self.write("capture_over", Some(id), move |state| {
            let now = state.now;
            let found = state.database.checkouts.get_mut(&id);
            let over = found.filter(|found| ended(found) && found.expires_at.millis() < now - late);
            over.is_some_and(|checkout| {
                checkout.capture_open = false;
                touch(checkout, now);
                true
            })
        })
        .await
    }

    async fn end(
        &self,
        checkout: &Checkout,
        to: CheckoutStatus,
        reason: EndReason,
        back: Option<Return>,
    ) -> Result<Option<Checkout>, StoreError> {
        let (id, from) = (checkout.id, checkout.status);
        if !from.may_become(to) {
            return Ok(None);
        }
        self.write("end", Some(id), move |state| {
            state.change(id, from, |checkout, _| {
                checkout.status = to;
                checkout.reason = Some(reason);
                checkout.returns.extend(back);
            })
        })
        .await
    }

    async fn refuse(&self, id: CheckoutId) -> Result<(), StoreError> {
        self.write("refuse", Some(id), move |state| {
            state.change(id, CheckoutStatus::Preparing, |checkout, _| {
                checkout.status = CheckoutStatus::Failed;
                checkout.reason = Some(EndReason::InsufficientStock);
                checkout.stock_open = false;
            });
        })
        .await
    }

    async fn expire(&self, checkout: &Checkout) -> Result<Option<Checkout>, StoreError> {
        let (id, from) = (checkout.id, checkout.status);
        self.write("expire", Some(id), move |state| {
            let now = state.now;
            let found = state.database.checkouts.get(&id)?;
            if found.expires_at.millis() >= now {
                return None;
            }
            state.change(id, from, |checkout, _| {
                checkout.status = CheckoutStatus::Expired;
                checkout.reason = Some(EndReason::Expired);
            })
        })
        .await
    }

    async fn stock_settled(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        self.write("stock_settled", Some(id), move |state| {
            let now = state.now;
            let found = state.database.checkouts.get_mut(&id);
            let checkout = found.filter(|found| found.status.is_final())?;
            checkout.stock_open = false;
            touch(checkout, now);
            Some(checkout.clone())
        })
        .await
    }

    async fn charged_twice(
        &self,
        id: CheckoutId,
        capture: &CaptureId,
    ) -> Result<Option<Checkout>, StoreError> {
        let capture = capture.clone();
        self.write("charged_twice", Some(id), move |state| {
            let now = state.now;
            let checkout = state.database.checkouts.get_mut(&id)?;
            let own = checkout.capture.as_ref().map(|own| &own.id);
            let mut known = checkout.returns.iter().map(|back| &back.capture);
            if own.into_iter().chain(&mut known).any(|id| *id == capture) {
                return None;
            }
            checkout.returns.push(Return::due(capture));
            touch(checkout, now);
            Some(checkout.clone())
        })
        .await
    }

    async fn returns_moved(
        &self,
        checkout: &Checkout,
        returns: &[Return],
    ) -> Result<Option<Checkout>, StoreError> {
        let (id, version, returns) = (checkout.id, checkout.version, returns.to_vec());
        self.write("returns_moved", Some(id), move |state| {
            let now = state.now;
            let found = state.database.checkouts.get_mut(&id);
            let checkout = found.filter(|found| found.version == version)?;
            checkout.returns = returns;
            touch(checkout, now);
            Some(checkout.clone())
        })
        .await
    }

    async fn unfinished(&self, idle: Duration) -> Result<Vec<CheckoutId>, StoreError> {
        let idle = millis(idle);
        self.read("unfinished", None, move |state| {
            let before = state.now - idle;
            let late = state.now - millis(LATE);
            let wanted = state.database.checkouts.values().filter(|checkout| {
                checkout.updated_at.millis() < before
                    && (is_open(checkout)
                        || checkout.stock_open
                        || checkout.due_return().is_some()
                        || checkout.capture_open && checkout.expires_at.millis() < late)
            });
            let mut found: Vec<(Millis, CheckoutId)> = wanted
                .map(|checkout| (checkout.updated_at.millis(), checkout.id))
                .collect();
            found.sort_unstable();
            found.truncate(SWEEP);
            found.into_iter().map(|(_, id)| id).collect()
        })
        .await
    }

    async fn looked_at(&self, id: CheckoutId) -> Result<(), StoreError> {
        self.write("looked_at", Some(id), move |state| {
            let now = state.now;
            if let Some(checkout) = state.database.checkouts.get_mut(&id) {
                checkout.updated_at = Timestamp::from_millis(now);
            }
        })
        .await
    }
}
