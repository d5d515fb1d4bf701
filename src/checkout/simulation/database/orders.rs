//! Orders, as `checkout/booking.rs` and the room of orders keep them.

use super::super::machine::Link;
use crate::{
    checkout::{
        model::Checkout,
        ports::{Booking, OrderBook},
    },
    money::Money,
    mongo::StoreError,
    orders::{Order, PaymentStatus, Reversal},
    payments::CaptureId,
};

impl OrderBook for Link {
    async fn book(&self, booking: Booking) -> Result<Option<Checkout>, StoreError> {
        self.write("book", Some(booking.checkout), move |state| {
            state.write_order(&booking)
        })
        .await
    }

    async fn by_capture(&self, capture: &CaptureId) -> Result<Option<Order>, StoreError> {
        let capture = capture.clone();
        self.read("by_capture", None, move |state| {
            let mut orders = state.database.orders.iter();
            orders
                .find(|order| order.payment.capture == capture)
                .cloned()
        })
        .await
    }

    async fn payment_changed(
        &self,
        capture: &CaptureId,
        to: PaymentStatus,
    ) -> Result<Option<Order>, StoreError> {
        let capture = capture.clone();
        self.write("payment_changed", None, move |state| {
            state.hear(&capture, |order, at| {
                Ok(match to {
                    PaymentStatus::Completed => order.confirm_payment(at),
                    PaymentStatus::Denied => order.deny_payment(at),
                    PaymentStatus::Pending
                    | PaymentStatus::PartiallyRefunded
                    | PaymentStatus::Refunded
                    | PaymentStatus::Reversed => None,
                })
            })
        })
        .await
    }

    async fn provider_refunded(
        &self,
        capture: &CaptureId,
        total_refunded: Money,
    ) -> Result<Option<Order>, StoreError> {
        let capture = capture.clone();
        self.write("provider_refunded", None, move |state| {
            state.hear(&capture, |order, at| {
                order.provider_refunded(total_refunded, at)
            })
        })
        .await
    }

    async fn reversed(
        &self,
        capture: &CaptureId,
        reversal: &Reversal,
    ) -> Result<Option<Order>, StoreError> {
        let (capture, reversal) = (capture.clone(), reversal.clone());
        self.write("reversed", None, move |state| {
            state.hear(&capture, |order, at| order.reverse_payment(&reversal, at))
        })
        .await
    }
}
