//! What is sent to clients: encoded once a node, shared by all streams.

use actix_web::web::Bytes;
use serde::Serialize;

use crate::{
    clock::Timestamp,
    id::OrderId,
    mongo::StoreError,
    orders::{
        OrderEvent, OrderStatus,
        model::{EventData, EventKind},
    },
};

/// One message to a client; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// The buyer's number of the event, where it has one.
    pub(super) id: Option<i64>,
    /// Its type.
    pub(super) kind: &'static str,
    /// The message, one line of JSON.
    pub(super) json: Bytes,
}

/// The first message of every stream.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct Hello {
    r#type: &'static str,
    /// The number of the buyer's last event.
    last_event_id: i64,
    /// How often the server shows that it is there.
    heartbeat_seconds: u64,
}

/// An order's event, as clients see it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderEvent)]
pub(super) struct EventView<'a> {
    /// Counts the buyer's events, 1, 2, 3 …; not on the staff channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    r#type: EventKind,
    at: Timestamp,
    order_id: OrderId,
    number: &'a str,
    status: OrderStatus,
    previous_status: Option<OrderStatus>,
    version: u64,
    data: &'a EventData,
}

/// The buyer's cart has changed.
#[derive(Debug, Serialize)]
struct CartUpdated {
    r#type: &'static str,
    at: Timestamp,
    version: i64,
}

/// The type of [`CartUpdated`].
const CART_UPDATED: &str = "cart.updated";

impl Frame {
    fn of(
        id: Option<i64>,
        kind: &'static str,
        message: &impl Serialize,
    ) -> Result<Self, StoreError> {
        let json = serde_json::to_vec(message).map_err(|error| StoreError::Damaged {
            collection: kind,
            reason: error.to_string(),
        })?;
        let json = Bytes::from(json);
        Ok(Self { id, kind, json })
    }

    /// The first message of a stream.
    pub(super) fn hello(last_event_id: i64, heartbeat_seconds: u64) -> Result<Self, StoreError> {
        let hello = Hello {
            r#type: "hello",
            last_event_id,
            heartbeat_seconds,
        };
        Self::of(None, "hello", &hello)
    }

    /// An order's event for its buyer.
    pub(super) fn for_buyer(event: &OrderEvent) -> Result<Self, StoreError> {
        Self::event(event, Some(event.number_for_user))
    }

    /// An order's event for the staff channel.
    pub(super) fn for_staff(event: &OrderEvent) -> Result<Self, StoreError> {
        Self::event(event, None)
    }

    fn event(event: &OrderEvent, id: Option<i64>) -> Result<Self, StoreError> {
        let view = EventView {
            id,
            r#type: event.kind,
            at: event.at,
            order_id: event.order,
            number: &event.order_number,
            status: event.status,
            previous_status: event.previous_status,
            version: event.version,
            data: &event.data,
        };
        Self::of(id, event.kind.as_str(), &view)
    }

    /// The buyer's cart is at `version`.
    pub(super) fn cart_updated(version: i64) -> Result<Self, StoreError> {
        let updated = CartUpdated {
            r#type: CART_UPDATED,
            at: Timestamp::now(),
            version,
        };
        Self::of(None, CART_UPDATED, &updated)
    }
}
