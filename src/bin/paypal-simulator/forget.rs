//! Forgets what is long over, so that a run of days stays small. The journal keeps it all.

use std::time::Duration;

use crate::{
    orders::model::{Order, OrderStatus},
    payments::model::{CaptureStatus, Payments, RefundStatus},
    world::World,
};

/// How often that happens.
pub(crate) const EVERY: Duration = Duration::from_secs(10);

/// Forgets tokens and request ids whose time is over, and the oldest finished orders beyond
/// `keepOrders`, with their payments.
pub(crate) fn old(world: &mut World) {
    let now = world.now();
    world.tokens.forget(now);
    world.keys.forget(now);
    let most = world.settings.keep_orders;
    let mut over = world.orders.len().saturating_sub(most);
    if over == 0 {
        return;
    }
    let mut finished: Vec<&Order> = world
        .orders
        .iter()
        .filter(|order| is_finished(order, &world.payments))
        .collect();
    finished.sort_by_key(|order| order.updated);
    over = over.min(finished.len());
    finished.truncate(over);
    let gone: Vec<String> = finished.iter().map(|order| order.id.clone()).collect();
    let captures: Vec<String> = finished
        .iter()
        .flat_map(|order| order.draft.units.iter())
        .flat_map(|unit| unit.captures.iter().cloned())
        .collect();
    world.orders.forget(&gone);
    world.payments.forget(&captures);
}

/// Whether nothing will happen to it any more by itself.
fn is_finished(order: &Order, payments: &Payments) -> bool {
    if !order.expired && !matches!(order.status, OrderStatus::Completed | OrderStatus::Voided) {
        return false;
    }
    let mut captures = order
        .draft
        .units
        .iter()
        .flat_map(|unit| unit.captures.iter())
        .filter_map(|id| payments.captures.get(id));
    captures.all(|one| {
        let mut refunds = one.refunds.iter().filter_map(|id| payments.refunds.get(id));
        one.status != CaptureStatus::Pending
            && !one.disputed
            && refunds.all(|refund| refund.status != RefundStatus::Pending)
    })
}
