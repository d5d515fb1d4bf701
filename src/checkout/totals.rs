//! What a cart costs: pure arithmetic in minor units, as `docs/money.md` states it.
//!
//! Tax is charged on goods after discount and on shipping, and rounded once, on the sum
//! ([`Money::share`]). The provider's breakdown is made of these very figures, so it always adds up; each
//! of them can be paid ([`Money::is_payable`]), so it can always be written in the provider's form.

use serde::{Deserialize, Serialize};

use crate::{
    address::{PostalAddress, region_code},
    config::{ShippingMethodConfig, StoreConfig},
    money::{Currency, MAX_AMOUNT, Money, MoneyError},
};

/// The shipping method that a buyer chose, at the price of that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChosenShipping {
    /// The method's id in the configuration.
    pub id: String,
    /// What the buyer reads.
    pub name: String,
    /// Its price for this cart.
    pub price: Money,
}

/// What a cart costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Σ lines.
    pub subtotal: Money,
    /// Taken off the subtotal; never more than it.
    pub discount: Money,
    /// Shipping.
    pub shipping: Money,
    /// Tax on goods after discount and on shipping.
    pub tax: Money,
    /// What the buyer pays.
    pub total: Money,
}

/// The price of a shipping method for goods worth `goods` (after discount).
#[must_use]
pub(super) fn shipping_price(method: &ShippingMethodConfig, goods: Money) -> Money {
    let free = method.free_from > 0 && goods.amount >= method.free_from;
    Money::new(if free { 0 } else { method.price }, goods.currency)
}

/// The methods that serve `country`, each at its price for goods worth `goods`; an entry that names the
/// country comes before one for every other country under the same id.
pub(super) fn shipping_methods<'c>(
    store: &'c StoreConfig,
    country: &'c str,
    goods: Money,
) -> impl Iterator<Item = (&'c ShippingMethodConfig, Money)> {
    let named = move |method: &ShippingMethodConfig| method.countries.iter().any(|c| c == country);
    let serving = store.shipping.iter().filter(move |method| {
        named(method)
            || method.serves(country)
                && !store
                    .shipping
                    .iter()
                    .any(|other| other.id == method.id && named(other))
    });
    serving.map(move |method| (method, shipping_price(method, goods)))
}

/// Ten-thousandths of tax at `address`. One that names no region by its code has the rate of its country.
fn tax_rate(store: &StoreConfig, address: &PostalAddress) -> u32 {
    let at = address.region_code();
    let applies = |country: &str, region: Option<&str>| {
        country == address.country
            && region.is_none_or(|region| at.is_some() && region_code(region) == at)
    };
    let first = store
        .tax
        .iter()
        .find(|tax| applies(&tax.country, tax.region.as_deref()));
    first.map_or(0, |tax| tax.basis_points)
}

/// Adds everything up.
///
/// # Errors
/// When a sum leaves the range of amounts, a price is in another currency than the shop's, or an amount
/// cannot be paid to the cent.
pub(super) fn totals(
    store: &StoreConfig,
    lines: impl IntoIterator<Item = Money>,
    discount: Money,
    shipping: Money,
    address: &PostalAddress,
) -> Result<Totals, MoneyError> {
    let currency: Currency = store.currency;
    let subtotal = lines
        .into_iter()
        .try_fold(Money::zero(currency), |sum, line| sum.plus(line.payable()?))?;
    let discount = Money::new(discount.amount.clamp(0, subtotal.amount), currency).payable()?;
    let taxed = subtotal.minus(discount)?.plus(shipping.payable()?)?;
    let tax = taxed.share(tax_rate(store, address))?;
    let total = taxed.plus(tax)?;
    if total.amount > MAX_AMOUNT {
        return Err(MoneyError::Overflow);
    }
    Ok(Totals {
        subtotal,
        discount,
        shipping,
        tax,
        total,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        clock::Timestamp,
        config::TaxConfig,
        discounts::{Book, DiscountCode, Kind, Rules, Standing, judge},
        payments::{NewPayment, PaymentLine, paypal::testing},
    };

    /// A code that always applies.
    fn open_to_all(kind: Kind) -> Standing {
        let rules = Rules {
            kind,
            minimum: None,
            limit: None,
            limit_per_user: None,
            starts_at: None,
            ends_at: None,
            active: true,
        };
        Standing {
            rules,
            taken: 0,
            taken_by_buyer: None,
            now: Timestamp::from_millis(0),
        }
    }

    fn store() -> StoreConfig {
        let method = |id: &str, countries: &[&str], price, free_from| ShippingMethodConfig {
            id: id.into(),
            name: id.into(),
            countries: countries.iter().map(|c| (*c).to_owned()).collect(),
            price,
            free_from,
            days_min: 1,
            days_max: 2,
        };
        StoreConfig {
            name: "test".into(),
            currency: Currency::USD,
            keep_orders_years: 10,
            shipping: vec![
                method("standard", &["*"], 900, 0),
                method("standard", &["US"], 500, 5_000),
                method("express", &["US"], 1_500, 0),
            ],
            tax: vec![
                TaxConfig {
                    country: "US".into(),
                    region: Some("CA".into()),
                    basis_points: 725,
                },
                TaxConfig {
                    country: "DE".into(),
                    region: None,
                    basis_points: 1_900,
                },
            ],
        }
    }

    fn address(country: &str, region: Option<&str>) -> PostalAddress {
        PostalAddress {
            name: "A".into(),
            line1: "1".into(),
            line2: None,
            city: "C".into(),
            region: region.map(str::to_owned),
            postal_code: "1".into(),
            country: country.into(),
            phone: None,
        }
    }

    fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::USD)
    }

    #[test]
    fn a_country_of_its_own_comes_before_the_rest_of_the_world() {
        let store = store();
        let offered = |country, goods| -> Vec<(String, i64)> {
            let methods = shipping_methods(&store, country, usd(goods));
            methods
                .map(|(method, price)| (method.id.clone(), price.amount))
                .collect()
        };
        assert_eq!(
            offered("US", 4_999),
            [("standard".to_owned(), 500), ("express".to_owned(), 1_500)]
        );
        assert_eq!(offered("US", 5_000)[0].1, 0);
        assert_eq!(offered("FR", 9_000), [("standard".to_owned(), 900)]);
    }

    #[test]
    fn tax_follows_country_and_region_and_rounds_once() {
        let store = store();
        let tax = |address: &PostalAddress| {
            totals(&store, [usd(1_000), usd(999)], usd(0), usd(500), address)
                .unwrap()
                .tax
                .amount
        };
        for california in ["CA", "ca", " CA", "Ca "] {
            assert_eq!(tax(&address("US", Some(california))), 181, "{california:?}");
        }
        for elsewhere in [None, Some("TX"), Some("California")] {
            assert_eq!(tax(&address("US", elsewhere)), 0, "{elsewhere:?}");
        }
        assert_eq!(tax(&address("DE", None)), 475);
    }

    /// The shop in another currency, at one rate of tax.
    fn store_in(currency: Currency, basis_points: u32) -> StoreConfig {
        StoreConfig {
            currency,
            tax: vec![TaxConfig {
                country: "US".into(),
                region: None,
                basis_points,
            }],
            ..store()
        }
    }

    /// What PayPal writes for an amount, in its smallest payable units.
    fn read(amount: &serde_json::Value) -> i64 {
        amount["value"]
            .as_str()
            .unwrap()
            .replace('.', "")
            .parse()
            .unwrap()
    }

    #[test]
    fn an_amount_that_nobody_can_pay_is_refused() {
        let forint = |amount| Money::new(amount, "HUF".parse().unwrap());
        let store = store_in(forint(0).currency, 2_700);
        let total = |line, shipping| {
            let at = address("US", None);
            totals(&store, [forint(line)], forint(0), forint(shipping), &at)
        };
        assert_eq!(total(149_900, 99_000).unwrap().tax, forint(67_200));
        for (line, shipping) in [(149_950, 99_000), (149_900, 99_001)] {
            let refused = total(line, shipping).unwrap_err();
            assert_eq!(refused, MoneyError::NotPayable(store.currency));
        }
    }

    proptest! {
        #[test]
        fn the_parts_always_add_up(
            lines in prop::collection::vec(0_i64..10_000_000, 1..20),
            discount in 0_i64..100_000_000,
            shipping in 0_i64..100_000,
        ) {
            let sum: i64 = lines.iter().sum();
            let t = totals(&store(), lines.into_iter().map(usd), usd(discount), usd(shipping), &address("DE", None)).unwrap();
            prop_assert_eq!(t.subtotal.amount, sum);
            prop_assert!(t.discount.amount <= sum);
            prop_assert_eq!(
                t.total.amount,
                t.subtotal.amount - t.discount.amount + t.shipping.amount + t.tax.amount
            );
        }

        #[test]
        fn whatever_is_bought_paypal_is_sent_a_breakdown_that_adds_up(
            lines in prop::collection::vec((1_i64..200_000, 1_u32..20), 1..12),
            fixed in prop::collection::vec(1_i64..50_000, 0..3),
            percents in prop::collection::vec(1_u32..10_000, 0..3),
            shipping in 0_i64..5_000, basis_points in 0_u32..3_000,
            code in prop::sample::select(vec!["USD", "EUR", "JPY", "HUF", "TWD"]),
        ) {
            let currency: Currency = code.parse().unwrap();
            let step = currency.payable_step();
            let money = |units: i64| Money::new(units * step, currency);
            let kinds = fixed.iter().map(|n| Kind::Fixed(money(*n)))
                .chain(percents.iter().map(|n| Kind::Percent(*n)));
            let book: Book = kinds.enumerate().map(|(n, kind)| {
                let code = DiscountCode::parse(&format!("C{n}")).unwrap();
                (code, open_to_all(kind))
            }).collect();
            let codes: Vec<_> = book.keys().cloned().collect();
            let line_totals: Vec<_> = lines.iter().map(|(price, n)| money(*price).times(*n).unwrap()).collect();
            let subtotal = Money::sum(currency, line_totals.iter().copied()).unwrap();
            let judged = judge(&codes, &book, subtotal).unwrap();
            let discount = Money::sum(currency, judged.iter().map(|one| one.amount)).unwrap();
            let store = store_in(currency, basis_points);
            let found = totals(&store, line_totals, discount, money(shipping), &address("US", None)).unwrap();
            let payment = NewPayment {
                lines: lines.iter().map(|(price, quantity)| PaymentLine {
                    name: "Mug".into(), sku: "MUG".into(), quantity: *quantity, unit_price: money(*price),
                }).collect(),
                item_total: found.subtotal,
                discount: found.discount,
                shipping: found.shipping,
                tax: found.tax,
                total: found.total,
                ..testing::payment()
            };
            let sent = testing::amount_as_sent(&payment).unwrap();
            let (amount, stated) = (&sent["amount"], &sent["amount"]["breakdown"]);
            prop_assert_eq!(
                read(&stated["item_total"]) + read(&stated["shipping"]) + read(&stated["tax_total"])
                    - read(&stated["discount"]),
                read(amount)
            );
            prop_assert_eq!(read(amount), found.total.amount / step);
            let items = sent["items"].as_array().unwrap().iter();
            let sum: i64 = items.map(|item| {
                read(&item["unit_amount"]) * item["quantity"].as_str().unwrap().parse::<i64>().unwrap()
            }).sum();
            prop_assert_eq!(sum, read(&stated["item_total"]));
        }
    }
}
