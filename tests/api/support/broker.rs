//! RabbitMQ, and a consumer that writes down what it gets.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use lapin::{
    Channel, Connection, ConnectionProperties, Consumer, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;

use super::{PATIENCE, Running};

/// The broker that `scripts/test` starts.
pub(crate) fn amqp_uri() -> String {
    std::env::var("BODEGA_TEST_AMQP_URI").unwrap_or_else(|_| {
        panic!("set BODEGA_TEST_AMQP_URI to a RabbitMQ, or run scripts/test, which starts one")
    })
}

/// A broker of one's own. It ends with its value, in order: it has children.
pub(crate) struct Broker(Running);

impl Broker {
    /// Where it takes connections, with its account.
    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.0.terminate();
    }
}

/// Starts a broker whose data is in `folder`.
pub(crate) async fn start_broker(folder: &std::path::Path, port: u16) -> Broker {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lib/rabbitmq");
    let arguments = [folder.display().to_string(), port.to_string()];
    Broker(Running::start(script, &arguments, &[]).await)
}

/// A message, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) order: String,
    pub(crate) sequence: i64,
    pub(crate) routing_key: String,
    pub(crate) body: Value,
}

/// A durable queue of all events of an exchange.
pub(crate) struct Queue {
    _connection: Connection,
    _channel: Channel,
    consumer: Consumer,
}

impl Queue {
    /// Binds a queue to `exchange`, and makes both where they are not there.
    pub(crate) async fn open(uri: &str, exchange: &str) -> Self {
        let connection = Connection::connect(uri, ConnectionProperties::default())
            .await
            .unwrap();
        let channel = connection.create_channel().await.unwrap();
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let (name, none) = (format!("{exchange}.test"), FieldTable::default());
        channel
            .exchange_declare(exchange.into(), ExchangeKind::Topic, durable, none.clone())
            .await
            .unwrap();
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare(name.as_str().into(), durable, none.clone())
            .await
            .unwrap();
        let bind = QueueBindOptions::default();
        channel
            .queue_bind(
                name.as_str().into(),
                exchange.into(),
                "#".into(),
                bind,
                none.clone(),
            )
            .await
            .unwrap();
        let consumer = channel
            .basic_consume(
                name.as_str().into(),
                "test".into(),
                BasicConsumeOptions::default(),
                none,
            )
            .await
            .unwrap();
        Self {
            _connection: connection,
            _channel: channel,
            consumer,
        }
    }

    /// The next message; `None` once the broker is gone.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        let waiting = tokio::time::timeout(PATIENCE, self.consumer.next()).await;
        let delivery = waiting.expect("a message in time")?.ok()?;
        delivery.ack(BasicAckOptions::default()).await.ok()?;
        let headers = delivery.properties.headers().clone().unwrap();
        let header = |name: &str| headers.inner().get(name).cloned().unwrap();
        let AMQPValue::LongString(order) = header("order-id") else {
            panic!("{headers:?}");
        };
        let AMQPValue::LongLongInt(sequence) = header("order-sequence") else {
            panic!("{headers:?}");
        };
        assert_eq!(*delivery.properties.delivery_mode(), Some(2), "persistent");
        Some(Received {
            id: delivery
                .properties
                .message_id()
                .clone()
                .unwrap()
                .to_string(),
            order: order.to_string(),
            sequence,
            routing_key: delivery.routing_key.to_string(),
            body: serde_json::from_slice(&delivery.data).unwrap(),
        })
    }

    /// Reads until `expected` events have come, however often each.
    pub(crate) async fn read(&mut self, log: &mut Log, expected: usize) {
        while log.events.len() < expected {
            let message = self.next().await.expect("the broker stands");
            log.note(message);
        }
    }
}

/// What a consumer keeps: each event once, and each order's place.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) events: BTreeMap<String, Received>,
    places: BTreeMap<String, i64>,
    pub(crate) repeats: usize,
}

impl Log {
    /// Takes a message; fails where its predecessor has never come, or the same id says something else.
    pub(crate) fn note(&mut self, message: Received) {
        if let Some(known) = self.events.get(&message.id) {
            assert_eq!(known.body, message.body, "a repeat is the same");
            self.repeats += 1;
            return;
        }
        let place = self.places.entry(message.order.clone()).or_default();
        assert_eq!(message.sequence, *place + 1, "out of order: {message:?}");
        *place += 1;
        assert_eq!(message.body["version"], message.sequence);
        assert_eq!(message.body["orderId"], message.order);
        assert_eq!(message.body["eventId"], message.id);
        assert_eq!(message.body["type"], message.routing_key);
        self.events.insert(message.id.clone(), message);
    }
}
