//! The states of an order and the ways between them.

use serde::{Deserialize, Serialize};

/// Where an order stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
pub enum OrderStatus {
    /// Paid (or taken on by the provider), nobody has begun with it.
    Pending,
    /// Being made ready.
    Processing,
    /// With the carrier.
    Shipped,
    /// With the buyer.
    Delivered,
    /// Never sent: money and stock go back.
    Cancelled,
    /// Sent, and all the money has gone back.
    Refunded,
}

impl OrderStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Processing,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelled,
        Self::Refunded,
    ];

    /// The statuses that may follow this one, money aside.
    #[must_use]
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Processing, Self::Cancelled],
            Self::Processing => &[Self::Shipped, Self::Cancelled],
            Self::Shipped => &[Self::Delivered, Self::Refunded],
            Self::Delivered => &[Self::Refunded],
            Self::Cancelled | Self::Refunded => &[],
        }
    }

    /// Whether the goods are still in the house.
    #[must_use]
    pub const fn is_unsent(self) -> bool {
        match self {
            Self::Pending | Self::Processing => true,
            Self::Shipped | Self::Delivered | Self::Cancelled | Self::Refunded => false,
        }
    }

    /// Whether a parcel's tracking may be named with this status.
    #[must_use]
    pub const fn takes_tracking(self) -> bool {
        match self {
            Self::Shipped | Self::Delivered => true,
            Self::Pending | Self::Processing | Self::Cancelled | Self::Refunded => false,
        }
    }

    /// The status as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Processing => "Processing",
            Self::Shipped => "Shipped",
            Self::Delivered => "Delivered",
            Self::Cancelled => "Cancelled",
            Self::Refunded => "Refunded",
        }
    }
}

/// How the money of an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum PaymentStatus {
    /// Taken on by the provider, not yet paid (an eCheck, a review).
    Pending,
    /// Paid.
    Completed,
    /// Never paid.
    Denied,
    /// Paid, and part of it given back.
    PartiallyRefunded,
    /// Paid and given back.
    Refunded,
    /// Taken back by the buyer's bank or the provider.
    Reversed,
}

impl PaymentStatus {
    /// Whether the shop holds money of the order.
    #[must_use]
    pub const fn holds_money(self) -> bool {
        match self {
            Self::Completed | Self::PartiallyRefunded => true,
            Self::Pending | Self::Denied | Self::Refunded | Self::Reversed => false,
        }
    }
}

/// How giving money back stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum RefundState {
    /// Booked; the provider has not said yet that it is done.
    Pending,
    /// Given back.
    Completed,
    /// Refused by the provider; nothing was given back.
    Failed,
}
