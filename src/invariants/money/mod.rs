//! I1 and I2: money came in once, became one order or went back, and no order is without it.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Document, doc};
use serde::Deserialize;

use super::{
    Books, CheckError,
    journal::{Capture, Journal},
    report::{Invariant, Report, Tally},
    rows::{Captured, Checkout, Money, Order, Return},
};

/// Statuses of a payment that has come in.
const PAID: [&str; 4] = ["Completed", "PartiallyRefunded", "Refunded", "Reversed"];

/// A checkout with the orders that have its capture.
#[derive(Debug, Deserialize)]
struct Taken {
    checkout: Checkout,
    orders: Vec<Order>,
}

/// An order with its checkout.
#[derive(Debug, Deserialize)]
struct Ordered {
    order: Order,
    checkouts: Vec<Checkout>,
}

/// Money that the shop says it has: minor units by currency.
type Sums = BTreeMap<String, i64>;

/// What the books say of all captures.
#[derive(Debug, Default)]
struct Known {
    /// The captures that are known.
    booked: BTreeSet<String>,
    /// Those of them that a bank has taken back.
    reversed: BTreeSet<String>,
    /// What is under way back of each, as the provider has it as well.
    under_way: BTreeMap<String, i64>,
    /// What is in hand.
    ours: Sums,
}

pub(super) async fn check(
    books: &Books,
    journal: Option<&Journal>,
    payee: Option<&str>,
    report: &mut Report,
) -> Result<(), CheckError> {
    let mut snapshot = books.snapshot().await?;
    let mut ours = Sums::new();
    let mut booked = BTreeSet::new();
    let mut reversed = BTreeSet::new();
    let mut under_way = BTreeMap::new();
    let tally = report.tally(Invariant::I1);
    let judge = |taken: Taken| {
        let mut faults = judge_taken(&taken);
        add_up(&taken, &mut ours);
        let captured = taken.checkout.capture.as_ref();
        if let Some((own, journal)) = captured.zip(journal) {
            faults.extend(judge_theirs(
                &taken.checkout,
                own,
                journal.captures.get(&own.id),
            ));
            booked.insert(own.id.clone());
            let paid_back = taken
                .orders
                .iter()
                .filter(|order| order.payment.status == "Reversed");
            reversed.extend(paid_back.map(|order| order.payment.capture.clone()));
            let open = taken.orders.iter().map(|order| journal.under_way(order));
            under_way.insert(own.id.clone(), open.sum());
        }
        faults
    };
    snapshot
        .judge("checkouts", with_orders(), tally, judge)
        .await?;
    if let Some(journal) = journal {
        let books = Known {
            booked,
            reversed,
            under_way,
            ours,
        };
        judge_journal(journal, &books, tally);
    }
    let judge = |ordered: Ordered| {
        let mut faults = judge_order(&ordered.order);
        faults.extend(judge_origin(&ordered));
        if let Some(journal) = journal {
            faults.extend(judge_capture(&ordered.order, journal, payee));
        }
        faults
    };
    let tally = report.tally(Invariant::I2);
    snapshot
        .judge("orders", with_checkouts(), tally, judge)
        .await?;
    Ok(())
}

fn with_orders() -> Vec<Document> {
    vec![
        doc! { "$match": { "capture.id": { "$type": "string" } } },
        doc! { "$project": { "checkout": "$$ROOT" } },
        doc! { "$lookup": { "from": "orders", "localField": "checkout.capture.id",
        "foreignField": "payment.capture", "as": "orders" } },
    ]
}

fn with_checkouts() -> Vec<Document> {
    vec![
        doc! { "$project": { "order": "$$ROOT" } },
        doc! { "$lookup": { "from": "checkouts", "localField": "order.checkout",
        "foreignField": "_id", "as": "checkouts" } },
    ]
}

/// Adds what is left in hand of a capture, as the shop has it. Money that a bank has taken back is the
/// provider's to count.
fn add_up(taken: &Taken, sums: &mut Sums) {
    let mut add = |money: &Money, sign: i64| {
        let sum = sums.entry(money.currency.clone()).or_default();
        *sum = sum.saturating_add(money.amount.saturating_mul(sign));
    };
    for order in &taken.orders {
        if matches!(
            order.payment.status.as_str(),
            "Completed" | "PartiallyRefunded" | "Refunded"
        ) {
            add(&order.payment.captured, 1);
            add(&order.payment.refunded, -1);
        }
    }
    let back = taken.checkout.own_return();
    let kept = taken.orders.is_empty() && !back.is_some_and(Return::is_taken_on);
    let capture = taken
        .checkout
        .capture
        .as_ref()
        .filter(|own| kept && own.standing == "paid");
    if let Some(amount) = capture.and_then(|capture| capture.amount.as_ref()) {
        add(amount, 1);
    }
}

/// A capture becomes one order, or goes back, or is still on its way; never two of these.
fn judge_taken(taken: &Taken) -> Vec<String> {
    let checkout = &taken.checkout;
    let Some(own) = &checkout.capture else {
        return Vec::new();
    };
    let (id, capture) = (checkout.id, &own.id);
    let mut faults = Vec::new();
    let back = checkout.own_return();
    let going_back = back.is_some();
    if own.standing == "paid" && back.is_some_and(|back| back.state == "Failed") {
        faults.push(format!(
            "checkout {id}: the provider refuses to give capture {capture} back"
        ));
    }
    let besides = checkout
        .returns
        .iter()
        .filter(|back| back.capture != *capture);
    for second in besides.filter(|back| matches!(back.state.as_str(), "Due" | "Failed")) {
        faults.push(format!(
            "checkout {id}: was charged twice, and {} has not gone back",
            second.capture
        ));
    }
    match taken.orders.as_slice() {
        [] if own.standing == "paid" && checkout.is_over() && !going_back => {
            faults.push(format!(
                "checkout {id}: capture {capture} is neither an order nor refunded"
            ));
        }
        [] => {}
        [order] => {
            if order.checkout != id {
                faults.push(format!(
                    "order {}: capture {capture} is checkout {id}'s",
                    order.id
                ));
            }
            if going_back {
                faults.push(format!(
                    "checkout {id}: capture {capture} is both an order and refunded"
                ));
            }
        }
        several => {
            let many = several.len();
            faults.push(format!(
                "checkout {id}: capture {capture} has {many} orders"
            ));
        }
    }
    faults
}

/// The provider says the same of a checkout's capture.
fn judge_theirs(checkout: &Checkout, own: &Captured, theirs: Option<&Capture>) -> Vec<String> {
    let (id, capture) = (checkout.id, &own.id);
    let Some(theirs) = theirs else {
        return vec![format!(
            "checkout {id}: the provider has no capture {capture}"
        )];
    };
    let mut faults = Vec::new();
    if theirs.custom_id != id.to_hex() {
        let whose = &theirs.custom_id;
        faults.push(format!("checkout {id}: capture {capture} is for {whose}"));
    }
    if own.standing == "paid" && !theirs.is_paid() {
        let status = &theirs.status;
        faults.push(format!(
            "checkout {id}: capture {capture} is {status}, not paid"
        ));
    }
    let is_back = checkout.own_return().is_some_and(Return::is_done);
    if is_back && theirs.refunded != theirs.amount.amount {
        let (back, amount) = (theirs.refunded, &theirs.amount);
        faults.push(format!(
            "checkout {id}: {back} of {amount} of {capture} went back"
        ));
    }
    faults
}

/// Everything that the provider has taken is known to the shop or went back whole, nobody was charged
/// twice, and both have the same money in hand.
fn judge_journal(journal: &Journal, books: &Known, tally: &mut Tally) {
    let mut theirs = Sums::new();
    let mut charged: BTreeMap<&str, u32> = BTreeMap::new();
    for capture in journal
        .captures
        .values()
        .filter(|capture| capture.is_paid())
    {
        let (id, amount) = (&capture.id, &capture.amount);
        let under_way = books.under_way.get(id).copied().unwrap_or_default();
        let left = amount.amount.saturating_sub(capture.refunded) + under_way;
        let lost = !books.booked.contains(id) && left != 0;
        tally.judged(lost.then(|| {
            format!(
                "capture {id}: {left} of {amount} was taken for {} and is nowhere",
                capture.custom_id
            )
        }));
        if left > 0 {
            *charged.entry(&capture.custom_id).or_default() += 1;
        }
        if !books.reversed.contains(id) {
            let sum = theirs.entry(amount.currency.clone()).or_default();
            *sum = sum.saturating_add(left);
        }
    }
    for (checkout, times) in charged.iter().filter(|(_, times)| **times > 1) {
        tally.fault(format!("checkout {checkout}: was charged {times} times"));
    }
    let currencies: BTreeSet<&String> = theirs.keys().chain(books.ours.keys()).collect();
    for currency in currencies {
        let of = |sums: &Sums| sums.get(currency).copied().unwrap_or_default();
        let (theirs, ours) = (of(&theirs), of(&books.ours));
        let differ = theirs != ours;
        tally.judged(differ.then(|| {
            format!(
                "{currency}: the provider has {theirs} in hand for the shop, the books say {ours}"
            )
        }));
    }
}

/// An order's own figures add up, and its payment's status fits what was given back.
fn judge_order(order: &Order) -> Vec<String> {
    let id = order.id;
    let mut faults = Vec::new();
    let payment = &order.payment;
    let sums = [
        &order.subtotal,
        &order.discount_total,
        &order.shipping,
        &order.tax,
    ];
    let foreign = sums
        .into_iter()
        .chain(
            order
                .items
                .iter()
                .flat_map(|item| [&item.unit_price, &item.line_total]),
        )
        .chain(order.refunds.iter().map(|refund| &refund.amount))
        .chain([&payment.captured, &payment.refunded]);
    if foreign
        .into_iter()
        .any(|money| money.currency != order.total.currency)
    {
        faults.push(format!("order {id}: several currencies"));
    }
    for item in &order.items {
        if item.quantity < 1
            || item.unit_price.amount.checked_mul(item.quantity) != Some(item.line_total.amount)
        {
            faults.push(format!(
                "order {id}: a line of {} is not its price times its units",
                item.line_total
            ));
        }
    }
    let lines: i64 = order.items.iter().map(|item| item.line_total.amount).sum();
    let total = order.subtotal.amount - order.discount_total.amount
        + order.shipping.amount
        + order.tax.amount;
    if lines != order.subtotal.amount || total != order.total.amount {
        faults.push(format!(
            "order {id}: {} is not what its parts add up to",
            order.total
        ));
    }
    if payment.captured != order.total {
        faults.push(format!(
            "order {id}: captured {}, costs {}",
            payment.captured, order.total
        ));
    }
    let own = order
        .refunds
        .iter()
        .filter(|refund| refund.state == "Completed");
    let own: i64 = own.map(|refund| refund.amount.amount).sum();
    let (back, captured) = (payment.refunded.amount, payment.captured.amount);
    if back < 0 || back > captured || own > back {
        faults.push(format!(
            "order {id}: refunds of {own}, {back} in all, captured {captured}"
        ));
    }
    let fits = match payment.status.as_str() {
        "Pending" | "Denied" | "Completed" => back == 0,
        "PartiallyRefunded" => 0 < back && back < captured,
        "Refunded" => back == captured,
        "Reversed" => true,
        _ => false,
    };
    if !fits {
        faults.push(format!(
            "order {id}: payment {} with {back} given back",
            payment.status
        ));
    }
    if payment.status == "Denied" && order.status != "Cancelled" {
        faults.push(format!("order {id}: {} without payment", order.status));
    }
    if payment.status == "Pending" && order.status != "Pending" {
        faults.push(format!("order {id}: {} before payment", order.status));
    }
    faults
}

/// An order comes from one checkout, which says the same.
fn judge_origin(ordered: &Ordered) -> Vec<String> {
    let order = &ordered.order;
    let id = order.id;
    let [checkout] = ordered.checkouts.as_slice() else {
        return vec![format!(
            "order {id}: its checkout {} is not there",
            order.checkout
        )];
    };
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!("order {id}: another {what} than its checkout"));
        }
    };
    must(
        checkout.status == "Completed" && checkout.order == Some(id),
        "idea of being done",
    );
    must(checkout.user == order.user, "buyer");
    must(checkout.number == order.number, "number");
    must(checkout.totals.total == order.total, "total");
    must(
        checkout.provider_order.as_ref() == Some(&order.payment.provider_order),
        "payment",
    );
    let capture = checkout.capture.as_ref();
    must(
        capture.map(|own| &own.id) == Some(&order.payment.capture),
        "capture",
    );
    let amount = capture.and_then(|own| own.amount.as_ref());
    must(amount == Some(&order.total), "amount captured");
    faults
}

/// An order in a paid state has a capture of exactly its money, for this very order, to this very shop.
fn judge_capture(order: &Order, journal: &Journal, payee: Option<&str>) -> Vec<String> {
    let (id, payment) = (order.id, &order.payment);
    let Some(capture) = journal.captures.get(&payment.capture) else {
        return vec![format!(
            "order {id}: the provider has no capture {}",
            payment.capture
        )];
    };
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(format!("order {id}: {what}"));
        }
    };
    must(
        !PAID.contains(&payment.status.as_str()) || capture.is_paid(),
        format!("{} by a capture that is {}", payment.status, capture.status),
    );
    must(
        capture.amount == order.total,
        format!("costs {}, {} was captured", order.total, capture.amount),
    );
    must(
        capture.custom_id == order.checkout.to_hex() && capture.invoice_id == order.number,
        format!(
            "its capture is for {} {}",
            capture.custom_id, capture.invoice_id
        ),
    );
    must(
        capture.order == payment.provider_order,
        format!("its capture is of payment {}", capture.order),
    );
    must(
        payee.is_none() || capture.payee.is_none() || payee == capture.payee.as_deref(),
        format!("its capture went to {:?}", capture.payee),
    );
    let gone = capture.refunded - journal.under_way(order);
    must(
        payment.status == "Reversed" || gone == payment.refunded.amount,
        format!("{} given back, the provider says {gone}", payment.refunded),
    );
    faults
}

#[cfg(test)]
mod tests;
