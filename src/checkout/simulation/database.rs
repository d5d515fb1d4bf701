//! The database in memory: the same conditions, unique indexes and clock as the stores on MongoDB.
//!
//! One message is one operation, done at one moment; a transaction is one as well, done whole at its
//! commit. Each operation here mirrors the one of its name in `store.rs`, `booking.rs` and
//! `catalog/stock.rs`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Flaw, Simulated,
    machine::{Kind, Link, Lost, Millis, State},
};
use crate::{
    address::PostalAddress,
    catalog::{HoldLine, Holder, StockRoom},
    checkout::{
        error::CheckoutError,
        model::{CaptureRecord, Checkout, CheckoutLine, CheckoutStatus, EndReason, order_number},
        place::Wish,
        ports::{Booking, CheckoutStore, Clock, DiscountDesk, OrderBook, Till, World},
        settle::LATE,
        totals::{ChosenShipping, Totals},
    },
    clock::Timestamp,
    discounts::{AppliedDiscount, Claim, DiscountCode, Obstacle, Refused, StaleClaim},
    id::{CartId, CheckoutId, LineId, OrderId, ProductId, UserId, VariantId},
    money::{Currency, Money, MoneyError},
    mongo::StoreError,
    orders::{Order, PaymentStatus, model::Change},
    payments::{CaptureId, ProviderOrder, ProviderOrderId},
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

impl CheckoutStore for Link {
    async fn begin(&self, checkout: &Checkout, life: Duration) -> Result<bool, StoreError> {
        let checkout = checkout.clone();
        let life = millis(life);
        self.write("begin", Some(checkout.id), move |state| {
            state.begin_checkout(&checkout, life)
        })
        .await
    }

    async fn find(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        self.read("find", Some(id), move |state| {
            state.database.checkouts.get(&id).cloned()
        })
        .await
    }

    async fn open_of(&self, cart: CartId) -> Result<Option<Checkout>, StoreError> {
        self.read("open_of", None, move |state| {
            let mut all = state.database.checkouts.values();
            all.find(|checkout| checkout.cart == cart && is_open(checkout))
                .cloned()
        })
        .await
    }

    async fn of_payment(&self, id: &ProviderOrderId) -> Result<Option<Checkout>, StoreError> {
        let id = id.clone();
        self.read("of_payment", None, move |state| {
            let mut all = state.database.checkouts.values();
            all.find(|checkout| checkout.provider_order.as_ref() == Some(&id))
                .cloned()
        })
        .await
    }

    async fn of_capture(&self, id: &CaptureId) -> Result<Option<Checkout>, StoreError> {
        let id = id.clone();
        self.read("of_capture", None, move |state| {
            let mut all = state.database.checkouts.values();
            all.find(|checkout| {
                checkout
                    .capture
                    .as_ref()
                    .is_some_and(|taken| taken.id == id)
            })
            .cloned()
        })
        .await
    }

    async fn await_approval(
        &self,
        id: CheckoutId,
        payment: &ProviderOrder,
        life: Duration,
    ) -> Result<Option<Checkout>, StoreError> {
        let payment = payment.clone();
        let life = millis(life);
        self.write("await_approval", Some(id), move |state| {
            state.change(id, CheckoutStatus::Preparing, |checkout, now| {
                checkout.status = CheckoutStatus::AwaitingApproval;
                checkout.provider_order = Some(payment.id);
                checkout.approve_url = payment.approve_url;
                checkout.expires_at = Timestamp::from_millis(now + life);
            })
        })
        .await
    }

    async fn begin_capture(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        self.write("begin_capture", Some(id), move |state| {
            state.change(id, CheckoutStatus::AwaitingApproval, |checkout, _| {
                checkout.status = CheckoutStatus::Capturing;
                checkout.capture_open = true;
            })
        })
        .await
    }

    async fn back_to_buyer(
        &self,
        id: CheckoutId,
        life: Duration,
    ) -> Result<Option<Checkout>, StoreError> {
        let life = millis(life);
        self.write("back_to_buyer", Some(id), move |state| {
            state.change(id, CheckoutStatus::Capturing, |checkout, now| {
                checkout.status = CheckoutStatus::AwaitingApproval;
                checkout.capture = None;
                checkout.expires_at = Timestamp::from_millis(now + life);
            })
        })
        .await
    }

    async fn captured(
        &self,
        id: CheckoutId,
        capture: &CaptureRecord,
    ) -> Result<Option<Checkout>, StoreError> {
        let capture = capture.clone();
        self.write("captured", Some(id), move |state| {
            state.change(id, CheckoutStatus::Capturing, |checkout, _| {
                checkout.capture = Some(capture);
                checkout.capture_open = false;
            })
        })
        .await
    }

    async fn captured_late(
        &self,
        id: CheckoutId,
        capture: &CaptureRecord,
    ) -> Result<Option<Checkout>, StoreError> {
        let capture = capture.clone();
        self.write("captured_late", Some(id), move |state| {
            let now = state.now;
            let checkout = state.database.checkouts.get_mut(&id)?;
            if !ended(checkout) || checkout.capture.is_some() {
                return None;
            }
            checkout.capture = Some(capture);
            checkout.capture_open = false;
            checkout.refund_due = true;
            touch(checkout, now);
            Some(checkout.clone())
        })
        .await
    }

    async fn capture_over(&self, id: CheckoutId, late: Duration) -> Result<bool, StoreError> {
        let late = millis(late);
        self.write("capture_over", Some(id), move |state| {
            let now = state.now;
            let found = state.database.checkouts.get_mut(&id);
            let over = found.filter(|found| ended(found) && found.expires_at.millis() < now - late);
            over.is_some_and(|checkout| {
                checkout.capture_open = false;
                touch(checkout, now);
                true
            })
        })
        .await
    }

    async fn end(
        &self,
        checkout: &Checkout,
        to: CheckoutStatus,
        reason: EndReason,
        refund_due: bool,
    ) -> Result<Option<Checkout>, StoreError> {
        let (id, from) = (checkout.id, checkout.status);
        if !from.may_become(to) {
            return Ok(None);
        }
        self.write("end", Some(id), move |state| {
            state.change(id, from, |checkout, _| {
                checkout.status = to;
                checkout.reason = Some(reason);
                checkout.refund_due = refund_due;
            })
        })
        .await
    }

    async fn expire(&self, checkout: &Checkout) -> Result<Option<Checkout>, StoreError> {
        let (id, from) = (checkout.id, checkout.status);
        self.write("expire", Some(id), move |state| {
            let now = state.now;
            let found = state.database.checkouts.get(&id)?;
            if found.expires_at.millis() >= now {
                return None;
            }
            state.change(id, from, |checkout, _| {
                checkout.status = CheckoutStatus::Expired;
                checkout.reason = Some(EndReason::Expired);
            })
        })
        .await
    }

    async fn stock_settled(&self, id: CheckoutId) -> Result<Option<Checkout>, StoreError> {
        self.write("stock_settled", Some(id), move |state| {
            let now = state.now;
            let found = state.database.checkouts.get_mut(&id);
            let checkout = found.filter(|found| found.status.is_final())?;
            checkout.stock_open = false;
            touch(checkout, now);
            Some(checkout.clone())
        })
        .await
    }

    async fn refunded(&self, id: CheckoutId, refund: Option<&str>) -> Result<(), StoreError> {
        let refund = refund.map(str::to_owned);
        self.write("refunded", Some(id), move |state| {
            let now = state.now;
            if let Some(checkout) = state.database.checkouts.get_mut(&id) {
                checkout.refund_due = false;
                checkout.refund = refund;
                touch(checkout, now);
            }
        })
        .await
    }

    async fn unfinished(&self, idle: Duration) -> Result<Vec<CheckoutId>, StoreError> {
        let idle = millis(idle);
        self.read("unfinished", None, move |state| {
            let before = state.now - idle;
            let late = state.now - millis(LATE);
            let wanted = state.database.checkouts.values().filter(|checkout| {
                checkout.updated_at.millis() < before
                    && (is_open(checkout)
                        || checkout.stock_open
                        || checkout.refund_due
                        || checkout.capture_open && checkout.expires_at.millis() < late)
            });
            let mut found: Vec<(Millis, CheckoutId)> = wanted
                .map(|checkout| (checkout.updated_at.millis(), checkout.id))
                .collect();
            found.sort_unstable();
            found.truncate(SWEEP);
            found.into_iter().map(|(_, id)| id).collect()
        })
        .await
    }

    async fn looked_at(&self, id: CheckoutId) -> Result<(), StoreError> {
        self.write("looked_at", Some(id), move |state| {
            let now = state.now;
            if let Some(checkout) = state.database.checkouts.get_mut(&id) {
                checkout.updated_at = Timestamp::from_millis(now);
            }
        })
        .await
    }
}

impl StockRoom for Link {
    async fn take(
        &self,
        holder: &Holder,
        line: HoldLine,
        life: Duration,
    ) -> Result<bool, StoreError> {
        let checkout = holder.checkout;
        let life = millis(life);
        self.write("take", Some(checkout), move |state| {
            let expires_at = Some(state.now + life);
            let Some(units) = state.database.stock.get_mut(&line.variant) else {
                return false;
            };
            let quantity = i64::from(line.quantity);
            let enough = units.available >= quantity || state.flaw == Flaw::HoldUnconditional;
            if !enough || units.holds.iter().any(|hold| hold.checkout == checkout) {
                return false;
            }
            units.available -= quantity;
            units.holds.push(Hold {
                checkout,
                quantity,
                expires_at,
            });
            true
        })
        .await
    }

    async fn holds(&self, checkout: CheckoutId, variant: VariantId) -> Result<bool, StoreError> {
        self.read("holds", Some(checkout), move |state| {
            state.held(checkout, variant, |_| {})
        })
        .await
    }

    async fn within_reach(&self, _holder: &Holder, variant: VariantId) -> Result<u32, StoreError> {
        self.read("within_reach", None, move |state| {
            let units = state.database.stock.get(&variant);
            units.map_or(0, |units| u32::try_from(units.available).unwrap_or(0))
        })
        .await
    }

    async fn pin_one(&self, checkout: CheckoutId, variant: VariantId) -> Result<bool, StoreError> {
        self.write("pin", Some(checkout), move |state| {
            let lies = state.flaw == Flaw::PinLies;
            state.held(checkout, variant, |hold| hold.expires_at = None) || lies
        })
        .await
    }

    async fn release_one(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> Result<(), StoreError> {
        self.write("release", Some(checkout), move |state| {
            state.let_go(checkout, variant, |units, quantity| {
                units.available += quantity;
            });
        })
        .await
    }

    async fn give_up_one(
        &self,
        checkout: CheckoutId,
        variant: VariantId,
    ) -> Result<(), StoreError> {
        self.write("give_up", Some(checkout), move |state| {
            let mut pinned = false;
            let held = state.held(checkout, variant, |hold| pinned = hold.expires_at.is_none());
            if held && !pinned {
                state.let_go(checkout, variant, |units, quantity| {
                    units.available += quantity;
                });
            }
        })
        .await
    }

    async fn sell_one(&self, checkout: CheckoutId, variant: VariantId) -> Result<(), StoreError> {
        self.write("sell", Some(checkout), move |state| {
            let mut pinned = false;
            state.held(checkout, variant, |hold| pinned = hold.expires_at.is_none());
            if !pinned {
                return;
            }
            state.let_go(checkout, variant, |units, quantity| units.sold += quantity);
        })
        .await
    }

    async fn doubtful_holds(&self) -> Result<Vec<(CheckoutId, VariantId)>, StoreError> {
        self.read("doubtful_holds", None, move |state| {
            let now = state.now;
            let all = state.database.stock.iter();
            all.flat_map(|(variant, units)| {
                let doubtful = units
                    .holds
                    .iter()
                    .filter(move |hold| hold.expires_at.is_none_or(|expires_at| expires_at < now));
                doubtful.map(|hold| (hold.checkout, *variant))
            })
            .collect()
        })
        .await
    }
}

impl DiscountDesk for Link {
    async fn claim(
        &self,
        claim: &Claim,
        life: Duration,
    ) -> Result<Result<(), Refused>, StoreError> {
        let Some(code) = claim.codes.first().cloned() else {
            return Ok(Ok(()));
        };
        let (checkout, user, life) = (claim.checkout, claim.user, millis(life));
        self.write("claim", Some(checkout), move |state| {
            let until = state.now + life;
            let unlimited = state.flaw == Flaw::CouponUnlimited;
            let coupon = &mut state.database.coupon;
            // What was counted is remembered, so that a run that was held up does not claim it again.
            let claimed = coupon.claims.iter().any(|(by, ..)| *by == checkout);
            if claimed || coupon.used.contains(&checkout) {
                return Ok(());
            }
            if coupon.claims.len() + coupon.used.len() >= coupon.limit && !unlimited {
                let obstacle = Obstacle::UsedUp;
                return Err(Refused { code, obstacle });
            }
            coupon.claims.push((checkout, user, until));
            Ok(())
        })
        .await
    }

    async fn keep(&self, claim: &Claim) -> Result<(), StoreError> {
        self.end_claim("keep", claim, |coupon, by| coupon.used.push(by))
            .await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.end_claim("unclaim", claim, |_, _| {}).await
    }

    async fn stale_claims(&self) -> Result<Vec<StaleClaim>, StoreError> {
        self.read("stale_claims", None, |state| {
            let now = state.now;
            let claims = state.database.coupon.claims.iter();
            let stale = claims.filter(|(_, _, until)| *until < now);
            stale
                .map(|(checkout, user, _)| StaleClaim {
                    code: coupon(),
                    checkout: *checkout,
                    user: *user,
                })
                .collect()
        })
        .await
    }
}

impl Link {
    async fn end_claim(
        &self,
        what: &'static str,
        claim: &Claim,
        then: impl FnOnce(&mut Coupon, CheckoutId) + Send + 'static,
    ) -> Result<(), StoreError> {
        if claim.codes.is_empty() {
            return Ok(());
        }
        let checkout = claim.checkout;
        self.write(what, Some(checkout), move |state| {
            let coupon = &mut state.database.coupon;
            let mut claims = coupon.claims.iter();
            if let Some(place) = claims.position(|(by, ..)| *by == checkout) {
                coupon.claims.remove(place);
                then(coupon, checkout);
            }
        })
        .await
    }
}

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

    async fn reversed(&self, capture: &CaptureId) -> Result<Option<Order>, StoreError> {
        let capture = capture.clone();
        self.write("reversed", None, move |state| {
            state.hear(&capture, |order, at| Ok(order.reverse_payment(at)))
        })
        .await
    }
}

impl Till for Link {
    async fn freeze(&self, id: CheckoutId, wish: &Wish) -> Result<Checkout, CheckoutError> {
        let wish = wish.clone();
        let cart = CartId::from_object_id(wish.user.object_id());
        let (lines, coupon) = self
            .read("cart", Some(id), move |state| {
                let lines = state.database.carts.get(&cart).cloned();
                let coupon = state.chance.yes(400).then(coupon);
                (lines.unwrap_or_default(), coupon)
            })
            .await?;
        if lines.is_empty() {
            return Err(CheckoutError::CartEmpty);
        }
        Ok(frozen(id, cart, &wish, (&lines, coupon)))
    }

    async fn has_changed(&self, checkout: &Checkout, _wish: &Wish) -> Result<bool, CheckoutError> {
        let cart = checkout.cart;
        let frozen: Vec<_> = checkout
            .lines
            .iter()
            .map(|line| (line.line, line.quantity))
            .collect();
        let changed = self.read("cart", Some(checkout.id), move |state| {
            let lines = state.database.carts.get(&cart);
            let now = lines
                .into_iter()
                .flatten()
                .map(|line| (line.line, line.quantity));
            !now.eq(frozen)
        });
        Ok(changed.await?)
    }
}

/// The checkout of a cart, without shipping and tax.
fn frozen(
    id: CheckoutId,
    cart: CartId,
    wish: &Wish,
    (lines, coupon): (&[CartLine], Option<DiscountCode>),
) -> Checkout {
    let usd = |amount| Money::new(amount, Currency::USD);
    let lines: Vec<CheckoutLine> = lines
        .iter()
        .map(|line| CheckoutLine {
            line: line.line,
            product: ProductId::from_object_id(line.variant.object_id()),
            variant: line.variant,
            sku: String::new(),
            title: String::new(),
            options: BTreeMap::new(),
            image: None,
            unit_price: usd(PRICE),
            quantity: line.quantity,
            line_total: usd(PRICE * i64::from(line.quantity)),
        })
        .collect();
    let subtotal = usd(lines.iter().map(|line| line.line_total.amount).sum());
    let discounts: Vec<_> = coupon
        .map(|code| AppliedDiscount {
            code,
            amount: usd(PRICE / 10),
        })
        .into_iter()
        .collect();
    let discount = usd(discounts.iter().map(|applied| applied.amount.amount).sum());
    Checkout {
        id,
        user: wish.user,
        cart,
        client: String::new(),
        number: order_number(id),
        status: CheckoutStatus::Preparing,
        lines,
        discounts,
        totals: Totals {
            subtotal,
            discount,
            shipping: usd(0),
            tax: usd(0),
            total: usd(subtotal.amount - discount.amount),
        },
        shipping: ChosenShipping {
            id: String::new(),
            name: String::new(),
            price: usd(0),
        },
        shipping_address: wish.shipping_address.clone(),
        billing_address: None,
        return_url: String::new(),
        cancel_url: String::new(),
        provider_order: None,
        approve_url: None,
        capture_open: false,
        capture: None,
        reason: None,
        refund_due: false,
        refund: None,
        stock_open: true,
        order: None,
        expires_at: Checkout::UNSET,
        version: 1,
        created_at: Checkout::UNSET,
        updated_at: Checkout::UNSET,
    }
}

/// An address that nothing depends on.
pub(super) const fn nowhere() -> PostalAddress {
    PostalAddress {
        name: String::new(),
        line1: String::new(),
        line2: None,
        city: String::new(),
        region: None,
        postal_code: String::new(),
        country: String::new(),
        phone: None,
    }
}
