//! Disputes of an order's payment: the provider decides them, the order keeps how they stand.

use serde::{Deserialize, Serialize};

use super::{Change, Order};
use crate::{clock::Timestamp, money::Money, payments::Dispute};

/// A buyer's dispute of the payment, as the provider last told; words are the provider's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderDispute {
    /// The provider's id.
    pub id: String,
    /// Why, such as `MERCHANDISE_OR_SERVICE_NOT_RECEIVED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How it stands, such as `OPEN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How it ended, once it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// How much is disputed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Since when it stands so, by the provider's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

impl From<&Dispute> for OrderDispute {
    fn from(told: &Dispute) -> Self {
        Self {
            id: told.id.clone(),
            reason: told.reason.clone(),
            status: told.status.clone(),
            outcome: told.outcome.clone(),
            amount: told.amount,
            updated_at: told.updated_at,
        }
    }
}

impl OrderDispute {
    /// Whether this is later news than `known`: messages come in any order. Of the same moment an end
    /// outweighs what is open; the words decide between the rest, so that every order of messages leads
    /// to the same state.
    fn outdates(&self, known: &Self) -> bool {
        let place = |dispute: &Self| {
            let time = dispute.updated_at.map(Timestamp::millis);
            (time, dispute.outcome.clone(), dispute.status.clone())
        };
        place(self) > place(known)
    }
}

impl Order {
    /// Notes a dispute, or how it stands by now; `None` where that is known, or old news.
    #[must_use]
    pub fn dispute(&self, told: &OrderDispute, at: Timestamp) -> Option<Change> {
        let mut next = self.next_version(at);
        match next.disputes.iter_mut().find(|known| known.id == told.id) {
            Some(known) if !told.outdates(known) => return None,
            Some(known) => known.clone_from(told),
            None => {
                next.disputes.push(told.clone());
                next.disputes.sort_by(|a, b| a.id.cmp(&b.id));
            }
        }
        let data = next.payment_data();
        Some(Self::paid(next, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(at: i64, status: &str, outcome: Option<&str>) -> OrderDispute {
        OrderDispute {
            id: "PP-D-1".into(),
            reason: None,
            status: Some(status.into()),
            outcome: outcome.map(str::to_owned),
            amount: None,
            updated_at: Some(Timestamp::from_millis(at)),
        }
    }

    #[test]
    fn later_news_counts_whenever_it_comes() {
        let (open, waiting) = (news(1, "OPEN", None), news(2, "WAITING", None));
        let over = news(2, "RESOLVED", Some("LOST"));
        for (newer, older) in [(&waiting, &open), (&over, &open), (&over, &waiting)] {
            assert!(newer.outdates(older) && !older.outdates(newer));
        }
        assert!(!open.outdates(&open));
    }
}
