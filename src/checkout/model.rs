//! A checkout as a persisted state machine: what it is, and what comes next. No I/O.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    returns::Return,
    totals::{ChosenShipping, Totals},
};
use crate::{
    address::PostalAddress,
    catalog::{HoldLine, Holder, Image, Options},
    clock::Timestamp,
    discounts::{AppliedDiscount, Claim},
    faults::{Plant, planted},
    id::{CartId, CheckoutId, LineId, OrderId, ProductId, UserId, VariantId},
    money::Money,
    payments::{Capture, CaptureId, CaptureStatus, ProviderOrderId, RequestKey},
};

/// Where a checkout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckoutStatus {
    /// Stock is being held and the provider asked; shown to clients as `AwaitingApproval`.
    Preparing,
    /// The buyer may approve at the provider.
    AwaitingApproval,
    /// Money is being taken: a capture may have been sent, and the provider is asked before all else.
    Capturing,
    /// Paid, or taken on by the provider; there is an order.
    Completed,
    /// The buyer gave up, or began anew.
    Cancelled,
    /// The buyer let the reservation lapse.
    Expired,
    /// It cannot become an order.
    Failed,
}

impl CheckoutStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Preparing,
        Self::AwaitingApproval,
        Self::Capturing,
        Self::Completed,
        Self::Cancelled,
        Self::Expired,
        Self::Failed,
    ];

    /// The status as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "Preparing",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Capturing => "Capturing",
            Self::Completed => "Completed",
            Self::Cancelled => "Cancelled",
            Self::Expired => "Expired",
            Self::Failed => "Failed",
        }
    }

    /// Whether nothing but tidying up can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Preparing | Self::AwaitingApproval | Self::Capturing => false,
            Self::Completed | Self::Cancelled | Self::Expired | Self::Failed => true,
        }
    }

    /// Whether a checkout may go from here to `to`.
    #[must_use]
    pub const fn may_become(self, to: Self) -> bool {
        match self {
            Self::Preparing => {
                matches!(
                    to,
                    Self::AwaitingApproval | Self::Cancelled | Self::Expired | Self::Failed
                )
            }
            Self::AwaitingApproval => {
                matches!(
                    to,
                    Self::Capturing | Self::Cancelled | Self::Expired | Self::Failed
                )
            }
            // Back to the buyer when the funding was declined: the same payment can be approved anew.
            Self::Capturing => {
                matches!(to, Self::AwaitingApproval | Self::Completed | Self::Failed)
            }
            Self::Completed | Self::Cancelled | Self::Expired | Self::Failed => false,
        }
    }
}

/// A line as frozen at checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckoutLine {
    /// The cart's line.
    pub line: LineId,
    /// The product.
    pub product: ProductId,
    /// The variant.
    pub variant: VariantId,
    /// SKU.
    pub sku: String,
    /// Title.
    pub title: String,
    /// Chosen options.
    pub options: Options,
    /// Picture.
    pub image: Option<Image>,
    /// Price of one.
    pub unit_price: Money,
    /// Units.
    pub quantity: u32,
    /// Price of all.
    pub line_total: Money,
}

/// Why a checkout ended without an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The buyer cancelled.
    Cancelled,
    /// A discount code could not be used any more.
    DiscountRefused,
    /// The buyer began another checkout of the same cart.
    Superseded,
    /// The cart was another by the time its stock was to be held.
    CartChanged,
    /// The reservation lapsed.
    Expired,
    /// Not enough in stock.
    InsufficientStock,
    /// The provider refused the payment.
    PaymentRefused,
    /// The buyer's approval lapsed or was withdrawn.
    ApprovalLapsed,
    /// The provider took another amount than agreed; it is refunded.
    AmountMismatch,
}

/// Money taken for this checkout, as the provider last reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureRecord {
    /// The provider's id.
    pub id: CaptureId,
    /// How much; `None` where the provider's figure could not be read.
    pub amount: Option<Money>,
    /// How it stood.
    pub standing: Standing,
}

/// A capture's standing, as far as it decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Paid.
    Paid,
    /// Taken on, not yet paid.
    Pending,
    /// Not paid.
    Declined,
}

impl CaptureRecord {
    /// What is kept of the provider's capture.
    #[must_use]
    pub fn of(capture: &Capture) -> Self {
        let standing = match capture.status {
            CaptureStatus::Completed
            | CaptureStatus::PartiallyRefunded
            | CaptureStatus::Refunded => Standing::Paid,
            CaptureStatus::Pending(_) if planted(Plant::PendingPaid) => Standing::Paid,
            CaptureStatus::Pending(_) | CaptureStatus::Other(_) => Standing::Pending,
            CaptureStatus::Declined => Standing::Declined,
        };
        Self {
            id: capture.id.clone(),
            amount: capture.amount,
            standing,
        }
    }
}

/// One attempt to buy a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: CheckoutId,
    /// Who buys.
    pub user: UserId,
    /// Which cart.
    pub cart: CartId,
    /// From where: a keyed digest of the client's network, enough to count and not to know.
    #[serde(default)]
    pub client: String,
    /// The number that the order will have; the provider's invoice.
    pub number: String,
    /// Where it stands.
    pub status: CheckoutStatus,
    /// The frozen lines.
    pub lines: Vec<CheckoutLine>,
    /// The discount codes that took something off, as frozen.
    #[serde(default)]
    pub discounts: Vec<AppliedDiscount>,
    /// The frozen totals.
    pub totals: Totals,
    /// The chosen shipping.
    pub shipping: ChosenShipping,
    /// Where it goes.
    pub shipping_address: PostalAddress,
    /// Where the invoice goes, when elsewhere.
    pub billing_address: Option<PostalAddress>,
    /// Where the buyer comes back to after approval.
    pub return_url: String,
    /// Where the buyer comes back to without it.
    pub cancel_url: String,
    /// The payment at the provider.
    pub provider_order: Option<ProviderOrderId>,
    /// Where the buyer approves it.
    pub approve_url: Option<String>,
    /// Whether a capture was ever sent and may be made yet, even after the end: then the provider is asked
    /// once more.
    #[serde(default)]
    pub capture_open: bool,
    /// The money taken.
    pub capture: Option<CaptureRecord>,
    /// Why it ended without an order.
    pub reason: Option<EndReason>,
    /// Captures that must go back: the one no order can be made of, and what was taken besides it.
    #[serde(default)]
    pub returns: Vec<Return>,
    /// Whether stock may be held and uses of discount codes claimed for it still.
    pub stock_open: bool,
    /// The order.
    pub order: Option<OrderId>,
    /// When the reservation lapses, by the database's clock.
    pub expires_at: Timestamp,
    /// Counts changes.
    pub version: i64,
    /// When it began, by the database's clock.
    pub created_at: Timestamp,
    /// When it last changed, by the database's clock.
    pub updated_at: Timestamp,
}

/// What `settle` does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nobody has been asked for the money yet: wait for `place` or expiry.
    Wait,
    /// Ask the provider how the payment stands; where it is approved, keep stock and discounts from lapsing
    /// and write down that a capture will be sent.
    Ask(ProviderOrderId),
    /// Ask the provider for what was captured; capture where it was not.
    Capture(ProviderOrderId),
    /// Make the order of the capture.
    Book(ProviderOrderId, CaptureRecord),
    /// Turn held units into sold ones, claimed discounts into used ones.
    Sell,
    /// Give held units and claimed discounts back.
    Release,
    /// Give money back.
    Refund(Return),
    /// Ask the provider for a capture that was on its way at the end.
    LookBack(ProviderOrderId),
    /// Nothing is left to do.
    Done,
}

impl Checkout {
    /// What comes next, decided by the persisted state alone.
    #[must_use]
    pub fn next_step(&self) -> Step {
        match self.status {
            CheckoutStatus::Preparing => Step::Wait,
            CheckoutStatus::AwaitingApproval => {
                self.provider_order.clone().map_or(Step::Wait, Step::Ask)
            }
            CheckoutStatus::Capturing => match (&self.capture, &self.provider_order) {
                (Some(capture), Some(order)) => Step::Book(order.clone(), capture.clone()),
                (None, Some(order)) => Step::Capture(order.clone()),
                (_, None) => Step::Wait,
            },
            CheckoutStatus::Completed if self.stock_open => Step::Sell,
            CheckoutStatus::Completed => self.return_step().unwrap_or(Step::Done),
            CheckoutStatus::Cancelled | CheckoutStatus::Expired | CheckoutStatus::Failed => {
                match (&self.capture, &self.provider_order) {
                    _ if self.stock_open => Step::Release,
                    (None, Some(order)) if self.capture_open => Step::LookBack(order.clone()),
                    _ => self.return_step().unwrap_or(Step::Done),
                }
            }
        }
    }

    fn return_step(&self) -> Option<Step> {
        self.due_return().cloned().map(Step::Refund)
    }

    /// The key under which `step` of this checkout is asked of the provider.
    #[must_use]
    pub fn request_key(&self, step: &str) -> RequestKey {
        RequestKey::new(self.id, step)
    }

    /// Units wanted of each variant: two lines of one variant count together.
    #[must_use]
    pub fn holds(&self) -> Vec<HoldLine> {
        let mut holds: Vec<HoldLine> = Vec::new();
        for line in &self.lines {
            match holds.iter_mut().find(|hold| hold.variant == line.variant) {
                Some(hold) => hold.quantity = hold.quantity.saturating_add(line.quantity),
                None => holds.push(HoldLine {
                    variant: line.variant,
                    quantity: line.quantity,
                }),
            }
        }
        holds
    }

    /// Who holds the stock.
    #[must_use]
    pub fn holder(&self) -> Holder {
        Holder {
            checkout: self.id,
            user: self.user,
            client: self.client.clone(),
        }
    }

    /// The uses of discount codes that it claims.
    #[must_use]
    pub fn claim(&self) -> Claim {
        Claim {
            checkout: self.id,
            user: self.user,
            codes: self.discounts.iter().map(|one| one.code.clone()).collect(),
        }
    }

    /// The variants wanted, each once.
    #[must_use]
    pub fn variants(&self) -> Vec<VariantId> {
        self.holds().into_iter().map(|hold| hold.variant).collect()
    }

    /// Whether `capture` is exactly what the buyer agreed to pay.
    #[must_use]
    pub fn is_paid_by(&self, capture: &CaptureRecord) -> bool {
        capture.amount == Some(self.totals.total) || planted(Plant::AmountUnchecked)
    }
}

/// What a buyer saw when asking to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCart {
    /// The cart's version.
    pub version: u64,
    /// Its lines.
    pub items: Vec<(LineId, u32)>,
    /// Its total.
    pub total: Money,
}

impl SeenCart {
    /// Whether the buyer saw this very cart.
    #[must_use]
    pub fn matches(&self, version: u64, items: &[(LineId, u32)], total: Money) -> bool {
        let sorted = |items: &[(LineId, u32)]| {
            let mut items = items.to_vec();
            items.sort_unstable();
            items
        };
        let same_total = self.total == total || planted(Plant::TotalBelieved);
        self.version == version && same_total && sorted(&self.items) == sorted(items)
    }
}

/// Crockford's base 32: no letter that is read as a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Makes an order's number of its checkout's id: 60 bits of its digest, short enough to be read over the
/// phone. A unique index guards against the one collision in a billion.
#[must_use]
pub(super) fn order_number(id: CheckoutId) -> String {
    let digest = Sha256::digest(id.object_id().bytes());
    let mut text = String::with_capacity(14);
    for (place, byte) in digest.iter().take(12).enumerate() {
        if place % 4 == 0 && place > 0 {
            text.push('-');
        }
        let digit = usize::from(byte % 32);
        text.push(char::from(ALPHABET.get(digit).copied().unwrap_or(b'0')));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_final_status_leads_nowhere() {
        for from in CheckoutStatus::ALL {
            let leads = CheckoutStatus::ALL
                .into_iter()
                .any(|to| from.may_become(to));
            assert_eq!(leads, !from.is_final(), "{from:?}");
        }
    }

    #[test]
    fn money_that_is_being_taken_is_never_cancelled_or_forgotten() {
        assert!(!CheckoutStatus::Capturing.may_become(CheckoutStatus::Cancelled));
        assert!(!CheckoutStatus::Capturing.may_become(CheckoutStatus::Expired));
    }

    #[test]
    fn numbers_are_unique_and_legible() {
        let numbers: HashSet<String> = (0..10_000)
            .map(|_| order_number(CheckoutId::new()))
            .collect();
        assert_eq!(numbers.len(), 10_000);
        assert!(
            numbers
                .iter()
                .all(|number| number.len() == 14 && !number.contains(['I', 'L', 'O', 'U']))
        );
    }

    #[test]
    fn a_buyer_who_saw_another_cart_is_told() {
        let (a, b) = (LineId::new(), LineId::new());
        let total = Money::new(5, crate::money::Currency::USD);
        let seen = SeenCart {
            version: 3,
            items: vec![(a, 1), (b, 2)],
            total,
        };
        assert!(seen.matches(3, &[(b, 2), (a, 1)], total));
        assert!(!seen.matches(4, &[(a, 1), (b, 2)], total));
        assert!(!seen.matches(3, &[(a, 1), (b, 3)], total));
        assert!(!seen.matches(3, &[(a, 1)], total));
        assert!(!seen.matches(3, &[(a, 1), (b, 2)], Money::new(6, total.currency)));
    }
}
