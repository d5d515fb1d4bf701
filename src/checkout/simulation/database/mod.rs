//! The database in memory: the same conditions, unique indexes and clock as the stores on MongoDB.
//!
//! One message is one operation, done at one moment; a transaction is one as well, done whole at its
//! commit. Each operation mirrors the one of its name on MongoDB; each file says whose.

mod checkouts;
mod discounts;
mod orders;
mod stock;
mod till;

use std::{collections::BTreeMap, time::Duration};

pub(super) use till::nowhere;

use super::{
    Flaw, Simulated,
    machine::{Kind, Link, Lost, Millis, State},
};
use crate::{
    checkout::{
        model::{Checkout, CheckoutStatus},
        ports::{Booking, Clock, World},
    },
    clock::Timestamp,
    discounts::DiscountCode,
    id::{CartId, CheckoutId, LineId, OrderId, UserId, VariantId},
    money::MoneyError,
    mongo::StoreError,
    orders::{Order, model::Change},
    payments::CaptureId,
};

/// The most checkouts that one sweep takes on, as on MongoDB.
const SWEEP: usize = 200;

/// Units of a variant.
#[derive(Debug, Clone, Default)]
pub(super) struct Units {
    pub(super) received: i64,
    pub(super) available: i64,
    pub(super) sold: i64,
    pub(super) holds: Vec<Hold>,
}

/// Units held for a checkout.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) checkout: CheckoutId,
    pub(super) quantity: i64,
    /// `None`: pinned.
    pub(super) expires_at: Option<Millis>,
}

/// A line of a cart.
#[derive(Debug, Clone, Copy)]
pub(super) struct CartLine {
    pub(super) line: LineId,
    pub(super) variant: VariantId,
    pub(super) quantity: u32,
}

/// A discount code with a limit: who has a use of it, and until when.
#[derive(Debug, Default)]
pub(super) struct Coupon {
    pub(super) limit: usize,
    pub(super) claims: Vec<(CheckoutId, UserId, Millis)>,
    pub(super) used: Vec<CheckoutId>,
}

/// The discount code that there is.
fn coupon() -> DiscountCode {
    DiscountCode::parse("TEN").unwrap()
}

/// All collections.
#[derive(Debug, Default)]
pub(super) struct Database {
    pub(super) checkouts: BTreeMap<CheckoutId, Checkout>,
    pub(super) stock: BTreeMap<VariantId, Units>,
    pub(super) orders: Vec<Order>,
    /// One event for each version of an order.
    pub(super) events: Vec<(OrderId, u64)>,
    pub(super) carts: BTreeMap<CartId, Vec<CartLine>>,
    /// The one discount code.
    pub(super) coupon: Coupon,
}

/// The price of one unit of anything.
pub(super) const PRICE: i64 = 1_000;

/// Whether it ended without an order.
const fn ended(checkout: &Checkout) -> bool {
    checkout.status.is_final() && checkout.order.is_none()
}

const fn is_open(checkout: &Checkout) -> bool {
    !checkout.status.is_final()
}

fn millis(duration: Duration) -> Millis {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The driver's error for an answer that did not come.
fn lost(lost: Lost) -> StoreError {
    let kind = match lost {
        Lost::Unsent => std::io::ErrorKind::ConnectionRefused,
        Lost::Unknown => std::io::ErrorKind::ConnectionReset,
    };
    mongodb::error::Error::from(std::io::Error::from(kind)).into()
}

impl State {
    /// Makes a change if the checkout still stands at `from`.
    fn change(
        &mut self,
        id: CheckoutId,
        from: CheckoutStatus,
        change: impl FnOnce(&mut Checkout, Millis),
    ) -> Option<Checkout> {
        let now = self.now;
        let judged = self.flaw != Flaw::StatusNotCompared;
        let found = self.database.checkouts.get_mut(&id);
        let checkout = found.filter(|checkout| !judged || checkout.status == from)?;
        change(checkout, now);
        touch(checkout, now);
        Some(checkout.clone())
    }

    /// Changes the hold of `checkout`, if there is one.
    fn held(
        &mut self,
        checkout: CheckoutId,
        variant: VariantId,
        change: impl FnOnce(&mut Hold),
    ) -> bool {
        let units = self.database.stock.get_mut(&variant);
        let hold = units.and_then(|units| {
            units
                .holds
                .iter_mut()
                .find(|hold| hold.checkout == checkout)
        });
        hold.map(change).is_some()
    }

    /// Takes the hold of `checkout` away, and gives its units to whoever asks.
    fn let_go(
        &mut self,
        checkout: CheckoutId,
        variant: VariantId,
        take: impl FnOnce(&mut Units, i64),
    ) {
        let Some(units) = self.database.stock.get_mut(&variant) else {
            return;
        };
        let place = units
            .holds
            .iter()
            .position(|hold| hold.checkout == checkout);
        if let Some(place) = place {
            let hold = units.holds.remove(place);
            take(units, hold.quantity);
        }
    }

    fn begin_checkout(&mut self, checkout: &Checkout, life: Millis) -> bool {
        if self.database.checkouts.contains_key(&checkout.id) {
            return true;
        }
        let mut others = self.database.checkouts.values();
        let unique = self.flaw != Flaw::NoOpenCartIndex;
        if unique && others.any(|other| other.cart == checkout.cart && is_open(other)) {
            return false;
        }
        let mut checkout = checkout.clone();
        checkout.created_at = Timestamp::from_millis(self.now);
        checkout.updated_at = checkout.created_at;
        checkout.expires_at = Timestamp::from_millis(self.now + life);
        self.database.checkouts.insert(checkout.id, checkout);
        true
    }

    fn write_order(&mut self, booking: &Booking) -> Option<Checkout> {
        let now = Timestamp::from_millis(self.now);
        let new = &booking.order;
        let flawed = self.flaw == Flaw::NoOrderIndex;
        let checkout = self.database.checkouts.get_mut(&booking.checkout)?;
        if checkout.status != CheckoutStatus::Capturing && !flawed {
            return None;
        }
        let stands = self.database.orders.iter().any(|order| {
            order.id == new.id
                || order.checkout == new.checkout
                || order.number == new.number
                || order.payment.capture == new.payment.capture
        });
        if stands && !flawed {
            return None;
        }
        checkout.status = CheckoutStatus::Completed;
        checkout.order = Some(new.id);
        checkout.capture = Some(booking.capture.clone());
        checkout.capture_open = false;
        touch(checkout, self.now);
        let completed = checkout.clone();
        let order = Order::create(new, now).order;
        self.database.events.push((order.id, order.version));
        self.database.orders.push(order);
        if let Some(cart) = self.database.carts.get_mut(&booking.cart) {
            for (bought, quantity) in &booking.bought {
                if let Some(line) = cart.iter_mut().find(|line| line.line == *bought) {
                    line.quantity = line.quantity.saturating_sub(*quantity);
                }
            }
            cart.retain(|line| line.quantity > 0);
        }
        Some(completed)
    }

    /// Changes the order of a capture, with its event, and takes returned goods back.
    fn hear(
        &mut self,
        capture: &CaptureId,
        decide: impl FnOnce(&Order, Timestamp) -> Result<Option<Change>, MoneyError>,
    ) -> Option<Order> {
        let now = Timestamp::from_millis(self.now);
        let mut orders = self.database.orders.iter_mut();
        let order = orders.find(|order| order.payment.capture == *capture)?;
        if let Ok(Some(change)) = decide(order, now) {
            *order = change.order;
            self.database.events.push((order.id, order.version));
            for (variant, quantity) in change.restock.map(|back| back.units).unwrap_or_default() {
                if let Some(units) = self.database.stock.get_mut(&variant) {
                    units.sold -= i64::from(quantity);
                    units.available += i64::from(quantity);
                }
            }
        }
        Some(order.clone())
    }
}

fn touch(checkout: &mut Checkout, now: Millis) {
    checkout.version += 1;
    checkout.updated_at = Timestamp::from_millis(now);
}

impl Link {
    /// Reads.
    async fn read<R: std::fmt::Debug + Send + 'static>(
        &self,
        what: &'static str,
        about: Option<CheckoutId>,
        work: impl FnOnce(&mut State) -> R + Send + 'static,
    ) -> Result<R, StoreError> {
        self.ask((what, about), Kind::Read, work)
            .await
            .map_err(lost)
    }

    /// Writes.
    async fn write<R: std::fmt::Debug + Send + 'static>(
        &self,
        what: &'static str,
        about: Option<CheckoutId>,
        work: impl FnOnce(&mut State) -> R + Send + 'static,
    ) -> Result<R, StoreError> {
        self.ask((what, about), Kind::Write, work)
            .await
            .map_err(lost)
    }
}

impl World for Simulated {
    type Checkouts = Link;
    type Stock = Link;
    type Discounts = Link;
    type Orders = Link;
    type Till = Link;
    type Clock = Link;
}

impl Clock for Link {
    async fn pause(&self, pause: Duration) {
        self.sleep(millis(pause)).await;
    }
}
