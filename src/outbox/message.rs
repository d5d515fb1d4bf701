//! An event as consumers get it.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use serde::Serialize;

use crate::{
    clock::Timestamp,
    id::{EventId, OrderId, UserId},
    mongo::StoreError,
    orders::{
        EVENTS, OrderEvent, OrderStatus,
        model::{EventData, EventKind},
    },
};

/// AMQP's number for messages that the broker keeps on disk.
const PERSISTENT: u8 = 2;

/// The body: what the buyer's live stream says, and what a program besides wants to know.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    event_id: EventId,
    /// Counts the buyer's events, as in the live stream.
    id: i64,
    r#type: EventKind,
    at: Timestamp,
    order_id: OrderId,
    number: &'a str,
    user_id: UserId,
    status: OrderStatus,
    previous_status: Option<OrderStatus>,
    /// Counts the order's events.
    version: u64,
    data: &'a EventData,
}

/// A message, ready to be published.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) event: EventId,
    pub(super) routing_key: &'static str,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn of(event: &OrderEvent) -> Result<Self, StoreError> {
        let body = Body {
            event_id: event.id,
            id: event.number_for_user,
            r#type: event.kind,
            at: event.at,
            order_id: event.order,
            number: &event.order_number,
            user_id: event.user,
            status: event.status,
            previous_status: event.previous_status,
            version: event.version,
            data: &event.data,
        };
        let body = serde_json::to_vec(&body).map_err(|error| StoreError::Damaged {
            collection: EVENTS,
            reason: error.to_string(),
        })?;
        let mut headers = FieldTable::default();
        let order = AMQPValue::LongString(event.order.to_string().into());
        headers.insert("order-id".into(), order);
        let sequence = i64::try_from(event.version).unwrap_or(i64::MAX);
        headers.insert("order-sequence".into(), AMQPValue::LongLongInt(sequence));
        let properties = BasicProperties::default()
            .with_message_id(event.id.to_string().into())
            .with_type(event.kind.as_str().into())
            .with_timestamp(u64::try_from(event.at.seconds()).unwrap_or_default())
            .with_content_type("application/json".into())
            .with_app_id("bodega".into())
            .with_delivery_mode(PERSISTENT)
            .with_headers(headers);
        Ok(Self {
            event: event.id,
            routing_key: event.kind.as_str(),
            properties,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_message_says_whose_order_it_is_and_where_in_its_life() {
        let event = OrderEvent {
            id: EventId::new(),
            user: UserId::new(),
            number_for_user: 7,
            order: OrderId::new(),
            order_number: "B-1".to_owned(),
            kind: EventKind::StatusChanged,
            status: OrderStatus::Shipped,
            previous_status: Some(OrderStatus::Processing),
            version: 3,
            at: Timestamp::from_millis(1_500),
            data: EventData::default(),
        };
        let message = Message::of(&event).unwrap();
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        let expected = json!({
            "eventId": event.id, "id": 7, "type": "order.status_changed",
            "at": "1970-01-01T00:00:01.500Z", "orderId": event.order, "number": "B-1",
            "userId": event.user, "status": "Shipped", "previousStatus": "Processing",
            "version": 3, "data": {},
        });
        assert_eq!(body, expected);
        let properties = &message.properties;
        let id = properties.message_id().as_ref().map(ToString::to_string);
        assert_eq!(id, Some(event.id.to_string()));
        assert_eq!(*properties.delivery_mode(), Some(PERSISTENT));
        let headers = properties.headers().clone().unwrap();
        assert_eq!(
            headers.inner().get("order-sequence"),
            Some(&AMQPValue::LongLongInt(3))
        );
        assert_eq!(message.routing_key, "order.status_changed");
    }
}
