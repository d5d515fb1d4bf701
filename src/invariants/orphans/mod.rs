//! I7 and I10: nothing is left lying, and no message is done twice, lost or forged.

use std::time::Duration;

use bson::{Document, doc, oid::ObjectId};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Books, CheckError,
    journal::Journal,
    report::{Invariant, Report},
    rows::{Hold, Return, is_over},
};
use crate::clock::Timestamp;

/// What a sweep may take beyond its interval.
pub(super) const MARGIN: Duration = Duration::from_secs(5);
/// How often it is looked whether everything is quiet.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a message may wait past its time before it counts as left lying.
const MESSAGE_PATIENCE: Duration = Duration::from_mins(1);
/// How long a refund may be without the provider's word.
const REFUND_PATIENCE: Duration = Duration::from_mins(10);

/// Checkouts that want work, whatever their buyer does.
fn working() -> Document {
    doc! { "$or": [
        { "status": "Capturing" },
        unasked(),
        { "stock_open": true, "status": { "$in": ["Completed", "Cancelled", "Expired", "Failed"] } },
    ] }
}

/// Money that has to go back, and the provider has not been heard of it.
fn unasked() -> Document {
    doc! { "returns": { "$elemMatch": { "state": "Due", "refund": null } } }
}

/// Refunds that the provider has not been heard of.
fn unheard() -> Document {
    doc! { "refunds": { "$elemMatch": { "state": "Pending", "provider": { "$exists": false } } } }
}

/// Waits until nothing is under way, or for `most`.
pub(super) async fn wait_for_quiet(
    books: &Books,
    most: Duration,
    relayed: bool,
) -> Result<(), CheckError> {
    let until = Instant::now() + most;
    while Instant::now() < until && !is_quiet(books, relayed).await? {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

async fn is_quiet(books: &Books, relayed: bool) -> Result<bool, CheckError> {
    let mut snapshot = books.snapshot().await?;
    let under_way = [
        ("checkouts", working()),
        ("inbox", doc! { "state": "pending" }),
        ("restocks", doc! { "state": "Due" }),
        ("orders", unheard()),
    ];
    let unrelayed = relayed.then(|| ("order_events", doc! { "relayed_at": null }));
    for (collection, which) in under_way.into_iter().chain(unrelayed) {
        let one = vec![
            doc! { "$match": which },
            doc! { "$limit": 1 },
            doc! { "$project": { "_id": 1 } },
        ];
        let mut rows = snapshot.rows(collection, one).await?;
        if rows.next::<Document>(&mut snapshot).await?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

// ---- I7

#[derive(Debug, Clone, Deserialize)]
struct Message {
    #[serde(rename = "_id")]
    id: String,
    kind: String,
    state: String,
    attempts: i64,
    next_at: Timestamp,
    #[serde(default)]
    vouched_for: bool,
}

/// I7: each of the provider's events is stored once, done, and the provider's.
pub(super) async fn check_messages(
    books: &Books,
    journal: Option<&Journal>,
    quiet: bool,
    report: &mut Report,
) -> Result<(), CheckError> {
    let now = books.now().await?;
    let due = if quiet {
        Timestamp::from_millis(i64::MAX)
    } else {
        now.before(MESSAGE_PATIENCE)
    };
    let tally = report.tally(Invariant::I7);
    let mut snapshot = books.snapshot().await?;
    let mut lost = journal
        .map(|journal| journal.taken.clone())
        .unwrap_or_default();
    let judge = |message: Message| {
        lost.remove(&message.id);
        judge_message(&message, journal, due)
    };
    let fields = doc! { "kind": 1, "state": 1, "attempts": 1, "next_at": 1, "vouched_for": 1 };
    snapshot
        .judge("inbox", vec![doc! { "$project": fields }], tally, judge)
        .await?;
    for event in lost {
        tally.judged([format!("event {event}: was taken and is not there")]);
    }
    for forgery in journal.iter().flat_map(|journal| &journal.forgeries_taken) {
        tally.judged([format!("a forgery was taken: {forgery}")]);
    }
    let vouched = doc! { "ipn_key": { "$exists": true } };
    snapshot
        .find_shared("inbox", vouched, "ipn_key", tally)
        .await?;
    Ok(())
}

fn judge_message(message: &Message, journal: Option<&Journal>, due: Timestamp) -> Vec<String> {
    let Message {
        id, kind, state, ..
    } = message;
    let mut faults = Vec::new();
    if kind == "webhook" && journal.is_some_and(|journal| !journal.events.contains(id)) {
        faults.push(format!("message {id}: the provider never sent it"));
    }
    match state.as_str() {
        "pending" if message.next_at < due => faults.push(format!("message {id}: waits still")),
        "dead" => faults.push(format!("message {id}: failed too often")),
        "done" if message.attempts < 1 => {
            faults.push(format!("message {id}: done without being tried"));
        }
        "done" if kind == "ipn" && !message.vouched_for => {
            faults.push(format!(
                "message {id}: followed, and the provider does not vouch for it"
            ));
        }
        "refused" if kind == "webhook" => {
            faults.push(format!("message {id}: stored without being verified"));
        }
        _ => {}
    }
    faults
}

// ---- I10

/// A hold of a variant, with its checkout.
#[derive(Debug, Deserialize)]
struct HeldUnits {
    #[serde(rename = "_id")]
    variant: ObjectId,
    hold: Hold,
    checkouts: Vec<Holder>,
}

#[derive(Debug, Clone, Deserialize)]
struct Holder {
    status: String,
    stock_open: bool,
    updated_at: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
struct Unfinished {
    #[serde(rename = "_id")]
    id: ObjectId,
    status: String,
    #[serde(default)]
    returns: Vec<Return>,
    #[serde(default, rename = "unfinished")]
    swept: bool,
    stock_open: bool,
    expires_at: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Refunding {
    #[serde(rename = "_id")]
    id: ObjectId,
    refunds: Vec<Pending>,
}

#[derive(Debug, Deserialize)]
struct Pending {
    id: ObjectId,
    state: String,
    provider: Option<String>,
    created_at: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Restock {
    #[serde(rename = "_id")]
    key: String,
    created_at: Timestamp,
}

/// I10: no hold, checkout, refund or return is past its time, `slack` added.
pub(super) async fn check(
    books: &Books,
    quiet: bool,
    slack: Duration,
    report: &mut Report,
) -> Result<(), CheckError> {
    let late = books.now().await?.before(slack);
    let tally = report.tally(Invariant::I10);
    let mut snapshot = books.snapshot().await?;
    let judge = |held: HeldUnits| judge_hold(&held, late);
    snapshot.judge("stock", holds(), tally, judge).await?;
    let open =
        doc! { "$or": [working(), { "status": { "$in": ["Preparing", "AwaitingApproval"] } }] };
    let judge = |checkout: Unfinished| judge_unfinished(&checkout, quiet, late);
    snapshot
        .judge("checkouts", vec![doc! { "$match": open }], tally, judge)
        .await?;
    let before = |patience| {
        if quiet {
            Timestamp::from_millis(i64::MAX)
        } else {
            late.before(patience)
        }
    };
    let too_old = before(REFUND_PATIENCE);
    let judge = |order: Refunding| judge_refunds(&order, too_old);
    snapshot
        .judge("orders", vec![doc! { "$match": unheard() }], tally, judge)
        .await?;
    let judge = |restock: Restock| {
        let key = &restock.key;
        let lying = restock.created_at < too_old;
        let fault = lying.then(|| format!("return {key}: is not back in stock"));
        fault.into_iter().collect()
    };
    let due = vec![doc! { "$match": { "state": "Due" } }];
    snapshot.judge("restocks", due, tally, judge).await?;
    Ok(())
}

fn holds() -> Vec<Document> {
    vec![
        doc! { "$match": { "holds.0": { "$exists": true } } },
        doc! { "$unwind": "$holds" },
        doc! { "$project": { "hold": "$holds" } },
        doc! { "$lookup": { "from": "checkouts", "localField": "hold.checkout", "foreignField": "_id",
        "as": "checkouts" } },
    ]
}

/// A hold lapses with its time, or is pinned because its checkout's money moves.
fn judge_hold(held: &HeldUnits, late: Timestamp) -> Vec<String> {
    let (variant, checkout) = (held.variant, held.hold.checkout);
    let fault = match (held.hold.expires_at, held.checkouts.first()) {
        (Some(expiry), _) if expiry < late => Some("has lapsed"),
        (Some(_), _) => None,
        (None, None) => Some("is pinned for no checkout"),
        (None, Some(holder)) => {
            let moving =
                holder.status == "Capturing" || is_over(&holder.status) && holder.stock_open;
            (!moving && holder.updated_at < late).then_some("is pinned, and no money moves")
        }
    };
    let fault =
        fault.map(|what| format!("variant {variant}: the hold of checkout {checkout} {what}"));
    fault.into_iter().collect()
}

/// A checkout comes to rest; once everything is quiet only the buyer may be waited for.
fn judge_unfinished(checkout: &Unfinished, quiet: bool, late: Timestamp) -> Vec<String> {
    let Unfinished { id, status, .. } = checkout;
    let lapsed = checkout.expires_at < late;
    let mut faults = Vec::new();
    if !is_over(status) && (lapsed || quiet && status == "Capturing") {
        faults.push(format!("checkout {id}: is {status} still"));
    }
    if is_over(status) && checkout.stock_open && (lapsed || quiet) {
        faults.push(format!("checkout {id}: is {status}, and its stock is open"));
    }
    let unasked = |back: &Return| back.state == "Due" && back.refund.is_none();
    if checkout.returns.iter().any(unasked) && (lapsed || quiet) {
        faults.push(format!("checkout {id}: its money has not gone back"));
    }
    if !checkout.swept {
        faults.push(format!(
            "checkout {id}: is {status}, and no sweep will look after it"
        ));
    }
    faults
}

fn judge_refunds(order: &Refunding, too_old: Timestamp) -> Vec<String> {
    let id = order.id;
    let unheard = order.refunds.iter().filter(|refund| {
        refund.state == "Pending" && refund.provider.is_none() && refund.created_at < too_old
    });
    unheard
        .map(|refund| format!("order {id}: nobody knows of refund {}", refund.id))
        .collect()
}

#[cfg(test)]
mod tests;
