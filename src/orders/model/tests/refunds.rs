//! Refunds beside the provider's dashboard, and what goods cost.

use super::*;

#[test]
fn items_cost_their_share_of_what_was_paid_without_shipping() {
    let order = started(PaymentStatus::Completed);
    let wish = |quantity| RefundWish {
        id: RefundId::new(),
        amount: None,
        reason: None,
        items: vec![RefundItem {
            line: order.items[0].line,
            quantity,
            restock: Some(false),
        }],
        by: By::System,
        at: at(1),
    };
    let one = order.book_refund(&wish(1)).unwrap().unwrap();
    assert_eq!(one.order.refunds[0].amount, usd(450));
    assert!(matches!(
        one.order.book_refund(&wish(2)),
        Err(Refusal::Line {
            at: 0,
            problem: LineProblem::TooMany
        })
    ));
}

#[test]
fn goods_go_back_by_themselves_only_while_they_never_left() {
    let mut order = started(PaymentStatus::Completed);
    let (line, variant) = (order.items[0].line, order.items[0].variant);
    let restocked = |order: &Order, restock| {
        let wish = RefundWish {
            id: RefundId::new(),
            amount: Some(usd(100)),
            reason: None,
            items: vec![RefundItem {
                line,
                quantity: 1,
                restock,
            }],
            by: By::System,
            at: at(1),
        };
        let change = order.book_refund(&wish).unwrap().unwrap();
        let units = change.restock.map(|back| back.units);
        assert_eq!(change.order.refunds[0].lines[0].restock, units.is_some());
        units
    };
    let one = Some(BTreeMap::from([(variant, 1)]));
    assert_eq!(restocked(&order, None), one);
    assert_eq!(restocked(&order, Some(false)), None);
    for status in [OrderStatus::Processing, OrderStatus::Shipped] {
        order = order.transition(&step(status, &order)).unwrap().order;
    }
    assert_eq!(restocked(&order, None), None);
    assert_eq!(restocked(&order, Some(true)), one);
}

/// A provider's side of one capture of 10.00, and what it has told that is still on its way.
struct Dashboard {
    given_back: i64,
    on_its_way: Vec<i64>,
}

/// One thing that happens between the shop, the provider and its dashboard.
#[derive(Debug, Clone)]
enum Move {
    /// Staff book a refund.
    Book(i64),
    /// The provider does (or refuses) the booked refund, and tells; the shop has not heard yet.
    Do(usize),
    /// The shop hears how it ended, with the total of that moment or without.
    Hear(usize, bool),
    /// Someone gives money back at the dashboard.
    Elsewhere(i64),
    /// A message arrives: which one, in any order, perhaps again.
    Deliver(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => (1_i64..400).prop_map(Move::Book),
        3 => (0_usize..6).prop_map(Move::Do),
        3 => (0_usize..6, any::<bool>()).prop_map(|(n, told)| Move::Hear(n, told)),
        2 => (1_i64..400).prop_map(Move::Elsewhere),
        3 => any::<usize>().prop_map(Move::Deliver),
    ];
    prop::collection::vec(one, 0..40)
}

/// How the provider answered a refund: what its total was then, or that it refused.
type Answers = BTreeMap<RefundId, Option<i64>>;

impl Dashboard {
    fn give_back(&mut self, amount: i64) -> Option<i64> {
        if self.given_back + amount > 1_000 {
            return None;
        }
        self.given_back += amount;
        self.on_its_way.push(self.given_back);
        Some(self.given_back)
    }
}

fn hear(order: &Order, answers: &Answers, nth: usize, with_total: bool) -> Option<Order> {
    let refund = order.refunds.get(nth)?;
    let outcome = match answers.get(&refund.id)? {
        None => RefundOutcome::Failed {
            reason: "REFUND_AMOUNT_EXCEEDED".into(),
            total: None,
            instead: RefundId::new(),
        },
        Some(total) => RefundOutcome::Completed {
            provider: ProviderRefundId::parse("R1").unwrap(),
            total: with_total.then_some(usd(*total)),
        },
    };
    let concluded = order.conclude_refund(refund.id, &outcome, at(order.version));
    concluded.unwrap().map(|change| change.order)
}

fn deliver(order: &Order, total: i64) -> Option<Order> {
    let booked = order.provider_refunded(usd(total), at(order.version));
    booked.unwrap().map(|change| change.order)
}

proptest! {
    #[test]
    fn own_refunds_and_the_dashboard_s_are_booked_exactly_once_in_whatever_order(moves in moves()) {
        let mut order = started(PaymentStatus::Completed);
        let mut provider = Dashboard { given_back: 0, on_its_way: Vec::new() };
        let mut answers = Answers::new();
        for one in moves {
            let next = match one {
                Move::Book(amount) => {
                    done(&order, &Deed::Book { amount, restock: 0 }).map(|change| change.order)
                }
                Move::Do(nth) => {
                    if let Some(refund) = order.refunds.get(nth)
                        && !answers.contains_key(&refund.id)
                    {
                        answers.insert(refund.id, provider.give_back(refund.amount.amount));
                    }
                    None
                }
                Move::Hear(nth, with_total) => hear(&order, &answers, nth, with_total),
                Move::Elsewhere(amount) => {
                    provider.give_back(amount);
                    None
                }
                Move::Deliver(which) => {
                    let messages = &provider.on_its_way;
                    let which = which.checked_rem(messages.len());
                    which.and_then(|which| deliver(&order, messages[which]))
                }
            };
            if let Some(next) = next {
                prop_assert!(next.payment.refunded.amount >= order.payment.refunded.amount);
                order = next;
            }
            prop_assert!(order.payment.refunded.amount <= provider.given_back);
        }
        // In the end every refund is done and heard of, and every message has come.
        for nth in 0..order.refunds.len() {
            let refund = &order.refunds[nth];
            let (id, amount) = (refund.id, refund.amount.amount);
            answers.entry(id).or_insert_with(|| provider.give_back(amount));
            order = hear(&order, &answers, nth, false).unwrap_or(order);
        }
        for total in provider.on_its_way {
            order = deliver(&order, total).unwrap_or(order);
        }
        prop_assert_eq!(order.payment.refunded.amount, provider.given_back);
    }

    #[test]
    fn refunds_of_all_goods_however_divided_come_to_what_was_paid_for_them(
        prices in prop::collection::vec((1_i64..5_000, 1_u32..8), 1..5),
        discount in 0_i64..2_000, tax in 0_i64..900, shipping in 0_i64..900,
    ) {
        let mut new = new_order(UserId::new());
        let template = new.items[0].clone();
        new.items = prices.iter().map(|(price, quantity)| OrderItem {
            line: LineId::new(),
            variant: VariantId::new(),
            unit_price: usd(*price),
            quantity: *quantity,
            line_total: usd(price * i64::from(*quantity)),
            ..template.clone()
        }).collect();
        let subtotal: i64 = new.items.iter().map(|item| item.line_total.amount).sum();
        let discount = discount.min(subtotal - 1);
        let total = subtotal - discount + shipping + tax;
        (new.subtotal, new.discount_total) = (usd(subtotal), usd(discount));
        (new.shipping, new.tax, new.total) = (usd(shipping), usd(tax), usd(total));
        new.payment.captured = usd(total);
        let mut order = Order::create(&new, at(0)).order;
        let units = order.items.iter().flat_map(|item| (0..item.quantity).map(|_| item.line));
        for line in units.collect::<Vec<_>>() {
            let wish = RefundWish {
                id: RefundId::new(),
                amount: None,
                reason: None,
                items: vec![RefundItem { line, quantity: 1, restock: Some(false) }],
                by: By::System,
                at: at(1),
            };
            // A unit may cost less than half a cent of what was paid: nothing is given back for it alone.
            match order.book_refund(&wish) {
                Ok(change) => order = change.unwrap().order,
                Err(refusal) => prop_assert_eq!(refusal, Refusal::AmountNotPositive),
            }
        }
        let booked: i64 = order.refunds.iter().map(|refund| refund.amount.amount).sum();
        let all = order.refunds.len() == usize::try_from(prices.iter().map(|(_, n)| n).sum::<u32>()).unwrap();
        prop_assert!(booked <= total - shipping);
        prop_assert!(!all || booked == total - shipping);
    }
}

#[test]
fn of_an_order_that_is_over_what_the_dashboard_has_left_is_booked_instead() {
    let order = started(PaymentStatus::Completed);
    let over = step(OrderStatus::Cancelled, &order);
    let cancelled = order.transition(&over).unwrap().order;
    let refused = |total| RefundOutcome::Failed {
        reason: "NO".into(),
        total,
        instead: RefundId::new(),
    };
    let conclude = |order: &Order, id, outcome: &RefundOutcome| {
        let concluded = order.conclude_refund(id, outcome, at(order.version));
        concluded.unwrap().unwrap().order
    };
    // As much is left as before: it was refused for another reason, and staff decide.
    for total in [None, Some(usd(0))] {
        let failed = conclude(&cancelled, over.refund, &refused(total));
        assert_eq!(failed.refunds.len(), 1);
        assert_eq!(failed.left(), Ok(usd(1_000)));
    }
    let overtaken = conclude(&cancelled, over.refund, &refused(Some(usd(300))));
    assert_eq!(overtaken.payment.refunded, usd(300));
    let rest = overtaken.refunds.last().unwrap();
    assert_eq!((rest.state, rest.amount), (RefundState::Pending, usd(700)));
    assert_ne!(rest.id, over.refund);
    let done = RefundOutcome::Completed {
        provider: ProviderRefundId::parse("R2").unwrap(),
        total: Some(usd(1_000)),
    };
    let done = conclude(&overtaken, rest.id, &done);
    assert_eq!(done.payment.status, PaymentStatus::Refunded);
    assert_eq!(done.payment.refunded, usd(1_000));
    // Of an order that goes on nothing is given back but what staff asked for.
    let wish = RefundWish {
        id: RefundId::new(),
        amount: None,
        reason: None,
        items: Vec::new(),
        by: By::System,
        at: at(1),
    };
    let booked = order.book_refund(&wish).unwrap().unwrap().order;
    let failed = conclude(&booked, wish.id, &refused(Some(usd(300))));
    assert_eq!(failed.refunds.len(), 1);
    assert_eq!(failed.left(), Ok(usd(700)));
}
