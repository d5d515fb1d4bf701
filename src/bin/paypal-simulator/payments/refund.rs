//! Refunds over the API and from the dashboard, and reversals.

use serde_json::{Value, json};
use time::Duration;

use super::{
    capture,
    model::{Capture, CaptureStatus, Origin, Refund, RefundStatus},
};
use crate::{
    events::shape::Event,
    ids, ipn,
    money::Amount,
    orders::check::{self, Findings, Node},
    problem::{Detail, Problem},
    world::World,
};

/// What a refund request asks for, checked in form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    /// How much; all that is left where it is absent.
    pub(crate) amount: Option<Amount>,
    /// The merchant's own id.
    pub(crate) custom_id: Option<String>,
    /// The merchant's invoice number.
    pub(crate) invoice_id: Option<String>,
    /// What the buyer is told.
    pub(crate) note: Option<String>,
    /// The `PayPal-Request-Id`.
    pub(crate) request_id: Option<String>,
}

impl Wish {
    /// Reads a request body; an empty one asks for the rest.
    pub(crate) fn parse(body: &Value, request_id: Option<&str>) -> Result<Self, Problem> {
        let mut found = Findings::default();
        let root = Node::root(body);
        root.object(true, &mut found);
        let amount = check::money(
            &root.member("amount"),
            check::Bound::Positive,
            false,
            &mut found,
        );
        let mut text = |name: &str, longest: usize| {
            root.member(name)
                .text((1, longest), false, &mut found)
                .map(str::to_owned)
        };
        let wish = Self {
            amount,
            custom_id: text("custom_id", 127),
            invoice_id: text("invoice_id", 127),
            note: text("note_to_payer", 255),
            request_id: request_id.map(str::to_owned),
        };
        found.verdict()?;
        Ok(wish)
    }
}

/// Whether that much of the capture may go back now.
fn admissible(world: &World, one: &Capture, request: &Wish) -> Result<Amount, Problem> {
    match one.status {
        CaptureStatus::Pending => return Err(Problem::issue("PENDING_CAPTURE")),
        CaptureStatus::Declined | CaptureStatus::Failed => {
            return Err(Problem::issue("REFUND_NOT_ALLOWED"));
        }
        CaptureStatus::Refunded => return Err(Problem::issue("CAPTURE_FULLY_REFUNDED")),
        CaptureStatus::Completed | CaptureStatus::PartiallyRefunded => {}
    }
    let age = world.now() - one.created;
    if age > Duration::days(world.settings.refund_days) {
        return Err(Problem::issue("REFUND_TIME_LIMIT_EXCEEDED"));
    }
    let amount = request.amount.unwrap_or_else(|| one.left());
    if amount.currency != one.amount.currency {
        return Err(Problem::detail(Detail::at(
            "REFUND_CAPTURE_CURRENCY_MISMATCH",
            "/amount/currency_code",
            Some(&Value::from(amount.currency.code)),
        )));
    }
    if amount.minor > one.left().minor {
        return Err(Problem::detail(Detail::at(
            "REFUND_AMOUNT_EXCEEDED",
            "/amount/value",
            Some(&Value::from(amount.value())),
        )));
    }
    if one.disputed && amount.minor < one.amount.minor {
        return Err(Problem::issue("TRANSACTION_DISPUTED"));
    }
    let used = request
        .invoice_id
        .as_ref()
        .is_some_and(|id| world.payments.refund_invoices.contains(id));
    if used && world.settings.unique_invoices {
        return Err(Problem::issue("DUPLICATE_INVOICE_ID"));
    }
    Ok(amount)
}

/// Refunds a capture and tells its refund's id.
pub(crate) fn refund(
    world: &mut World,
    capture_id: &str,
    request: Wish,
    status: RefundStatus,
    origin: Origin,
) -> Result<String, Problem> {
    let amount = admissible(world, world.payments.capture(capture_id)?, &request)?;
    Ok(book(world, capture_id, amount, request, (status, origin)))
}

/// Takes money back from the merchant: a chargeback, in a refund's shape.
pub(crate) fn reverse(
    world: &mut World,
    capture_id: &str,
    amount: Option<Amount>,
) -> Result<String, String> {
    let one = world
        .payments
        .captures
        .get(capture_id)
        .ok_or_else(|| format!("no capture `{capture_id}`"))?;
    let left = one.left();
    let amount = amount.unwrap_or(left);
    if !one.status.paid() || amount.minor <= 0 || amount.minor > left.minor {
        return Err(format!(
            "capture is {} with {} left",
            one.status.word(),
            left.value()
        ));
    }
    if let Some(one) = world.payments.captures.get_mut(capture_id) {
        one.reason = Some("CHARGEBACK".to_owned());
    }
    let done = (RefundStatus::Completed, Origin::Reversal);
    Ok(book(world, capture_id, amount, Wish::default(), done))
}

/// Gives the merchant back what the capture's last reversal took: the dispute is won. PayPal documents no webhook
/// event for it, only the IPN message.
pub(crate) fn cancel_reversal(world: &mut World, capture_id: &str) -> Result<String, String> {
    let now = world.now();
    let standing = |id: &&String| {
        world.payments.refunds.get(*id).is_some_and(|refund| {
            refund.origin == Origin::Reversal && refund.status == RefundStatus::Completed
        })
    };
    let one = world.payments.captures.get(capture_id);
    let one = one.ok_or_else(|| format!("no capture `{capture_id}`"))?;
    let id = one.refunds.iter().rev().find(standing).cloned();
    let id = id.ok_or_else(|| format!("no reversal of capture `{capture_id}`"))?;
    let mut minor = 0;
    if let Some(reversal) = world.payments.refunds.get_mut(&id) {
        reversal.status = RefundStatus::Cancelled;
        reversal.updated = now;
        minor = reversal.amount.minor;
    }
    if let Some(one) = world.payments.captures.get_mut(capture_id) {
        one.reason = None;
        one.give_back(-minor, now);
    }
    world.record("refund.updated", line(world, &id));
    world.record("capture.updated", capture::line(world, capture_id));
    ipn::message::announce_refund(world, &id);
    Ok(id)
}

fn book(
    world: &mut World,
    capture_id: &str,
    amount: Amount,
    request: Wish,
    (status, origin): (RefundStatus, Origin),
) -> String {
    let now = world.now();
    let id = ids::resource();
    let counts = matches!(status, RefundStatus::Completed | RefundStatus::Pending);
    let mut total = amount.minor;
    if let Some(one) = world.payments.captures.get_mut(capture_id) {
        if counts {
            one.give_back(amount.minor, now);
        }
        one.refunds.push(id.clone());
        total = one.refunded;
    }
    if let Some(invoice) = &request.invoice_id {
        world.payments.refund_invoices.insert(invoice.clone());
    }
    let refund = Refund {
        id: id.clone(),
        capture_id: capture_id.to_owned(),
        amount,
        status,
        origin,
        total,
        custom_id: request.custom_id,
        invoice_id: request.invoice_id,
        note: request.note,
        request_id: request.request_id,
        created: now,
        updated: now,
    };
    world.payments.refunds.insert(id.clone(), refund);
    world.record("refund", line(world, &id));
    if counts {
        world.record("capture.updated", capture::line(world, capture_id));
    }
    if status == RefundStatus::Completed {
        announce(world, &id, origin);
    }
    id
}

/// Ends a pending refund.
pub(crate) fn settle_pending(
    world: &mut World,
    id: &str,
    status: RefundStatus,
) -> Result<(), String> {
    let now = world.now();
    let refund = world
        .payments
        .refunds
        .get_mut(id)
        .ok_or_else(|| format!("no refund `{id}`"))?;
    if refund.status != RefundStatus::Pending || status == RefundStatus::Pending {
        return Err(format!("refund is {}", refund.status.word()));
    }
    refund.status = status;
    refund.updated = now;
    let (capture_id, minor, origin) = (
        refund.capture_id.clone(),
        refund.amount.minor,
        refund.origin,
    );
    if status != RefundStatus::Completed
        && let Some(one) = world.payments.captures.get_mut(&capture_id)
    {
        one.give_back(-minor, now);
    }
    world.record("refund.updated", line(world, id));
    world.record("capture.updated", capture::line(world, &capture_id));
    if status == RefundStatus::Completed {
        announce(world, id, origin);
    }
    Ok(())
}

fn announce(world: &mut World, id: &str, origin: Origin) {
    let event = match origin {
        Origin::Api | Origin::Dashboard => "PAYMENT.CAPTURE.REFUNDED",
        Origin::Reversal => "PAYMENT.CAPTURE.REVERSED",
    };
    world.emit(&Event::refund(event, id));
    ipn::message::announce_refund(world, id);
}

/// A refund's line in the journal.
pub(crate) fn line(world: &World, id: &str) -> Value {
    let Some(refund) = world.payments.refunds.get(id) else {
        return json!({ "id": id });
    };
    let order_id = world
        .payments
        .captures
        .get(&refund.capture_id)
        .map(|one| &one.order_id);
    json!({
        "id": refund.id,
        "captureId": refund.capture_id,
        "orderId": order_id,
        "status": refund.status.word(),
        "amount": refund.amount.value(),
        "currency": refund.amount.currency.code,
        "totalRefunded": refund.amount.of(refund.total).value(),
        "origin": refund.origin.word(),
        "customId": refund.custom_id,
        "invoiceId": refund.invoice_id,
        "requestId": refund.request_id,
    })
}
