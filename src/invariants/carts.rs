//! I9: a cart is what was commanded, in the order of its versions.

use bson::{doc, oid::ObjectId};
use serde::Deserialize;

use super::{
    Books, CheckError,
    acks::{Acks, CartAcks},
    report::{Invariant, Report},
};

/// The most units of one line.
const MAX_QUANTITY: i64 = 999;

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Choice {
    name: String,
    value: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Line {
    id: ObjectId,
    variant: ObjectId,
    quantity: i64,
    #[serde(default)]
    options: Vec<Choice>,
}

#[derive(Debug, Clone, Deserialize)]
struct Mark {
    version: i64,
}

#[derive(Debug, Clone, Deserialize)]
struct Cart {
    #[serde(rename = "_id")]
    id: ObjectId,
    version: i64,
    items: Vec<Line>,
    marks: Vec<Mark>,
}

pub(super) async fn check(
    books: &Books,
    acks: &Acks,
    report: &mut Report,
) -> Result<(), CheckError> {
    let mut snapshot = books.snapshot().await?;
    let mut missing: std::collections::BTreeSet<ObjectId> = acks.carts.keys().copied().collect();
    let tally = report.tally(Invariant::I9);
    let judge = |cart: Cart| {
        missing.remove(&cart.id);
        let mut faults = judge_cart(&cart);
        if let Some(acked) = acks.carts.get(&cart.id) {
            faults.extend(judge_acked(&cart, acked));
        }
        faults
    };
    snapshot.judge("carts", Vec::new(), tally, judge).await?;
    for cart in missing {
        tally.judged([format!("cart {cart}: was acknowledged and is not there")]);
    }
    Ok(())
}

/// A cart's lines are distinct and within bounds, and its writes led up to its version.
fn judge_cart(cart: &Cart) -> Vec<String> {
    let id = cart.id;
    let mut faults = Vec::new();
    if cart.version < 1 {
        faults.push(format!("cart {id}: version {}", cart.version));
    }
    for (place, line) in cart.items.iter().enumerate() {
        if !(1..=MAX_QUANTITY).contains(&line.quantity) {
            faults.push(format!("cart {id}: {} of {}", line.quantity, line.variant));
        }
        let same = |other: &Line| {
            let choice = other.variant == line.variant && other.options == line.options;
            other.id == line.id || choice
        };
        if cart.items.iter().take(place).any(same) {
            faults.push(format!("cart {id}: {} stands in two lines", line.variant));
        }
    }
    // They are kept in a ring: the latest takes the oldest's place.
    let mut versions: Vec<i64> = cart.marks.iter().map(|mark| mark.version).collect();
    versions.sort_unstable();
    if !versions.is_sorted_by(|a, b| a < b)
        || versions.last().is_some_and(|last| *last > cart.version)
    {
        faults.push(format!(
            "cart {id}: writes led to {versions:?}, it is at {}",
            cart.version
        ));
    }
    faults
}

/// What was acknowledged is in the cart; where every version was, the cart is exactly their sum.
fn judge_acked(cart: &Cart, acked: &CartAcks) -> Vec<String> {
    let id = cart.id;
    let mut faults = Vec::new();
    let version = u64::try_from(cart.version).unwrap_or_default();
    if let Some(last) = acked.versions.last().filter(|last| **last > version) {
        faults.push(format!(
            "cart {id}: version {last} was acknowledged, it is at {version}"
        ));
    }
    for version in &acked.shared {
        faults.push(format!(
            "cart {id}: version {version} was acknowledged for two commands"
        ));
    }
    let all = u64::try_from(acked.versions.len()).unwrap_or_default();
    if all == version {
        let units = |variant| -> i64 {
            let own = cart.items.iter().filter(|line| line.variant == variant);
            own.map(|line| line.quantity).sum()
        };
        for (variant, expected) in &acked.units {
            let found = units(*variant);
            if found != *expected {
                faults.push(format!(
                    "cart {id}: {expected} of {variant} were acknowledged, {found} are there"
                ));
            }
        }
        let others = cart
            .items
            .iter()
            .filter(|line| !acked.units.contains_key(&line.variant));
        faults.extend(others.map(|line| format!("cart {id}: nobody asked for {}", line.variant)));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes([n; 12])
    }

    fn good() -> Cart {
        let line = |n, quantity| Line {
            id: id(n),
            variant: id(n),
            quantity,
            options: Vec::new(),
        };
        Cart {
            id: id(9),
            version: 3,
            items: vec![line(1, 2), line(2, 1)],
            marks: vec![Mark { version: 3 }, Mark { version: 2 }],
        }
    }

    fn acked() -> CartAcks {
        CartAcks {
            versions: [1, 2, 3].into(),
            shared: Vec::new(),
            units: [(id(1), 2), (id(2), 1)].into(),
        }
    }

    #[test]
    fn a_cart_as_commanded_is_clean() {
        assert_eq!(judge_cart(&good()), Vec::<String>::new());
        assert_eq!(judge_acked(&good(), &acked()), Vec::<String>::new());
    }

    #[test]
    fn broken_carts_are_found() {
        let faults = |change: fn(&mut Cart)| {
            let mut cart = good();
            change(&mut cart);
            judge_cart(&cart).len()
        };
        assert_eq!(faults(|cart| cart.items[0].quantity = 0), 1);
        assert_eq!(faults(|cart| cart.items[1].variant = id(1)), 1);
        assert_eq!(faults(|cart| cart.marks[1].version = 3), 1);
        assert_eq!(faults(|cart| cart.marks[1].version = 4), 1);
        assert_eq!(
            faults(|cart| (cart.version, cart.marks) = (0, Vec::new())),
            1
        );
    }

    #[test]
    fn lost_and_invented_changes_are_found() {
        let mut lost = good();
        lost.items[0].quantity = 1;
        assert_eq!(judge_acked(&lost, &acked()).len(), 1);
        let mut older = good();
        older.version = 2;
        assert_eq!(judge_acked(&older, &acked()).len(), 1);
        let mut shared = acked();
        shared.shared.push(2);
        assert_eq!(judge_acked(&good(), &shared).len(), 1);
        let mut fewer = acked();
        fewer.units.remove(&id(2));
        assert_eq!(judge_acked(&good(), &fewer).len(), 1);
    }

    #[test]
    fn an_unacknowledged_command_leaves_the_sum_open() {
        let mut known = acked();
        known.versions.remove(&2);
        known.units.insert(id(1), 1);
        assert_eq!(judge_acked(&good(), &known).len(), 0);
    }
}
