//! Events of orders, as stored and as told.

use serde::{Deserialize, Serialize};

use super::model::{Change, EventData, EventKind, OrderStatus};
use crate::{
    clock::Timestamp,
    id::{EventId, OrderId, UserId},
};

/// One change of an order. Written in the transaction of the change; what it says is never altered, but
/// for notes and parcels, which go when the buyer is erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEvent {
    /// Its id, the same wherever it is told.
    #[serde(rename = "_id")]
    pub id: EventId,
    /// The buyer.
    pub user: UserId,
    /// Counts the buyer's events, 1, 2, 3 … without gap.
    pub number_for_user: i64,
    /// The order.
    pub order: OrderId,
    /// The order's number.
    pub order_number: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The status since.
    pub status: OrderStatus,
    /// The status before, where it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_status: Option<OrderStatus>,
    /// The order's version since.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// More about it.
    #[serde(default)]
    pub data: EventData,
}

impl OrderEvent {
    /// The event of `change`, under the buyer's next number.
    pub(super) fn of(change: &Change, number_for_user: i64) -> Self {
        let order = &change.order;
        Self {
            id: EventId::new(),
            user: order.user,
            number_for_user,
            order: order.id,
            order_number: order.number.clone(),
            kind: change.event.kind,
            status: order.status,
            previous_status: change.event.previous_status,
            version: order.version,
            at: order.updated_at,
            data: change.event.data.clone(),
        }
    }
}
