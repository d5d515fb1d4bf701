//! PayPal in memory: payments, captures, refunds, request ids and what it tells of them.
//!
//! [`payments`] and [`refunds`] are what it does, [`gateway`] is how the checkout core reaches it.
//!
//! Where PayPal's pages leave something open, the worse way is taken: refusals are not remembered under
//! a request id; two captures of one payment under different ids at the same moment are both made; the
//! same id at the same moment is refused with 409.

mod gateway;
mod payments;
mod refunds;

use std::collections::BTreeMap;

use super::machine::{Lost, Millis};
use crate::{
    money::Money,
    payments::{
        Capture, CaptureId, CaptureStatus, GatewayError, Hint, ProviderOrder, ProviderOrderId,
        ProviderOrderStatus, ProviderRefund, ProviderRefundId, RefundStatus,
    },
};

/// How long a buyer may approve; PayPal's three hours, shortened as everything here.
const APPROVAL: Millis = 600_000;
/// How long request ids of payments are kept; PayPal's six hours.
const KEYS: Millis = 1_200_000;

/// What becomes of a payment's capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Pays,
    /// Refuses the funding so many times, each time for the buyer to act upon.
    DeclinesFirst(u8),
    /// Refuses for good.
    Refuses,
    /// Takes another amount.
    Mistakes,
    /// Takes another currency.
    Exchanges,
    /// Takes it on, and pays later.
    PaysLater,
    /// Takes it on, and declines later.
    DeclinesLater,
    /// Answers with a capture that is declined.
    DeclinesInside,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stand {
    Awaiting,
    Approved,
    Captured,
    Voided,
}

#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) id: ProviderOrderId,
    pub(super) reference: String,
    pub(super) invoice: String,
    pub(super) amount: Money,
    pub(super) stand: Stand,
    pub(super) made_at: Millis,
    pub(super) mood: Mood,
    /// The request id of the capture that is being made, and until when it is.
    busy: Option<(String, Millis)>,
    captures: Vec<usize>,
}

/// Money taken.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) id: CaptureId,
    pub(super) payment: ProviderOrderId,
    pub(super) reference: String,
    pub(super) status: CaptureStatus,
    pub(super) amount: Money,
    pub(super) refunded: i64,
    pub(super) at: Millis,
    /// Made by PayPal besides the one that was asked for.
    pub(super) unasked: bool,
}

#[derive(Debug, Clone)]
struct Returned {
    id: ProviderRefundId,
    capture: usize,
    amount: Money,
    status: RefundStatus,
}

impl Taken {
    /// Gives a part of it back, or takes that back; what PayPal tells of it.
    fn give_back(&mut self, amount: i64) -> Hint {
        self.refunded += amount;
        self.status = match self.refunded {
            0 => CaptureStatus::Completed,
            all if all == self.amount.amount => CaptureStatus::Refunded,
            _ => CaptureStatus::PartiallyRefunded,
        };
        Hint::Refund {
            capture: self.id.clone(),
            refund: None,
            total_refunded: Some(Money::new(self.refunded, self.amount.currency)),
        }
    }
}

/// PayPal.
#[derive(Debug, Default)]
pub(super) struct PayPalModel {
    pub(super) payments: Vec<Payment>,
    pub(super) captures: Vec<Taken>,
    refunds: Vec<Returned>,
    /// What was made under a request id, and when.
    created: BTreeMap<String, (usize, Millis)>,
    returned: BTreeMap<String, usize>,
}

fn refused(status: u16, issue: &str) -> GatewayError {
    GatewayError::Refused {
        status,
        issue: issue.to_owned(),
        debug_id: String::new(),
    }
}

fn lost(lost: Lost) -> GatewayError {
    match lost {
        Lost::Unsent => GatewayError::Unavailable {
            reason: "simulated".to_owned(),
            retry_after: std::time::Duration::from_secs(1),
        },
        Lost::Unknown => GatewayError::Unknown("simulated".to_owned()),
    }
}

impl PayPalModel {
    fn place(&self, id: &ProviderOrderId) -> Option<usize> {
        self.payments.iter().position(|payment| payment.id == *id)
    }

    fn capture_place(&self, id: &CaptureId) -> Option<usize> {
        self.captures.iter().position(|taken| taken.id == *id)
    }

    fn shown(&self, place: usize) -> ProviderOrder {
        let payment = &self.payments[place];
        let captures = payment.captures.iter().map(|place| self.capture(*place));
        ProviderOrder {
            id: payment.id.clone(),
            status: match payment.stand {
                Stand::Awaiting => ProviderOrderStatus::AwaitingApproval,
                Stand::Approved => ProviderOrderStatus::Approved,
                Stand::Captured => ProviderOrderStatus::Completed,
                Stand::Voided => ProviderOrderStatus::Voided,
            },
            approve_url: Some(String::new()),
            reference: Some(payment.reference.clone()),
            captures: captures.collect(),
            refunds: Vec::new(),
        }
    }

    fn capture(&self, place: usize) -> Capture {
        let taken = &self.captures[place];
        Capture {
            id: taken.id.clone(),
            status: taken.status.clone(),
            amount: Some(taken.amount),
            reference: Some(taken.reference.clone()),
            invoice: None,
            payee: None,
            order: Some(taken.payment.clone()),
        }
    }

    fn refund(&self, place: usize) -> ProviderRefund {
        let returned = &self.refunds[place];
        let taken = &self.captures[returned.capture];
        ProviderRefund {
            id: returned.id.clone(),
            status: returned.status.clone(),
            amount: Some(returned.amount),
            capture: Some(taken.id.clone()),
            total_refunded: Some(Money::new(taken.refunded, taken.amount.currency)),
        }
    }

    /// What has been taken and not given back for each reference.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Taken> {
        self.captures.iter().filter(|taken| {
            let paid = match taken.status {
                CaptureStatus::Completed
                | CaptureStatus::PartiallyRefunded
                | CaptureStatus::Refunded => true,
                CaptureStatus::Pending(_) | CaptureStatus::Declined | CaptureStatus::Other(_) => {
                    false
                }
            };
            paid && taken.refunded < taken.amount.amount
        })
    }
}
