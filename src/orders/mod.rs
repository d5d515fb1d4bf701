//! Orders: what was bought and paid, its states, history, refunds and events.
//!
//! An order is made by the checkout, inside its transaction ([`Orders::insert_in`]); nothing else makes
//! one. It changes only by [`model::Change`], written in one transaction with its event, and the event
//! carries the buyer's next number, so that numbers count 1..N without gap. Money goes back in three
//! steps: booked on the order, asked for at the provider, concluded; whatever is cut short is found by
//! [`Refunds::resume`] and finished with the same request key. Goods go back the same way.
//!
//! Always: an order's history is a path of the state graph and ends with its status; versions count
//! 1, 2, 3 … with one event each; refunded + booked never exceeds captured.

mod error;
mod event;
mod http;
pub mod model;
mod refunds;
mod store;
#[cfg(test)]
pub(crate) mod testing;

pub use error::OrderError;
pub use event::OrderEvent;
pub use http::{OrderView, routes};
pub use model::{
    NewOrder, Order, OrderItem, OrderPayment, OrderStatus, PaymentStatus, Refund, RefundState,
    Reversal,
};
pub use refunds::Refunds;
pub use store::{Backlog, EVENTS, ErasedOrders, Orders, collections};
