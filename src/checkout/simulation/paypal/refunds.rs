//! Money that goes back: asked for by the shop, or at PayPal's dashboard.

use super::{Returned, refused};
use crate::{
    checkout::simulation::machine::State,
    money::Money,
    payments::{
        CaptureId, CaptureStatus, GatewayError, ProviderRefund, ProviderRefundId, RefundStatus,
    },
};

impl State {
    /// Somebody gives a part of a capture back at PayPal's dashboard.
    pub(super) fn refund_at_the_dashboard(&mut self, capture: usize) {
        let taken = &mut self.paypal.captures[capture];
        if taken.status != CaptureStatus::Completed || taken.amount.amount < 2 {
            return;
        }
        let hint = taken.give_back(taken.amount.amount / 2);
        self.note("refunded at the dashboard", &capture);
        self.tell(&hint);
    }

    /// PayPal decides about a refund that it took on.
    fn decide_refund(&mut self, refund: usize, fails: bool) {
        let returned = &mut self.paypal.refunds[refund];
        if fails {
            returned.status = RefundStatus::Failed;
            let back = returned.amount.amount;
            let taken = &mut self.paypal.captures[returned.capture];
            taken.give_back(-back);
        } else {
            returned.status = RefundStatus::Completed;
        }
        self.note("refund decided", &(refund, fails));
    }

    pub(super) fn refund_capture(
        &mut self,
        id: &CaptureId,
        amount: Option<Money>,
        key: &str,
    ) -> Result<ProviderRefund, GatewayError> {
        if let Some(place) = self.paypal.returned.get(key) {
            return Ok(self.paypal.refund(*place));
        }
        let place = self
            .paypal
            .capture_place(id)
            .ok_or(GatewayError::NotFound)?;
        let later = self.chance.yes(200);
        let taken = &mut self.paypal.captures[place];
        match taken.status {
            CaptureStatus::Completed | CaptureStatus::PartiallyRefunded => {}
            CaptureStatus::Refunded => return Err(refused(422, "CAPTURE_FULLY_REFUNDED")),
            CaptureStatus::Pending(_) => return Err(refused(422, "PENDING_CAPTURE")),
            CaptureStatus::Declined | CaptureStatus::Other(_) => {
                return Err(refused(422, "CAPTURE_STATUS_NOT_VALID"));
            }
        }
        let left = taken.amount.amount - taken.refunded;
        let amount = amount.unwrap_or(Money::new(left, taken.amount.currency));
        if amount.currency != taken.amount.currency {
            return Err(refused(422, "CURRENCY_MISMATCH"));
        }
        if amount.amount > left {
            return Err(refused(422, "REFUND_AMOUNT_EXCEEDED"));
        }
        let hint = taken.give_back(amount.amount);
        let made = self.paypal.refunds.len();
        self.paypal.refunds.push(Returned {
            id: ProviderRefundId::parse(&format!("R{made}")).unwrap(),
            capture: place,
            amount,
            status: if later {
                RefundStatus::Pending
            } else {
                RefundStatus::Completed
            },
        });
        self.paypal.returned.insert(key.to_owned(), made);
        self.tell(&hint);
        if later {
            let until = self.chance.between(100, 60_000);
            let fails = !self.chance.yes(700);
            self.after(until, move |state| state.decide_refund(made, fails));
        }
        Ok(self.paypal.refund(made))
    }
}
