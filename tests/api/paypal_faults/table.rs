//! The table of faults: what goes wrong with which call, how it is brought about, how it ends.
//!
//! `docs/paypal-faults.md` is made from it: `BODEGA_WRITE_DOCS=1` writes the page, otherwise a page that
//! says anything else fails the test.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// A call of the shop's to PayPal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Token,
    Create,
    Capture,
    Get,
    Refund,
    Verify,
}

impl Call {
    pub(super) const ALL: [Self; 6] = [
        Self::Token,
        Self::Create,
        Self::Capture,
        Self::Get,
        Self::Refund,
        Self::Verify,
    ];

    /// The simulator's word for it.
    pub(super) const fn operation(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Create => "create",
            Self::Capture => "capture",
            Self::Get => "show",
            Self::Refund => "refund",
            Self::Verify => "verify",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Create => "create order",
            Self::Capture => "capture",
            Self::Get => "get order",
            Self::Refund => "refund",
            Self::Verify => "verify webhook",
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Refused,
    Reset,
    Hang,
    SlowDrip,
    TooMany,
    Internal,
    Unavailable,
    BadJson,
    AnotherAmount,
    Pending,
    Declined,
    DoneThen,
}

impl Wrong {
    pub(super) const ALL: [Self; 12] = [
        Self::Refused,
        Self::Reset,
        Self::Hang,
        Self::SlowDrip,
        Self::TooMany,
        Self::Internal,
        Self::Unavailable,
        Self::BadJson,
        Self::AnotherAmount,
        Self::Pending,
        Self::Declined,
        Self::DoneThen,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Hang => "hang",
            Self::SlowDrip => "slow drip",
            Self::TooMany => "429",
            Self::Internal => "500",
            Self::Unavailable => "503",
            Self::BadJson => "bad JSON",
            Self::AnotherAmount => "wrong amount",
            Self::Pending => "pending",
            Self::Declined => "declined",
            Self::DoneThen => "done, then 500, timeout, reset",
        }
    }
}

/// How a cell ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Done while the fault lasts.
    Meanwhile,
    /// Not done while it lasts, and without anybody's doing once it is over.
    Healed,
    /// An order or a refund that waits for PayPal's word, and has it.
    Waits,
    /// PayPal said no: nothing was taken or given, and the buyer or staff may try the same again.
    Again,
    /// PayPal said no: nothing was taken, the stock is free, and a new checkout is paid.
    Anew,
}

impl End {
    const fn words(self) -> &'static str {
        match self {
            Self::Meanwhile => "done meanwhile",
            Self::Healed => "done once healed",
            Self::Waits => "waits, then done",
            Self::Again => "clean failure, tried again",
            Self::Anew => "clean failure, begun anew",
        }
    }
}

/// One cell.
pub(super) struct Cell {
    pub(super) call: Call,
    pub(super) wrong: Wrong,
    /// The simulator's faults, in their order; one that has no `count` lasts until it is taken away.
    pub(super) faults: Vec<Value>,
    pub(super) end: End,
    /// What stands in for a fault that makes no sense for the call.
    instead: Option<&'static str>,
}

impl Cell {
    pub(super) fn of(call: Call, wrong: Wrong) -> Self {
        let (faults, instead) = faults(call, wrong);
        Self {
            call,
            wrong,
            faults,
            end: end(call, wrong),
            instead,
        }
    }
}

fn faults(call: Call, wrong: Wrong) -> (Vec<Value>, Option<&'static str>) {
    let one = |fault: Value| vec![fault];
    let plain = |fault: Value| (one(fault), None);
    match (wrong, call) {
        (Wrong::Refused, _) => plain(json!({ "fault": "refuse" })),
        (Wrong::Reset, _) => plain(json!({ "fault": "reset" })),
        (Wrong::Hang, _) => plain(json!({ "fault": "hang", "delayMs": 4_000 })),
        (Wrong::SlowDrip, _) => plain(json!({ "fault": "slow_drip", "delayMs": 200 })),
        (Wrong::TooMany, _) => plain(json!({ "fault": "rate_limit" })),
        (Wrong::Internal, _) => plain(json!({ "fault": "status", "status": 500 })),
        (Wrong::Unavailable, _) => plain(json!({ "fault": "status_html", "status": 503 })),
        (Wrong::BadJson, _) => plain(json!({ "fault": "bad_json" })),
        (Wrong::DoneThen, _) => {
            let all = [
                json!({ "fault": "done_then_status", "count": 1 }),
                json!({ "fault": "done_then_timeout", "delayMs": 1_500, "count": 1 }),
                json!({ "fault": "reset_after", "count": 1 }),
            ];
            (all.to_vec(), None)
        }
        (Wrong::AnotherAmount, Call::Token) => (
            one(json!({ "fault": "oversized" })),
            Some("an answer of 10 MiB"),
        ),
        (Wrong::AnotherAmount, Call::Verify) => (
            one(json!({ "fault": "html" })),
            Some("a page with status 200"),
        ),
        (Wrong::AnotherAmount, Call::Create | Call::Capture | Call::Get | Call::Refund) => {
            plain(json!({ "fault": "wrong_amount" }))
        }
        (Wrong::Pending, Call::Token) => (
            one(json!({ "fault": "delay", "delayMs": 300 })),
            Some("an answer that is late"),
        ),
        (Wrong::Pending, Call::Create | Call::Get | Call::Verify) => (
            one(json!({ "fault": "unknown_enum" })),
            Some("status words nobody knows"),
        ),
        (Wrong::Pending, Call::Capture | Call::Refund) => plain(json!({ "fault": "pending" })),
        (Wrong::Declined, Call::Token) => (
            one(json!({ "fault": "status", "status": 401 })),
            Some("the credentials are refused"),
        ),
        (Wrong::Declined, Call::Create) => (
            one(json!({ "fault": "issue", "issue": "PAYEE_ACCOUNT_RESTRICTED" })),
            Some("422 PAYEE_ACCOUNT_RESTRICTED"),
        ),
        (Wrong::Declined, Call::Capture) => plain(json!({ "fault": "declined" })),
        (Wrong::Declined, Call::Get) => (
            one(json!({ "fault": "issue", "issue": "INVALID_RESOURCE_ID" })),
            Some("404, the order is gone"),
        ),
        (Wrong::Declined, Call::Refund) => (
            one(json!({ "fault": "issue", "issue": "REFUND_FAILED_INSUFFICIENT_FUNDS" })),
            None,
        ),
        (Wrong::Declined, Call::Verify) => (
            one(json!({ "fault": "status", "status": 400 })),
            Some("400, PayPal cannot read it"),
        ),
    }
}

fn end(call: Call, wrong: Wrong) -> End {
    match (call, wrong) {
        // Asked again under the same request id, or merely late; or the answer is wrong, and what it is
        // about has a state of its own that is read instead.
        (_, Wrong::DoneThen)
        | (Call::Token, Wrong::Pending)
        | (Call::Create, Wrong::AnotherAmount | Wrong::Pending)
        | (Call::Capture, Wrong::SlowDrip | Wrong::BadJson | Wrong::AnotherAmount)
        | (Call::Get | Call::Refund, Wrong::AnotherAmount) => End::Meanwhile,
        (Call::Capture | Call::Refund, Wrong::Pending) => End::Waits,
        (Call::Capture | Call::Refund, Wrong::Declined) => End::Again,
        (Call::Create | Call::Get, Wrong::Declined) => End::Anew,
        (
            Call::Token | Call::Create | Call::Capture | Call::Get | Call::Refund | Call::Verify,
            _,
        ) => End::Healed,
    }
}

/// The page.
fn page() -> String {
    let mut page = String::from(
        "# What happens when PayPal misbehaves\n\n\
        Made by `tests/api/paypal_faults` from the table that the tests go through; do not edit\n\
        (`BODEGA_WRITE_DOCS=1 cargo nextest run --test api -E 'test(the_page_is_the_table)'`).\n\n\
        Each cell is a purchase (or a refund, or an event) with PayPal's stand-in, at a shop whose calls have two\n\
        seconds. The fault lasts until it is taken away, save in the last row, where the three come one after the other. In\n\
        every cell PayPal's own journal then shows one capture at most for each checkout and one refund for each that was\n\
        asked for, each paid order has exactly one completed capture of its amount, and what was to be done is done at the\n\
        latest 30 s after the fault ended.\n\n",
    );
    let names = Call::ALL.map(Call::name).join(" | ");
    let _infallible = writeln!(
        page,
        "| | {names} |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    let mut notes: Vec<String> = Vec::new();
    for wrong in Wrong::ALL {
        let cells = Call::ALL.map(|call| {
            let cell = Cell::of(call, wrong);
            let Some(instead) = cell.instead else {
                return cell.end.words().to_owned();
            };
            let note = notes.iter().position(|held| held == instead);
            let number = note.unwrap_or_else(|| {
                notes.push(instead.to_owned());
                notes.len() - 1
            });
            format!("{} ({})", cell.end.words(), number + 1)
        });
        let _infallible = writeln!(page, "| **{}** | {} |", wrong.name(), cells.join(" | "));
    }
    page.push_str("\nThe nearest sensible meaning, where a fault has none for a call:\n\n");
    for (number, note) in notes.iter().enumerate() {
        let _infallible = writeln!(page, "{}. {note}", number + 1);
    }
    page.push_str(
        "\n- **done meanwhile**: the shop found its way while the fault lasted: by asking again under the same request\n  \
        id, by reading the order's, the capture's or the refund's own state.\n\
        - **done once healed**: the buyer or PayPal was told to come back (503); then it was done without anybody's doing.\n\
        - **waits, then done**: an order or a refund that is `Pending` until PayPal says more.\n\
        - **clean failure, tried again**: nothing was taken or given back; the same buyer approves again, staff ask again.\n\
        - **clean failure, begun anew**: the checkout is over, nothing was taken, its stock is free; a new one is paid.\n",
    );
    page
}

#[test]
fn the_page_is_the_table() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/paypal-faults.md");
    if std::env::var_os("BODEGA_WRITE_DOCS").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page(),
        "{} is stale: run the test with BODEGA_WRITE_DOCS=1",
        file.display()
    );
}
