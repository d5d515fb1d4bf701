//! Capturing an order, and what may happen to a capture afterwards.

use serde_json::{Value, json};

use super::model::{Capture, CaptureStatus};
use crate::{
    events::shape::Event,
    ids, ipn,
    orders::{
        model::{OrderStatus, Outcome},
        view::approval_url,
    },
    problem::Problem,
    world::World,
};

/// Issues after which the buyer is sent back to the approval page.
const BACK_TO_BUYER: [&str; 3] = [
    "INSTRUMENT_DECLINED",
    "PAYER_ACTION_REQUIRED",
    "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
];

/// Captures an approved order, one capture for each purchase unit.
///
/// `forced` replaces the outcome that the buyer chose, for one call.
pub(crate) fn capture_order(
    world: &mut World,
    id: &str,
    request_id: Option<&str>,
    forced: Option<Outcome>,
) -> Result<(), Problem> {
    let now = world.now();
    let order = world.orders.live(id)?;
    let chosen = order.begin_capture()?;
    let outcome = forced.unwrap_or(chosen);
    let units = order.draft.units.clone();
    let invoices: Vec<String> = units
        .iter()
        .filter_map(|unit| unit.text("invoice_id"))
        .map(str::to_owned)
        .collect();
    if world.settings.unique_invoices
        && invoices
            .iter()
            .any(|invoice| world.payments.invoices.contains(invoice))
    {
        return Err(refused(world, id, "DUPLICATE_INVOICE_ID"));
    }
    let (status, reason) = match outcome {
        Outcome::Complete => (CaptureStatus::Completed, None),
        Outcome::Pending(reason) => (CaptureStatus::Pending, Some(reason)),
        Outcome::Denied => (CaptureStatus::Declined, None),
        Outcome::Failed => (CaptureStatus::Failed, None),
        Outcome::Refused(issue, _) => return Err(refused(world, id, issue)),
    };
    let mut made = Vec::new();
    for unit in &units {
        made.push(Capture {
            id: ids::resource(),
            order_id: id.to_owned(),
            amount: unit.amount,
            status,
            reason: reason.clone(),
            custom_id: unit.text("custom_id").map(str::to_owned),
            invoice_id: unit.text("invoice_id").map(str::to_owned),
            request_id: request_id.map(str::to_owned),
            refunded: 0,
            refunds: Vec::new(),
            disputed: false,
            created: now,
            updated: now,
        });
    }
    let order = world.orders.live(id)?;
    order.status = OrderStatus::Completed;
    order.updated = now;
    for (unit, capture) in order.draft.units.iter_mut().zip(&made) {
        unit.captures.push(capture.id.clone());
    }
    if !matches!(status, CaptureStatus::Declined | CaptureStatus::Failed) {
        world.payments.invoices.extend(invoices);
    }
    for capture in made {
        let capture_id = capture.id.clone();
        world.payments.captures.insert(capture_id.clone(), capture);
        world.record("capture", line(world, &capture_id));
        announce(world, &capture_id);
    }
    world.emit(&Event::order("CHECKOUT.ORDER.COMPLETED", id));
    Ok(())
}

fn refused(world: &mut World, order_id: &str, issue: &'static str) -> Problem {
    world.record(
        "capture.refused",
        json!({ "orderId": order_id, "issue": issue }),
    );
    let problem = Problem::issue(issue);
    if BACK_TO_BUYER.contains(&issue) {
        return problem.with_redirect(approval_url(world, order_id));
    }
    problem
}

/// A capture's line in the journal.
pub(crate) fn line(world: &World, id: &str) -> Value {
    let Some(capture) = world.payments.captures.get(id) else {
        return json!({ "id": id });
    };
    json!({
        "id": capture.id,
        "orderId": capture.order_id,
        "status": capture.status.word(),
        "reason": capture.reason,
        "amount": capture.amount.value(),
        "currency": capture.amount.currency.code,
        "refunded": capture.amount.of(capture.refunded).value(),
        "customId": capture.custom_id,
        "invoiceId": capture.invoice_id,
        "requestId": capture.request_id,
        "payee": world.settings.receiver_email,
    })
}

/// Tells the shop about a capture's status, by webhook and IPN.
fn announce(world: &mut World, id: &str) {
    let Some(capture) = world.payments.captures.get(id) else {
        return;
    };
    let event = match capture.status {
        CaptureStatus::Completed => "PAYMENT.CAPTURE.COMPLETED",
        CaptureStatus::Pending => "PAYMENT.CAPTURE.PENDING",
        CaptureStatus::Declined | CaptureStatus::Failed => "PAYMENT.CAPTURE.DENIED",
        CaptureStatus::PartiallyRefunded | CaptureStatus::Refunded => return,
    };
    world.emit(&Event::capture(event, id));
    ipn::message::announce_capture(world, id);
}

/// Takes the money of a paid capture once more, as nobody asked for; tells the new capture's id.
pub(crate) fn take_again(world: &mut World, id: &str) -> Result<String, String> {
    let now = world.now();
    let first = world.payments.captures.get(id);
    let first = first.ok_or_else(|| format!("no capture `{id}`"))?;
    if !first.status.paid() {
        return Err(format!("capture is {}", first.status.word()));
    }
    let second = Capture {
        id: ids::resource(),
        status: CaptureStatus::Completed,
        reason: None,
        request_id: None,
        refunded: 0,
        refunds: Vec::new(),
        disputed: false,
        created: now,
        updated: now,
        ..first.clone()
    };
    let made = second.id.clone();
    if let Ok(order) = world.orders.live(&second.order_id) {
        let unit = order
            .draft
            .units
            .iter_mut()
            .find(|unit| unit.captures.iter().any(|own| own == id));
        if let Some(unit) = unit {
            unit.captures.push(made.clone());
        }
    }
    world.payments.captures.insert(made.clone(), second);
    world.record("capture", line(world, &made));
    announce(world, &made);
    Ok(made)
}

/// Ends a pending capture: the money came, or it did not.
pub(crate) fn settle_pending(world: &mut World, id: &str, paid: bool) -> Result<(), String> {
    let now = world.now();
    let capture = world
        .payments
        .captures
        .get_mut(id)
        .ok_or_else(|| format!("no capture `{id}`"))?;
    if capture.status != CaptureStatus::Pending {
        return Err(format!("capture is {}", capture.status.word()));
    }
    capture.status = if paid {
        CaptureStatus::Completed
    } else {
        CaptureStatus::Declined
    };
    capture.reason = None;
    capture.updated = now;
    if let (false, Some(invoice)) = (paid, capture.invoice_id.clone()) {
        world.payments.invoices.remove(&invoice);
    }
    world.record("capture.updated", line(world, id));
    announce(world, id);
    Ok(())
}
