//! The port to the payment provider.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::{address::PostalAddress, money::Money};

macro_rules! provider_ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes an id as the provider writes it: 1 to 36 capital letters and digits, so that it
            /// can stand in a path as it is. `None` for anything else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let fits = (1..=36).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
                fits.then(|| Self(text.to_owned()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&$name> for bson::Bson {
            fn from(id: &$name) -> Self {
                Self::String(id.0.clone())
            }
        }
    )+};
}

provider_ids! {
    /// The provider's id of a payment that a buyer approves.
    ProviderOrderId;
    /// The provider's id of money taken.
    CaptureId;
    /// The provider's id of money given back.
    ProviderRefundId;
}

/// Names one attempt at one step, so that the provider does it once however often it is asked. Made
/// from the checkout (or refund) and the step, stored before the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestKey(String);

impl RequestKey {
    /// The key of `step` of `subject`, such as a checkout's id and `capture`.
    #[must_use]
    pub fn new(subject: impl fmt::Display, step: &str) -> Self {
        Self(format!("{subject}-{step}"))
    }

    /// The key as sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A payment to be made by the buyer.
#[derive(Debug, Clone)]
pub struct NewPayment {
    /// Our reference: the checkout's id; comes back in every message about the payment.
    pub reference: String,
    /// The order's number; unique for each attempt.
    pub invoice: String,
    /// What the buyer reads at the provider.
    pub description: String,
    /// The lines.
    pub lines: Vec<PaymentLine>,
    /// Σ lines.
    pub item_total: Money,
    /// Taken off the item total; not negative.
    pub discount: Money,
    /// Shipping.
    pub shipping: Money,
    /// Tax.
    pub tax: Money,
    /// What the buyer pays: item total - discount + shipping + tax.
    pub total: Money,
    /// Where it goes.
    pub shipping_address: PostalAddress,
    /// Where the buyer comes back to after approval.
    pub return_url: String,
    /// Where the buyer comes back to without it.
    pub cancel_url: String,
    /// The shop's name, as the buyer reads it at the provider.
    pub brand: String,
}

/// One line of a payment.
#[derive(Debug, Clone)]
pub struct PaymentLine {
    /// Title.
    pub name: String,
    /// SKU.
    pub sku: String,
    /// Units.
    pub quantity: u32,
    /// Price of one.
    pub unit_price: Money,
}

/// How a payment stands at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderOrderStatus {
    /// Waits for the buyer.
    AwaitingApproval,
    /// The buyer has agreed; money can be taken.
    Approved,
    /// Captured; whether that means paid is said by the capture.
    Completed,
    /// Over without payment.
    Voided,
    /// A status this version does not know.
    Other(String),
}

/// A payment at the provider.
#[derive(Debug, Clone)]
pub struct ProviderOrder {
    /// The provider's id.
    pub id: ProviderOrderId,
    /// How it stands.
    pub status: ProviderOrderStatus,
    /// Where the buyer approves it, while that is possible.
    pub approve_url: Option<String>,
    /// Our reference, as the provider holds it.
    pub reference: Option<String>,
    /// The captures made of it.
    pub captures: Vec<Capture>,
    /// What was given back of them.
    pub refunds: Vec<ProviderRefund>,
}

impl ProviderOrder {
    /// What was given back of a capture in all, refunds under way included, as far as the payment shows; of
    /// one whose amount cannot be read nothing is certain.
    #[must_use]
    pub fn refunded_of(&self, capture: &Capture) -> Option<Money> {
        let currency = capture.amount?.currency;
        let of_it = self.refunds.iter().filter(|refund| {
            let counts = match refund.status {
                RefundStatus::Completed | RefundStatus::Pending => true,
                RefundStatus::Failed | RefundStatus::Other(_) => false,
            };
            counts && refund.capture.as_ref() == Some(&capture.id)
        });
        let amounts: Option<Vec<Money>> = of_it.map(|refund| refund.amount).collect();
        Money::sum(currency, amounts?).ok()
    }
}

/// How a capture stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptureStatus {
    /// Paid.
    Completed,
    /// Taken on, for this reason not yet paid (an eCheck, a review).
    Pending(String),
    /// Not paid.
    Declined,
    /// Paid, and part of it given back.
    PartiallyRefunded,
    /// Paid and given back.
    Refunded,
    /// A status this version does not know; not paid until it says so.
    Other(String),
}

impl CaptureStatus {
    /// Whether the provider holds money of it that could go back.
    #[must_use]
    pub const fn can_be_refunded(&self) -> bool {
        match self {
            Self::Completed | Self::PartiallyRefunded => true,
            Self::Pending(_) | Self::Declined | Self::Refunded | Self::Other(_) => false,
        }
    }
}

/// Money taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// The provider's id.
    pub id: CaptureId,
    /// How it stands.
    pub status: CaptureStatus,
    /// How much; `None` where the provider's amount cannot be read, or where the money went to another
    /// account than the shop's, which never counts as paid.
    pub amount: Option<Money>,
    /// Our reference, as the provider holds it.
    pub reference: Option<String>,
    /// Our invoice, as the provider holds it.
    pub invoice: Option<String>,
    /// Who got the money, where the provider says so.
    pub payee: Option<String>,
    /// The payment it belongs to, where the provider says so.
    pub order: Option<ProviderOrderId>,
}

/// How a refund stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundStatus {
    /// Given back.
    Completed,
    /// Under way.
    Pending,
    /// Did not happen.
    Failed,
    /// A status this version does not know.
    Other(String),
}

impl Capture {
    /// Whether it is of the payment that was made under this reference and invoice. What the provider
    /// leaves out speaks neither for nor against it.
    #[must_use]
    pub fn belongs_to(&self, reference: &str, invoice: &str) -> bool {
        self.reference
            .as_deref()
            .is_none_or(|ours| ours == reference)
            && self.invoice.as_deref().is_none_or(|ours| ours == invoice)
    }
}

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderRefund {
    /// The provider's id.
    pub id: ProviderRefundId,
    /// How it stands.
    pub status: RefundStatus,
    /// How much.
    pub amount: Option<Money>,
    /// The capture it was taken from, where the provider says so.
    pub capture: Option<CaptureId>,
    /// Everything given back of that capture so far, where the provider says so.
    pub total_refunded: Option<Money>,
}

/// Why a call to the provider brought no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GatewayError {
    /// The provider decided against it; nothing was done.
    #[error("refused with {status} {issue} (debug id {debug_id})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The provider's word for it, such as `INSTRUMENT_DECLINED`.
        issue: String,
        /// The provider's id of the call.
        debug_id: String,
    },
    /// The provider does not know the id.
    #[error("not found at the provider")]
    NotFound,
    /// It may have been done: ask for the state before anything is repeated.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// It was not sent, or certainly not done.
    #[error("the provider cannot be reached: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
}

/// Whether a refusal with this HTTP status is the provider's judgement of what was asked, and not of our
/// credentials or pace. A conflict (409) is none: an equal call is under way, and may yet be done.
#[must_use]
pub const fn is_decision(status: u16) -> bool {
    matches!(status, 400 | 403 | 404 | 422)
}

/// A payment provider.
pub trait Gateway: Send + Sync {
    /// Makes a payment for the buyer to approve.
    fn create_order<'a>(
        &'a self,
        payment: &'a NewPayment,
        key: &'a RequestKey,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>>;

    /// Reads a payment.
    fn order<'a>(
        &'a self,
        id: &'a ProviderOrderId,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>>;

    /// Takes the money of an approved payment.
    fn capture<'a>(
        &'a self,
        id: &'a ProviderOrderId,
        key: &'a RequestKey,
    ) -> BoxFuture<'a, Result<ProviderOrder, GatewayError>>;

    /// Reads a capture.
    fn capture_state<'a>(
        &'a self,
        id: &'a CaptureId,
    ) -> BoxFuture<'a, Result<Capture, GatewayError>>;

    /// Gives money back: `amount` of the capture, or all that is left of it.
    fn refund<'a>(
        &'a self,
        capture: &'a CaptureId,
        amount: Option<Money>,
        key: &'a RequestKey,
        note: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>>;

    /// Reads a refund.
    fn refund_state<'a>(
        &'a self,
        id: &'a ProviderRefundId,
    ) -> BoxFuture<'a, Result<ProviderRefund, GatewayError>>;
}
