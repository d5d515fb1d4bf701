//! A small world, explored instead of drawn: two buyers who click twice, one unit, each of PayPal's messages
//! told twice on two nodes, and a fault, or two, at every message that the core sends.
//!
//! Without faults such a world has one schedule. Each fault kind at each message, and each pair of them, is
//! a schedule of its own; all are played. (Delay-bounded exploration: Emmi, Qadeer, Rakamarić, POPL 2011.)

use super::{
    Flaw, Run,
    buyers::{id_of, variant},
    chance::Chance,
    database::{CartLine, Units},
    machine::{Fault, Machine, Millis, Shared, State},
    settle_down,
};
use crate::id::{CartId, LineId};

/// When the buyers act, and what they do about the checkout they have begun.
const PARTS: [(Millis, Part); 8] = [
    (1, Part::Begin),
    (600, Part::Pay),
    // While the money is being taken.
    (680, Part::Cancel),
    (3_000, Part::Begin),
    (3_600, Part::Pay),
    (130_000, Part::Begin),
    (130_600, Part::Pay),
    (131_000, Part::Return),
];

/// What a buyer does.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// Begins a checkout, where none is open and no order stands.
    Begin,
    /// Approves and comes back.
    Pay,
    Return,
    Cancel,
}

/// When the last of the parts is played.
const OVER: Millis = 140_000;
const BUYERS: u64 = 2;

/// Plays the small world with `faults`; also, how many messages the core had sent when the last part was over.
fn play(faults: &[(u32, Fault)], flaw: Flaw) -> (Run, u32) {
    let mut state = State::new(Chance::steady(), flaw, 2, false);
    state.faults = faults.to_vec();
    let units = Units {
        received: 1,
        available: 1,
        ..Units::default()
    };
    state.database.stock.insert(variant(0), units);
    state.database.coupon.limit = 2;
    let shared = Shared::new(state);
    {
        let mut state = shared.lock();
        for node in 0..2 {
            state.start_sweeping(node);
        }
        for n in 0..BUYERS {
            let buyer = state.enter();
            state.buyers.filled.insert(line(n), 1);
            let cart = CartId::from_object_id(state.buyers.user(buyer).object_id());
            let goods = CartLine {
                line: line(n),
                variant: variant(0),
                quantity: 1,
            };
            state.database.carts.insert(cart, vec![goods]);
            for (at, part) in PARTS {
                state.after(at, move |state| state.play_part(buyer, part));
            }
        }
    }
    let mut machine = Machine::new(shared);
    machine.run(|state| state.now > OVER);
    let sent = machine.shared.lock().messages;
    (settle_down(&mut machine), sent)
}

fn line(n: u64) -> LineId {
    LineId::from_object_id(id_of(9, n))
}

impl State {
    fn play_part(&mut self, buyer: usize, part: Part) {
        match part {
            Part::Begin => self.begin_unless_open(buyer),
            Part::Pay => self.pay(buyer),
            Part::Return => self.come_back(buyer),
            // The second buyer stays with it.
            Part::Cancel if buyer == 0 => self.give_up(buyer),
            Part::Cancel => {}
        }
    }
}

/// Every schedule with one fault; where `pairs`, also those of a delay or a lost answer and a crash after it.
fn schedules(pairs: bool) -> Vec<Vec<(u32, Fault)>> {
    let (_, last) = play(&[], Flaw::None);
    let mut all = vec![Vec::new()];
    for at in 1..=last {
        for fault in Fault::ALL {
            all.push(vec![(at, fault)]);
            if pairs && !matches!(fault, Fault::CrashBefore | Fault::CrashAfter) {
                let crashes = (at + 1..=last).map(|then| (then, Fault::CrashAfter));
                all.extend(crashes.map(|crash| vec![(at, fault), crash]));
            }
        }
    }
    all
}

#[test]
fn no_schedule_of_a_small_world_brings_a_violation() {
    let pairs = std::env::var("BODEGA_TORTURE").is_ok_and(|form| form == "full");
    let begun = std::time::Instant::now();
    let (mut count, mut bad) = (0, Vec::new());
    for faults in schedules(pairs) {
        count += 1;
        let (run, _) = play(&faults, Flaw::None);
        if !run.violations.is_empty() {
            bad.push((faults, run.violations));
        }
    }
    println!(
        "{count} schedules of a small world, {} with violations, {:?}",
        bad.len(),
        begun.elapsed()
    );
    bad.truncate(20);
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn without_a_fault_the_unit_is_sold_once() {
    let (run, sent) = play(&[], Flaw::None);
    let (captures, returned, orders) = run.turnover;
    println!("{sent} messages, {captures} captures, {returned} returned, {orders} orders");
    assert_eq!(orders, 1);
}

#[test]
fn a_small_world_that_is_wrong_is_noticed() {
    for flaw in [
        Flaw::HoldUnconditional,
        Flaw::StatusNotCompared,
        Flaw::NoOrderIndex,
    ] {
        let mut all = schedules(false).into_iter();
        let shown = all.find(|faults| !play(faults, flaw).0.violations.is_empty());
        let shown = shown.unwrap_or_else(|| panic!("{flaw:?} is not noticed"));
        println!("{flaw:?} shows with {shown:?}");
    }
}
