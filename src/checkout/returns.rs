//! Money that no order can be made of, on its way back. No I/O.
//!
//! Each capture that has to go back has one entry at its checkout: the one whose goods cannot be sold, and
//! whatever the provider took besides the capture that decides. What the provider refuses for good is put
//! aside for the staff, who have it tried again under a new request id.

use serde::{Deserialize, Serialize};

use super::model::{CaptureRecord, Checkout};
use crate::payments::{
    Capture, CaptureId, CaptureStatus, ProviderOrder, ProviderRefund, ProviderRefundId,
    RefundStatus, RequestKey,
};

/// How far a return has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum ReturnState {
    /// To be made, or under way at the provider.
    Due,
    /// The money is back.
    Done,
    /// There is nothing to give back: the capture was never paid.
    Unpaid,
    /// The provider has refused: staff have to look.
    Failed,
}

impl ReturnState {
    /// The state as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "Due",
            Self::Done => "Done",
            Self::Unpaid => "Unpaid",
            Self::Failed => "Failed",
        }
    }
}

/// A capture that has to go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// The capture.
    pub capture: CaptureId,
    /// How far it has come.
    pub state: ReturnState,
    /// Which try it is, from 0; each asks under a request id of its own.
    pub attempt: u32,
    /// The provider's id of the refund, once it has given one.
    pub refund: Option<ProviderRefundId>,
    /// The provider's word for why it did not happen.
    pub failure: Option<String>,
}

impl Return {
    /// One that is to be made.
    #[must_use]
    pub const fn due(capture: CaptureId) -> Self {
        Self {
            capture,
            state: ReturnState::Due,
            attempt: 0,
            refund: None,
            failure: None,
        }
    }

    /// The money went back, or there is none.
    pub(super) fn ended(&self, state: ReturnState) -> Self {
        Self {
            state,
            ..self.clone()
        }
    }

    /// The provider has refused it for `reason`.
    pub(super) fn failed(&self, reason: impl Into<String>) -> Self {
        Self {
            state: ReturnState::Failed,
            failure: Some(reason.into()),
            ..self.clone()
        }
    }

    /// How it stands once the provider has said this.
    pub(super) fn heard(&self, made: &ProviderRefund) -> Self {
        let known = Self {
            refund: Some(made.id.clone()),
            ..self.clone()
        };
        match made.status {
            RefundStatus::Completed => known.ended(ReturnState::Done),
            RefundStatus::Pending | RefundStatus::Other(_) => known,
            RefundStatus::Failed => known.failed("failed at the provider"),
        }
    }

    /// The next try after a failed one; of any other there is none.
    fn again(&self) -> Option<Self> {
        (self.state == ReturnState::Failed).then(|| Self {
            attempt: self.attempt.saturating_add(1),
            ..Self::due(self.capture.clone())
        })
    }
}

/// Whether the provider has money of a capture, or may have given it back already.
const fn was_paid(status: &CaptureStatus) -> bool {
    match status {
        CaptureStatus::Completed | CaptureStatus::PartiallyRefunded | CaptureStatus::Refunded => {
            true
        }
        CaptureStatus::Pending(_) | CaptureStatus::Declined | CaptureStatus::Other(_) => false,
    }
}

impl Checkout {
    /// The return that is next to be made.
    #[must_use]
    pub fn due_return(&self) -> Option<&Return> {
        let mut returns = self.returns.iter();
        returns.find(|one| one.state == ReturnState::Due)
    }

    /// Whether all money that had to go back has; `None` where none had to.
    #[must_use]
    pub fn is_refunded(&self) -> Option<bool> {
        let mut back = self.returns.iter();
        let paid = back.any(|one| one.state != ReturnState::Unpaid);
        paid.then(|| {
            self.returns.iter().all(|one| match one.state {
                ReturnState::Done | ReturnState::Unpaid => true,
                ReturnState::Due | ReturnState::Failed => false,
            })
        })
    }

    /// The key under which a return is asked of the provider.
    pub(super) fn return_key(&self, back: &Return) -> RequestKey {
        self.request_key(&format!("return-{}-{}", back.capture, back.attempt))
    }

    /// The returns, with the one of the same capture replaced.
    pub(super) fn returns_with(&self, changed: &Return) -> Vec<Return> {
        let returns = self.returns.iter();
        returns
            .map(|one| {
                let same = one.capture == changed.capture;
                (if same { changed } else { one }).clone()
            })
            .collect()
    }

    /// The returns, with every failed one to be tried again; `None` where none has failed.
    pub(super) fn returns_again(&self) -> Option<Vec<Return>> {
        let again = |one: &Return| one.again().unwrap_or_else(|| one.clone());
        let returns: Vec<Return> = self.returns.iter().map(again).collect();
        (returns != self.returns).then_some(returns)
    }

    /// Whether `capture` took money for this checkout besides `kept`: said by the provider, not only not
    /// denied, as money goes back for it.
    pub(super) fn is_charged_twice(&self, kept: &CaptureId, capture: &Capture) -> bool {
        let named = capture.reference.as_deref() == Some(self.id.to_string().as_str())
            || capture.order.is_some() && capture.order == self.provider_order;
        named && self.owns(capture) && capture.id != *kept && was_paid(&capture.status)
    }

    /// The captures of `payment` that took money besides `kept`.
    pub(super) fn surplus<'a>(
        &'a self,
        payment: &'a ProviderOrder,
        kept: &'a CaptureRecord,
    ) -> impl Iterator<Item = &'a Capture> {
        let captures = payment.captures.iter();
        captures.filter(|capture| self.is_charged_twice(&kept.id, capture))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due() -> Return {
        Return::due(CaptureId::parse("C1").unwrap())
    }

    fn refund(status: RefundStatus) -> ProviderRefund {
        ProviderRefund {
            id: ProviderRefundId::parse("R1").unwrap(),
            status,
            amount: None,
            capture: None,
            total_refunded: None,
        }
    }

    #[test]
    fn a_refund_under_way_stays_due_until_the_provider_has_decided() {
        let waiting = due().heard(&refund(RefundStatus::Pending));
        assert_eq!(waiting.state, ReturnState::Due);
        assert_eq!(waiting.refund, ProviderRefundId::parse("R1"));
        let done = waiting.heard(&refund(RefundStatus::Completed));
        assert_eq!(done.state, ReturnState::Done);
        let failed = waiting.heard(&refund(RefundStatus::Failed));
        assert_eq!(failed.state, ReturnState::Failed);
        assert!(failed.failure.is_some());
    }

    #[test]
    fn only_what_has_failed_is_tried_again_and_then_as_another_refund() {
        assert_eq!(due().again(), None);
        assert_eq!(due().ended(ReturnState::Done).again(), None);
        let failed = due().heard(&refund(RefundStatus::Failed));
        let again = failed.again().unwrap();
        assert_eq!((again.state, again.attempt), (ReturnState::Due, 1));
        assert_eq!((again.refund, again.failure), (None, None));
    }
}
