//! The rules, by example and by property.

use proptest::prelude::*;

use super::*;
use crate::money::Currency;

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn usd(amount: i64) -> Money {
    Money::new(amount, Currency::USD)
}

fn code(text: &str) -> DiscountCode {
    DiscountCode::parse(text).unwrap()
}

fn rules(kind: Kind) -> Rules {
    Rules {
        kind,
        minimum: None,
        limit: None,
        limit_per_user: None,
        starts_at: None,
        ends_at: None,
        active: true,
    }
}

fn standing(rules: Rules) -> Standing {
    Standing {
        rules,
        taken: 0,
        taken_by_buyer: None,
        now: NOW,
    }
}

/// What `kinds`, entered in this order, take off goods worth `subtotal`.
fn taken_off(kinds: &[Kind], subtotal: Money) -> Vec<i64> {
    let codes: Vec<_> = (0..kinds.len()).map(|n| code(&format!("C{n}"))).collect();
    let standings = kinds.iter().map(|kind| standing(rules(*kind)));
    let book: Book = codes.iter().cloned().zip(standings).collect();
    let judged = judge(&codes, &book, subtotal).unwrap();
    judged.into_iter().map(|one| one.amount.amount).collect()
}

#[test]
fn fixed_amounts_come_first_and_percentages_take_of_what_is_left() {
    let (tenth, three) = (Kind::Percent(1_000), Kind::Fixed(usd(300)));
    assert_eq!(taken_off(&[tenth, three], usd(1_005)), [71, 300]);
    assert_eq!(taken_off(&[three, tenth], usd(1_005)), [300, 71]);
    assert_eq!(taken_off(&[tenth, tenth], usd(1_000)), [100, 90]);
    assert_eq!(taken_off(&[three, three, tenth], usd(500)), [300, 200, 0]);
    assert_eq!(taken_off(&[Kind::Percent(10_000), tenth], usd(99)), [99, 0]);
}

#[test]
fn a_code_that_does_not_apply_says_why() {
    let (before, after) = (Timestamp::from_millis(999), Timestamp::from_millis(1_001));
    let plain = || rules(Kind::Percent(1_000));
    let told = |standing: Standing| standing.allows(usd(1_000)).err();
    let with = |change: fn(&mut Rules)| {
        let mut rules = plain();
        change(&mut rules);
        told(standing(rules))
    };
    assert_eq!(told(standing(plain())), None);
    assert_eq!(with(|rules| rules.active = false), Some(Obstacle::Unknown));
    let ended = |at| Rules {
        ends_at: Some(at),
        ..plain()
    };
    assert_eq!(told(standing(ended(NOW))), Some(Obstacle::Expired));
    assert_eq!(told(standing(ended(after))), None);
    let starting = |at| Rules {
        starts_at: Some(at),
        ..plain()
    };
    assert_eq!(told(standing(starting(after))), Some(Obstacle::NotStarted));
    assert_eq!(told(standing(starting(before))), None);
    assert_eq!(
        with(|rules| rules.minimum = Some(usd(1_001))),
        Some(Obstacle::Minimum(usd(1_001)))
    );
    assert_eq!(with(|rules| rules.minimum = Some(usd(1_000))), None);
    let euros = Money::new(100, "EUR".parse().unwrap());
    assert_eq!(
        told(standing(rules(Kind::Fixed(euros)))),
        Some(Obstacle::Unknown)
    );
    let limited = |taken, taken_by_buyer| Standing {
        taken,
        taken_by_buyer,
        ..standing(Rules {
            limit: Some(2),
            limit_per_user: Some(1),
            ..plain()
        })
    };
    assert_eq!(told(limited(1, Some(0))), None);
    assert_eq!(told(limited(2, Some(0))), Some(Obstacle::UsedUp));
    assert_eq!(told(limited(1, Some(1))), Some(Obstacle::UsedBefore));
    // Of a guest's uses nothing is known before they sign in.
    assert_eq!(told(limited(1, None)), None);
}

#[test]
fn an_unknown_code_takes_nothing_and_the_others_still_apply() {
    let codes = [code("GONE"), code("TEN")];
    let book = Book::from([(code("TEN"), standing(rules(Kind::Percent(1_000))))]);
    let judged = judge(&codes, &book, usd(1_000)).unwrap();
    assert_eq!(
        (judged[0].amount, judged[0].obstacle),
        (usd(0), Some(Obstacle::Unknown))
    );
    assert_eq!((judged[1].amount, judged[1].obstacle), (usd(100), None));
}

#[test]
fn a_code_is_read_as_people_type_it() {
    assert_eq!(code(" spring-10 "), code("SPRING-10"));
    for text in ["", " ", "a b", "50%", "ä", "a.b", "$where", &"x".repeat(41)] {
        assert_eq!(DiscountCode::parse(text), None, "{text}");
    }
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (1_u32..=10_000).prop_map(Kind::Percent),
        (1_i64..200_000).prop_map(|n| Kind::Fixed(usd(n))),
    ]
}

proptest! {
    #[test]
    fn whatever_is_entered_no_less_than_nothing_is_left(
        kinds in prop::collection::vec(kinds(), 0..=MAX_CODES), subtotal in 0_i64..1_000_000,
    ) {
        let off = taken_off(&kinds, usd(subtotal));
        prop_assert!(off.iter().all(|amount| *amount >= 0));
        prop_assert!(off.iter().sum::<i64>() <= subtotal);
    }

    #[test]
    fn one_more_percentage_never_makes_the_goods_dearer(
        kinds in prop::collection::vec(kinds(), 1..MAX_CODES), more in 1_u32..=10_000,
        subtotal in 0_i64..1_000_000,
    ) {
        let sum = |kinds: &[Kind]| taken_off(kinds, usd(subtotal)).iter().sum::<i64>();
        let with = [kinds.as_slice(), &[Kind::Percent(more)]].concat();
        prop_assert!(sum(&with) >= sum(&kinds));
    }

    #[test]
    fn the_order_of_codes_of_one_kind_alone_decides(
        fixed in prop::collection::vec(1_i64..100_000, 0..3), percents in prop::collection::vec(1_u32..=10_000, 0..3),
        subtotal in 0_i64..1_000_000,
    ) {
        let fixed = fixed.into_iter().map(|n| Kind::Fixed(usd(n)));
        let percents = percents.into_iter().map(Kind::Percent);
        let one: Vec<_> = fixed.clone().chain(percents.clone()).collect();
        let other: Vec<_> = percents.chain(fixed).collect();
        let sum = |kinds: &[Kind]| taken_off(kinds, usd(subtotal)).iter().sum::<i64>();
        prop_assert_eq!(sum(&one), sum(&other));
    }

    #[test]
    fn where_nobody_pays_cents_nothing_is_taken_off_in_cents(
        percents in prop::collection::vec(1_u32..=10_000, 0..=MAX_CODES), units in 0_i64..10_000,
        currency in prop::sample::select(vec!["HUF", "TWD"]),
    ) {
        let kinds: Vec<_> = percents.into_iter().map(Kind::Percent).collect();
        let subtotal = Money::new(units * 100, currency.parse().unwrap());
        let off = taken_off(&kinds, subtotal);
        prop_assert!(off.iter().all(|amount| amount % 100 == 0));
    }
}
