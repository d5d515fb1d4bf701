//! The ports of the checkout core: what beginning, settling and sweeping ask of the world.
//!
//! In the shop ([`Live`]) they are MongoDB, the wall clock and, through
//! [`Payments`](crate::payments::Payments), PayPal. The simulation has its own, with faults. The core
//! itself knows neither: what is simulated is the code that runs.

use std::{future::Future, time::Duration};

use super::{
    error::CheckoutError,
    model::{CaptureRecord, Checkout, CheckoutStatus, EndReason},
    place::Wish,
    returns::Return,
};
use crate::{
    catalog::StockRoom,
    discounts::{Claim, Discounts, Refused, StaleClaim},
    id::{CartId, CheckoutId, LineId},
    money::Money,
    mongo::StoreError,
    orders::{NewOrder, Order, PaymentStatus, Reversal},
    payments::{CaptureId, Dispute, ProviderOrder, ProviderOrderId},
};

/// Where the checkout core lives.
pub trait World: Clone + Send + Sync + 'static {
    /// Its checkouts.
    type Checkouts: CheckoutStore;
    /// Its units.
    type Stock: StockRoom;
    /// Its discount codes.
    type Discounts: DiscountDesk;
    /// Its orders.
    type Orders: OrderBook;
    /// Where carts are frozen.
    type Till: Till;
    /// How it waits.
    type Clock: Clock;
}

/// The world of a running shop.
#[derive(Debug, Clone, Copy)]
pub struct Live;

/// The documents of checkouts. Each change names the status it was judged by; time is the database's.
pub trait CheckoutStore: Clone + Send + Sync + 'static {
    /// Writes a new checkout that lapses `life` from now; `false` where the cart has an open one.
    fn begin(
        &self,
        checkout: &Checkout,
        life: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Reads one.
    fn find(
        &self,
        id: CheckoutId,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// The open checkout of a cart.
    fn open_of(
        &self,
        cart: CartId,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// The checkout of a payment.
    fn of_payment(
        &self,
        id: &ProviderOrderId,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// The checkout of a capture.
    fn of_capture(
        &self,
        id: &CaptureId,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Opens it to the buyer, with the whole reservation before them.
    fn await_approval(
        &self,
        id: CheckoutId,
        payment: &ProviderOrder,
        life: Duration,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Begins to take the money: writes down that a capture will be sent.
    fn begin_capture(
        &self,
        id: CheckoutId,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Hands it back to the buyer: the funding was declined, the same payment can be approved anew.
    fn back_to_buyer(
        &self,
        id: CheckoutId,
        life: Duration,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Writes down the money taken.
    fn captured(
        &self,
        id: CheckoutId,
        capture: &CaptureRecord,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Writes down money taken after the end, which has to go back; `None` where it knows of a capture, or
    /// has not ended.
    fn captured_late(
        &self,
        id: CheckoutId,
        capture: &CaptureRecord,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Writes down that no capture can come any more, if it ended and lapsed `late` ago; whether it did.
    fn capture_over(
        &self,
        id: CheckoutId,
        late: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends it without an order, and writes down what has to go back; `None` when it has moved on.
    fn end(
        &self,
        checkout: &Checkout,
        to: CheckoutStatus,
        reason: EndReason,
        back: Option<Return>,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Ends one that is being prepared because its stock cannot be held; nothing is left to be given back.
    fn refuse(&self, id: CheckoutId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends it as expired, if by the database's clock it is.
    fn expire(
        &self,
        checkout: &Checkout,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Writes down that no stock is held and no discount claimed for it any more, if it is over.
    fn stock_settled(
        &self,
        id: CheckoutId,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Writes down a capture besides the one that decides, to go back; `None` where it is known already, or
    /// is the one that decides.
    fn charged_twice(
        &self,
        id: CheckoutId,
        capture: &CaptureId,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Writes down how far its returns have come, if it stands as `checkout` was read; `None` when it has
    /// changed.
    fn returns_moved(
        &self,
        checkout: &Checkout,
        returns: &[Return],
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// Checkouts that want looking after: unchanged for `idle` and not done. One that only waits for a late
    /// capture is among them once it lapsed `settle::LATE` ago.
    fn unfinished(
        &self,
        idle: Duration,
    ) -> impl Future<Output = Result<Vec<CheckoutId>, StoreError>> + Send;

    /// Marks a look, so that the next sweep begins with others.
    fn looked_at(&self, id: CheckoutId) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Uses of discount codes: see [`Discounts`], whose words these are.
pub trait DiscountDesk: Clone + Send + Sync + 'static {
    /// Claims a use of every code for `life`, or of none of them; a repeat changes nothing.
    fn claim(
        &self,
        claim: &Claim,
        life: Duration,
    ) -> impl Future<Output = Result<Result<(), Refused>, StoreError>> + Send;

    /// Counts the claimed uses for good.
    fn keep(&self, claim: &Claim) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives the claimed uses back.
    fn release(&self, claim: &Claim) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Claims that have stood for longer than their life.
    fn stale_claims(&self) -> impl Future<Output = Result<Vec<StaleClaim>, StoreError>> + Send;
}

impl DiscountDesk for Discounts {
    async fn claim(
        &self,
        claim: &Claim,
        life: Duration,
    ) -> Result<Result<(), Refused>, StoreError> {
        Self::claim(self, claim, life).await
    }

    async fn keep(&self, claim: &Claim) -> Result<(), StoreError> {
        Self::keep(self, claim).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        Self::release(self, claim).await
    }

    async fn stale_claims(&self) -> Result<Vec<StaleClaim>, StoreError> {
        Self::stale_claims(self).await
    }
}

/// What becomes an order: written whole or not at all.
#[derive(Debug, Clone)]
pub struct Booking {
    /// The checkout that it completes.
    pub checkout: CheckoutId,
    /// The cart that it empties.
    pub cart: CartId,
    /// The money taken.
    pub capture: CaptureRecord,
    /// The order.
    pub order: NewOrder,
    /// What leaves the cart.
    pub bought: Vec<(LineId, u32)>,
}

/// The orders, as the checkout makes them and tells them of their payments.
pub trait OrderBook: Clone + Send + Sync + 'static {
    /// One transaction: order and event, checkout completed, cart emptied of what was bought. The checkout
    /// after it; `None`, and nothing is written, where it has moved on or its order stands already.
    fn book(
        &self,
        booking: Booking,
    ) -> impl Future<Output = Result<Option<Checkout>, StoreError>> + Send;

    /// The order that a capture paid.
    fn by_capture(
        &self,
        capture: &CaptureId,
    ) -> impl Future<Output = Result<Option<Order>, StoreError>> + Send;

    /// Books what became of a payment that was pending.
    fn payment_changed(
        &self,
        capture: &CaptureId,
        to: PaymentStatus,
    ) -> impl Future<Output = Result<Option<Order>, StoreError>> + Send;

    /// Books everything that the provider has given back of a capture so far.
    fn provider_refunded(
        &self,
        capture: &CaptureId,
        total_refunded: Money,
    ) -> impl Future<Output = Result<Option<Order>, StoreError>> + Send;

    /// Notes on the order that its buyer disputes the payment, or how that stands by now. A world without
    /// disputes has nothing to note.
    fn disputed(
        &self,
        _capture: &CaptureId,
        _dispute: &Dispute,
    ) -> impl Future<Output = Result<Option<Order>, StoreError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Takes the next order whose payment is pending and has not been asked about for a while: its capture.
    /// A world whose provider is always heard at last has none.
    fn unconfirmed(&self) -> impl Future<Output = Result<Option<CaptureId>, StoreError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Books that money of a capture was taken back.
    fn reversed(
        &self,
        capture: &CaptureId,
        reversal: &Reversal,
    ) -> impl Future<Output = Result<Option<Order>, StoreError>> + Send;

    /// Books that what was taken back has come again. A world without reversals has nothing to book.
    fn reversal_canceled(
        &self,
        _capture: &CaptureId,
    ) -> impl Future<Output = Result<Option<Order>, StoreError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Asks how the refunds of `order` that are under way at the provider have ended; what cannot be told now
    /// is left to the sweep. A world whose orders have no refunds has nothing to ask.
    fn conclude_refunds(&self, _order: Order) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Where a cart becomes a checkout.
pub trait Till: Clone + Send + Sync + 'static {
    /// Freezes the buyer's cart at today's prices, if it is the one they saw.
    fn freeze(
        &self,
        id: CheckoutId,
        wish: &Wish,
    ) -> impl Future<Output = Result<Checkout, CheckoutError>> + Send;

    /// Whether the cart is another by now than the one that was frozen.
    fn has_changed(
        &self,
        checkout: &Checkout,
        wish: &Wish,
    ) -> impl Future<Output = Result<bool, CheckoutError>> + Send;
}

/// How time passes for whoever waits.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Waits for `pause`.
    fn pause(&self, pause: Duration) -> impl Future<Output = ()> + Send;
}

/// The wall clock.
#[derive(Debug, Clone, Copy)]
pub struct WallClock;

impl Clock for WallClock {
    async fn pause(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }
}
