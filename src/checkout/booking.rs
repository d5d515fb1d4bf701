//! The one transaction that makes an order.

use bson::Document;
use futures_util::FutureExt;
use mongodb::ClientSession;

use super::{
    model::Checkout,
    ports::{Booking, OrderBook},
    store::Checkouts,
};
use crate::{
    cart::Carts,
    faults::{Point, crash_point},
    money::Money,
    mongo::{Mongo, StoreError, to_document},
    orders::{Order, Orders, PaymentStatus, Refunds, Reversal},
    payments::{CaptureId, Dispute},
};

/// The shop's orders, and what changes together with a new one.
#[derive(Clone)]
pub struct Bookings {
    pub(super) mongo: Mongo,
    pub(super) checkouts: Checkouts,
    pub(super) carts: Carts,
    pub(super) orders: Orders,
    pub(super) refunds: Refunds,
}

impl Bookings {
    async fn write(
        &self,
        session: &mut ClientSession,
        booking: &Booking,
        capture: &Document,
    ) -> mongodb::error::Result<Option<Checkout>> {
        let completed = self
            .checkouts
            .complete_in(session, booking, capture.clone());
        let completed = completed.await?;
        if completed.is_none() {
            return Ok(None);
        }
        self.orders.insert_in(session, &booking.order).await?;
        self.carts
            .take_out_in(session, booking.cart, &booking.bought)
            .await?;
        crash_point(Point::CommitBefore);
        Ok(completed)
    }
}

impl OrderBook for Bookings {
    async fn book(&self, booking: Booking) -> Result<Option<Checkout>, StoreError> {
        let capture = to_document(&booking.capture)?;
        let context = (self.clone(), booking, capture);
        let placed =
            self.mongo
                .transaction_with(context, |session, (bookings, booking, capture)| {
                    bookings.write(session, booking, capture).boxed()
                });
        let placed = placed.await;
        crash_point(Point::CommitAfter);
        match placed {
            // The unique indexes say that the order stands: another was first.
            Err(error) if error.is_duplicate_key() => Ok(None),
            other => other,
        }
    }

    async fn by_capture(&self, capture: &CaptureId) -> Result<Option<Order>, StoreError> {
        self.orders.by_capture(capture).await
    }

    async fn payment_changed(
        &self,
        capture: &CaptureId,
        to: PaymentStatus,
    ) -> Result<Option<Order>, StoreError> {
        self.orders.payment_changed(capture, to).await
    }

    async fn provider_refunded(
        &self,
        capture: &CaptureId,
        total_refunded: Money,
    ) -> Result<Option<Order>, StoreError> {
        self.orders.provider_refunded(capture, total_refunded).await
    }

    async fn disputed(
        &self,
        capture: &CaptureId,
        dispute: &Dispute,
    ) -> Result<Option<Order>, StoreError> {
        self.orders.disputed(capture, dispute).await
    }

    async fn unconfirmed(&self) -> Result<Option<CaptureId>, StoreError> {
        self.orders.claim_unconfirmed().await
    }

    async fn reversed(
        &self,
        capture: &CaptureId,
        reversal: &Reversal,
    ) -> Result<Option<Order>, StoreError> {
        self.orders.reversed(capture, reversal).await
    }

    async fn reversal_canceled(&self, capture: &CaptureId) -> Result<Option<Order>, StoreError> {
        self.orders.reversal_canceled(capture).await
    }

    async fn conclude_refunds(&self, order: Order) {
        self.refunds.conclude(order).await;
    }
}
