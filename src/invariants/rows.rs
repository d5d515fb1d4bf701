//! Documents as the checker reads them: only what it judges, in shapes of its own.

use std::fmt;

use bson::oid::ObjectId;
use serde::Deserialize;

use crate::clock::Timestamp;

/// Minor units of a currency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Money {
    pub(super) amount: i64,
    pub(super) currency: String,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Item {
    pub(super) unit_price: Money,
    pub(super) quantity: i64,
    pub(super) line_total: Money,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Payment {
    pub(super) status: String,
    pub(super) provider_order: String,
    pub(super) capture: String,
    pub(super) captured: Money,
    pub(super) refunded: Money,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Refund {
    pub(super) id: ObjectId,
    pub(super) amount: Money,
    pub(super) state: String,
    pub(super) provider: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Entry {
    pub(super) status: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Order {
    #[serde(rename = "_id")]
    pub(super) id: ObjectId,
    pub(super) number: String,
    pub(super) user: ObjectId,
    pub(super) checkout: ObjectId,
    pub(super) status: String,
    pub(super) items: Vec<Item>,
    pub(super) subtotal: Money,
    pub(super) discount_total: Money,
    pub(super) shipping: Money,
    pub(super) tax: Money,
    pub(super) total: Money,
    pub(super) payment: Payment,
    #[serde(default)]
    pub(super) refunds: Vec<Refund>,
    pub(super) history: Vec<Entry>,
    pub(super) version: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Captured {
    pub(super) id: String,
    pub(super) amount: Option<Money>,
    pub(super) standing: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Return {
    pub(super) capture: String,
    pub(super) state: String,
    pub(super) refund: Option<String>,
}

impl Return {
    /// Whether the money is back.
    pub(super) fn is_done(&self) -> bool {
        self.state == "Done"
    }

    /// Whether the provider counts it as given back.
    pub(super) fn is_taken_on(&self) -> bool {
        self.is_done() || self.state == "Due" && self.refund.is_some()
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Totals {
    pub(super) total: Money,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Checkout {
    #[serde(rename = "_id")]
    pub(super) id: ObjectId,
    pub(super) user: ObjectId,
    pub(super) number: String,
    pub(super) status: String,
    pub(super) totals: Totals,
    pub(super) provider_order: Option<String>,
    pub(super) capture: Option<Captured>,
    #[serde(default)]
    pub(super) returns: Vec<Return>,
    pub(super) order: Option<ObjectId>,
}

impl Checkout {
    /// Whether nothing but tidying up can follow.
    pub(super) fn is_over(&self) -> bool {
        is_over(&self.status)
    }

    /// How the capture that decides goes back, where it has to.
    pub(super) fn own_return(&self) -> Option<&Return> {
        let own = self.capture.as_ref()?;
        self.returns.iter().find(|back| back.capture == own.id)
    }
}

/// Whether nothing but tidying up can follow a checkout's status.
pub(super) fn is_over(status: &str) -> bool {
    matches!(status, "Completed" | "Cancelled" | "Expired" | "Failed")
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Hold {
    pub(super) checkout: ObjectId,
    pub(super) quantity: i64,
    pub(super) expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Stock {
    pub(super) available: i64,
    pub(super) holds: Vec<Hold>,
    #[serde(default)]
    pub(super) returns: Vec<String>,
    pub(super) sold: i64,
    pub(super) received: i64,
}
