//! Price history: which price applied from when until when, and the lowest one before the present.
//!
//! A sale label has to name the lowest price of the thirty days before the reduction (Directive 98/6/EC,
//! article 6a). A price applies while its product is active; each change of it ends a period. The lowest
//! price is fixed when a price begins: it does not move while the sale goes on.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Product, Status};
use crate::{
    clock::Timestamp,
    id::{ProductId, VariantId},
    money::Money,
};

/// How far back the lowest price is looked for.
pub const PRICE_WINDOW: Duration = Duration::from_hours(30 * 24);

/// Since when a price applies, and what the lowest one was before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceMark {
    /// When the price began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The lowest price that applied in the window before that; none: nothing was on sale in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowest_before: Option<Money>,
}

impl PriceMark {
    /// A price that begins now, after none.
    #[must_use]
    pub const fn since(now: Timestamp) -> Self {
        Self {
            since: Some(now),
            lowest_before: None,
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.since.is_none() && self.lowest_before.is_none()
    }
}

/// A time in which a price applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricePeriod {
    /// The product.
    pub product: ProductId,
    /// The variant; none: the price in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<VariantId>,
    /// The price.
    pub price: Money,
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub until: Timestamp,
}

/// Whose price: a variant's, or the product's own.
type Whose = Option<VariantId>;

/// Every price of a product.
fn prices(product: &Product) -> impl Iterator<Item = (Whose, Money, PriceMark)> {
    let variants = product.variants.iter();
    let own = (None, product.price, product.price_mark);
    [own]
        .into_iter()
        .chain(variants.map(|v| (Some(v.id), v.price, v.price_mark)))
}

/// Whether a price begins or ends between the two versions, so that the history is needed.
#[must_use]
pub fn prices_move(old: &Product, new: &Product) -> bool {
    let known: HashMap<Whose, Money> = prices(old)
        .map(|(whose, price, _)| (whose, price))
        .collect();
    let applies = |product: &Product| product.status == Status::Active;
    applies(old) != applies(new)
        || known.len() != new.variants.len() + 1
        || prices(new).any(|(whose, price, _)| known.get(&whose) != Some(&price))
}

/// Gives each price of `new` its mark; returns the periods that end with `old`. `past`: the periods of the
/// product that ended within the window.
#[must_use]
pub fn reprice(
    old: &Product,
    new: &mut Product,
    past: &[PricePeriod],
    now: Timestamp,
) -> Vec<PricePeriod> {
    let (applied, applies) = (old.status == Status::Active, new.status == Status::Active);
    let before: HashMap<Whose, (Money, PriceMark)> = prices(old)
        .map(|(whose, price, mark)| (whose, (price, mark)))
        .collect();
    let mut kept: HashMap<Whose, PriceMark> = HashMap::new();
    for (whose, price, _) in prices(new) {
        if let Some((old_price, mark)) = before.get(&whose)
            && *old_price == price
            && (applied || !applies)
        {
            kept.insert(whose, *mark);
        }
    }
    let stays = |whose: &Whose| kept.contains_key(whose) && applied == applies;
    let ended: Vec<PricePeriod> = before
        .iter()
        .filter(|(whose, _)| applied && !stays(whose))
        .map(|(whose, (price, mark))| PricePeriod {
            product: old.id,
            variant: *whose,
            price: *price,
            from: mark.since.unwrap_or(old.created_at),
            until: now,
        })
        .collect();
    let window = now.before(PRICE_WINDOW);
    let recent = past.iter().filter(|period| period.until > window);
    let mut lowest: HashMap<Whose, Money> = HashMap::new();
    for period in recent.chain(&ended) {
        lowest
            .entry(period.variant)
            .and_modify(|least| {
                if period.price.amount < least.amount {
                    *least = period.price;
                }
            })
            .or_insert(period.price);
    }
    let mark = |whose: Whose| {
        kept.get(&whose).copied().unwrap_or_else(|| PriceMark {
            since: Some(now),
            lowest_before: lowest.get(&whose).copied(),
        })
    };
    new.price_mark = mark(None);
    for variant in &mut new.variants {
        variant.price_mark = mark(Some(variant.id));
    }
    ended
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::*, *};
    use crate::money::Currency;

    const DAY: i64 = 24 * 3_600 * 1_000;

    fn day(n: i64) -> Timestamp {
        Timestamp::from_millis(n * DAY)
    }

    /// A product whose price was changed on those days; what the label says after each.
    fn story(steps: &[(i64, i64, Status)]) -> Vec<Option<i64>> {
        let written = |price: i64, status: Status| -> ProductDraft {
            let written = json!({
                "sku": "A", "title": "A", "status": status,
                "price": {"amount": price, "currency": "USD"},
            });
            let schema = Schema::compile(&json!({}), std::iter::empty()).unwrap();
            let written = serde_json::from_value(written).unwrap();
            ProductDraft::check(written, &ProductType::generic(), &schema, Currency::USD).unwrap()
        };
        let (first, rest) = steps.split_first().unwrap();
        let (mut product, _) = written(first.1, first.2).create("a".into(), day(first.0));
        let (mut past, mut labels) = (Vec::new(), Vec::new());
        for (on, price, status) in rest {
            let draft = written(*price, *status);
            let (mut new, _) = draft.replace(&product, "a".into(), day(*on)).unwrap();
            let ended = reprice(&product, &mut new, &past, day(*on));
            assert_eq!(
                ended.is_empty(),
                !(product.status == Status::Active && prices_move(&product, &new))
            );
            past.extend(ended);
            let mark = new.price_mark;
            assert_eq!(mark, new.variants[0].price_mark);
            labels.push(mark.lowest_before.map(|price| price.amount));
            product = new;
        }
        labels
    }

    #[test]
    fn the_label_names_the_lowest_price_of_thirty_days_before() {
        use Status::{Active, Draft};
        // 100, reduced: the price before.
        assert_eq!(story(&[(0, 100, Active), (40, 80, Active)]), [Some(100)]);
        // A rise shortly before the sale does not make the sale look better.
        assert_eq!(
            story(&[(0, 100, Active), (40, 150, Active), (50, 90, Active)]),
            [Some(100), Some(100)]
        );
        // What ended more than thirty days before does not count.
        assert_eq!(
            story(&[(0, 50, Active), (10, 150, Active), (45, 90, Active)]),
            [Some(50), Some(150)]
        );
        // An edit that leaves the price alone leaves the label alone, however late.
        assert_eq!(
            story(&[(0, 100, Active), (5, 80, Active), (90, 80, Active)]),
            [Some(100), Some(100)]
        );
        // What was never on sale was never a price.
        assert_eq!(
            story(&[(0, 100, Draft), (5, 80, Draft), (6, 80, Active)]),
            [None, None]
        );
        // Off sale and on again: the price of then counts for thirty days.
        assert_eq!(
            story(&[(0, 60, Active), (5, 60, Draft), (6, 90, Active)]),
            [None, Some(60)]
        );
    }
}
