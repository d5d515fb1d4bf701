//! I3: for every variant, what was received is free, held or sold, and nothing else.

use std::collections::BTreeMap;

use bson::{Document, doc, oid::ObjectId};
use serde::Deserialize;

use super::{
    Books, CheckError,
    books::everything,
    report::{Invariant, Report},
    rows::{Hold, Stock},
};

/// A line of a checkout.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    variant: ObjectId,
    quantity: i64,
}

/// A checkout that holds something.
#[derive(Debug, Clone, Deserialize)]
struct Holder {
    #[serde(rename = "_id")]
    id: ObjectId,
    status: String,
    lines: Vec<Line>,
    stock_open: bool,
}

/// A variant with everything that says where its units are.
#[derive(Debug, Deserialize)]
struct Variant {
    #[serde(rename = "_id")]
    id: ObjectId,
    /// Units of all orders.
    ordered: i64,
    /// Units that came back and are booked.
    returned: i64,
    stock: Option<Stock>,
    holders: Vec<Holder>,
}

/// A return that is under way.
#[derive(Debug, Clone, Deserialize)]
struct Due {
    #[serde(rename = "_id")]
    key: String,
    units: Vec<Line>,
}

pub(super) async fn check(books: &Books, report: &mut Report) -> Result<(), CheckError> {
    let mut snapshot = books.snapshot().await?;
    let tally = report.tally(Invariant::I3);
    // Few: only those that are on their way back now.
    let mut due: BTreeMap<ObjectId, Vec<(String, i64)>> = BTreeMap::new();
    let mut rows = snapshot
        .rows("restocks", vec![doc! { "$match": { "state": "Due" } }])
        .await?;
    while let Some(row) = rows.next::<Due>(&mut snapshot).await? {
        match row {
            Ok(row) => {
                for line in row.units {
                    let of_variant = due.entry(line.variant).or_default();
                    of_variant.push((row.key.clone(), line.quantity));
                }
            }
            Err(damaged) => tally.judged([format!("restocks: {damaged}")]),
        }
    }
    let judge = |variant: Variant| {
        let due = due.get(&variant.id).map(Vec::as_slice).unwrap_or_default();
        judge_variant(&variant, due)
    };
    snapshot.judge("orders", by_variant(), tally, judge).await?;
    snapshot
        .judge("checkouts", with_stock(), tally, |open| judge_open(&open))
        .await?;
    Ok(())
}

/// Units ordered, units returned and the stock, joined by variant.
fn by_variant() -> Vec<Document> {
    let returned = vec![
        everything(),
        doc! { "$match": { "state": { "$ne": "Due" } } },
        doc! { "$unwind": "$units" },
        doc! { "$project": { "_id": 0, "variant": "$units.variant", "returned": "$units.quantity" } },
    ];
    let stock = vec![
        everything(),
        doc! { "$project": { "_id": 0, "variant": "$_id", "stock": "$$ROOT" } },
    ];
    vec![
        doc! { "$unwind": "$items" },
        doc! { "$project": { "_id": 0, "variant": "$items.variant", "ordered": "$items.quantity" } },
        doc! { "$unionWith": { "coll": "restocks", "pipeline": returned } },
        doc! { "$unionWith": { "coll": "stock", "pipeline": stock } },
        doc! { "$group": {
            "_id": "$variant",
            "ordered": { "$sum": "$ordered" },
            "returned": { "$sum": "$returned" },
            "stock": { "$max": "$stock" },
        } },
        doc! { "$lookup": { "from": "checkouts", "localField": "stock.holds.checkout",
        "foreignField": "_id", "as": "holders" } },
    ]
}

/// Checkouts that wait for their buyers, with the stock of their variants.
fn with_stock() -> Vec<Document> {
    vec![
        doc! { "$match": { "status": "AwaitingApproval" } },
        doc! { "$lookup": { "from": "stock", "localField": "lines.variant",
        "foreignField": "_id", "as": "stock" } },
    ]
}

fn judge_variant(variant: &Variant, due: &[(String, i64)]) -> Vec<String> {
    let id = variant.id;
    let Some(stock) = &variant.stock else {
        // Goods of a product that was never stocked cannot have been sold.
        return vec![format!(
            "variant {id}: {} sold without a stock",
            variant.ordered
        )];
    };
    let mut faults = Vec::new();
    let held: i64 = stock.holds.iter().map(|hold| hold.quantity).sum();
    let negative = stock.available < 0
        || stock.sold < 0
        || stock.received < 0
        || stock.holds.iter().any(|hold| hold.quantity < 1);
    if negative || stock.received != stock.available + held + stock.sold {
        let Stock {
            available,
            sold,
            received,
            ..
        } = stock;
        faults.push(format!(
            "variant {id}: received {received}, but {available} free, {held} held, {sold} sold"
        ));
    }
    let in_transit = due.iter().filter(|(key, _)| stock.returns.contains(key));
    let returned = variant.returned + in_transit.map(|(_, units)| units).sum::<i64>();
    // What an order's checkout still holds is sold already, and only not booked yet.
    let ordered_holds = stock.holds.iter().filter(|hold| {
        variant
            .holder(hold.checkout)
            .is_some_and(|holder| holder.status == "Completed")
    });
    let sold = stock.sold + ordered_holds.map(|hold| hold.quantity).sum::<i64>();
    if sold != variant.ordered - returned {
        let ordered = variant.ordered;
        faults.push(format!(
            "variant {id}: {sold} sold, but {ordered} ordered and {returned} returned"
        ));
    }
    faults.extend(judge_holds(variant, &stock.holds));
    faults
}

impl Variant {
    fn holder(&self, id: ObjectId) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.id == id)
    }
}

/// Each hold is one checkout's, of as much as it wants.
fn judge_holds(variant: &Variant, holds: &[Hold]) -> Vec<String> {
    let id = variant.id;
    let mut faults = Vec::new();
    for (place, hold) in holds.iter().enumerate() {
        let checkout = hold.checkout;
        if holds
            .iter()
            .take(place)
            .any(|other| other.checkout == checkout)
        {
            faults.push(format!("variant {id}: checkout {checkout} holds it twice"));
        }
        // One without a checkout is freed when it lapses.
        let Some(holder) = variant.holder(checkout) else {
            continue;
        };
        let wanted: i64 = wanted(&holder.lines, id);
        if hold.quantity != wanted {
            let quantity = hold.quantity;
            faults.push(format!(
                "variant {id}: checkout {checkout} wants {wanted} and holds {quantity}"
            ));
        }
        if holder.status == "Completed" && !holder.stock_open {
            faults.push(format!(
                "variant {id}: checkout {checkout} is done and holds still"
            ));
        }
    }
    faults
}

fn wanted(lines: &[Line], variant: ObjectId) -> i64 {
    let own = lines.iter().filter(|line| line.variant == variant);
    own.map(|line| line.quantity).sum()
}

/// A checkout whose buyer may approve.
#[derive(Debug, Deserialize)]
struct Open {
    #[serde(rename = "_id")]
    id: ObjectId,
    lines: Vec<Line>,
    stock: Vec<Held>,
}

/// The holds of one variant.
#[derive(Debug, Deserialize)]
struct Held {
    #[serde(rename = "_id")]
    variant: ObjectId,
    holds: Vec<Hold>,
}

/// Nobody approves a payment for what is not held.
fn judge_open(open: &Open) -> Vec<String> {
    let id = open.id;
    let lines = open.lines.iter();
    let missing = lines.filter(|line| {
        let stock = open
            .stock
            .iter()
            .find(|stock| stock.variant == line.variant);
        let held = stock.is_some_and(|stock| stock.holds.iter().any(|hold| hold.checkout == id));
        !held
    });
    missing
        .map(|line| {
            format!(
                "checkout {id}: waits for its buyer without holding {}",
                line.variant
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes([n; 12])
    }

    fn hold(checkout: u8, quantity: i64) -> Hold {
        Hold {
            checkout: id(checkout),
            quantity,
            expires_at: None,
        }
    }

    fn holder(checkout: u8, status: &str, quantity: i64) -> Holder {
        Holder {
            id: id(checkout),
            status: status.into(),
            lines: vec![Line {
                variant: id(1),
                quantity,
            }],
            stock_open: true,
        }
    }

    /// 10 received: 4 free, 2 held by a buyer, 1 by an order, 3 sold; 5 ordered, 1 returned.
    fn good() -> Variant {
        Variant {
            id: id(1),
            ordered: 5,
            returned: 1,
            stock: Some(Stock {
                available: 4,
                holds: vec![hold(2, 2), hold(3, 1)],
                returns: vec!["a return".into()],
                sold: 3,
                received: 10,
            }),
            holders: vec![holder(2, "AwaitingApproval", 2), holder(3, "Completed", 1)],
        }
    }

    fn faults(change: impl FnOnce(&mut Variant, &mut Stock)) -> usize {
        let mut variant = good();
        let mut stock = variant.stock.take().unwrap();
        change(&mut variant, &mut stock);
        variant.stock = Some(stock);
        judge_variant(&variant, &[]).len()
    }

    #[test]
    fn a_variant_that_adds_up_is_clean() {
        assert_eq!(judge_variant(&good(), &[]), Vec::<String>::new());
    }

    #[test]
    fn units_that_come_from_nowhere_or_vanish_are_found() {
        assert_eq!(faults(|_, stock| stock.available += 1), 1);
        assert_eq!(faults(|_, stock| stock.received += 1), 1);
        // Oversold, and hidden by a negative shelf.
        assert_eq!(
            faults(|_, stock| (stock.available, stock.sold) = (-1, 8)),
            2
        );
        assert_eq!(faults(|variant, _| variant.ordered = 6), 1);
        assert_eq!(faults(|variant, _| variant.returned = 2), 1);
    }

    #[test]
    fn a_return_under_way_counts_once_the_shelf_has_it() {
        let mut variant = good();
        variant.returned = 0;
        assert_eq!(judge_variant(&variant, &[("a return".into(), 1)]).len(), 0);
        assert_eq!(judge_variant(&variant, &[("another".into(), 1)]).len(), 1);
    }

    #[test]
    fn holds_that_fit_no_checkout_are_found() {
        assert_eq!(
            faults(|variant, _| variant.holders[0].lines[0].quantity = 1),
            1
        );
        assert_eq!(
            faults(|variant, _| variant.holders[1].stock_open = false),
            1
        );
        let twice = faults(|_, stock| {
            stock.holds.push(hold(2, 2));
            stock.available -= 2;
        });
        assert_eq!(twice, 1);
    }

    #[test]
    fn a_sale_without_a_stock_is_found() {
        let mut variant = good();
        variant.stock = None;
        assert_eq!(judge_variant(&variant, &[]).len(), 1);
    }

    #[test]
    fn a_buyer_does_not_wait_for_what_is_not_held() {
        let mut open = Open {
            id: id(2),
            lines: vec![Line {
                variant: id(1),
                quantity: 2,
            }],
            stock: vec![Held {
                variant: id(1),
                holds: vec![hold(2, 2)],
            }],
        };
        assert_eq!(judge_open(&open).len(), 0);
        open.stock[0].holds[0].checkout = id(9);
        assert_eq!(judge_open(&open).len(), 1);
    }
}
