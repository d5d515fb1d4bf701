use super::*;

const LATE: Timestamp = Timestamp::from_millis(1_000);
const BEFORE: Timestamp = Timestamp::from_millis(999);
const AFTER: Timestamp = Timestamp::from_millis(1_001);

fn id(n: u8) -> ObjectId {
    ObjectId::from_bytes([n; 12])
}

fn message(kind: &str, state: &str) -> Message {
    Message {
        id: "WH-1".into(),
        kind: kind.into(),
        state: state.into(),
        attempts: 1,
        next_at: BEFORE,
        vouched_for: true,
    }
}

#[test]
fn messages_that_are_lost_forged_or_put_aside_are_found() {
    let mut journal = Journal::default();
    journal.events.insert("WH-1".into());
    let faults = |message: &Message| judge_message(message, Some(&journal), LATE).len();
    assert_eq!(faults(&message("webhook", "done")), 0);
    assert_eq!(faults(&message("ipn", "refused")), 0);
    assert_eq!(faults(&message("webhook", "pending")), 1);
    let soon = Message {
        next_at: AFTER,
        ..message("webhook", "pending")
    };
    assert_eq!(faults(&soon), 0);
    assert_eq!(faults(&message("webhook", "dead")), 1);
    assert_eq!(faults(&message("webhook", "refused")), 1);
    let untried = Message {
        attempts: 0,
        ..message("webhook", "done")
    };
    assert_eq!(faults(&untried), 1);
    let unvouched = Message {
        vouched_for: false,
        ..message("ipn", "done")
    };
    assert_eq!(faults(&unvouched), 1);
    let stranger = Message {
        id: "WH-2".into(),
        ..message("webhook", "done")
    };
    assert_eq!(faults(&stranger), 1);
    assert_eq!(judge_message(&stranger, None, LATE).len(), 0);
}

fn held(expires_at: Option<Timestamp>, holder: Option<(&str, bool, Timestamp)>) -> usize {
    let held = HeldUnits {
        variant: id(1),
        hold: Hold {
            checkout: id(2),
            quantity: 1,
            expires_at,
        },
        checkouts: holder
            .map(|(status, stock_open, updated_at)| Holder {
                status: status.into(),
                stock_open,
                updated_at,
            })
            .into_iter()
            .collect(),
    };
    judge_hold(&held, LATE).len()
}

#[test]
fn holds_past_their_time_and_without_reason_are_found() {
    assert_eq!(held(Some(AFTER), None), 0);
    assert_eq!(held(Some(BEFORE), None), 1);
    assert_eq!(held(None, None), 1);
    assert_eq!(held(None, Some(("Capturing", true, BEFORE))), 0);
    assert_eq!(held(None, Some(("Completed", true, BEFORE))), 0);
    assert_eq!(held(None, Some(("AwaitingApproval", true, AFTER))), 0);
    assert_eq!(held(None, Some(("AwaitingApproval", true, BEFORE))), 1);
    assert_eq!(held(None, Some(("Failed", false, BEFORE))), 1);
}

fn unfinished(status: &str, stock_open: bool, owing: bool) -> Unfinished {
    let due = owing.then(|| Return {
        capture: "C".into(),
        state: "Due".into(),
        refund: None,
    });
    Unfinished {
        id: id(2),
        status: status.into(),
        returns: due.into_iter().collect(),
        swept: true,
        stock_open,
        expires_at: AFTER,
    }
}

#[test]
fn checkouts_that_do_not_come_to_rest_are_found() {
    let faults = |checkout: &Unfinished, quiet| judge_unfinished(checkout, quiet, LATE).len();
    let waiting = unfinished("AwaitingApproval", true, false);
    assert_eq!((faults(&waiting, false), faults(&waiting, true)), (0, 0));
    let capturing = unfinished("Capturing", true, false);
    assert_eq!(
        (faults(&capturing, false), faults(&capturing, true)),
        (0, 1)
    );
    let unsold = unfinished("Completed", true, false);
    assert_eq!((faults(&unsold, false), faults(&unsold, true)), (0, 1));
    let owing = unfinished("Failed", false, true);
    assert_eq!((faults(&owing, false), faults(&owing, true)), (0, 1));
    let mut forgotten = unfinished("AwaitingApproval", true, false);
    forgotten.swept = false;
    assert_eq!(faults(&forgotten, false), 1);
    for mut lapsed in [waiting, capturing, unsold, owing] {
        lapsed.expires_at = BEFORE;
        assert_eq!(faults(&lapsed, false), 1, "{lapsed:?}");
    }
}

#[test]
fn refunds_that_nobody_knows_of_are_found() {
    let refunding = |state: &str, provider: Option<&str>, created_at| {
        let order = Refunding {
            id: id(1),
            refunds: vec![Pending {
                id: id(3),
                state: state.into(),
                provider: provider.map(str::to_owned),
                created_at,
            }],
        };
        judge_refunds(&order, LATE).len()
    };
    assert_eq!(refunding("Pending", None, BEFORE), 1);
    assert_eq!(refunding("Pending", None, AFTER), 0);
    assert_eq!(refunding("Pending", Some("R"), BEFORE), 0);
    assert_eq!(refunding("Completed", None, BEFORE), 0);
}
