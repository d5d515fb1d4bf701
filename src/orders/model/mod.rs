//! Orders as data and rules: no I/O, no HTTP.
//!
//! An order changes only through the functions here that answer a [`Change`]: the order as it will be,
//! one version on, the one event that tells of it, and the goods that go back into stock.

mod change;
mod dispute;
mod refund;
mod status;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use change::{Change, EventData, EventKind, Happening, RefundNews, Restock, Reversal, Step};
pub use dispute::OrderDispute;
pub use refund::{RefundItem, RefundLine, RefundOutcome, RefundWish};
pub use status::{OrderStatus, PaymentStatus, RefundState};

use crate::{
    address::PostalAddress,
    catalog::{Image, Options},
    clock::Timestamp,
    id::{CheckoutId, LineId, OrderId, ProductId, RefundId, UserId, VariantId},
    money::{Money, MoneyError},
    payments::{CaptureId, ProviderOrderId, ProviderRefundId},
};

/// Who moved an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum By {
    /// The shop itself.
    System,
    /// The payment provider.
    Payment,
    /// A member of staff.
    Staff(UserId),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Payment => f.write_str("payment"),
            Self::Staff(user) => write!(f, "staff:{user}"),
        }
    }
}

impl From<By> for String {
    fn from(by: By) -> Self {
        by.to_string()
    }
}

impl FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "system" => Ok(Self::System),
            None if text == "payment" => Ok(Self::Payment),
            Some(("staff", user)) => user
                .parse()
                .map(Self::Staff)
                .map_err(|_refused| format!("{text} names no member of staff")),
            None | Some(_) => Err(format!("{text} names nobody who moves orders")),
        }
    }
}

impl TryFrom<String> for By {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What was bought, frozen at the checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderItem {
    /// The line of the cart it was.
    pub line: LineId,
    /// The product.
    pub product: ProductId,
    /// The variant.
    pub variant: VariantId,
    /// The product's title.
    pub title: String,
    /// The variant's SKU.
    pub sku: String,
    /// The chosen options.
    pub options: Options,
    /// The product's picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Price of one.
    pub unit_price: Money,
    /// Units.
    pub quantity: u32,
    /// Unit price times quantity.
    pub line_total: Money,
}

/// The money side of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPayment {
    /// How it stands.
    pub status: PaymentStatus,
    /// The payment at the provider.
    pub provider_order: ProviderOrderId,
    /// The capture that paid the order.
    pub capture: CaptureId,
    /// What was captured.
    pub captured: Money,
    /// What has been given back so far, wherever that was done; never decreases.
    pub refunded: Money,
    /// The part of it that was given back elsewhere, at the provider's dashboard, as far as is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Money>,
    /// The most that the provider has named as given back in all; may count refunds of ours whose end is not
    /// known here yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Money>,
    /// What the buyer's bank or the provider has taken back and not given again. Absent while nothing is; of a
    /// reversed payment that an earlier release has booked, all that was not refunded is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversed: Option<Money>,
    /// The provider's ids of the reversals that were booked, those that were canceled since included: a message
    /// that comes late or twice changes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reversals: Vec<ProviderRefundId>,
}

/// Money given back, or about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its id; the provider's request key is made from it.
    pub id: RefundId,
    /// How much.
    pub amount: Money,
    /// Why, as the buyer may read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which goods it is for, where it is for goods.
    #[serde(default)]
    pub lines: Vec<RefundLine>,
    /// How it stands.
    pub state: RefundState,
    /// The provider's id, once it has given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderRefundId>,
    /// The provider's word for why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Who wanted it.
    pub by: By,
    /// When it was booked.
    pub created_at: Timestamp,
}

/// Where a parcel can be followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tracking {
    /// Who carries it.
    pub carrier: String,
    /// The carrier's number.
    pub number: String,
    /// The carrier's page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// One status that an order has had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The status.
    pub status: OrderStatus,
    /// Since when.
    pub at: Timestamp,
    /// By whom.
    pub by: By,
    /// What staff said about it; the buyer reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a checkout turns into an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// Its id.
    pub id: OrderId,
    /// Its number, for people; unique.
    pub number: String,
    /// The buyer.
    pub user: UserId,
    /// The checkout; has one order.
    pub checkout: CheckoutId,
    /// What was bought.
    pub items: Vec<OrderItem>,
    /// Σ line totals.
    pub subtotal: Money,
    /// Taken off; not negative.
    pub discount_total: Money,
    /// Shipping.
    pub shipping: Money,
    /// Tax.
    pub tax: Money,
    /// What was paid.
    pub total: Money,
    /// Where it goes.
    pub shipping_address: PostalAddress,
    /// Where the invoice goes, if elsewhere.
    pub billing_address: Option<PostalAddress>,
    /// Id of the shipping method.
    pub shipping_method: String,
    /// The money.
    pub payment: OrderPayment,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: OrderId,
    /// Its number, for people; unique.
    pub number: String,
    /// The buyer.
    pub user: UserId,
    /// The checkout it came from.
    pub checkout: CheckoutId,
    /// Where it stands; the last entry of its history.
    pub status: OrderStatus,
    /// What was bought.
    pub items: Vec<OrderItem>,
    /// Σ line totals.
    pub subtotal: Money,
    /// Taken off; not negative.
    pub discount_total: Money,
    /// Shipping.
    pub shipping: Money,
    /// Tax.
    pub tax: Money,
    /// What was paid.
    pub total: Money,
    /// Where it goes.
    pub shipping_address: PostalAddress,
    /// Where the invoice goes, if elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<PostalAddress>,
    /// Id of the shipping method.
    pub shipping_method: String,
    /// The money.
    pub payment: OrderPayment,
    /// What was given back, or is about to be, oldest first.
    #[serde(default)]
    pub refunds: Vec<Refund>,
    /// The buyer's disputes of the payment, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disputes: Vec<OrderDispute>,
    /// The parcel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
    /// Every status it has had, oldest first.
    pub history: Vec<HistoryEntry>,
    /// Counts its changes from 1; each has one event.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When its buyer was removed from it, having had the account erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_erased_at: Option<Timestamp>,
    /// From when on the books do not need it any more; set when the buyer is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after: Option<Timestamp>,
}

/// Why an order does not change as wished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The status cannot follow the present one.
    #[error("the order is {from:?} and cannot become {to:?} now")]
    InvalidTransition {
        /// The present status.
        from: OrderStatus,
        /// The wished one.
        to: OrderStatus,
        /// Those that can follow.
        allowed: Vec<OrderStatus>,
    },
    /// Tracking goes with `Shipped` or `Delivered`.
    #[error("tracking goes with Shipped or Delivered")]
    TrackingTooEarly,
    /// More than is left of the capture.
    #[error("at most {left} can be refunded")]
    RefundTooLarge {
        /// What is left: captured, less refunded, less booked.
        left: Money,
    },
    /// There is no money to give back, or none yet.
    #[error("nothing can be refunded while the payment is {0:?}")]
    RefundNotPossible(PaymentStatus),
    /// A refund is more than nothing.
    #[error("the amount must be positive")]
    AmountNotPositive,
    /// Nobody can be paid that to the cent.
    #[error("{0}")]
    NotPayable(MoneyError),
    /// A refund is in the order's currency.
    #[error("the order is paid in another currency")]
    ForeignCurrency,
    /// The place in the wish's lines, and what is wrong there.
    #[error("{problem}")]
    Line {
        /// Place in the list.
        at: usize,
        /// What is wrong.
        problem: LineProblem,
    },
    /// The amounts do not fit.
    #[error(transparent)]
    Amount(#[from] MoneyError),
}

/// What is wrong with a line of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// The order has no such line.
    #[error("the order has no such line")]
    Unknown,
    /// More than was bought and not yet refunded.
    #[error("more than was bought and not yet refunded")]
    TooMany,
    /// More than was sold and not yet taken back.
    #[error("more than was bought and not yet taken back into stock")]
    RestockedAlready,
}

impl Order {
    /// From when on the books do not need the order: the end of the `years`-th calendar year after its own (UTC).
    #[must_use]
    pub fn needed_until(&self, years: u16) -> Timestamp {
        self.created_at.end_of_year(years)
    }

    /// The first version of an order: `Pending` by the shop itself.
    #[must_use]
    pub fn create(new: &NewOrder, at: Timestamp) -> Change {
        let new = new.clone();
        let first = HistoryEntry {
            status: OrderStatus::Pending,
            at,
            by: By::System,
            note: None,
        };
        let order = Self {
            id: new.id,
            number: new.number,
            user: new.user,
            checkout: new.checkout,
            status: OrderStatus::Pending,
            items: new.items,
            subtotal: new.subtotal,
            discount_total: new.discount_total,
            shipping: new.shipping,
            tax: new.tax,
            total: new.total,
            shipping_address: new.shipping_address,
            billing_address: new.billing_address,
            shipping_method: new.shipping_method,
            payment: new.payment,
            refunds: Vec::new(),
            disputes: Vec::new(),
            tracking: None,
            history: vec![first],
            version: 1,
            created_at: at,
            updated_at: at,
            person_erased_at: None,
            delete_after: None,
        };
        let data = EventData {
            payment: Some(order.payment.status),
            total: Some(order.total),
            ..EventData::default()
        };
        Change {
            event: Happening {
                kind: EventKind::Created,
                previous_status: None,
                data,
            },
            order,
            restock: None,
        }
    }

    /// The statuses that the order may be given now, its money considered: nothing leaves the house
    /// unpaid, or once all the money is on its way back.
    #[must_use]
    pub fn allowed(&self) -> Vec<OrderStatus> {
        let paid =
            self.payment.status.holds_money() && self.left().is_ok_and(|left| left.amount > 0);
        let confirmed = match self.payment.status {
            PaymentStatus::Pending | PaymentStatus::Denied => false,
            PaymentStatus::Completed
            | PaymentStatus::PartiallyRefunded
            | PaymentStatus::Refunded
            | PaymentStatus::Reversed => true,
        };
        let may = |to: OrderStatus| match to {
            OrderStatus::Processing | OrderStatus::Shipped => paid,
            OrderStatus::Pending
            | OrderStatus::Delivered
            | OrderStatus::Cancelled
            | OrderStatus::Refunded => confirmed,
        };
        let next = self.status.next().iter().copied();
        next.filter(|to| may(*to)).collect()
    }

    /// What can still be given back: captured, less refunded, less what is booked to be; not negative,
    /// even where the provider's dashboard has overtaken what was booked.
    ///
    /// # Errors
    /// When the amounts do not fit together.
    pub fn left(&self) -> Result<Money, MoneyError> {
        let pending = self.refunded_in(RefundState::Pending)?;
        let left = self
            .payment
            .captured
            .minus(self.payment.refunded)?
            .minus(pending)?;
        Ok(Money::new(left.amount.max(0), left.currency))
    }

    /// Σ of the order's own refunds in `state`.
    fn refunded_in(&self, state: RefundState) -> Result<Money, MoneyError> {
        let amounts = self
            .refunds
            .iter()
            .filter(|refund| refund.state == state)
            .map(|refund| refund.amount);
        Money::sum(self.payment.captured.currency, amounts)
    }

    /// The refund with this id.
    #[must_use]
    pub fn refund(&self, id: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// The goods that have not been taken back into stock yet, by variant.
    fn unreturned(&self) -> BTreeMap<VariantId, u32> {
        let mut left = BTreeMap::new();
        for item in &self.items {
            let units = item.quantity.saturating_sub(self.restocked(item));
            if units > 0 {
                *left.entry(item.variant).or_default() += units;
            }
        }
        left
    }

    /// Units of an item that are back in stock: all of a cancelled order, and those that refunds put
    /// back.
    fn restocked(&self, item: &OrderItem) -> u32 {
        if self.status == OrderStatus::Cancelled {
            return item.quantity;
        }
        let lines = self.refunds.iter().flat_map(|refund| &refund.lines);
        lines
            .filter(|back| back.line == item.line && back.restock)
            .map(|back| back.quantity)
            .sum()
    }

    /// Units of a line that refunds have paid for.
    fn paid_back(&self, line: LineId) -> u32 {
        let standing = self
            .refunds
            .iter()
            .filter(|refund| refund.state != RefundState::Failed);
        standing
            .flat_map(|refund| &refund.lines)
            .filter(|back| back.line == line)
            .map(|back| back.quantity)
            .sum()
    }
}
