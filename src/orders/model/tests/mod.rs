//! The rules of orders, by example and by property.

mod refunds;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::orders::testing::{history_is_legal, new_order, usd};

/// One thing that may happen to an order.
#[derive(Debug, Clone)]
enum Deed {
    Step(OrderStatus),
    Confirm,
    Deny,
    Book { amount: i64, restock: u32 },
    Conclude { which: usize, fails: bool },
    Dashboard(i64),
    Reverse { which: usize, amount: Option<i64> },
    Restore,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        4 => prop::sample::select(OrderStatus::ALL.to_vec()).prop_map(Deed::Step),
        1 => Just(Deed::Confirm),
        1 => Just(Deed::Deny),
        2 => (0_i64..700, 0_u32..3).prop_map(|(amount, restock)| Deed::Book { amount, restock }),
        3 => (0_usize..4, any::<bool>()).prop_map(|(which, fails)| Deed::Conclude { which, fails }),
        1 => (0_i64..1_200).prop_map(Deed::Dashboard),
        1 => (0_usize..4, prop::option::of(0_i64..1_200))
            .prop_map(|(which, amount)| Deed::Reverse { which, amount }),
        1 => Just(Deed::Restore),
    ];
    prop::collection::vec(deed, 0..30)
}

fn at(moment: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(moment).unwrap())
}

fn step(to: OrderStatus, order: &Order) -> Step {
    Step {
        to,
        note: None,
        tracking: None,
        by: By::System,
        at: at(order.version),
        refund: RefundId::new(),
    }
}

/// What comes of a deed; `None` where it is refused or changes nothing.
fn done(order: &Order, deed: &Deed) -> Option<Change> {
    let now = at(order.version);
    match deed {
        Deed::Step(to) => order.transition(&step(*to, order)).ok(),
        Deed::Confirm => order.confirm_payment(now),
        Deed::Deny => order.deny_payment(now),
        Deed::Book { amount, restock } => {
            let line = order.items[0].line;
            let items = (*restock > 0).then_some(RefundItem {
                line,
                quantity: *restock,
                restock: Some(true),
            });
            let wish = RefundWish {
                id: RefundId::new(),
                amount: Some(usd(*amount)),
                reason: None,
                items: items.into_iter().collect(),
                by: By::System,
                at: now,
            };
            order.book_refund(&wish).ok().flatten()
        }
        Deed::Conclude { which, fails } => {
            let refund = order.refunds.get(*which)?;
            let outcome = if *fails {
                RefundOutcome::Failed {
                    reason: "NO".into(),
                    total: None,
                    instead: RefundId::new(),
                }
            } else {
                RefundOutcome::Completed {
                    provider: ProviderRefundId::parse("R1").unwrap(),
                    total: None,
                }
            };
            order.conclude_refund(refund.id, &outcome, now).unwrap()
        }
        Deed::Dashboard(total) => order.provider_refunded(usd(*total), now).unwrap(),
        Deed::Reverse { which, amount } => {
            let reversal = reversal(&format!("REV{which}"), *amount);
            order.reverse_payment(&reversal, now).unwrap()
        }
        Deed::Restore => order.restore_payment(now),
    }
}

fn reversal(id: &str, amount: Option<i64>) -> Reversal {
    Reversal {
        provider: ProviderRefundId::parse(id),
        amount: amount.map(usd),
    }
}

fn started(payment: PaymentStatus) -> Order {
    let mut new = new_order(UserId::new());
    new.payment.status = payment;
    Order::create(&new, at(0)).order
}

proptest! {
    #[test]
    fn whatever_happens_the_history_is_legal_and_each_change_is_one_version(
        pending in any::<bool>(), deeds in deeds()
    ) {
        let first = if pending { PaymentStatus::Pending } else { PaymentStatus::Completed };
        let mut order = started(first);
        let mut restocked = BTreeMap::<_, u32>::new();
        for deed in &deeds {
            let Some(change) = done(&order, deed) else { continue };
            let next = change.order;
            prop_assert_eq!(next.version, order.version + 1);
            prop_assert!(history_is_legal(&next), "{:?}", next.history);
            let moved = next.status != order.status;
            prop_assert_eq!(change.event.previous_status, moved.then_some(order.status));
            prop_assert_eq!(change.event.kind == EventKind::StatusChanged, moved);
            prop_assert_eq!(next.history.len(), order.history.len() + usize::from(moved));
            prop_assert!(next.payment.refunded.amount <= next.payment.captured.amount);
            prop_assert!(next.payment.refunded.amount >= order.payment.refunded.amount);
            let gone = next.payment.reversed.map_or(0, |reversed| reversed.amount);
            prop_assert!((0..=next.payment.captured.amount).contains(&gone));
            prop_assert!(next.payment.reversed.is_none() || next.payment.status == PaymentStatus::Reversed);
            if order.payment.status == PaymentStatus::Pending && moved {
                prop_assert_eq!(next.status, OrderStatus::Cancelled);
            }
            for (variant, units) in change.restock.into_iter().flat_map(|r| r.units) {
                *restocked.entry(variant).or_default() += units;
            }
            order = next;
        }
        for item in &order.items {
            let back = restocked.get(&item.variant).copied().unwrap_or_default();
            prop_assert!(back <= item.quantity);
            if order.status == OrderStatus::Cancelled {
                prop_assert_eq!(back, item.quantity, "all goods of a cancelled order are back");
            }
        }
    }

    #[test]
    fn own_refunds_never_exceed_the_capture(amounts in prop::collection::vec(1_i64..600, 1..12)) {
        let mut order = started(PaymentStatus::Completed);
        for amount in amounts {
            if let Some(change) = done(&order, &Deed::Book { amount, restock: 0 }) {
                order = change.order;
            }
        }
        let booked: i64 = order.refunds.iter().map(|refund| refund.amount.amount).sum();
        prop_assert!(booked <= 1_000);
        prop_assert_eq!(order.left().unwrap().amount, 1_000 - booked);
    }
}

#[test]
fn while_the_payment_is_pending_nothing_is_allowed() {
    let order = started(PaymentStatus::Pending);
    assert_eq!(order.allowed(), []);
    let paid = order.confirm_payment(at(1)).unwrap().order;
    assert_eq!(
        paid.allowed(),
        [OrderStatus::Processing, OrderStatus::Cancelled]
    );
}

#[test]
fn cancelling_books_the_money_and_the_goods_to_go_back() {
    let order = started(PaymentStatus::Completed);
    let cancelled = order
        .transition(&step(OrderStatus::Cancelled, &order))
        .unwrap();
    let refund = &cancelled.order.refunds[0];
    assert_eq!(
        (refund.amount, refund.state),
        (usd(1_000), RefundState::Pending)
    );
    let variant = order.items[0].variant;
    assert_eq!(
        cancelled.restock.unwrap().units,
        BTreeMap::from([(variant, 2)])
    );
}

#[test]
fn an_order_whose_money_is_on_its_way_back_is_not_shipped() {
    let order = started(PaymentStatus::Completed);
    let order = order
        .transition(&step(OrderStatus::Processing, &order))
        .unwrap()
        .order;
    let booked = done(
        &order,
        &Deed::Book {
            amount: 1_000,
            restock: 0,
        },
    )
    .unwrap()
    .order;
    assert_eq!(booked.allowed(), [OrderStatus::Cancelled]);
}

#[test]
fn a_refund_of_everything_ends_the_order_as_it_stands() {
    let outcome = RefundOutcome::Completed {
        provider: ProviderRefundId::parse("R1").unwrap(),
        total: Some(usd(1_000)),
    };
    let unsent = started(PaymentStatus::Completed);
    let booked = done(
        &unsent,
        &Deed::Book {
            amount: 1_000,
            restock: 0,
        },
    )
    .unwrap()
    .order;
    let ended = booked
        .conclude_refund(booked.refunds[0].id, &outcome, at(9))
        .unwrap()
        .unwrap();
    assert_eq!(ended.order.status, OrderStatus::Cancelled);
    assert!(ended.restock.is_some());

    let mut sent = unsent;
    for status in [OrderStatus::Processing, OrderStatus::Shipped] {
        sent = sent.transition(&step(status, &sent)).unwrap().order;
    }
    let booked = done(
        &sent,
        &Deed::Book {
            amount: 1_000,
            restock: 0,
        },
    )
    .unwrap()
    .order;
    let ended = booked
        .conclude_refund(booked.refunds[0].id, &outcome, at(9))
        .unwrap()
        .unwrap();
    assert_eq!(ended.order.status, OrderStatus::Refunded);
    assert!(ended.restock.is_none());
}

#[test]
fn a_reversal_counts_once_and_its_end_leaves_what_the_refunds_say() {
    let paid = started(PaymentStatus::Completed);
    let part = paid.provider_refunded(usd(300), at(1)).unwrap().unwrap();
    for (before, after) in [
        (&paid, PaymentStatus::Completed),
        (&part.order, PaymentStatus::PartiallyRefunded),
    ] {
        let reverse = |order: &Order, id: &str, amount| {
            order
                .reverse_payment(&reversal(id, amount), at(2))
                .unwrap()
                .map(|change| change.order)
        };
        let first = reverse(before, "A", Some(200)).unwrap();
        assert_eq!(first.payment.status, PaymentStatus::Reversed);
        assert_eq!(first.payment.reversed, Some(usd(200)));
        assert_eq!(reverse(&first, "A", Some(200)), None);
        let second = reverse(&first, "B", Some(100)).unwrap();
        assert_eq!(second.payment.reversed, Some(usd(300)));
        let whole = reverse(&second, "C", None).unwrap();
        let left = 1_000 - before.payment.refunded.amount;
        assert_eq!(whole.payment.reversed, Some(usd(left)));
        let restored = whole.restore_payment(at(3)).unwrap();
        assert_eq!(restored.order.payment.status, after);
        assert_eq!(restored.order.payment.reversed, None);
        assert_eq!(restored.event.data.payment, Some(after));
        assert_eq!(restored.order.restore_payment(at(4)), None);
        // A message about it that comes late takes nothing back anew.
        assert_eq!(reverse(&restored.order, "A", Some(200)), None);
        assert!(reverse(&restored.order, "D", Some(200)).is_some());
    }
}

#[test]
fn an_order_whose_money_went_back_while_it_was_reversed_ends_with_the_reversal() {
    let paid = started(PaymentStatus::Completed);
    let reversed = paid.reverse_payment(&reversal("A", None), at(1));
    let reversed = reversed.unwrap().unwrap().order;
    let refunded = reversed.provider_refunded(usd(1_000), at(2));
    let refunded = refunded.unwrap().unwrap().order;
    assert_eq!(refunded.payment.status, PaymentStatus::Reversed);
    let restored = refunded.restore_payment(at(3)).unwrap();
    assert_eq!(restored.order.payment.status, PaymentStatus::Refunded);
    assert_eq!(restored.order.status, OrderStatus::Cancelled);
    assert!(restored.restock.is_some());
}

#[test]
fn tracking_goes_with_shipped_only() {
    let order = started(PaymentStatus::Completed);
    let tracking = Tracking {
        carrier: "UPS".into(),
        number: "1Z".into(),
        url: None,
    };
    let with = |to, order: &Order| Step {
        tracking: Some(tracking.clone()),
        ..step(to, order)
    };
    assert_eq!(
        order.transition(&with(OrderStatus::Processing, &order)),
        Err(Refusal::TrackingTooEarly)
    );
    let order = order
        .transition(&step(OrderStatus::Processing, &order))
        .unwrap()
        .order;
    let shipped = order
        .transition(&with(OrderStatus::Shipped, &order))
        .unwrap();
    assert_eq!(shipped.order.tracking, Some(tracking));
}

#[test]
fn who_moved_an_order_comes_back_from_its_text() {
    for by in [By::System, By::Payment, By::Staff(UserId::new())] {
        assert_eq!(by.to_string().parse(), Ok(by));
    }
    for text in ["", "staff", "staff:", "staff:x", "root", "system:1"] {
        assert!(text.parse::<By>().is_err(), "{text}");
    }
}
