//! What clients were told and have kept: a line of JSON for each answer of 2xx that they saw.
//!
//! `{"kind": …}` with the fields of [`Line`]; `docs/checker.md` describes them for those who write them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use bson::{doc, oid::ObjectId};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{
    Books, CheckError,
    orders::{order_leads, reaches},
    report::{Invariant, Report, Tally},
    rows::is_over,
};

/// Documents looked up at once.
const BATCH: usize = 500;

/// The acknowledgements cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadAcks {
    /// The file.
    #[error("the acknowledgements cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// A line.
    #[error("acknowledgement {line}: {error}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

/// One acknowledgement.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    /// A checkout was shown.
    Checkout {
        id: ObjectId,
        status: Option<String>,
    },
    /// An order was shown.
    Order {
        id: ObjectId,
        status: Option<String>,
        version: Option<i64>,
    },
    /// A refund was taken on.
    Refund { id: ObjectId, order: ObjectId },
    /// A cart's command was accepted, and led to this version.
    Cart {
        id: ObjectId,
        version: u64,
        variant: Option<ObjectId>,
        #[serde(default)]
        delta: i64,
    },
    /// A subscriber was handed an event of its own user.
    Event {
        subscriber: String,
        user: ObjectId,
        number: i64,
        order: Option<ObjectId>,
    },
}

/// What was acknowledged of an order or a checkout, the latest of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Acked {
    statuses: BTreeSet<String>,
    version: i64,
}

/// What was acknowledged of a cart.
#[derive(Debug, Clone, Default)]
pub(super) struct CartAcks {
    /// Versions that accepted commands led to.
    pub(super) versions: BTreeSet<u64>,
    /// Versions that two commands are said to have led to.
    pub(super) shared: Vec<u64>,
    /// Units by variant, all commands added up.
    pub(super) units: BTreeMap<ObjectId, i64>,
}

/// Everything that clients have kept.
#[derive(Debug, Default)]
pub(super) struct Acks {
    checkouts: BTreeMap<ObjectId, Acked>,
    orders: BTreeMap<ObjectId, Acked>,
    /// Refunds by order.
    refunds: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
    pub(super) carts: HashMap<ObjectId, CartAcks>,
    /// How far each subscriber has come, and of whom.
    pub(super) subscribers: BTreeMap<String, (ObjectId, i64)>,
    /// Orders that subscribers were told of, and to whom they should belong.
    pub(super) told: BTreeSet<(ObjectId, ObjectId)>,
    /// Gaps and strangers that subscribers saw.
    pub(super) notice_faults: Vec<String>,
}

/// Reads the file.
pub(super) async fn read(path: &Path) -> Result<Acks, BadAcks> {
    let file = tokio::fs::File::open(path).await?;
    let mut lines = BufReader::new(file).lines();
    let mut acks = Acks::default();
    let mut number = 0;
    while let Some(text) = lines.next_line().await? {
        number += 1;
        if !text.trim().is_empty() {
            let line = serde_json::from_str(&text);
            acks.add(line.map_err(|error| BadAcks::Line {
                line: number,
                error,
            })?);
        }
    }
    Ok(acks)
}

impl Acks {
    fn add(&mut self, line: Line) {
        match line {
            Line::Checkout { id, status } => {
                self.checkouts
                    .entry(id)
                    .or_default()
                    .statuses
                    .extend(status);
            }
            Line::Order {
                id,
                status,
                version,
            } => {
                let acked = self.orders.entry(id).or_default();
                acked.statuses.extend(status);
                acked.version = acked.version.max(version.unwrap_or(1));
            }
            Line::Refund { id, order } => {
                self.refunds.entry(order).or_default().insert(id);
            }
            Line::Cart {
                id,
                version,
                variant,
                delta,
            } => {
                let acked = self.carts.entry(id).or_default();
                if !acked.versions.insert(version) {
                    acked.shared.push(version);
                }
                if let Some(variant) = variant {
                    let units = acked.units.entry(variant).or_default();
                    *units = units.saturating_add(delta);
                }
            }
            Line::Event {
                subscriber,
                user,
                number,
                order,
            } => {
                self.told.extend(order.map(|order| (order, user)));
                self.hear(&subscriber, user, number);
            }
        }
    }

    /// Repeats are allowed, gaps and other people's events are not.
    fn hear(&mut self, subscriber: &str, user: ObjectId, number: i64) {
        let (owner, last) = self
            .subscribers
            .entry(subscriber.to_owned())
            .or_insert((user, 0));
        if *owner != user {
            let fault =
                format!("subscriber {subscriber}: event {number} of {user}, not of {owner}");
            self.notice_faults.push(fault);
        } else if number > *last + 1 {
            let fault = format!("subscriber {subscriber}: event {number} after {last}");
            self.notice_faults.push(fault);
        }
        if *owner == user {
            *last = number.max(*last);
        }
    }

    /// I5: everything acknowledged is there, as far as it was or further.
    pub(super) async fn check(&self, books: &Books, report: &mut Report) -> Result<(), CheckError> {
        let tally = report.tally(Invariant::I5);
        check_orders(books, &self.orders, tally).await?;
        check_checkouts(books, &self.checkouts, tally).await?;
        check_refunds(books, &self.refunds, tally).await
    }
}

#[derive(Debug, Deserialize)]
struct Found {
    #[serde(rename = "_id")]
    id: ObjectId,
    status: String,
    #[serde(default)]
    version: i64,
    #[serde(default)]
    refunds: Vec<FoundRefund>,
}

#[derive(Debug, Deserialize)]
struct FoundRefund {
    id: ObjectId,
}

/// Looks `ids` up in batches, and judges each with what was found.
async fn look_up<T>(
    books: &Books,
    collection: &str,
    acked: &BTreeMap<ObjectId, T>,
    tally: &mut Tally,
    mut judge: impl FnMut(ObjectId, &T, Option<&Found>) -> Vec<String>,
) -> Result<(), CheckError> {
    let mut snapshot = books.snapshot().await?;
    let ids: Vec<ObjectId> = acked.keys().copied().collect();
    for batch in ids.chunks(BATCH) {
        let wanted = vec![
            doc! { "$match": { "_id": { "$in": batch } } },
            doc! { "$project": { "status": 1, "version": 1, "refunds.id": 1 } },
        ];
        let mut found = BTreeMap::new();
        let mut rows = snapshot.rows(collection, wanted).await?;
        while let Some(row) = rows.next::<Found>(&mut snapshot).await? {
            match row {
                Ok(row) => {
                    found.insert(row.id, row);
                }
                Err(damaged) => tally.fault(format!("{collection}: {damaged}")),
            }
        }
        for id in batch {
            if let Some(acked) = acked.get(id) {
                tally.judged(judge(*id, acked, found.get(id)));
            }
        }
    }
    Ok(())
}

async fn check_orders(
    books: &Books,
    orders: &BTreeMap<ObjectId, Acked>,
    tally: &mut Tally,
) -> Result<(), CheckError> {
    let judge = |id: ObjectId, acked: &Acked, found: Option<&Found>| {
        judge_kept("order", id, acked, found, order_leads)
    };
    look_up(books, "orders", orders, tally, judge).await
}

async fn check_checkouts(
    books: &Books,
    checkouts: &BTreeMap<ObjectId, Acked>,
    tally: &mut Tally,
) -> Result<(), CheckError> {
    let judge = |id: ObjectId, acked: &Acked, found: Option<&Found>| {
        judge_kept("checkout", id, acked, found, checkout_leads)
    };
    look_up(books, "checkouts", checkouts, tally, judge).await
}

async fn check_refunds(
    books: &Books,
    refunds: &BTreeMap<ObjectId, BTreeSet<ObjectId>>,
    tally: &mut Tally,
) -> Result<(), CheckError> {
    let judge = |order: ObjectId, acked: &BTreeSet<ObjectId>, found: Option<&Found>| {
        let there: BTreeSet<ObjectId> = found
            .iter()
            .flat_map(|found| found.refunds.iter().map(|refund| refund.id))
            .collect();
        let lost = acked.difference(&there);
        lost.map(|refund| {
            format!("order {order}: refund {refund} was acknowledged and is not there")
        })
        .collect()
    };
    look_up(books, "orders", refunds, tally, judge).await
}

/// Where a checkout may go from a status.
fn checkout_leads(from: &str) -> &'static [&'static str] {
    match from {
        // Shown so while it is being prepared.
        "AwaitingApproval" => &["Preparing", "Capturing", "Cancelled", "Expired", "Failed"],
        "Preparing" => &["AwaitingApproval", "Cancelled", "Expired", "Failed"],
        "Capturing" => &["AwaitingApproval", "Completed", "Failed"],
        over if is_over(over) => &[],
        _unknown => &[],
    }
}

fn judge_kept(
    what: &str,
    id: ObjectId,
    acked: &Acked,
    found: Option<&Found>,
    leads: fn(&str) -> &'static [&'static str],
) -> Vec<String> {
    let Some(found) = found else {
        return vec![format!("{what} {id}: was acknowledged and is not there")];
    };
    let now = found.status.as_str();
    let statuses = acked.statuses.iter();
    let mut faults: Vec<String> = statuses
        .filter(|was| !reaches(was, now, leads))
        .map(|was| format!("{what} {id}: {was} was acknowledged, it is {now}"))
        .collect();
    if found.version < acked.version {
        let (was, now) = (acked.version, found.version);
        faults.push(format!(
            "{what} {id}: version {was} was acknowledged, it is at {now}"
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes([n; 12])
    }

    fn found(status: &str, version: i64) -> Found {
        Found {
            id: id(1),
            status: status.into(),
            version,
            refunds: Vec::new(),
        }
    }

    fn kept(acked: (&str, i64), found: Option<&Found>) -> usize {
        let acked = Acked {
            statuses: [acked.0.to_owned()].into(),
            version: acked.1,
        };
        judge_kept("order", id(1), &acked, found, order_leads).len()
    }

    #[test]
    fn what_was_acknowledged_may_only_go_on() {
        assert_eq!(kept(("Pending", 1), Some(&found("Delivered", 4))), 0);
        assert_eq!(kept(("Shipped", 3), Some(&found("Processing", 2))), 2);
        assert_eq!(kept(("Cancelled", 2), Some(&found("Refunded", 2))), 1);
        assert_eq!(kept(("Pending", 1), None), 1);
    }

    #[test]
    fn a_checkout_may_go_back_to_its_buyer_but_not_out_of_its_end() {
        let kept = |was, now| {
            let acked = Acked {
                statuses: [String::from(was)].into(),
                version: 0,
            };
            judge_kept(
                "checkout",
                id(1),
                &acked,
                Some(&found(now, 1)),
                checkout_leads,
            )
            .len()
        };
        assert_eq!(kept("Capturing", "AwaitingApproval"), 0);
        assert_eq!(kept("AwaitingApproval", "Completed"), 0);
        assert_eq!(kept("Completed", "Failed"), 1);
    }

    #[test]
    fn subscribers_may_hear_twice_but_miss_nothing() {
        let mut acks = Acks::default();
        for number in [1, 2, 2, 1, 2, 3] {
            acks.hear("a", id(1), number);
        }
        assert_eq!((acks.notice_faults.len(), acks.subscribers["a"].1), (0, 3));
        acks.hear("a", id(1), 5);
        acks.hear("a", id(2), 6);
        acks.hear("b", id(1), 2);
        assert_eq!(acks.notice_faults.len(), 3);
    }

    #[test]
    fn lines_are_read_and_unknown_ones_refused() {
        let hex = id(1).to_hex();
        let read = |text: String| serde_json::from_str::<Line>(&text);
        assert!(read(format!(r#"{{"kind":"order","id":"{hex}","version":2}}"#)).is_ok());
        assert!(
            read(format!(
                r#"{{"kind":"cart","id":"{hex}","version":2,"delta":-1}}"#
            ))
            .is_ok()
        );
        assert!(read(format!(r#"{{"kind":"order","id":"{hex}","verison":2}}"#)).is_err());
        assert!(read(r#"{"kind":"order","id":"1"}"#.into()).is_err());
    }
}
