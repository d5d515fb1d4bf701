//! Giving money back: booked on the order, asked for at the provider, concluded on the order.
//!
//! The request key is made from the refund's id, so that asking again after a crash, a lost answer or
//! beside another node gives the money back once. An unknown outcome leaves the refund `Pending`; the
//! sweep asks again until the provider has decided.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    OrderError, Orders,
    model::{Order, Refund, RefundOutcome, RefundState, RefundWish},
    store::StatusWish,
};
use crate::{
    faults::{Point, crash_point},
    http::IfMatch,
    id::{OrderId, RefundId},
    money::Money,
    mongo::StoreError,
    payments::{
        CaptureStatus, GatewayError, Payments, ProviderRefund, RefundStatus, RequestKey,
        is_decision,
    },
};

/// How many orders and returns one sweep looks after.
const MAX_SWEPT: u32 = 100;
/// How long one sweep goes on beginning with further ones: a provider that is down must not hold it up.
const SWEEP: Duration = Duration::from_secs(10);
/// The longest note that PayPal passes on to the buyer (Payments v2, `note_to_payer`).
const MAX_NOTE: usize = 255;

/// Refunds of orders, shared by all workers.
#[derive(Clone)]
pub struct Refunds {
    orders: Orders,
    gateway: Payments,
}

/// What the provider said to a refund.
enum Heard {
    Decided(RefundOutcome),
    /// Under way, or not heard at all; asked again later.
    Open,
}

impl Refunds {
    /// Books on `orders`, gives money back through `gateway`.
    #[must_use]
    pub fn new(orders: Orders, gateway: Payments) -> Self {
        Self { orders, gateway }
    }

    /// Books a refund and makes it. Answers the order with the refund as it then stands: `Pending` where
    /// the provider has not decided.
    ///
    /// # Errors
    /// The refusals of [`Order::book_refund`]; `RefundRefused` where the provider refused.
    pub(super) async fn refund(&self, id: OrderId, wish: &RefundWish) -> Result<Order, OrderError> {
        let booked = self.orders.book_refund(id, wish).await?;
        let order = self.carry_out(booked, |refund| refund.id == wish.id).await;
        match order.refund(wish.id) {
            Some(refund) if refund.state == RefundState::Failed => Err(OrderError::RefundRefused(
                refund.failure.clone().unwrap_or_default(),
            )),
            Some(_) | None => Ok(order),
        }
    }

    /// Gives an order another status and makes the refund that goes with it.
    ///
    /// # Errors
    /// Those of the change of status; a refund that is not made now is made by the sweep.
    pub(super) async fn set_status(
        &self,
        id: OrderId,
        wish: &StatusWish,
        seen: IfMatch,
    ) -> Result<Order, OrderError> {
        let order = self.orders.set_status(id, wish, seen).await?;
        Ok(self
            .carry_out(order, |refund| refund.id == wish.refund)
            .await)
    }

    /// Finishes what was cut short: refunds that are booked and not decided, and goods that are on their
    /// way back into stock. Each is claimed, so that several nodes may sweep at once; bounded, to be called
    /// every few seconds.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn resume(&self) -> Result<(), StoreError> {
        self.sweep().await.map(|_attended| ())
    }

    /// As [`Refunds::resume`]; answers how many were looked after.
    pub(super) async fn sweep(&self) -> Result<u32, StoreError> {
        let mut attended = 0;
        while attended < MAX_SWEPT && self.orders.attend_restock().await? {
            attended += 1;
        }
        let until = Instant::now() + SWEEP;
        while attended < MAX_SWEPT && Instant::now() < until {
            let Some(order) = self.orders.claim_refund().await? else {
                break;
            };
            self.carry_out(order, |_each| true).await;
            attended += 1;
        }
        Ok(attended)
    }

    /// Asks how the refunds of `order` have ended that the provider had taken on and not decided: it has told of
    /// one. Whoever makes another at this moment concludes that one.
    pub async fn conclude(&self, order: Order) {
        self.carry_out(order, |refund| refund.provider.is_some())
            .await;
    }

    /// Makes the booked refunds of `order` that are `meant`: of several at once each makes its own. What
    /// fails here is logged and left to the sweep.
    async fn carry_out(&self, order: Order, meant: impl Fn(&Refund) -> bool) -> Order {
        let pending = order
            .refunds
            .iter()
            .filter(|refund| refund.state == RefundState::Pending && meant(refund));
        let mut pending: VecDeque<Refund> = pending.cloned().collect();
        let mut order = order;
        while let Some(refund) = pending.pop_front() {
            match self.make(&order, &refund).await {
                Ok(Some(concluded)) => {
                    if has_failed(&concluded, &refund) {
                        // One of what is left may be booked instead.
                        let new = concluded.refunds.iter().filter(|one| {
                            one.state == RefundState::Pending && order.refund(one.id).is_none()
                        });
                        pending.extend(new.cloned());
                    }
                    order = concluded;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, order.id = %order.id, refund.id = %refund.id,
                        "a refund cannot be concluded now; the sweep will");
                }
            }
        }
        order
    }

    async fn make(&self, order: &Order, refund: &Refund) -> Result<Option<Order>, OrderError> {
        let known = match &refund.provider {
            Some(provider) => match self.gateway.refund_state(provider).await {
                // Asked for anew under the same key, which the provider does once.
                Err(GatewayError::NotFound) => None,
                answer => Some(answer),
            },
            None => None,
        };
        let answer = match known {
            Some(answer) => answer,
            None => self.ask(order, refund).await,
        };
        crash_point(Point::RefundAnswered);
        match self.heard(order, refund, answer).await? {
            Heard::Open => Ok(None),
            Heard::Decided(outcome) => self
                .orders
                .conclude_refund(order.id, refund.id, &outcome)
                .await
                .map(Some),
        }
    }

    async fn ask(&self, order: &Order, refund: &Refund) -> Result<ProviderRefund, GatewayError> {
        let key = RequestKey::new(refund.id, "refund");
        let note = refund.reason.as_deref().map(|note| clipped(note, MAX_NOTE));
        let capture = &order.payment.capture;
        crash_point(Point::RefundSent);
        self.gateway
            .refund(capture, Some(refund.amount), &key, note)
            .await
    }

    async fn heard(
        &self,
        order: &Order,
        refund: &Refund,
        answer: Result<ProviderRefund, GatewayError>,
    ) -> Result<Heard, OrderError> {
        match answer {
            Ok(made) => self.read(order, refund, made).await,
            Err(GatewayError::Refused {
                status,
                issue,
                debug_id,
            }) if is_decision(status) => {
                tracing::warn!(order.id = %order.id, refund.id = %refund.id, status, issue, debug_id,
                    "the provider refused a refund");
                let total = self.given_back(order).await;
                Ok(Heard::Decided(failed(issue, total)))
            }
            Err(GatewayError::NotFound) => {
                Ok(Heard::Decided(failed("not found at the provider", None)))
            }
            Err(
                error @ (GatewayError::Refused { .. }
                | GatewayError::Unknown(_)
                | GatewayError::Unavailable { .. }),
            ) => {
                tracing::warn!(%error, order.id = %order.id, refund.id = %refund.id,
                    "a refund is not decided yet");
                Ok(Heard::Open)
            }
        }
    }

    async fn read(
        &self,
        order: &Order,
        refund: &Refund,
        made: ProviderRefund,
    ) -> Result<Heard, OrderError> {
        if made.amount.is_some_and(|amount| amount != refund.amount) {
            tracing::error!(order.id = %order.id, refund.id = %refund.id, provider.refund = %made.id,
                "the provider speaks of another amount than was asked for");
        }
        match made.status {
            RefundStatus::Completed => Ok(Heard::Decided(RefundOutcome::Completed {
                total: self.total_with(&made).await,
                provider: made.id,
            })),
            RefundStatus::Failed => Ok(Heard::Decided(failed("failed at the provider", None))),
            RefundStatus::Pending | RefundStatus::Other(_) => {
                self.orders
                    .note_provider_refund(order.id, refund.id, &made.id)
                    .await?;
                Ok(Heard::Open)
            }
        }
    }

    /// Everything given back with `made`: an answer that is silent about it is asked once more.
    async fn total_with(&self, made: &ProviderRefund) -> Option<Money> {
        if made.total_refunded.is_some() {
            return made.total_refunded;
        }
        let asked = self.gateway.refund_state(&made.id).await;
        asked.ok().and_then(|refund| refund.total_refunded)
    }

    /// Everything given back of the order's capture, after a refusal: the money, or a part of it, may be gone
    /// already, given back at the provider's dashboard. `None` where that cannot be known now.
    async fn given_back(&self, order: &Order) -> Option<Money> {
        let unread = |error: &GatewayError| {
            tracing::warn!(%error, order.id = %order.id, "the capture cannot be read now");
        };
        let capture = self.gateway.capture_state(&order.payment.capture).await;
        let capture = capture.inspect_err(unread).ok()?;
        match capture.status {
            CaptureStatus::Refunded => Some(order.payment.captured),
            CaptureStatus::PartiallyRefunded => {
                let payment = self.gateway.order(&order.payment.provider_order).await;
                payment.inspect_err(unread).ok()?.refunded_of(&capture)
            }
            CaptureStatus::Completed
            | CaptureStatus::Pending(_)
            | CaptureStatus::Declined
            | CaptureStatus::Other(_) => None,
        }
    }
}

fn has_failed(order: &Order, refund: &Refund) -> bool {
    order
        .refund(refund.id)
        .is_some_and(|refund| refund.state == RefundState::Failed)
}

/// A refund that did not happen.
fn failed(reason: impl Into<String>, total: Option<Money>) -> RefundOutcome {
    RefundOutcome::Failed {
        reason: reason.into(),
        total,
        instead: RefundId::new(),
    }
}

/// The first `most` bytes, cut between characters.
fn clipped(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}
