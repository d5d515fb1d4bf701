//! Sending money back that no order can be made of: part of `settle`.

use super::{
    model::{CaptureRecord, Checkout},
    ports::{CheckoutStore, World},
    returns::{Return, ReturnState},
    settle::{SettleError, Settled, Settlement, Turn, at_rest},
};
use crate::{
    faults::{Point, crash_point},
    id::CheckoutId,
    mongo::StoreError,
    payments::{CaptureId, CaptureStatus, GatewayError, ProviderOrder, is_decision},
};

/// What the buyer reads about it at the provider.
const NOTE: &str = "This purchase could not be completed.";
/// The provider's word for a capture that has gone back whole already.
const GONE_ALREADY: &str = "CAPTURE_FULLY_REFUNDED";
/// The provider's word for a capture that it has not decided about.
const UNDECIDED: &str = "PENDING_CAPTURE";

/// The provider did not say: the sweep goes on. Where an order stands, it stands whatever becomes of this.
fn later(checkout: Checkout, error: GatewayError) -> Turn {
    if checkout.order.is_none() {
        return Turn::from(Settled::Unclear(error));
    }
    tracing::warn!(checkout.id = %checkout.id, %error, "a second capture cannot go back now");
    Turn::from(at_rest(checkout))
}

impl<W: World> Settlement<W> {
    /// Sends a capture back: all that is left of it, whoever has given back the rest.
    pub(super) async fn give_back(
        &self,
        checkout: Checkout,
        back: &Return,
    ) -> Result<Turn, StoreError> {
        if let Some(refund) = &back.refund {
            match self.payments.refund_state(refund).await {
                Ok(made) => return self.return_heard(checkout, back, back.heard(&made)).await,
                // Asked for anew under the same key, which the provider does once.
                Err(GatewayError::NotFound) => {}
                Err(error) => return Ok(later(checkout, error)),
            }
        }
        let state = match self.payments.capture_state(&back.capture).await {
            Ok(state) => state,
            Err(error) => return Ok(later(checkout, error)),
        };
        match state.status {
            CaptureStatus::Declined => {
                let unpaid = back.ended(ReturnState::Unpaid);
                return self.return_heard(checkout, back, unpaid).await;
            }
            CaptureStatus::Pending(_) | CaptureStatus::Other(_) => {
                return Ok(Turn::from(at_rest(checkout)));
            }
            // Refunded by an earlier call of ours whose answer was lost, which may be pending and fail yet, or at
            // the provider's dashboard: the answer to the same call tells which.
            CaptureStatus::Completed
            | CaptureStatus::PartiallyRefunded
            | CaptureStatus::Refunded => {}
        }
        if state.amount.is_none() {
            let failed = back.failed("the provider does not say that the shop has the money");
            return self.return_heard(checkout, back, failed).await;
        }
        let key = checkout.return_key(back);
        crash_point(Point::RefundSent);
        let answer = self
            .payments
            .refund(&back.capture, None, &key, Some(NOTE))
            .await;
        crash_point(Point::RefundAnswered);
        let heard = match answer {
            Ok(made) => back.heard(&made),
            Err(GatewayError::Refused { issue, .. }) if issue == GONE_ALREADY => {
                back.ended(ReturnState::Done)
            }
            Err(GatewayError::Refused { status, issue, .. })
                if is_decision(status) && issue != UNDECIDED =>
            {
                back.failed(issue)
            }
            Err(error) => return Ok(later(checkout, error)),
        };
        self.return_heard(checkout, back, heard).await
    }

    /// Writes down how far a return has come; one that is still under way is looked at again by the sweep.
    async fn return_heard(
        &self,
        checkout: Checkout,
        before: &Return,
        now: Return,
    ) -> Result<Turn, StoreError> {
        if now == *before {
            return Ok(Turn::from(at_rest(checkout)));
        }
        if now.state == ReturnState::Failed {
            metrics::counter!("bodega_returns_failed_total").increment(1);
            tracing::error!(checkout.id = %checkout.id, capture = %now.capture, reason = now.failure,
                "money that has to go back was refused by the provider: staff have to look");
        }
        let under_way = now.state == ReturnState::Due;
        let returns = checkout.returns_with(&now);
        let moved = self.checkouts.returns_moved(&checkout, &returns).await?;
        Ok(match moved {
            Some(moved) if under_way => Turn::from(at_rest(moved)),
            moved => Turn::from(moved),
        })
    }

    /// Has what `payment` shows besides `kept` sent back, after the checkout has come to its end.
    pub(super) async fn return_surplus(
        &self,
        checkout: &Checkout,
        payment: &ProviderOrder,
        kept: &CaptureRecord,
    ) -> Result<(), StoreError> {
        for capture in checkout.surplus(payment, kept) {
            self.charged_twice(checkout.id, &capture.id).await?;
        }
        Ok(())
    }

    /// Writes down that a buyer was charged twice; `None` where that is known.
    pub(super) async fn charged_twice(
        &self,
        id: CheckoutId,
        capture: &CaptureId,
    ) -> Result<Option<Checkout>, StoreError> {
        let noted = self.checkouts.charged_twice(id, capture).await?;
        if noted.is_some() {
            metrics::counter!("bodega_double_captures_total").increment(1);
            tracing::error!(checkout.id = %id, capture = %capture,
                "a buyer was charged twice; the second capture goes back");
        }
        Ok(noted)
    }

    /// Tries every failed return of a checkout again, under a new request id.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub async fn try_returns_again(&self, id: CheckoutId) -> Result<Checkout, SettleError> {
        let found = self.read(id).await?;
        let Some(returns) = found.returns_again() else {
            return Ok(found);
        };
        if let Some(moved) = self.checkouts.returns_moved(&found, &returns).await? {
            self.settle_read(moved).await?;
        }
        self.read(id).await
    }
}
