//! I4, I6 and I8: one order for each checkout, a legal history, and a notice of every change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bson::{Document, doc, oid::ObjectId};
use serde::Deserialize;

use super::{
    Books, CheckError,
    acks::Acks,
    report::{Invariant, Report, Tally},
    rows::{Entry, Order},
};
use crate::clock::Timestamp;

/// How long an event may wait for the broker before it counts as left lying.
const RELAY_PATIENCE: Duration = Duration::from_mins(5);

/// Statuses of checkouts that may still take money.
const OPEN: [&str; 3] = ["Preparing", "AwaitingApproval", "Capturing"];

pub(super) async fn check(
    books: &Books,
    acks: &Acks,
    report: &mut Report,
) -> Result<(), CheckError> {
    check_single(books, report.tally(Invariant::I4)).await?;
    check_histories(books, report.tally(Invariant::I6)).await?;
    check_notices(books, acks, report.tally(Invariant::I8)).await
}

/// Where an order may go from a status.
pub(super) fn order_leads(from: &str) -> &'static [&'static str] {
    match from {
        "Pending" => &["Processing", "Cancelled"],
        "Processing" => &["Shipped", "Cancelled"],
        "Shipped" => &["Delivered", "Refunded"],
        "Delivered" => &["Refunded"],
        _over => &[],
    }
}

/// Whether `leads` has a way from `from` to `to`.
pub(super) fn reaches(from: &str, to: &str, leads: fn(&str) -> &'static [&'static str]) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(status) = next.pop() {
        if status == to {
            return true;
        }
        next.extend(leads(status).iter().filter(|status| seen.insert(status)));
    }
    false
}

// ---- I4

/// The answer that an idempotency key keeps.
#[derive(Debug, Deserialize)]
struct Kept {
    #[serde(rename = "_id")]
    id: String,
    subject: ObjectId,
    answer: Answer,
    checkouts: Vec<Owned>,
    orders: Vec<Owned>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    status: i64,
    body: String,
}

#[derive(Debug, Deserialize)]
struct Owned {
    #[serde(rename = "_id")]
    id: ObjectId,
    user: ObjectId,
}

async fn check_single(books: &Books, tally: &mut Tally) -> Result<(), CheckError> {
    let mut snapshot = books.snapshot().await?;
    for key in ["checkout", "payment.capture", "number"] {
        snapshot.find_shared("orders", doc! {}, key, tally).await?;
    }
    let open = doc! { "status": { "$in": OPEN.to_vec() } };
    snapshot
        .find_shared("checkouts", open, "cart", tally)
        .await?;
    let paid = doc! { "provider_order": { "$type": "string" } };
    snapshot
        .find_shared("checkouts", paid, "provider_order", tally)
        .await?;
    snapshot
        .find_shared("idempotency", doc! {}, "subject", tally)
        .await?;
    let judge = |kept: Kept| judge_kept(&kept);
    snapshot
        .judge("idempotency", with_subjects(), tally, judge)
        .await?;
    Ok(())
}

/// Keys with an answer, and what the answer may be about.
fn with_subjects() -> Vec<Document> {
    let of = |collection: &str| {
        doc! { "$lookup": { "from": collection, "localField": "subject", "foreignField": "_id",
        "pipeline": [{ "$project": { "user": 1 } }], "as": collection } }
    };
    vec![
        doc! { "$match": { "answer": { "$type": "object" }, "_id": { "$regex": ":checkout:" } } },
        of("checkouts"),
        of("orders"),
    ]
}

/// A kept answer is a success about what its key was made for, which is there and the asker's.
fn judge_kept(kept: &Kept) -> Vec<String> {
    let (key, subject) = (&kept.id, kept.subject);
    let mut faults = Vec::new();
    if !(200..300).contains(&kept.answer.status) {
        faults.push(format!(
            "key {key}: keeps an answer of {}",
            kept.answer.status
        ));
    }
    let body: serde_json::Value = serde_json::from_str(&kept.answer.body).unwrap_or_default();
    let about = body.get("id").and_then(serde_json::Value::as_str);
    if about != Some(&subject.to_hex()) {
        faults.push(format!(
            "key {key}: answers {}, was made for {subject}",
            about.unwrap_or_default()
        ));
    }
    let user = key.split(':').next().unwrap_or_default();
    let found = kept.checkouts.iter().chain(&kept.orders);
    let mut own = found.filter(|owned| owned.id == subject && owned.user.to_hex() == user);
    if own.next().is_none() {
        faults.push(format!("key {key}: what it made is not there"));
    }
    faults
}

// ---- I6

/// An order with its events, in the order of their versions.
#[derive(Debug, Deserialize)]
struct Told {
    order: Order,
    events: Vec<Event>,
}

#[derive(Debug, Clone, Deserialize)]
struct Event {
    user: ObjectId,
    version: i64,
    status: String,
    #[serde(default)]
    previous_status: Option<String>,
}

async fn check_histories(books: &Books, tally: &mut Tally) -> Result<(), CheckError> {
    let mut snapshot = books.snapshot().await?;
    let stages = vec![
        doc! { "$project": { "order": "$$ROOT" } },
        doc! { "$lookup": { "from": "order_events", "localField": "order._id", "foreignField": "order",
        "pipeline": [{ "$sort": { "version": 1 } }], "as": "events" } },
    ];
    let judge = |told: Told| judge_history(&told);
    snapshot.judge("orders", stages, tally, judge).await?;
    Ok(())
}

/// The history is a way through the states that ends at the present one, and each version has one event
/// that says the same.
fn judge_history(told: &Told) -> Vec<String> {
    let order = &told.order;
    let id = order.id;
    let mut faults = Vec::new();
    let statuses = |entries: &[Entry]| -> Vec<String> {
        entries.iter().map(|entry| entry.status.clone()).collect()
    };
    let history = statuses(&order.history);
    let steps = history.iter().zip(history.iter().skip(1));
    let legal = steps
        .clone()
        .all(|(from, to)| order_leads(from).contains(&to.as_str()));
    if history.first().map(String::as_str) != Some("Pending") || !legal {
        faults.push(format!("order {id}: went {}", history.join(" -> ")));
    }
    if history.last() != Some(&order.status) {
        faults.push(format!(
            "order {id}: is {}, went {}",
            order.status,
            history.join(" -> ")
        ));
    }
    let versions: Vec<i64> = told.events.iter().map(|event| event.version).collect();
    if !versions.iter().copied().eq(1..=order.version) {
        faults.push(format!(
            "order {id}: is at version {}, has events {versions:?}",
            order.version
        ));
    }
    if told.events.iter().any(|event| event.user != order.user) {
        faults.push(format!("order {id}: another buyer was told"));
    }
    let moves = told
        .events
        .iter()
        .filter(|event| event.previous_status.is_some());
    let told_moves = moves.map(|event| (event.previous_status.clone(), event.status.clone()));
    let own_moves = steps.map(|(from, to)| (Some(from.clone()), to.clone()));
    if !told_moves.eq(own_moves) {
        faults.push(format!(
            "order {id}: its events tell another way than {}",
            history.join(" -> ")
        ));
    }
    faults
}

// ---- I8

/// The numbers of a buyer's events.
#[derive(Debug, Deserialize)]
struct Numbers {
    #[serde(rename = "_id")]
    user: ObjectId,
    count: i64,
    distinct: i64,
    first: i64,
    last: i64,
    counters: Vec<Counter>,
}

#[derive(Debug, Deserialize)]
struct Counter {
    last: i64,
}

#[derive(Debug, Deserialize)]
struct Owner {
    #[serde(rename = "_id")]
    id: ObjectId,
    user: ObjectId,
}

async fn check_notices(books: &Books, acks: &Acks, tally: &mut Tally) -> Result<(), CheckError> {
    let mut snapshot = books.snapshot().await?;
    let stages = vec![
        // Twice, so that no list of a buyer's numbers has to be held.
        doc! { "$group": { "_id": { "user": "$user", "number": "$number_for_user" }, "n": { "$sum": 1_i64 } } },
        doc! { "$group": {
            "_id": "$_id.user",
            "count": { "$sum": "$n" },
            "distinct": { "$sum": 1_i64 },
            "first": { "$min": "$_id.number" },
            "last": { "$max": "$_id.number" },
        } },
        doc! { "$lookup": { "from": "event_counters", "localField": "_id", "foreignField": "_id",
        "as": "counters" } },
    ];
    let judge = |numbers: Numbers| judge_numbers(&numbers);
    snapshot.judge("order_events", stages, tally, judge).await?;
    tally.looked_at += u64::try_from(acks.subscribers.len()).unwrap_or_default();
    for fault in &acks.notice_faults {
        tally.fault(fault.clone());
    }
    let told: BTreeMap<ObjectId, ObjectId> = acks.told.iter().copied().collect();
    let ids: Vec<ObjectId> = told.keys().copied().collect();
    for batch in ids.chunks(500) {
        let owners = vec![
            doc! { "$match": { "_id": { "$in": batch } } },
            doc! { "$project": { "user": 1 } },
        ];
        let judge = |owner: Owner| {
            let foreign = told.get(&owner.id) != Some(&owner.user);
            let fault = foreign.then(|| format!("order {}: another buyer was told", owner.id));
            fault.into_iter().collect()
        };
        snapshot.judge("orders", owners, tally, judge).await?;
    }
    Ok(())
}

/// A buyer's events count 1, 2, 3 … without gap or repeat.
fn judge_numbers(numbers: &Numbers) -> Vec<String> {
    let Numbers {
        user,
        count,
        distinct,
        first,
        last,
        ..
    } = numbers;
    let whole = *first == 1 && last == distinct && distinct == count;
    let counted = numbers
        .counters
        .iter()
        .map(|counter| counter.last)
        .eq([*last]);
    let mut faults = Vec::new();
    if !whole {
        faults.push(format!(
            "user {user}: {count} events numbered {first} to {last}, {distinct} distinct"
        ));
    }
    if !counted {
        let counters = &numbers.counters;
        faults.push(format!(
            "user {user}: last event {last}, counted {counters:?}"
        ));
    }
    faults
}

/// An event that no broker has.
#[derive(Debug, Deserialize)]
struct Unrelayed {
    #[serde(rename = "_id")]
    id: ObjectId,
    at: Timestamp,
}

/// I8: where there is a broker, it has every event; in a shop that is open, every one older than
/// [`RELAY_PATIENCE`].
pub(super) async fn check_outbox(
    books: &Books,
    quiet: bool,
    report: &mut Report,
) -> Result<(), CheckError> {
    let due = if quiet {
        Timestamp::from_millis(i64::MAX)
    } else {
        books.now().await?.before(RELAY_PATIENCE)
    };
    let tally = report.tally(Invariant::I8);
    let mut snapshot = books.snapshot().await?;
    let stages = vec![
        doc! { "$match": { "relayed_at": null, "at": { "$lt": due } } },
        doc! { "$project": { "at": 1 } },
    ];
    let judge = |event: Unrelayed| {
        vec![format!(
            "event {}: of {}, is not with the broker",
            event.id, event.at
        )]
    };
    snapshot.judge("order_events", stages, tally, judge).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
