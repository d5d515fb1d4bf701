//! The outbox: every order's events, relayed to RabbitMQ for fulfilment, e-mail and whoever else listens.
//!
//! An event is written in the transaction of its change (`orders`), so that it is lost or kept with it. The
//! relay reads what no broker has confirmed yet, publishes it, and notes on the event that it is out. Thus an
//! event is published at least once, and again where the note was lost with a node or a connection:
//! consumers drop what they know by the message's id, which is the event's.
//!
//! Always: the first time that an order's event number n comes to the exchange, n - 1 has come before. An
//! event is published only after its predecessor was confirmed, however often either is repeated; two relays
//! at once repeat each other's work and break nothing. The lease is for thrift, not for order.
//!
//! Without a broker nothing is relayed, and events wait; the first relay begins with the oldest, or at
//! `outbox.from`.

mod broker;
mod message;
mod relay;

pub use relay::Outbox;
