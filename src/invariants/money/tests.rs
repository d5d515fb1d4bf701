use bson::oid::ObjectId;

use super::*;
use crate::invariants::{
    journal::OpenRefund,
    rows::{Entry, Item, Payment, Refund, Totals},
};

fn id(n: u8) -> ObjectId {
    ObjectId::from_bytes([n; 12])
}

fn usd(amount: i64) -> Money {
    Money {
        amount,
        currency: "USD".into(),
    }
}

fn order() -> Order {
    let item = |price, quantity| Item {
        unit_price: usd(price),
        quantity,
        line_total: usd(price * quantity),
    };
    Order {
        id: id(1),
        number: "N".into(),
        user: id(7),
        checkout: id(1),
        status: "Processing".into(),
        items: vec![item(500, 2), item(300, 1)],
        subtotal: usd(1_300),
        discount_total: usd(100),
        shipping: usd(50),
        tax: usd(25),
        total: usd(1_275),
        payment: Payment {
            status: "PartiallyRefunded".into(),
            provider_order: "O".into(),
            capture: "C".into(),
            captured: usd(1_275),
            refunded: usd(75),
        },
        refunds: vec![Refund {
            id: id(3),
            amount: usd(75),
            state: "Completed".into(),
            provider: Some("R".into()),
        }],
        history: vec![Entry {
            status: "Pending".into(),
        }],
        version: 2,
    }
}

fn back(capture: &str, state: &str) -> Vec<Return> {
    vec![Return {
        capture: capture.into(),
        state: state.into(),
        refund: None,
    }]
}

fn checkout() -> Checkout {
    Checkout {
        id: id(1),
        user: id(7),
        number: "N".into(),
        status: "Completed".into(),
        totals: Totals { total: usd(1_275) },
        provider_order: Some("O".into()),
        capture: Some(Captured {
            id: "C".into(),
            amount: Some(usd(1_275)),
            standing: "paid".into(),
        }),
        returns: Vec::new(),
        order: Some(id(1)),
    }
}

fn capture() -> Capture {
    Capture {
        id: "C".into(),
        order: "O".into(),
        status: "PARTIALLY_REFUNDED".into(),
        amount: usd(1_275),
        refunded: 75,
        custom_id: id(1).to_hex(),
        invoice_id: "N".into(),
        payee: Some("shop@example.com".into()),
    }
}

/// A journal of one capture.
fn journal_of(capture: Capture) -> Journal {
    let mut journal = Journal::default();
    journal.captures.insert(capture.id.clone(), capture);
    journal
}

fn taken() -> Taken {
    Taken {
        checkout: checkout(),
        orders: vec![order()],
    }
}

fn theirs_of(taken: &Taken, theirs: Option<&Capture>) -> usize {
    let own = taken.checkout.capture.as_ref().unwrap();
    judge_theirs(&taken.checkout, own, theirs).len()
}

#[test]
fn a_paid_order_is_clean() {
    let ordered = Ordered {
        order: order(),
        checkouts: vec![checkout()],
    };
    let payee = Some("shop@example.com");
    assert_eq!(judge_order(&order()), Vec::<String>::new());
    assert_eq!(judge_origin(&ordered), Vec::<String>::new());
    assert_eq!(
        judge_capture(&order(), &journal_of(capture()), payee),
        Vec::<String>::new()
    );
    assert_eq!(judge_taken(&taken()), Vec::<String>::new());
    assert_eq!(theirs_of(&taken(), Some(&capture())), 0);
}

#[test]
fn money_that_became_nothing_or_two_things_is_found() {
    let faults = |change: fn(&mut Taken)| {
        let mut taken = taken();
        change(&mut taken);
        judge_taken(&taken).len()
    };
    assert_eq!(faults(|taken| taken.orders.clear()), 1);
    assert_eq!(faults(|taken| taken.orders.push(order())), 1);
    assert_eq!(
        faults(|taken| taken.checkout.returns = back("C", "Done")),
        1
    );
    assert_eq!(faults(|taken| taken.orders[0].checkout = id(2)), 1);
    let on_its_way = faults(|taken| {
        taken.orders.clear();
        taken.checkout.status = "Capturing".into();
    });
    assert_eq!(on_its_way, 0);
    let going_back = faults(|taken| {
        taken.orders.clear();
        taken.checkout.status = "Failed".into();
        taken.checkout.returns = back("C", "Due");
    });
    assert_eq!(going_back, 0);
    let refused = faults(|taken| {
        taken.orders.clear();
        taken.checkout.status = "Failed".into();
        taken.checkout.returns = back("C", "Failed");
    });
    assert_eq!(refused, 1);
}

#[test]
fn a_second_charge_is_found_until_it_is_back() {
    for (state, faults) in [("Due", 1), ("Failed", 1), ("Done", 0), ("Unpaid", 0)] {
        let mut taken = taken();
        taken.checkout.returns = back("D", state);
        assert_eq!(judge_taken(&taken).len(), faults, "{state}");
    }
}

#[test]
fn a_checkout_that_the_provider_contradicts_is_found() {
    let faults = |change: fn(&mut Capture)| {
        let mut theirs = capture();
        change(&mut theirs);
        theirs_of(&taken(), Some(&theirs))
    };
    assert_eq!(theirs_of(&taken(), None), 1);
    assert_eq!(faults(|theirs| theirs.custom_id = "another".into()), 1);
    assert_eq!(faults(|theirs| theirs.status = "DECLINED".into()), 1);
    let mut refunded = taken();
    refunded.orders.clear();
    refunded.checkout.returns = back("C", "Done");
    assert_eq!(theirs_of(&refunded, Some(&capture())), 1);
}

fn judged(journal: &Journal, booked: &[&str], ours: i64) -> u64 {
    let books = Known {
        booked: booked.iter().map(|id| (*id).to_owned()).collect(),
        ours: [("USD".to_owned(), ours)].into(),
        ..Known::default()
    };
    let mut tally = Tally::default();
    judge_journal(journal, &books, &mut tally);
    tally.violations
}

#[test]
fn money_that_the_shop_does_not_know_of_is_found() {
    let mut journal = journal_of(capture());
    assert_eq!(judged(&journal, &["C"], 1_200), 0);
    assert_eq!(judged(&journal, &["C"], 1_199), 1);
    assert_eq!(judged(&journal, &[], 1_200), 1);
    let mut second = capture();
    second.id = "D".into();
    journal.captures.insert("D".into(), second);
    // Charged twice for one checkout, even where the books know of both.
    assert_eq!(judged(&journal, &["C", "D"], 2_400), 1);
}

#[test]
fn a_second_capture_that_went_back_whole_is_no_second_charge() {
    let mut journal = journal_of(capture());
    let mut back = capture();
    back.id = "D".into();
    back.status = "REFUNDED".into();
    back.refunded = 1_275;
    journal.captures.insert("D".into(), back);
    assert_eq!(judged(&journal, &["C"], 1_200), 0);
}

#[test]
fn what_is_left_in_hand_is_added_up_once() {
    let mut sums = Sums::new();
    add_up(&taken(), &mut sums);
    let mut refunded = taken();
    refunded.orders.clear();
    refunded.checkout.returns = back("C", "Done");
    add_up(&refunded, &mut sums);
    let mut kept = taken();
    kept.orders.clear();
    add_up(&kept, &mut sums);
    let mut reversed = taken();
    reversed.orders[0].payment.status = "Reversed".into();
    add_up(&reversed, &mut sums);
    assert_eq!(sums["USD"], 1_200 + 1_275);
}

#[test]
fn orders_whose_figures_do_not_fit_are_found() {
    let faults = |change: fn(&mut Order)| {
        let mut order = order();
        change(&mut order);
        judge_order(&order).len()
    };
    assert_eq!(faults(|order| order.total = usd(1_276)), 2);
    assert_eq!(faults(|order| order.items[0].quantity = 3), 1);
    assert_eq!(faults(|order| order.tax.currency = "EUR".into()), 1);
    assert_eq!(faults(|order| order.payment.captured = usd(1_274)), 1);
    assert_eq!(faults(|order| order.payment.refunded = usd(74)), 1);
    assert_eq!(faults(|order| order.payment.refunded = usd(1_276)), 2);
    assert_eq!(faults(|order| order.payment.status = "Refunded".into()), 1);
    assert_eq!(faults(|order| order.payment.status = "Denied".into()), 2);
    assert_eq!(faults(|order| order.payment.status = "Pending".into()), 2);
}

#[test]
fn orders_that_their_checkouts_contradict_are_found() {
    let faults = |change: fn(&mut Checkout)| {
        let mut checkout = checkout();
        change(&mut checkout);
        let ordered = Ordered {
            order: order(),
            checkouts: vec![checkout],
        };
        judge_origin(&ordered).len()
    };
    assert_eq!(faults(|checkout| checkout.order = None), 1);
    assert_eq!(faults(|checkout| checkout.user = id(8)), 1);
    assert_eq!(faults(|checkout| checkout.totals.total = usd(1)), 1);
    assert_eq!(faults(|checkout| checkout.provider_order = None), 1);
    assert_eq!(faults(|checkout| checkout.capture = None), 2);
    let alone = Ordered {
        order: order(),
        checkouts: Vec::new(),
    };
    assert_eq!(judge_origin(&alone).len(), 1);
}

#[test]
fn orders_that_the_provider_contradicts_are_found() {
    let faults = |change: fn(&mut Capture)| {
        let mut capture = capture();
        change(&mut capture);
        judge_capture(&order(), &journal_of(capture), Some("shop@example.com")).len()
    };
    assert_eq!(judge_capture(&order(), &Journal::default(), None).len(), 1);
    assert_eq!(faults(|capture| capture.status = "PENDING".into()), 1);
    assert_eq!(faults(|capture| capture.amount = usd(1_274)), 1);
    assert_eq!(faults(|capture| capture.amount.currency = "EUR".into()), 1);
    assert_eq!(faults(|capture| capture.custom_id = "x".into()), 1);
    assert_eq!(faults(|capture| capture.invoice_id = "x".into()), 1);
    assert_eq!(faults(|capture| capture.order = "x".into()), 1);
    assert_eq!(
        faults(|capture| capture.payee = Some("thief@example.com".into())),
        1
    );
    assert_eq!(faults(|capture| capture.refunded = 0), 1);
}

#[test]
fn a_refund_that_both_have_as_pending_is_no_difference() {
    let faults = |change: fn(&mut Order, &mut OpenRefund)| {
        let mut order = order();
        order.refunds.push(Refund {
            id: id(4),
            amount: usd(200),
            state: "Pending".into(),
            provider: Some("P".into()),
        });
        let mut open = OpenRefund {
            capture: "C".into(),
            amount: usd(200),
            request: Some(format!("{}-refund", id(4).to_hex())),
        };
        change(&mut order, &mut open);
        let mut journal = journal_of(Capture {
            refunded: 275,
            ..capture()
        });
        journal.open_refunds.insert("P".into(), open);
        let books = Known {
            booked: ["C".to_owned()].into(),
            under_way: [("C".to_owned(), journal.under_way(&order))].into(),
            ours: [("USD".to_owned(), 1_200)].into(),
            ..Known::default()
        };
        let mut tally = Tally::default();
        judge_journal(&journal, &books, &mut tally);
        let of_capture = judge_capture(&order, &journal, Some("shop@example.com"));
        (tally.violations, of_capture.len())
    };
    assert_eq!(faults(|_, _| {}), (0, 0));
    // Each of the two names is enough: the shop may not have heard the provider's yet.
    assert_eq!(faults(|order, _| order.refunds[1].provider = None), (0, 0));
    assert_eq!(faults(|_, open| open.request = None), (0, 0));
    let strange = |order: &mut Order, open: &mut OpenRefund| {
        order.refunds[1].provider = None;
        open.request = None;
    };
    assert_eq!(faults(strange), (1, 1));
    assert_eq!(faults(|_, open| open.amount = usd(199)), (1, 1));
    assert_eq!(faults(|_, open| open.capture = "D".into()), (1, 1));
    let over = |order: &mut Order, _: &mut OpenRefund| order.refunds[1].state = "Failed".into();
    assert_eq!(faults(over), (1, 1));
}
