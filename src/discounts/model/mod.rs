//! The rules of discounts: plain functions without I/O.

mod code;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use code::DiscountCode;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    money::{Money, MoneyError},
};

/// The most codes of one cart.
pub const MAX_CODES: usize = 5;

/// What a discount takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// So many ten-thousandths of what is left after the fixed amounts.
    Percent(u32),
    /// An amount; at most what is left.
    Fixed(Money),
}

/// When a discount applies, and what it takes off; staff's to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// What it takes off.
    pub kind: Kind,
    /// The least that the goods must cost before any discount.
    pub minimum: Option<Money>,
    /// How often it may be used in all.
    pub limit: Option<u32>,
    /// How often one buyer may use it.
    pub limit_per_user: Option<u32>,
    /// From when it applies.
    pub starts_at: Option<Timestamp>,
    /// When it applies no more.
    pub ends_at: Option<Timestamp>,
    /// Whether it applies at all.
    pub active: bool,
}

/// A discount code as staff see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discount {
    /// The code.
    pub code: DiscountCode,
    /// Its rules.
    pub rules: Rules,
    /// Orders that used it.
    pub used: u64,
    /// Open checkouts that claim a use.
    pub claimed: u64,
    /// Counts changes of the rules.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its rules last changed.
    pub updated_at: Timestamp,
}

/// What decides about a code besides the cart: read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its rules.
    pub rules: Rules,
    /// Uses, and claims of other buyers.
    pub taken: u64,
    /// This buyer's uses; nothing is known of a guest's.
    pub taken_by_buyer: Option<u64>,
    /// The moment, by the database's clock.
    pub now: Timestamp,
}

/// What is known of the codes of a cart; one that is not in here does not exist.
pub type Book = HashMap<DiscountCode, Standing>;

/// Why a code takes nothing off now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// There is none, or it is switched off.
    Unknown,
    /// It does not apply yet.
    NotStarted,
    /// It applies no more.
    Expired,
    /// The goods cost less than this.
    Minimum(Money),
    /// All its uses are taken.
    UsedUp,
    /// This buyer has used it as often as one may.
    UsedBefore,
}

/// A code of a cart, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The code.
    pub code: DiscountCode,
    /// What it takes off; nothing where there is an obstacle.
    pub amount: Money,
    /// Why it takes nothing off.
    pub obstacle: Option<Obstacle>,
}

/// A code as frozen at checkout, and what it took off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AppliedDiscount {
    /// The code.
    pub code: DiscountCode,
    /// What it took off.
    pub amount: Money,
}

impl Rules {
    /// Whether the code could be used at `now`, whatever is in the cart.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn open_at(&self, now: Timestamp) -> Result<(), Obstacle> {
        if !self.active {
            return Err(Obstacle::Unknown);
        }
        if self.starts_at.is_some_and(|start| now < start) {
            return Err(Obstacle::NotStarted);
        }
        if self.ends_at.is_some_and(|end| now >= end) {
            return Err(Obstacle::Expired);
        }
        Ok(())
    }

    /// Whether the amounts are in the currency of `money`: an amount from before the shop's currency was
    /// changed takes nothing off.
    fn is_in_currency_of(&self, money: Money) -> bool {
        let fixed = match self.kind {
            Kind::Fixed(amount) => Some(amount),
            Kind::Percent(_) => None,
        };
        let mut amounts = [fixed, self.minimum].into_iter().flatten();
        amounts.all(|amount| amount.currency == money.currency)
    }
}

impl Standing {
    /// Whether the code applies to goods worth `subtotal`.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn allows(&self, subtotal: Money) -> Result<(), Obstacle> {
        let rules = &self.rules;
        rules.open_at(self.now)?;
        if !rules.is_in_currency_of(subtotal) {
            return Err(Obstacle::Unknown);
        }
        if rules.limit.is_some_and(|limit| self.taken >= limit.into()) {
            return Err(Obstacle::UsedUp);
        }
        let per_user = rules.limit_per_user.zip(self.taken_by_buyer);
        if per_user.is_some_and(|(limit, taken)| taken >= limit.into()) {
            return Err(Obstacle::UsedBefore);
        }
        match rules.minimum {
            Some(minimum) if subtotal.amount < minimum.amount => Err(Obstacle::Minimum(minimum)),
            Some(_) | None => Ok(()),
        }
    }
}

/// Judges the `codes` of a cart with goods worth `subtotal`, in the order they were entered.
///
/// Those that apply add up: the fixed amounts first, then the percentages, each in the order entered and
/// each of what is left, rounded by the one rule ([`Money::share`]). Minimums are compared with the goods
/// before any discount. What is left is never below zero.
///
/// # Errors
/// On overflow, which prices within [`crate::money::MAX_AMOUNT`] cannot bring about.
pub fn judge(
    codes: &[DiscountCode],
    book: &Book,
    subtotal: Money,
) -> Result<Vec<Judged>, MoneyError> {
    let nothing = Money::zero(subtotal.currency);
    let mut judged: Vec<Judged> = Vec::with_capacity(codes.len());
    let mut applying = Vec::new();
    for (place, code) in codes.iter().enumerate() {
        let allowed = book.get(code).ok_or(Obstacle::Unknown);
        let allowed = allowed.and_then(|standing| {
            standing.allows(subtotal)?;
            Ok(standing.rules.kind)
        });
        applying.extend(allowed.ok().map(|kind| (place, kind)));
        judged.push(Judged {
            code: code.clone(),
            amount: nothing,
            obstacle: allowed.err(),
        });
    }
    // Stable: each kind keeps the order in which its codes were entered.
    applying.sort_by_key(|(_, kind)| matches!(kind, Kind::Percent(_)));
    let mut left = subtotal;
    for (place, kind) in applying {
        let off = match kind {
            Kind::Fixed(amount) => amount,
            Kind::Percent(basis_points) => left.share(basis_points)?,
        };
        let off = Money::new(off.amount.clamp(0, left.amount), left.currency);
        left = left.minus(off)?;
        if let Some(one) = judged.get_mut(place) {
            one.amount = off;
        }
    }
    Ok(judged)
}
