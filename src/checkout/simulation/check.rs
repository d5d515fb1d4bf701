//! What must hold once it is quiet: the invariants of RELIABILITY.md that the checkout core answers for.
//!
//! Three records are compared: the database, PayPal's own account of the money, and what buyers were
//! told.

use std::collections::BTreeMap;

use super::{
    machine::{Millis, State},
    paypal::Taken,
};
use crate::{
    checkout::{CheckoutStatus, model::Checkout, returns::ReturnState},
    id::{CheckoutId, LineId, VariantId},
    money::Money,
    orders::{Order, PaymentStatus},
    payments::CaptureStatus,
};

/// The violations found, each with the invariant's name.
pub(super) type Violations = Vec<String>;

fn is_paid(order: &Order) -> bool {
    match order.payment.status {
        PaymentStatus::Completed | PaymentStatus::PartiallyRefunded => true,
        PaymentStatus::Pending
        | PaymentStatus::Denied
        | PaymentStatus::Refunded
        | PaymentStatus::Reversed => false,
    }
}

impl State {
    /// I1 for everything captured before `until`: an order or the money back. A capture that came after its
    /// checkout had ended is found, if not by its message, when the checkout is looked back at: `at_last`.
    pub(super) fn check_money(&self, until: Millis, at_last: bool) -> Violations {
        let mut found = Vec::new();
        let mut kept: BTreeMap<&str, u32> = BTreeMap::new();
        for taken in self.paypal.kept().filter(|taken| taken.at <= until) {
            if !at_last && (self.came_late(taken) || self.is_going_back(taken)) {
                continue;
            }
            *kept.entry(&taken.reference).or_default() += 1;
            let orders = self.orders_of(taken);
            match orders.as_slice() {
                [order] if is_paid(order) => {}
                [order] if self.is_news(order, taken) => {}
                other => found.push(format!(
                    "I1: {} of {} is kept, and has {} orders in a paid state",
                    taken.id,
                    taken.reference,
                    other.len()
                )),
            }
        }
        for payment in &self.paypal.payments {
            let captures = self.paypal.captures.iter();
            let asked = captures.filter(|taken| taken.payment == payment.id && !taken.unasked);
            let times = asked.count();
            if times > 1 {
                found.push(format!("I1: {} was captured {times} times", payment.id));
            }
        }
        for (reference, times) in kept.iter().filter(|(_, times)| **times > 1) {
            found.push(format!("I1: {reference} was paid {times} times"));
        }
        found
    }

    fn came_late(&self, taken: &Taken) -> bool {
        let id = taken.reference.parse().ok();
        let checkout = id.and_then(|id: CheckoutId| self.database.checkouts.get(&id));
        checkout.is_some_and(|checkout| checkout.status.is_final() && checkout.capture_open)
    }

    /// Taken besides the one that was asked for, or being given back by a refund that PayPal refused at
    /// first: that takes the time that its news and the staff take.
    fn is_going_back(&self, taken: &Taken) -> bool {
        let id = taken.reference.parse().ok();
        let checkout = id.and_then(|id: CheckoutId| self.database.checkouts.get(&id));
        let known = checkout.is_some_and(|checkout| {
            let mut returns = checkout.returns.iter();
            returns.any(|back| back.capture == taken.id)
        });
        taken.unasked || known
    }

    fn orders_of(&self, taken: &Taken) -> Vec<&Order> {
        let orders = self.database.orders.iter();
        orders
            .filter(|order| order.payment.capture == taken.id)
            .collect()
    }

    /// A pending payment that PayPal has decided about: its message may still be on the way.
    fn is_news(&self, order: &Order, taken: &Taken) -> bool {
        order.payment.status == PaymentStatus::Pending && self.now - taken.at < 100_000
    }

    /// Everything, after the time that the last hold and the last payment had.
    pub(super) fn check_all(&self) -> Violations {
        let mut found = self.check_money(self.now, true);
        self.check_orders(&mut found);
        self.check_carts(&mut found);
        self.check_stock(&mut found);
        self.check_coupon(&mut found);
        self.check_rest(&mut found);
        for told in &self.buyers.told {
            if !self.database.orders.iter().any(|order| order.id == *told) {
                found.push(format!(
                    "I5: a buyer was told of order {told}, which is not there"
                ));
            }
        }
        found
    }

    /// I2, I4, I6: each order is paid by its capture, alone of its checkout, and told without gap.
    fn check_orders(&self, found: &mut Violations) {
        let orders = &self.database.orders;
        for order in orders {
            let same = |other: &&Order| {
                other.checkout == order.checkout
                    || other.number == order.number
                    || other.payment.capture == order.payment.capture
            };
            let count = orders.iter().filter(same).count();
            if count != 1 {
                found.push(format!("I4: {count} orders of checkout {}", order.checkout));
            }
            if is_paid(order) && !self.is_paid_for(order) {
                found.push(format!("I2: order {} is not paid as it says", order.id));
            }
            if order.payment.status == PaymentStatus::Pending {
                found.push(format!("I10: the payment of order {} stays open", order.id));
            }
            let events = self.database.events.iter();
            let versions: Vec<u64> = events
                .filter(|(id, _)| *id == order.id)
                .map(|(_, version)| *version)
                .collect();
            let last = order.history.last().map(|entry| entry.status);
            if !versions.iter().copied().eq(1..=order.version) || last != Some(order.status) {
                found.push(format!("I6: order {} was told as {versions:?}", order.id));
            }
            let checkout = self.database.checkouts.get(&order.checkout);
            let points_back = checkout.is_some_and(|checkout| {
                checkout.order == Some(order.id) && checkout.status == CheckoutStatus::Completed
            });
            if !points_back {
                found.push(format!(
                    "I4: order {} of a checkout that is not completed",
                    order.id
                ));
            }
        }
    }

    /// R4: what was once in a cart is ordered once.
    fn check_carts(&self, found: &mut Violations) {
        let mut ordered: BTreeMap<LineId, u32> = BTreeMap::new();
        for item in self.database.orders.iter().flat_map(|order| &order.items) {
            *ordered.entry(item.line).or_default() += item.quantity;
        }
        for (line, quantity) in ordered {
            if self
                .buyers
                .filled
                .get(&line)
                .is_none_or(|put| *put < quantity)
            {
                found.push(format!("R4: line {line} of a cart is ordered again"));
            }
        }
    }

    fn is_paid_for(&self, order: &Order) -> bool {
        let captures = self.paypal.captures.iter();
        let paid = captures.filter(|taken| {
            let completed = matches!(
                taken.status,
                CaptureStatus::Completed | CaptureStatus::PartiallyRefunded
            );
            completed
                && taken.id == order.payment.capture
                && taken.amount == order.total
                && taken.payment == order.payment.provider_order
                && taken.reference == order.checkout.to_string()
        });
        paid.count() == 1
    }

    /// I3: nothing is sold twice, nothing is lost, and nothing is held for nobody.
    fn check_stock(&self, found: &mut Violations) {
        let mut due: BTreeMap<VariantId, i64> = BTreeMap::new();
        let standing = self
            .database
            .orders
            .iter()
            .filter(|order| order.payment.status != PaymentStatus::Denied);
        for item in standing.flat_map(|order| &order.items) {
            *due.entry(item.variant).or_default() += i64::from(item.quantity);
        }
        for (variant, units) in &self.database.stock {
            let held: i64 = units.holds.iter().map(|hold| hold.quantity).sum();
            if units.received != units.available + held + units.sold || units.available < 0 {
                found.push(format!("I3: units of {variant} do not add up: {units:?}"));
            }
            let due = due.get(variant).copied().unwrap_or(0);
            if units.sold != due {
                let sold = units.sold;
                found.push(format!("I3: {sold} of {variant} sold, {due} in orders"));
            }
            for hold in &units.holds {
                found.push(format!("I10: {variant} is held for {}", hold.checkout));
            }
        }
    }

    /// R6: a discount code is used as often as orders have it, and no oftener than allowed.
    fn check_coupon(&self, found: &mut Violations) {
        let coupon = &self.database.coupon;
        let orders = self.database.orders.iter();
        let mut with: Vec<CheckoutId> = orders
            .filter(|order| order.discount_total.amount > 0)
            .map(|order| order.checkout)
            .collect();
        let mut used = coupon.used.clone();
        with.sort_unstable();
        used.sort_unstable();
        if with != used || used.len() > coupon.limit || !coupon.claims.is_empty() {
            found.push(format!("R6: orders {with:?} have the code of {coupon:?}"));
        }
    }

    /// I10: every checkout has come to its end, and so has its money.
    fn check_rest(&self, found: &mut Violations) {
        for checkout in self.database.checkouts.values() {
            let at_rest = checkout.status.is_final() && !checkout.stock_open;
            let mut returns = checkout.returns.iter();
            let owing = returns.any(|back| match back.state {
                ReturnState::Due | ReturnState::Failed => true,
                ReturnState::Done | ReturnState::Unpaid => false,
            });
            if !at_rest || owing || checkout.capture_open {
                found.push(format!("I10: {}", brief(checkout)));
            }
        }
    }

    /// How much was taken, given back and ordered, in the whole run.
    pub(super) fn turnover(&self) -> (usize, usize, usize) {
        let back = self.paypal.captures.iter();
        let back = back.filter(|taken| taken.refunded > 0).count();
        let orders = self.database.orders.len();
        (self.paypal.captures.len(), back, orders)
    }
}

fn brief(checkout: &Checkout) -> String {
    let Checkout {
        id,
        status,
        stock_open,
        returns,
        capture,
        reason,
        ..
    } = checkout;
    let ids: (&CheckoutId, Option<Money>) = (id, capture.as_ref().and_then(|taken| taken.amount));
    format!(
        "checkout {ids:?} stays {status:?}, {reason:?}, stock_open {stock_open}, returns {returns:?}"
    )
}
