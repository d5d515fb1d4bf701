//! What captures, refunds and disputes are.

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;

use crate::{money::Amount, problem::Problem};

/// `capture_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CaptureStatus {
    /// The money is there.
    Completed,
    /// It may come.
    Pending,
    /// It will not come.
    Declined,
    /// It will not come, for a reason of PayPal's own.
    Failed,
    /// Part of it went back.
    PartiallyRefunded,
    /// All of it went back.
    Refunded,
}

impl CaptureStatus {
    /// The word on the wire.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Completed => "COMPLETED",
            Self::Pending => "PENDING",
            Self::Declined => "DECLINED",
            Self::Failed => "FAILED",
            Self::PartiallyRefunded => "PARTIALLY_REFUNDED",
            Self::Refunded => "REFUNDED",
        }
    }

    /// Whether money came in, some of which may be left.
    pub(crate) const fn paid(self) -> bool {
        match self {
            Self::Completed | Self::PartiallyRefunded | Self::Refunded => true,
            Self::Pending | Self::Declined | Self::Failed => false,
        }
    }
}

/// A captured payment.
#[derive(Debug, Clone)]
pub(crate) struct Capture {
    /// 17 characters.
    pub(crate) id: String,
    /// The order it belongs to.
    pub(crate) order_id: String,
    /// How much.
    pub(crate) amount: Amount,
    /// Where it stands.
    pub(crate) status: CaptureStatus,
    /// Why it is pending or declined.
    pub(crate) reason: Option<String>,
    /// The merchant's own id.
    pub(crate) custom_id: Option<String>,
    /// The merchant's invoice number.
    pub(crate) invoice_id: Option<String>,
    /// The `PayPal-Request-Id` that made it.
    pub(crate) request_id: Option<String>,
    /// Minor units that went back, by refund or reversal.
    pub(crate) refunded: i128,
    /// Its refunds, oldest first.
    pub(crate) refunds: Vec<String>,
    /// Whether a dispute about it is open.
    pub(crate) disputed: bool,
    /// When it was made.
    pub(crate) created: OffsetDateTime,
    /// When it last changed.
    pub(crate) updated: OffsetDateTime,
}

impl Capture {
    /// What has not gone back yet.
    pub(crate) const fn left(&self) -> Amount {
        self.amount.of(self.amount.minor - self.refunded)
    }

    /// Books minor units that go back, or come again when negative, and sets the status.
    pub(crate) fn give_back(&mut self, minor: i128, now: OffsetDateTime) {
        self.refunded += minor;
        self.updated = now;
        self.status = match self.refunded {
            0 => CaptureStatus::Completed,
            all if all >= self.amount.minor => CaptureStatus::Refunded,
            _ => CaptureStatus::PartiallyRefunded,
        };
    }
}

/// `refund_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefundStatus {
    /// The buyer has the money.
    Completed,
    /// It is under way (an eCheck).
    Pending,
    /// It did not work; the money is back with the merchant.
    Failed,
    /// It was called off; the money is back with the merchant.
    Cancelled,
}

impl RefundStatus {
    /// The word on the wire.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Completed => "COMPLETED",
            Self::Pending => "PENDING",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// Who moved the money back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The REST API.
    Api,
    /// The merchant, in PayPal's dashboard.
    Dashboard,
    /// PayPal or the buyer's bank: a chargeback.
    Reversal,
}

impl Origin {
    /// The word in the journal.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Dashboard => "dashboard",
            Self::Reversal => "reversal",
        }
    }
}

/// Money that goes back to the buyer.
#[derive(Debug, Clone)]
pub(crate) struct Refund {
    /// 17 characters.
    pub(crate) id: String,
    /// The capture it takes from.
    pub(crate) capture_id: String,
    /// How much.
    pub(crate) amount: Amount,
    /// Where it stands.
    pub(crate) status: RefundStatus,
    /// Who moved it.
    pub(crate) origin: Origin,
    /// All refunds of the capture up to and with this one, minor units.
    pub(crate) total: i128,
    /// The merchant's own id.
    pub(crate) custom_id: Option<String>,
    /// The merchant's invoice number.
    pub(crate) invoice_id: Option<String>,
    /// What the buyer is told.
    pub(crate) note: Option<String>,
    /// The `PayPal-Request-Id` that made it.
    pub(crate) request_id: Option<String>,
    /// When it was made.
    pub(crate) created: OffsetDateTime,
    /// When it last changed.
    pub(crate) updated: OffsetDateTime,
}

/// A buyer's complaint about a capture.
#[derive(Debug, Clone)]
pub(crate) struct Dispute {
    /// `PP-D-…`.
    pub(crate) id: String,
    /// The capture it is about.
    pub(crate) capture_id: String,
    /// How much is disputed.
    pub(crate) amount: Amount,
    /// Such as `MERCHANDISE_OR_SERVICE_NOT_RECEIVED`.
    pub(crate) reason: String,
    /// Such as `OPEN`, `RESOLVED`.
    pub(crate) status: String,
    /// Such as `RESOLVED_BUYER_FAVOUR`, once it is resolved.
    pub(crate) outcome: Option<String>,
    /// When it was opened.
    pub(crate) created: OffsetDateTime,
    /// When it last changed.
    pub(crate) updated: OffsetDateTime,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Payments {
    /// Captures by id.
    pub(crate) captures: HashMap<String, Capture>,
    /// Refunds by id.
    pub(crate) refunds: HashMap<String, Refund>,
    /// Disputes by id.
    pub(crate) disputes: HashMap<String, Dispute>,
    /// Invoice ids of captures that brought money or may bring it.
    pub(crate) invoices: HashSet<String>,
    /// Invoice ids of refunds.
    pub(crate) refund_invoices: HashSet<String>,
}

impl Payments {
    /// Forgets captures, their refunds and disputes; their invoice ids stay used.
    pub(crate) fn forget(&mut self, captures: &[String]) {
        for id in captures {
            let Some(gone) = self.captures.remove(id) else {
                continue;
            };
            for refund in &gone.refunds {
                self.refunds.remove(refund);
            }
        }
        let captures = &self.captures;
        self.disputes
            .retain(|_, dispute| captures.contains_key(&dispute.capture_id));
    }

    /// A capture by its id in a path.
    pub(crate) fn capture(&self, id: &str) -> Result<&Capture, Problem> {
        self.captures
            .get(id)
            .ok_or_else(|| Problem::not_found("capture_id", id))
    }

    /// A refund by its id in a path.
    pub(crate) fn refund(&self, id: &str) -> Result<&Refund, Problem> {
        self.refunds
            .get(id)
            .ok_or_else(|| Problem::not_found("refund_id", id))
    }
}
