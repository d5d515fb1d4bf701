//! What a provider's message tells: a hint to look, never a truth to act upon.
//!
//! Messages come late, twice, out of order, or not at all. So a hint names what to read from the
//! provider; what is then done follows from what was read, and doing it again changes nothing.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{CaptureId, GatewayError, ProviderOrderId, ProviderRefundId};
use crate::{clock::Timestamp, id::CheckoutId, money::Money, mongo::StoreError};

/// Something has happened at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A payment has moved: approved or completed.
    Order {
        /// The payment.
        order: ProviderOrderId,
        /// Our reference, where the message carries one.
        checkout: Option<CheckoutId>,
    },
    /// A capture has moved: completed, pending, denied. Its state is to be read.
    Capture {
        /// The capture.
        capture: CaptureId,
        /// Its payment, where the message says so.
        order: Option<ProviderOrderId>,
        /// Our reference, where the message carries one.
        checkout: Option<CheckoutId>,
        /// How much the message says was paid, where it must be what the shop asked for: a message that
        /// says otherwise is not followed.
        claimed: Option<Money>,
    },
    /// Money was given back.
    Refund {
        /// The capture it was taken from.
        capture: CaptureId,
        /// The refund.
        refund: Option<ProviderRefundId>,
        /// Everything given back of that capture by then, where the message says so: to be taken as it
        /// is, never added up over messages.
        total_refunded: Option<Money>,
    },
    /// Money was taken back from us (a chargeback); the capture's own state need not show it.
    Reversal {
        /// The capture it was taken from.
        capture: CaptureId,
        /// The provider's id of the reversal.
        refund: Option<ProviderRefundId>,
        /// How much, where the message says so: a part of the capture may be taken back.
        amount: Option<Money>,
    },
    /// Money that was taken back has come again (the shop has won the dispute). The capture's state is to be
    /// read.
    ReversalCanceled {
        /// The capture it was taken from.
        capture: CaptureId,
    },
    /// The buyer's approval has lapsed without a capture: the checkout is over, its stock is free.
    ApprovalReversed {
        /// The payment.
        order: ProviderOrderId,
        /// Our reference, where the message carries one.
        checkout: Option<CheckoutId>,
    },
    /// A buyer disputes payments, or a dispute has moved: for the staff to see.
    Dispute(Dispute),
}

/// A dispute, as the message tells it; words are the provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The provider's id.
    pub id: String,
    /// The disputed captures; at least one.
    pub captures: Vec<CaptureId>,
    /// Why, such as `MERCHANDISE_OR_SERVICE_NOT_RECEIVED`.
    pub reason: Option<String>,
    /// How it stands, such as `OPEN`.
    pub status: Option<String>,
    /// How it ended, once it did.
    pub outcome: Option<String>,
    /// How much is disputed.
    pub amount: Option<Money>,
    /// When it came to stand so: messages come in any order.
    pub updated_at: Option<Timestamp>,
}

/// A hint could not be followed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HintError {
    /// The provider or the database cannot be reached: the hint is tried again until it can, and the
    /// tries do not count against it.
    #[error("not now: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// When to try again, where that is known.
        retry_after: Option<Duration>,
    },
    /// It contradicts the shop's own record: it is put down as refused.
    #[error("refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// Following it failed: it is tried again a dozen times, then put aside for the staff.
    #[error("failed: {reason}")]
    Failed {
        /// Why.
        reason: String,
    },
}

impl From<GatewayError> for HintError {
    fn from(error: GatewayError) -> Self {
        let reason = error.to_string();
        match error {
            GatewayError::Unavailable { retry_after, .. } => Self::Unavailable {
                reason,
                retry_after: Some(retry_after),
            },
            GatewayError::Unknown(_) => Self::Unavailable {
                reason,
                retry_after: None,
            },
            GatewayError::Refused { .. } | GatewayError::NotFound => Self::Failed { reason },
        }
    }
}

impl From<StoreError> for HintError {
    fn from(error: StoreError) -> Self {
        let reason = error.to_string();
        if error.outcome_unknown() {
            Self::Unavailable {
                reason,
                retry_after: None,
            }
        } else {
            Self::Failed { reason }
        }
    }
}

/// Follows hints.
pub trait HintSink: Send + Sync {
    /// Looks at the provider and does what follows from it, before this returns `Ok`. The same hint may
    /// come again, also at the same time on another node. A hint about something that is not the shop's
    /// is `Ok`.
    fn follow<'a>(&'a self, hint: &'a Hint) -> BoxFuture<'a, Result<(), HintError>>;
}
