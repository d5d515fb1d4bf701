//! Following the provider's hints: each wakes `settle`, or reads the capture and tells the order.

use futures_util::future::BoxFuture;

use super::{
    model::{Checkout, CheckoutStatus, EndReason},
    ports::{CheckoutStore, OrderBook, World},
    settle::{SettleError, Settled, Settlement},
};
use crate::{
    id::CheckoutId,
    money::Money,
    orders::{Order, PaymentStatus, Reversal},
    payments::{
        Capture, CaptureId, CaptureStatus, Dispute, GatewayError, Hint, HintError, HintSink,
        ProviderOrderId, ProviderRefundId,
    },
};

impl<W: World> HintSink for Settlement<W> {
    fn follow<'a>(&'a self, hint: &'a Hint) -> BoxFuture<'a, Result<(), HintError>> {
        Box::pin(async move {
            match hint {
                Hint::Order { order, checkout } => {
                    match self.meant(Some(order), *checkout).await? {
                        Some(found) => self.wake(found).await,
                        None => Ok(()),
                    }
                }
                Hint::Capture {
                    capture,
                    order,
                    checkout,
                    claimed,
                } => {
                    self.capture_moved(capture, order.as_ref(), *checkout, *claimed)
                        .await
                }
                Hint::Refund {
                    capture,
                    refund,
                    total_refunded,
                } => {
                    let total = match total_refunded {
                        Some(total) => Some(*total),
                        None => self.total_with(capture, refund.as_ref()).await?,
                    };
                    self.refunded(capture, total).await
                }
                Hint::Reversal {
                    capture,
                    refund,
                    amount,
                } => {
                    let reversal = Reversal {
                        provider: refund.clone(),
                        amount: *amount,
                    };
                    if self.order_of(capture).await?.is_some() {
                        self.orders.reversed(capture, &reversal).await?;
                    }
                    Ok(())
                }
                Hint::ReversalCanceled { capture } => self.reversal_canceled(capture).await,
                Hint::ApprovalReversed { order, checkout } => {
                    self.approval_reversed(order, *checkout).await
                }
                Hint::Dispute(dispute) => {
                    tell_staff(dispute);
                    for capture in &dispute.captures {
                        if self.order_of(capture).await?.is_some() {
                            self.orders.disputed(capture, dispute).await?;
                        }
                    }
                    Ok(())
                }
            }
        })
    }
}

/// A dispute is PayPal's to decide; the shop's staff has to know.
fn tell_staff(dispute: &Dispute) {
    metrics::counter!("bodega_disputes_total").increment(1);
    tracing::warn!(dispute.id, captures = ?dispute.captures, reason = dispute.reason,
        status = dispute.status, outcome = dispute.outcome, "a buyer disputes a payment");
}

impl<W: World> Settlement<W> {
    /// The checkout that a message is about: by its payment, which the shop wrote down, and by the
    /// reference only where the two agree or no payment is known yet.
    async fn meant(
        &self,
        order: Option<&ProviderOrderId>,
        reference: Option<CheckoutId>,
    ) -> Result<Option<Checkout>, HintError> {
        if let Some(order) = order
            && let Some(found) = self.checkouts.of_payment(order).await?
        {
            return Ok(Some(found));
        }
        let Some(reference) = reference else {
            return Ok(None);
        };
        let found = self.checkouts.find(reference).await?;
        Ok(found.filter(|found| order.is_none() || found.provider_order.is_none()))
    }

    /// The order that a capture paid. The news may have been faster than the shop's own commit, so where
    /// there is none yet, the capture's checkout is settled first.
    async fn order_of(&self, capture: &CaptureId) -> Result<Option<Order>, HintError> {
        if let Some(order) = self.orders.by_capture(capture).await? {
            return Ok(Some(order));
        }
        let found = match self.checkouts.of_capture(capture).await? {
            Some(found) => Some(found),
            None => match self.payments.capture_state(capture).await {
                Ok(state) => {
                    let reference = state.reference.and_then(|ours| ours.parse().ok());
                    self.meant(state.order.as_ref(), reference).await?
                }
                Err(GatewayError::NotFound) => None,
                Err(unclear) => return Err(unclear.into()),
            },
        };
        let Some(found) = found else { return Ok(None) };
        self.wake(found).await?;
        Ok(self.orders.by_capture(capture).await?)
    }

    /// Settles, and says whether the hint has been followed.
    async fn wake(&self, found: Checkout) -> Result<(), HintError> {
        match self.settle_read(found).await {
            Ok(Settled::Unclear(error)) => Err(error.into()),
            Ok(_) | Err(SettleError::NotFound) => Ok(()),
            Err(SettleError::Store(error)) => Err(error.into()),
            Err(error @ SettleError::Restless(_)) => Err(HintError::Failed {
                reason: error.to_string(),
            }),
        }
    }

    /// A capture has moved: it settles its checkout, or confirms or denies the order's payment.
    pub(super) async fn capture_moved(
        &self,
        capture: &CaptureId,
        order: Option<&ProviderOrderId>,
        reference: Option<CheckoutId>,
        claimed: Option<Money>,
    ) -> Result<(), HintError> {
        let found = match self.checkouts.of_capture(capture).await? {
            Some(found) => Some(found),
            None => self.meant(order, reference).await?,
        };
        let Some(found) = found else { return Ok(()) };
        if claimed.is_some_and(|claimed| claimed != found.totals.total) {
            return Err(HintError::Refused {
                reason: format!("it claims another amount than checkout {} is of", found.id),
            });
        }
        let id = found.id;
        self.wake(found).await?;
        let Some(order) = self.orders.by_capture(capture).await? else {
            return self.besides(id, capture).await;
        };
        if order.payment.status != PaymentStatus::Pending {
            // Decided; what comes after that, a refund, a reversal or its end, has messages of its own.
            return Ok(());
        }
        let state = self.payments.capture_state(capture).await?;
        let to = match &state.status {
            CaptureStatus::Completed => Some(PaymentStatus::Completed),
            CaptureStatus::Declined => Some(PaymentStatus::Denied),
            CaptureStatus::PartiallyRefunded | CaptureStatus::Refunded => {
                self.confirm(&order, &state).await?;
                return self.refunded(capture, None).await;
            }
            CaptureStatus::Pending(_) | CaptureStatus::Other(_) => None,
        };
        match to {
            Some(PaymentStatus::Completed) => self.confirm(&order, &state).await,
            Some(to) => {
                self.orders.payment_changed(capture, to).await?;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A capture that no order has come of: where its checkout has another, the buyer was charged twice, and
    /// this one goes back.
    async fn besides(&self, id: CheckoutId, capture: &CaptureId) -> Result<(), HintError> {
        let found = self.checkouts.find(id).await?;
        let Some((found, kept)) = found.and_then(|found| {
            let kept = found.capture.as_ref()?.id.clone();
            Some((found, kept))
        }) else {
            return Ok(());
        };
        let state = match self.payments.capture_state(capture).await {
            Ok(state) => state,
            Err(GatewayError::NotFound) => return Ok(()),
            Err(unclear) => return Err(unclear.into()),
        };
        if !found.is_charged_twice(&kept, &state) {
            return Ok(());
        }
        match self.charged_twice(id, capture).await? {
            Some(noted) => self.wake(noted).await,
            None => Ok(()),
        }
    }

    /// Confirms a payment that was pending, if it is exactly what the order cost.
    async fn confirm(&self, order: &Order, capture: &Capture) -> Result<(), HintError> {
        if capture.amount != Some(order.total) {
            let reason = format!("capture {} is of another amount than its order", capture.id);
            return Err(HintError::Failed { reason });
        }
        self.orders
            .payment_changed(&capture.id, PaymentStatus::Completed)
            .await?;
        Ok(())
    }

    /// Everything given back of `capture` with `refund`, as the provider says when asked: an IPN message does
    /// not tell.
    async fn total_with(
        &self,
        capture: &CaptureId,
        refund: Option<&ProviderRefundId>,
    ) -> Result<Option<Money>, HintError> {
        let Some(refund) = refund else {
            return Ok(None);
        };
        match self.payments.refund_state(refund).await {
            Ok(found) if found.capture.as_ref().is_none_or(|of| of == capture) => {
                Ok(found.total_refunded)
            }
            Ok(_) | Err(GatewayError::NotFound) => Ok(None),
            Err(unclear) => Err(unclear.into()),
        }
    }

    /// Books what was given back, wherever that was done.
    async fn refunded(&self, capture: &CaptureId, total: Option<Money>) -> Result<(), HintError> {
        let Some(order) = self.order_of(capture).await? else {
            return Ok(());
        };
        let total = if total.is_some() {
            total
        } else {
            // The message does not say how much in all: only a capture given back whole is certain.
            let state = self.payments.capture_state(capture).await?;
            (state.status == CaptureStatus::Refunded).then_some(order.payment.captured)
        };
        // First the shop's own: what is then left of the total was given back elsewhere.
        self.orders.conclude_refunds(order).await;
        if let Some(total) = total {
            self.orders.provider_refunded(capture, total).await?;
        }
        Ok(())
    }

    /// Money that was taken back has come again, if the capture says that the shop has it.
    async fn reversal_canceled(&self, capture: &CaptureId) -> Result<(), HintError> {
        if self.order_of(capture).await?.is_none() {
            return Ok(());
        }
        let state = self.payments.capture_state(capture).await?;
        if state.status.can_be_refunded() {
            self.orders.reversal_canceled(capture).await?;
        }
        Ok(())
    }

    /// The buyer's approval has lapsed: unless money was asked for, the checkout is over.
    async fn approval_reversed(
        &self,
        order: &ProviderOrderId,
        reference: Option<CheckoutId>,
    ) -> Result<(), HintError> {
        let Some(found) = self.meant(Some(order), reference).await? else {
            return Ok(());
        };
        let ended = if found.status == CheckoutStatus::AwaitingApproval {
            let (to, reason) = (CheckoutStatus::Failed, EndReason::ApprovalLapsed);
            self.checkouts.end(&found, to, reason, None).await?
        } else {
            None
        };
        self.wake(ended.unwrap_or(found)).await
    }
}
