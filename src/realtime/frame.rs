//! What is sent to clients: encoded once a node, shared by all streams.

use actix_web::web::Bytes;
use serde::Serialize;

use super::link::End;
use crate::{
    clock::Timestamp,
    id::OrderId,
    mongo::StoreError,
    orders::{
        OrderEvent, OrderStatus,
        model::{EventData, EventKind},
    },
};

/// What the server says on a stream, told apart by `type`; a client passes over types that it does not know.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub(super) enum StreamMessage<'a> {
    /// First of all.
    Hello(Hello),
    /// An order has changed.
    Order(EventView<'a>),
    /// The buyer's cart has changed.
    Cart(CartUpdated),
    /// Nothing has happened, and the server is there.
    Heartbeat(Heartbeat),
    /// Last of all.
    Close(Close),
}

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
#[schema(as = StreamHello)]
pub(super) struct Hello {
    /// `hello`.
    #[schema(pattern = "^hello$")]
    r#type: &'static str,
    /// The number of the buyer's last event.
    last_event_id: i64,
    /// How often the server shows that it is there.
    #[schema(example = 15)]
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
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CartUpdated)]
pub(super) struct CartUpdated {
    /// `cart.updated`.
    #[schema(pattern = r"^cart\.updated$")]
    r#type: &'static str,
    /// When it changed: the cart's `updatedAt` at this version.
    at: Timestamp,
    /// The cart's version since; it orders these messages, which have no number.
    version: i64,
}

/// The sign of life of a WebSocket whose client has asked for it: pages are not shown pings.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = StreamHeartbeat)]
pub(super) struct Heartbeat {
    /// `heartbeat`.
    #[schema(pattern = "^heartbeat$")]
    r#type: &'static str,
}

/// The last server-sent event; a WebSocket is closed with its code instead.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = StreamClose)]
pub(super) struct Close {
    /// `close`.
    #[schema(pattern = "^close$")]
    r#type: &'static str,
    /// The code that a WebSocket would be closed with.
    #[schema(example = 4001)]
    code: u16,
    /// A word about it.
    reason: &'static str,
}

/// The type of [`CartUpdated`].
const CART_UPDATED: &str = "cart.updated";

impl Frame {
    fn of(
        id: Option<i64>,
        kind: &'static str,
        message: &StreamMessage<'_>,
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
        Self::of(None, "hello", &StreamMessage::Hello(hello))
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
        Self::of(id, event.kind.as_str(), &StreamMessage::Order(view))
    }

    /// The buyer's cart is at `version` since `at`.
    pub(super) fn cart_updated(version: i64, at: Timestamp) -> Result<Self, StoreError> {
        let updated = CartUpdated {
            r#type: CART_UPDATED,
            at,
            version,
        };
        Self::of(None, CART_UPDATED, &StreamMessage::Cart(updated))
    }

    /// Nothing has happened.
    pub(super) fn heartbeat() -> Result<Self, StoreError> {
        let heartbeat = Heartbeat {
            r#type: "heartbeat",
        };
        Self::of(None, "heartbeat", &StreamMessage::Heartbeat(heartbeat))
    }

    /// The last word of a stream that ends.
    pub(super) fn close(end: End) -> Result<Self, StoreError> {
        let close = Close {
            r#type: "close",
            code: end.code(),
            reason: end.reason(),
        };
        Self::of(None, "close", &StreamMessage::Close(close))
    }
}
