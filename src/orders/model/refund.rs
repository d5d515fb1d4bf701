//! Refunds: booked first, then asked for at the provider, then concluded. `docs/money.md` states the rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    By, Change, LineProblem, Order, OrderItem, OrderStatus, Refund, RefundNews, RefundState,
    Refusal, Restock,
};
use crate::{
    clock::Timestamp,
    faults::{Plant, planted},
    id::{LineId, RefundId, VariantId},
    money::{Money, MoneyError},
    payments::ProviderRefundId,
};

/// Goods that a refund is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundLine {
    /// The line of the order.
    pub line: LineId,
    /// Units.
    pub quantity: u32,
    /// Whether they came back and can be sold again. They are booked into stock with the refund,
    /// whatever becomes of the money.
    pub restock: bool,
}

/// Goods that staff want to pay back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundItem {
    /// The line of the order.
    pub line: LineId,
    /// Units.
    pub quantity: u32,
    /// Whether they go back into stock; left out: while they are still to be sent,
    /// because they never left.
    pub restock: Option<bool>,
}

/// A refund that staff want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundWish {
    /// Its id.
    pub id: RefundId,
    /// How much; left out: what the lines cost, or without lines all that is left.
    pub amount: Option<Money>,
    /// Why, as the buyer may read it.
    pub reason: Option<String>,
    /// The goods it is for.
    pub items: Vec<RefundItem>,
    /// Who.
    pub by: By,
    /// When.
    pub at: Timestamp,
}

/// How a booked refund ended at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOutcome {
    /// Given back.
    Completed {
        /// The provider's id.
        provider: ProviderRefundId,
        /// Everything given back of the capture so far, where the provider says so.
        total: Option<Money>,
    },
    /// Refused.
    Failed {
        /// The provider's word for it.
        reason: String,
        /// Everything given back of the capture so far, where the provider was asked for it.
        total: Option<Money>,
        /// The id of another refund, should one be due in place of this one.
        instead: RefundId,
    },
}

impl Order {
    /// Books a refund; `None` where it is booked already.
    ///
    /// # Errors
    /// Where there is not that much left to give back, or a line does not fit.
    pub fn book_refund(&self, wish: &RefundWish) -> Result<Option<Change>, Refusal> {
        if self.refund(wish.id).is_some() {
            return Ok(None);
        }
        if !self.payment.status.holds_money() {
            return Err(Refusal::RefundNotPossible(self.payment.status));
        }
        let wanted = wish.items.iter().map(|item| RefundLine {
            line: item.line,
            quantity: item.quantity,
            restock: item.restock.unwrap_or(self.is_unsent()),
        });
        let wanted: Vec<RefundLine> = wanted.collect();
        let lines = self.check_lines(&wanted)?;
        let left = self.left()?;
        let amount = match wish.amount {
            Some(amount) => amount,
            None if lines.is_empty() => left,
            None => self.cost_of(&lines)?,
        };
        if amount.currency != left.currency {
            return Err(Refusal::ForeignCurrency);
        }
        let too_much = left.amount <= 0 || amount.amount > left.amount;
        if too_much && !planted(Plant::RefundUnlimited) {
            return Err(Refusal::RefundTooLarge { left });
        }
        if amount.amount <= 0 {
            return Err(Refusal::AmountNotPositive);
        }
        if let Err(error) = amount.payable() {
            return Err(Refusal::NotPayable(error));
        }
        let units = returned(&lines);
        let mut next = self.next_version(wish.at);
        let refund = Refund {
            id: wish.id,
            amount,
            reason: wish.reason.clone(),
            lines: wanted,
            state: RefundState::Pending,
            provider: None,
            failure: None,
            by: wish.by,
            created_at: wish.at,
        };
        let mut data = next.payment_data();
        data.refund = Some(RefundNews::from(&refund));
        next.refunds.push(refund);
        Ok(Some(Change {
            restock: Restock::of(format!("refund {}", wish.id), units),
            ..Self::paid(next, data)
        }))
    }

    /// Whether its goods are still to be sent.
    fn is_unsent(&self) -> bool {
        match self.status {
            OrderStatus::Pending | OrderStatus::Processing => true,
            OrderStatus::Shipped
            | OrderStatus::Delivered
            | OrderStatus::Cancelled
            | OrderStatus::Refunded => false,
        }
    }

    /// Finds the items of `lines`, and refuses more units than are left of each.
    fn check_lines<'a>(
        &'a self,
        lines: &'a [RefundLine],
    ) -> Result<Vec<(&'a OrderItem, &'a RefundLine)>, Refusal> {
        let (mut paid, mut back) = (BTreeMap::new(), BTreeMap::new());
        let mut found = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let refused = |problem| Refusal::Line { at, problem };
            let item = self.items.iter().find(|item| item.line == line.line);
            let item = item.ok_or(refused(LineProblem::Unknown))?;
            let paid = paid
                .entry(line.line)
                .or_insert_with(|| self.paid_back(line.line));
            *paid = paid.saturating_add(line.quantity);
            if *paid > item.quantity {
                return Err(refused(LineProblem::TooMany));
            }
            if line.restock {
                let back = back
                    .entry(line.line)
                    .or_insert_with(|| self.restocked(item));
                *back = back.saturating_add(line.quantity);
                if *back > item.quantity {
                    return Err(refused(LineProblem::RestockedAlready));
                }
            }
            found.push((item, line));
        }
        Ok(found)
    }

    /// What goods cost in this order: their share of all that was paid besides shipping, so that
    /// discounts and taxes are shared by price. Rounded on the running sum of all goods paid back so far, so
    /// that refunds of all goods, however divided, come to exactly what was paid for them.
    fn cost_of(&self, lines: &[(&OrderItem, &RefundLine)]) -> Result<Money, MoneyError> {
        let currency = self.total.currency;
        let before = self
            .items
            .iter()
            .map(|item| item.unit_price.times(self.paid_back(item.line)))
            .collect::<Result<Vec<_>, _>>()?;
        let before = Money::sum(currency, before)?;
        let picked = lines
            .iter()
            .map(|(item, line)| item.unit_price.times(line.quantity))
            .collect::<Result<Vec<_>, _>>()?;
        let after = before.plus(Money::sum(currency, picked)?)?;
        let goods = self.total.minus(self.shipping)?;
        let share = |prices: Money| goods.portion(prices.amount, self.subtotal.amount);
        share(after)?.minus(share(before)?)
    }

    /// Books how a refund ended; `None` where that is known, or the order has no such refund. Where one of
    /// all the money was refused because a part has gone back elsewhere, one of what is left is booked
    /// instead.
    ///
    /// # Errors
    /// When the amounts do not fit together.
    pub fn conclude_refund(
        &self,
        id: RefundId,
        outcome: &RefundOutcome,
        at: Timestamp,
    ) -> Result<Option<Change>, MoneyError> {
        let mut next = self.next_version(at);
        let pending = next
            .refunds
            .iter_mut()
            .find(|refund| refund.id == id && refund.state == RefundState::Pending);
        let Some(refund) = pending else {
            return Ok(None);
        };
        let told = match outcome {
            RefundOutcome::Failed { reason, total, .. } => {
                refund.state = RefundState::Failed;
                refund.failure = Some(reason.clone());
                // Where the provider had taken it on, its totals do not count it any more.
                let counted = refund.provider.is_some().then_some(refund.amount.amount);
                next.payment.untell(counted.unwrap_or_default());
                *total
            }
            RefundOutcome::Completed { provider, total } => {
                refund.state = RefundState::Completed;
                refund.provider = Some(provider.clone());
                *total
            }
        };
        next.reckon(told)?;
        if let RefundOutcome::Failed { instead, .. } = outcome {
            next.book_rest(id, *instead, at)?;
        }
        let news = next.refund(id).map(RefundNews::from);
        let mut data = next.payment_data();
        data.refund = news;
        Ok(Some(self.settled(next, at, data)))
    }
}

impl Order {
    /// After the refund `failed` of an order that is over: where less is left by now than it was of, books
    /// what is left as `instead`. Where as much is left, it was refused for another reason, and staff decide.
    fn book_rest(
        &mut self,
        failed: RefundId,
        instead: RefundId,
        at: Timestamp,
    ) -> Result<(), MoneyError> {
        let over = match self.status {
            OrderStatus::Cancelled | OrderStatus::Refunded => true,
            OrderStatus::Pending
            | OrderStatus::Processing
            | OrderStatus::Shipped
            | OrderStatus::Delivered => false,
        };
        let left = self.left()?;
        let Some(failed) = self.refund(failed).cloned() else {
            return Ok(());
        };
        if over && left.amount > 0 && left.amount < failed.amount.amount {
            self.refunds.push(Refund {
                id: instead,
                amount: left,
                lines: Vec::new(),
                state: RefundState::Pending,
                provider: None,
                failure: None,
                created_at: at,
                ..failed
            });
        }
        Ok(())
    }
}

/// The units that go back into stock, by variant.
fn returned(lines: &[(&OrderItem, &RefundLine)]) -> BTreeMap<VariantId, u32> {
    let mut units = BTreeMap::new();
    for (item, line) in lines.iter().filter(|(_, line)| line.restock) {
        *units.entry(item.variant).or_default() += line.quantity;
    }
    units
}
