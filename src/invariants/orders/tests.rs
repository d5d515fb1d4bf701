use serde_json::json;

use super::*;

fn id(n: u8) -> ObjectId {
    ObjectId::from_bytes([n; 12])
}

fn kept() -> Kept {
    Kept {
        id: format!("{}:checkout:k-1", id(7)),
        subject: id(1),
        answer: Answer {
            status: 201,
            body: json!({ "id": id(1).to_hex() }).to_string(),
        },
        checkouts: vec![Owned {
            id: id(1),
            user: id(7),
        }],
        orders: Vec::new(),
    }
}

#[test]
fn a_kept_answer_is_about_what_it_made() {
    let faults = |change: fn(&mut Kept)| {
        let mut kept = kept();
        change(&mut kept);
        judge_kept(&kept).len()
    };
    assert_eq!(faults(|_| {}), 0);
    assert_eq!(faults(|kept| kept.answer.status = 409), 1);
    assert_eq!(faults(|kept| kept.answer.body = "{}".into()), 1);
    assert_eq!(faults(|kept| kept.checkouts.clear()), 1);
    assert_eq!(faults(|kept| kept.checkouts[0].user = id(8)), 1);
}

fn told() -> Told {
    let entry = |status: &str| Entry {
        status: status.into(),
    };
    let event = |version, status: &str, previous: Option<&str>| Event {
        user: id(7),
        version,
        status: status.into(),
        previous_status: previous.map(str::to_owned),
    };
    Told {
        order: order(
            "Shipped",
            vec![entry("Pending"), entry("Processing"), entry("Shipped")],
        ),
        events: vec![
            event(1, "Pending", None),
            event(2, "Pending", None),
            event(3, "Processing", Some("Pending")),
            event(4, "Shipped", Some("Processing")),
        ],
    }
}

fn order(status: &str, history: Vec<Entry>) -> Order {
    let mut order: Order = bson::deserialize_from_slice(
        &bson::serialize_to_vec(&bson::doc! {
            "_id": id(1), "number": "N", "user": id(7), "checkout": id(1), "status": status, "items": [],
            "subtotal": money(), "discount_total": money(), "shipping": money(), "tax": money(),
            "total": money(), "history": [], "version": 4_i64,
            "payment": {
                "status": "Completed", "provider_order": "O", "capture": "C",
                "captured": money(), "refunded": money(),
            },
        })
        .unwrap(),
    )
    .unwrap();
    order.history = history;
    order
}

fn money() -> Document {
    doc! { "amount": 0_i64, "currency": "USD" }
}

#[test]
fn histories_that_skip_or_lie_are_found() {
    let faults = |change: fn(&mut Told)| {
        let mut told = told();
        change(&mut told);
        judge_history(&told).len()
    };
    assert_eq!(faults(|_| {}), 0);
    // The way and what the events tell of it.
    assert_eq!(
        faults(|told| told.order.history[1].status = "Delivered".into()),
        2
    );
    assert_eq!(
        faults(|told| told.order.history[0].status = "Processing".into()),
        2
    );
    assert_eq!(faults(|told| told.order.status = "Delivered".into()), 1);
    assert_eq!(faults(|told| told.order.history.clear()), 3);
    assert_eq!(faults(|told| told.order.version = 5), 1);
    assert_eq!(faults(|told| drop(told.events.remove(1))), 1);
    assert_eq!(faults(|told| told.events[1].version = 1), 1);
    assert_eq!(faults(|told| told.events[0].user = id(8)), 1);
    assert_eq!(faults(|told| told.events[3].previous_status = None), 1);
}

#[test]
fn a_buyers_events_count_without_gap() {
    let numbers = |count, distinct, first, last, counted| {
        judge_numbers(&Numbers {
            user: id(7),
            count,
            distinct,
            first,
            last,
            counters: vec![Counter { last: counted }],
        })
        .len()
    };
    assert_eq!(numbers(3, 3, 1, 3, 3), 0);
    assert_eq!(numbers(3, 3, 1, 4, 4), 1);
    assert_eq!(numbers(3, 3, 2, 4, 4), 1);
    assert_eq!(numbers(4, 3, 1, 3, 3), 1);
    assert_eq!(numbers(3, 3, 1, 3, 4), 1);
}

#[test]
fn ways_lead_on_and_not_back() {
    assert!(reaches("Pending", "Pending", order_leads));
    assert!(reaches("Pending", "Refunded", order_leads));
    assert!(!reaches("Shipped", "Cancelled", order_leads));
    assert!(!reaches("Delivered", "Shipped", order_leads));
}
