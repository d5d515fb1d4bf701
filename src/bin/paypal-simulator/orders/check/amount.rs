//! Amounts of a purchase unit and whether they add up.

use super::node::{Findings, Node};
use crate::money::{Amount, AmountFault, Currency};

/// Which amounts a place admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// More than zero.
    Positive,
    /// Zero or more.
    NotNegative,
}

/// A money object; `None` when it is absent or wrong.
pub(crate) fn money(
    node: &Node<'_>,
    bound: Bound,
    required: bool,
    found: &mut Findings,
) -> Option<Amount> {
    let node = node.object(required, found)?;
    let code = node.member("currency_code");
    let value = node.member("value");
    let currency = match code.text((3, 3), true, found) {
        Some(text) => {
            let known = Currency::find(text);
            if known.is_none() {
                found.sense("INVALID_CURRENCY_CODE", &code);
            }
            known
        }
        None => None,
    };
    let text = value.any_text(true, found)?;
    let amount = match Amount::parse(text, currency?) {
        Ok(amount) => amount,
        Err(fault) => {
            match fault {
                AmountFault::Syntax => found.syntax("INVALID_PARAMETER_SYNTAX", &value),
                AmountFault::Length => found.syntax("INVALID_STRING_LENGTH", &value),
                AmountFault::Precision => found.sense("DECIMAL_PRECISION", &value),
                AmountFault::TooLarge => found.sense("MAX_VALUE_EXCEEDED", &value),
            }
            return None;
        }
    };
    match bound {
        Bound::Positive if amount.minor <= 0 => {
            found.sense("CANNOT_BE_ZERO_OR_NEGATIVE", &value);
            None
        }
        Bound::NotNegative if amount.minor < 0 => {
            found.sense("CANNOT_BE_NEGATIVE", &value);
            None
        }
        Bound::Positive | Bound::NotNegative => Some(amount),
    }
}

/// The parts of a breakdown, and whether they add or subtract.
const PARTS: [(&str, i128); 7] = [
    ("item_total", 1),
    ("tax_total", 1),
    ("shipping", 1),
    ("handling", 1),
    ("insurance", 1),
    ("shipping_discount", -1),
    ("discount", -1),
];

/// Checks the unit's amount, its breakdown and its items against each other.
pub(crate) fn total(unit: &Node<'_>, found: &mut Findings) -> Option<Amount> {
    let node = unit.member("amount");
    let total = money(&node, Bound::Positive, true, found);
    let breakdown = node.member("breakdown").object(false, found);
    let mut parts = [None; PARTS.len()];
    if let Some(breakdown) = &breakdown {
        for ((name, _), part) in PARTS.iter().zip(parts.iter_mut()) {
            let member = breakdown.member(name);
            *part = money(&member, Bound::NotNegative, false, found);
            same_currency(total, *part, &member, found);
        }
        let sum: i128 = PARTS
            .iter()
            .zip(parts.iter())
            .map(|((_, sign), part)| part.map_or(0, |amount| amount.minor * sign))
            .sum();
        if let Some(total) = total
            && total.minor != sum
        {
            found.sense("AMOUNT_MISMATCH", &node.member("value"));
        }
    }
    let [item_total, tax_total, ..] = parts;
    items(unit, &node, (total, item_total, tax_total), found);
    total
}

fn same_currency(
    total: Option<Amount>,
    part: Option<Amount>,
    node: &Node<'_>,
    found: &mut Findings,
) {
    if let (Some(total), Some(part)) = (total, part)
        && total.currency != part.currency
    {
        found.sense("MULTI_CURRENCY_ORDER", &node.member("currency_code"));
    }
}

/// Checks the items' sums against `item_total` and `tax_total`.
fn items(
    unit: &Node<'_>,
    amount: &Node<'_>,
    totals: (Option<Amount>, Option<Amount>, Option<Amount>),
    found: &mut Findings,
) {
    let (total, item_total, tax_total) = totals;
    let list = unit.member("items");
    let Some(items) = list.list(0, usize::MAX, false, found) else {
        return;
    };
    let (mut price, mut tax, mut any_tax) = (0_i128, 0_i128, false);
    for item in &items {
        let quantity: i128 = item
            .member("quantity")
            .value
            .and_then(|v| v.as_str()?.parse().ok())
            .unwrap_or_default();
        let unit_amount = item.member("unit_amount");
        if let Some(each) = money(&unit_amount, Bound::NotNegative, true, found) {
            same_currency(total, Some(each), &unit_amount, found);
            price += each.minor * quantity;
        }
        let unit_tax = item.member("tax");
        if let Some(each) = money(&unit_tax, Bound::NotNegative, false, found) {
            any_tax = true;
            same_currency(total, Some(each), &unit_tax, found);
            tax += each.minor * quantity;
        }
    }
    let breakdown = amount.member("breakdown");
    let checks = [
        (
            !items.is_empty(),
            item_total,
            price,
            "item_total",
            "ITEM_TOTAL_REQUIRED",
            "ITEM_TOTAL_MISMATCH",
        ),
        (
            any_tax,
            tax_total,
            tax,
            "tax_total",
            "TAX_TOTAL_REQUIRED",
            "TAX_TOTAL_MISMATCH",
        ),
    ];
    for (applies, stated, sum, name, missing, wrong) in checks {
        let member = breakdown.member(name);
        match stated {
            None if applies && member.value.is_none() => found.sense(missing, &member),
            Some(stated) if applies && stated.minor != sum => {
                found.sense(wrong, &member.member("value"));
            }
            _ => {}
        }
    }
}
