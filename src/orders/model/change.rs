//! Changes of an order: a status given by staff, and what the provider says about the payment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    By, HistoryEntry, Order, OrderPayment, OrderStatus, PaymentStatus, Refund, RefundState,
    Refusal, Tracking,
};
use crate::{
    clock::Timestamp,
    faults::{Plant, planted},
    id::{RefundId, VariantId},
    money::{Money, MoneyError},
    payments::ProviderRefundId,
};

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum EventKind {
    /// The order was made.
    #[serde(rename = "order.created")]
    Created,
    /// It got another status.
    #[serde(rename = "order.status_changed")]
    StatusChanged,
    /// Its money moved, or is about to; the status stayed.
    #[serde(rename = "order.payment_changed")]
    PaymentChanged,
}

impl EventKind {
    /// The type as clients see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "order.created",
            Self::StatusChanged => "order.status_changed",
            Self::PaymentChanged => "order.payment_changed",
        }
    }
}

/// A refund, as an event tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RefundNews {
    /// Its id.
    pub id: RefundId,
    /// How it stands.
    pub status: RefundState,
    /// How much.
    pub amount: Money,
}

impl From<&Refund> for RefundNews {
    fn from(refund: &Refund) -> Self {
        Self {
            id: refund.id,
            status: refund.state,
            amount: refund.amount,
        }
    }
}

/// What an event says besides the status; only what changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventData {
    /// How the payment stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentStatus>,
    /// What was paid; with `order.created`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
    /// What has been given back so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded: Option<Money>,
    /// The refund that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundNews>,
    /// The parcel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
    /// What staff said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Money that the buyer's bank or the provider has taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reversal {
    /// The provider's id of it.
    pub provider: Option<ProviderRefundId>,
    /// How much, where the provider says so.
    pub amount: Option<Money>,
}

/// The event of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// What happened.
    pub kind: EventKind,
    /// The status before, where it changed.
    pub previous_status: Option<OrderStatus>,
    /// More about it.
    pub data: EventData,
}

/// Goods that go back into stock, once for each key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restock {
    /// Names the return at the stock.
    pub key: String,
    /// Units by variant.
    pub units: BTreeMap<VariantId, u32>,
}

impl Restock {
    /// The return of `units`; `None` where there are none.
    pub(super) fn of(key: String, units: BTreeMap<VariantId, u32>) -> Option<Self> {
        (!units.is_empty()).then_some(Self { key, units })
    }
}

/// One change of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The order as it will be, one version on.
    pub order: Order,
    /// The event that tells of it.
    pub event: Happening,
    /// What goes back into stock.
    pub restock: Option<Restock>,
}

/// A status that staff want to give an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The status.
    pub to: OrderStatus,
    /// What they say about it.
    pub note: Option<String>,
    /// The parcel.
    pub tracking: Option<Tracking>,
    /// Who.
    pub by: By,
    /// When.
    pub at: Timestamp,
    /// The id of the refund, should one be due.
    pub refund: RefundId,
}

impl Order {
    /// Gives the order another status. `Cancelled` and `Refunded` book a refund of all that is left;
    /// `Cancelled` sends the goods back into stock.
    ///
    /// # Errors
    /// Where the status cannot follow, or tracking does not go with it.
    pub fn transition(&self, step: &Step) -> Result<Change, Refusal> {
        let allowed = self.allowed();
        if !allowed.contains(&step.to) && !planted(Plant::TransitionUnchecked) {
            return Err(Refusal::InvalidTransition {
                from: self.status,
                to: step.to,
                allowed,
            });
        }
        if step.tracking.is_some() && !step.to.takes_tracking() {
            return Err(Refusal::TrackingTooEarly);
        }
        let mut next = self.next_version(step.at);
        let mut data = EventData {
            note: step.note.clone(),
            tracking: step.tracking.clone(),
            ..EventData::default()
        };
        if let Some(tracking) = &step.tracking {
            next.tracking = Some(tracking.clone());
        }
        let ends = match step.to {
            OrderStatus::Cancelled | OrderStatus::Refunded => true,
            OrderStatus::Pending
            | OrderStatus::Processing
            | OrderStatus::Shipped
            | OrderStatus::Delivered => false,
        };
        let left = self.left()?;
        if ends && self.payment.status.holds_money() && left.amount > 0 {
            let refund = self.rest_refund(left, step);
            data.refund = Some(RefundNews::from(&refund));
            next.refunds.push(refund);
        }
        next.enter(step.to, step.at, step.by, step.note.clone());
        Ok(self.moved(next, data))
    }

    /// The refund of `left` that goes with a status.
    fn rest_refund(&self, left: Money, step: &Step) -> Refund {
        Refund {
            id: step.refund,
            amount: left,
            reason: step
                .note
                .clone()
                .or_else(|| Some(format!("order {}", self.number))),
            lines: Vec::new(),
            state: RefundState::Pending,
            provider: None,
            failure: None,
            by: step.by,
            created_at: step.at,
        }
    }

    /// Books that the pending payment was made; `None` where that changes nothing.
    #[must_use]
    pub fn confirm_payment(&self, at: Timestamp) -> Option<Change> {
        if self.payment.status != PaymentStatus::Pending {
            return None;
        }
        let mut next = self.next_version(at);
        next.payment.status = PaymentStatus::Completed;
        let data = next.payment_data();
        Some(Self::paid(next, data))
    }

    /// Books that the pending payment will never be made, and cancels the order; `None` where that
    /// changes nothing.
    #[must_use]
    pub fn deny_payment(&self, at: Timestamp) -> Option<Change> {
        if self.payment.status != PaymentStatus::Pending {
            return None;
        }
        let mut next = self.next_version(at);
        next.payment.status = PaymentStatus::Denied;
        let data = next.payment_data();
        next.enter(OrderStatus::Cancelled, at, By::Payment, None);
        Some(self.moved(next, data))
    }

    /// Books what the provider has given back of the capture in all, wherever that was done; `None`
    /// where that is known. An order whose money is all gone ends.
    ///
    /// # Errors
    /// When the amounts do not fit together.
    pub fn provider_refunded(
        &self,
        total: Money,
        at: Timestamp,
    ) -> Result<Option<Change>, MoneyError> {
        let mut next = self.next_version(at);
        next.reckon(Some(total))?;
        if next.payment == self.payment {
            return Ok(None);
        }
        let data = next.payment_data();
        Ok(Some(self.settled(next, at, data)))
    }

    /// Books that money was taken back by the buyer's bank or the provider; `None` where that is known, also
    /// where it has come again since.
    ///
    /// # Errors
    /// When the amounts do not fit together.
    pub fn reverse_payment(
        &self,
        reversal: &Reversal,
        at: Timestamp,
    ) -> Result<Option<Change>, MoneyError> {
        let known = match &reversal.provider {
            Some(provider) => self.payment.reversals.contains(provider),
            None => self.payment.status == PaymentStatus::Reversed,
        };
        if known || self.payment.status == PaymentStatus::Denied {
            return Ok(None);
        }
        let mut next = self.next_version(at);
        next.payment.reverse(reversal)?;
        next.payment.status = PaymentStatus::Reversed;
        let data = next.payment_data();
        Ok(Some(Self::paid(next, data)))
    }

    /// Books that what was taken back has come again: the payment stands as its refunds say, and so does the
    /// order where all the money had gone back. `None` where nothing is taken back.
    #[must_use]
    pub fn restore_payment(&self, at: Timestamp) -> Option<Change> {
        match self.payment.status {
            PaymentStatus::Reversed => {
                let mut next = self.next_version(at);
                next.payment.reversed = None;
                next.payment.status = next.payment.status_by_refunds();
                let data = next.payment_data();
                Some(self.settled(next, at, data))
            }
            PaymentStatus::Pending
            | PaymentStatus::Completed
            | PaymentStatus::Denied
            | PaymentStatus::PartiallyRefunded
            | PaymentStatus::Refunded => None,
        }
    }

    pub(super) fn next_version(&self, at: Timestamp) -> Self {
        Self {
            version: self.version.saturating_add(1),
            updated_at: at,
            ..self.clone()
        }
    }

    pub(super) fn payment_data(&self) -> EventData {
        EventData {
            payment: Some(self.payment.status),
            refunded: Some(self.payment.refunded),
            ..EventData::default()
        }
    }

    fn enter(&mut self, status: OrderStatus, at: Timestamp, by: By, note: Option<String>) {
        self.status = status;
        self.history.push(HistoryEntry {
            status,
            at,
            by,
            note,
        });
    }

    /// Works out what was given back, once the provider has named `told` as its total.
    ///
    /// That total counts refunds of ours as soon as the provider has taken them on, which may be before or
    /// after we hear of them. So only what exceeds all of ours that have not failed was certainly given back
    /// elsewhere; it is worked out again whenever one of ours ends. Nothing is counted twice, and when all of
    /// ours have ended the sum is the provider's.
    ///
    /// # Errors
    /// When the amounts do not fit together.
    pub(super) fn reckon(&mut self, told: Option<Money>) -> Result<(), MoneyError> {
        let captured = self.payment.captured;
        let none = Money::zero(captured.currency);
        let known = self.payment.told.unwrap_or(none);
        let more = told.unwrap_or(none).minus(known)?;
        let most = known.amount.saturating_add(more.amount.max(0));
        let most = Money::new(most.min(captured.amount), captured.currency);
        let own = self.refunded_in(RefundState::Completed)?;
        let open = self.refunded_in(RefundState::Pending)?;
        let certain = most.minus(own)?.minus(open)?.amount.max(0);
        let elsewhere = self.payment.elsewhere.unwrap_or(none);
        let elsewhere = Money::new(certain.max(elsewhere.amount), captured.currency);
        let refunded = own.plus(elsewhere)?;
        self.payment.told = (most.amount > 0).then_some(most);
        self.payment.elsewhere = (elsewhere.amount > 0).then_some(elsewhere);
        self.payment.raise_refunded(refunded.amount);
        Ok(())
    }

    /// `next` after money went back: an order whose money is all gone is cancelled where it was not
    /// sent, and refunded where it was.
    pub(super) fn settled(&self, mut next: Self, at: Timestamp, data: EventData) -> Change {
        let ends_as = match (next.payment.status, next.status) {
            (PaymentStatus::Refunded, OrderStatus::Pending | OrderStatus::Processing) => {
                Some(OrderStatus::Cancelled)
            }
            (PaymentStatus::Refunded, OrderStatus::Shipped | OrderStatus::Delivered) => {
                Some(OrderStatus::Refunded)
            }
            (PaymentStatus::Refunded, OrderStatus::Cancelled | OrderStatus::Refunded)
            | (
                PaymentStatus::Pending
                | PaymentStatus::Completed
                | PaymentStatus::Denied
                | PaymentStatus::PartiallyRefunded
                | PaymentStatus::Reversed,
                _,
            ) => None,
        };
        match ends_as {
            Some(status) => {
                next.enter(status, at, By::Payment, None);
                self.moved(next, data)
            }
            None => Self::paid(next, data),
        }
    }

    /// A change of status; one into `Cancelled` sends the goods back.
    fn moved(&self, next: Self, data: EventData) -> Change {
        let restock = match next.status {
            OrderStatus::Cancelled => {
                Restock::of(format!("order {} cancelled", self.id), self.unreturned())
            }
            OrderStatus::Pending
            | OrderStatus::Processing
            | OrderStatus::Shipped
            | OrderStatus::Delivered
            | OrderStatus::Refunded => None,
        };
        Change {
            order: next,
            event: Happening {
                kind: EventKind::StatusChanged,
                previous_status: Some(self.status),
                data,
            },
            restock,
        }
    }

    /// A change of the money only.
    pub(super) fn paid(next: Self, data: EventData) -> Change {
        Change {
            order: next,
            event: Happening {
                kind: EventKind::PaymentChanged,
                previous_status: None,
                data,
            },
            restock: None,
        }
    }
}

impl OrderPayment {
    /// Takes `amount` off what the provider has named: a refund that it had counted has failed.
    pub(super) fn untell(&mut self, amount: i64) {
        if let Some(told) = &mut self.told {
            told.amount = told.amount.saturating_sub(amount).max(0);
        }
    }

    /// Raises what was given back to `amount` minor units, at most what was captured; the status follows.
    fn raise_refunded(&mut self, amount: i64) {
        let raised = amount.clamp(self.refunded.amount, self.captured.amount);
        if raised == self.refunded.amount {
            return;
        }
        self.refunded.amount = raised;
        self.status = match self.status {
            PaymentStatus::Denied => PaymentStatus::Denied,
            PaymentStatus::Reversed => PaymentStatus::Reversed,
            PaymentStatus::Pending
            | PaymentStatus::Completed
            | PaymentStatus::PartiallyRefunded
            | PaymentStatus::Refunded => self.status_by_refunds(),
        };
    }

    /// How a payment that was made stands, by what was given back of it.
    fn status_by_refunds(&self) -> PaymentStatus {
        match self.refunded.amount {
            ..=0 => PaymentStatus::Completed,
            all if all >= self.captured.amount => PaymentStatus::Refunded,
            _part => PaymentStatus::PartiallyRefunded,
        }
    }

    /// Adds `reversal` to what was taken back: at most what the shop had left. One that does not say how much
    /// took all of that.
    fn reverse(&mut self, reversal: &Reversal) -> Result<(), MoneyError> {
        let had = self.captured.minus(self.refunded)?;
        let before = self.reversed.unwrap_or(Money::zero(had.currency));
        let sum = match reversal.amount {
            Some(amount) => before.plus(amount)?,
            None => had,
        };
        self.reversed = Some(Money::new(sum.amount.min(had.amount), had.currency));
        self.reversals.extend(reversal.provider.clone());
        Ok(())
    }
}
