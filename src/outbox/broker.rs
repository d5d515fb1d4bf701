//! The connection to RabbitMQ.

use std::time::Duration;

use lapin::{
    Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions},
    types::{FieldTable, ShortString},
    uri::AMQPUri,
};
use tokio::time::{Instant, timeout, timeout_at};

use super::message::Message;
use crate::id::EventId;

/// How long the broker may take to greet.
const GREETING: Duration = Duration::from_secs(5);
/// How long it may take to confirm: one that is out of memory or disk takes messages and says nothing.
const CONFIRMING: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// Seconds between signs of life, asked for where the URL says nothing: the broker's own idea is a minute.
const HEARTBEAT: u16 = 10;
/// AMQP's code for a goodbye without complaint.
const SUCCESS: u16 = 200;

/// What went wrong with the broker.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokerError {
    /// It refused, or the connection is gone.
    #[error("broker: {0}")]
    Refused(#[from] lapin::Error),
    /// It said nothing.
    #[error("broker: no word within {} s", .0.as_secs())]
    Silent(Duration),
    /// It did not take a message.
    #[error("broker: a message was not taken")]
    NotTaken,
}

/// What became of messages that were published together.
#[derive(Debug)]
pub(super) struct Published {
    /// Those that the broker has.
    pub(super) confirmed: Vec<EventId>,
    /// Those among them that no queue wanted.
    pub(super) unwanted: usize,
    /// Why others are missing, where some are.
    pub(super) failure: Option<BrokerError>,
}

/// An open channel with publisher confirms.
pub(super) struct Broker {
    connection: Connection,
    channel: Channel,
    exchange: ShortString,
}

impl Broker {
    /// Connects, and makes the exchange where it is not there.
    pub(super) async fn connect(mut uri: AMQPUri, exchange: &str) -> Result<Self, BrokerError> {
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let connecting = async {
            let properties =
                ConnectionProperties::default().with_connection_name("bodega outbox".into());
            let connection = Connection::connect_uri(uri, properties).await?;
            let channel = connection.create_channel().await?;
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await?;
            let durable = ExchangeDeclareOptions {
                durable: true,
                ..ExchangeDeclareOptions::default()
            };
            let made = channel.exchange_declare(
                exchange.into(),
                ExchangeKind::Topic,
                durable,
                FieldTable::default(),
            );
            made.await?;
            Ok(Self {
                connection,
                channel,
                exchange: exchange.into(),
            })
        };
        let connected = timeout(GREETING, connecting).await;
        connected.unwrap_or(Err(BrokerError::Silent(GREETING)))
    }

    /// Whether the channel stands, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.channel.status().connected()
    }

    /// Publishes messages of which none must come after another: their order in the exchange is open where
    /// one is not taken.
    pub(super) async fn publish(&self, messages: &[Message]) -> Published {
        let until = Instant::now() + CONFIRMING;
        let mut published = Published {
            confirmed: Vec::with_capacity(messages.len()),
            unwanted: 0,
            failure: None,
        };
        let mut waiting = Vec::with_capacity(messages.len());
        for message in messages {
            let sent = timeout_at(until, self.send(message)).await;
            match sent {
                Ok(Ok(confirm)) => waiting.push((message.event, confirm)),
                Ok(Err(error)) => published.failure = Some(error.into()),
                Err(_elapsed) => published.failure = Some(BrokerError::Silent(CONFIRMING)),
            }
            if published.failure.is_some() {
                break;
            }
        }
        for (event, confirm) in waiting {
            match timeout_at(until, confirm).await {
                Ok(Ok(Confirmation::Ack(returned))) => {
                    published.confirmed.push(event);
                    published.unwanted += usize::from(returned.is_some());
                }
                Ok(Ok(Confirmation::Nack(_) | Confirmation::NotRequested)) => {
                    published.failure = Some(BrokerError::NotTaken);
                }
                Ok(Err(error)) => published.failure = Some(error.into()),
                Err(_elapsed) => published.failure = Some(BrokerError::Silent(CONFIRMING)),
            }
        }
        published
    }

    async fn send(&self, message: &Message) -> lapin::Result<lapin::PublisherConfirm> {
        // So that it can be told where nobody listens.
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let publish = self.channel.basic_publish(
            self.exchange.clone(),
            message.routing_key.into(),
            mandatory,
            &message.body,
            message.properties.clone(),
        );
        publish.await
    }

    /// Says goodbye; what it makes of it matters to nobody.
    pub(super) async fn close(self) {
        let goodbye = self.connection.close(SUCCESS, "done".into());
        let _gone_either_way = timeout(GOODBYE, goodbye).await;
    }
}
