//! All orders, by id and by the time at which they lapse.

use std::collections::{BTreeSet, HashMap};

use time::OffsetDateTime;

use super::model::Order;
use crate::problem::Problem;

/// All orders, and when the open ones lapse.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    all: HashMap<String, Order>,
    due: BTreeSet<(OffsetDateTime, String)>,
}

impl Orders {
    /// Adds an order.
    pub(crate) fn insert(&mut self, order: Order) {
        self.due.insert((order.deadline, order.id.clone()));
        self.all.insert(order.id.clone(), order);
    }

    /// An order, lapsed or not.
    pub(crate) fn get(&self, id: &str) -> Option<&Order> {
        self.all.get(id)
    }

    /// An order to be changed; call [`Orders::watch`] when its deadline moved.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Order> {
        self.all.get_mut(id)
    }

    /// An order as the API sees it: a lapsed one does not exist.
    pub(crate) fn live(&mut self, id: &str) -> Result<&mut Order, Problem> {
        self.all
            .get_mut(id)
            .filter(|order| !order.expired)
            .ok_or_else(|| Problem::not_found("id", id))
    }

    /// Notes that the order lapses at `deadline`.
    pub(crate) fn watch(&mut self, id: &str, deadline: OffsetDateTime) {
        self.due.insert((deadline, id.to_owned()));
    }

    /// Takes the ids whose noted time has passed; their orders may have moved on since.
    pub(crate) fn take_due(&mut self, now: OffsetDateTime) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some((_, id)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            self.due.pop_first();
            ids.push(id);
        }
        ids
    }

    /// Forgets orders for good.
    pub(crate) fn forget(&mut self, ids: &[String]) {
        for id in ids {
            self.all.remove(id);
        }
    }

    /// All orders, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Order> {
        self.all.values()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;
    use crate::orders::model::tests::order;

    #[test]
    fn due_orders_are_taken_once() {
        let mut orders = Orders::default();
        let order = order();
        let (id, deadline) = (order.id.clone(), order.deadline);
        orders.insert(order);
        assert!(orders.take_due(deadline - Duration::SECOND).is_empty());
        assert_eq!(orders.take_due(deadline), vec![id.clone()]);
        assert!(orders.take_due(deadline).is_empty());
        assert!(orders.get(&id).unwrap().lapses(deadline));
    }
}
