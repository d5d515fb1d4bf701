//! The checkout core in a seeded simulation: clock, database, PayPal and network are the machine's, the
//! code of `place`, `settle`, `hints` and `reconcile` is the shop's own.
//!
//! A run is one seed: a storm of buyers, errors, stalls, duplicates and crashes, then quiet, then the
//! invariants of `check`. The same seed is the same run, to the bit. See `docs/simulation.md`.

mod buyers;
mod chance;
mod check;
mod database;
#[cfg(test)]
mod every;
mod machine;
mod paypal;
mod tests;

use super::queue::Queue;
use chance::Chance;
use check::Violations;
use database::Units;
use machine::{Machine, Millis, Shared, State, Weather};

/// The world of the simulation: everything in memory.
#[derive(Debug, Clone, Copy)]
struct Simulated;

/// What is deliberately wrong with the world, to show that the invariants bite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Units are held without looking whether there are any.
    HoldUnconditional,
    /// Whoever asks to keep a hold is told that it is there.
    PinLies,
    /// Each capture is sent under a request id of its own.
    CaptureWithoutKey,
    /// The amount captured is taken to be the one asked for.
    AmountNotCompared,
    /// Orders are written without unique index and without regard to the checkout's status.
    NoOrderIndex,
    /// A cart may have several open checkouts.
    NoOpenCartIndex,
    /// A discount code is claimed without regard to its limit.
    CouponUnlimited,
    /// Changes of a checkout do not name the status they were judged by.
    StatusNotCompared,
}

/// How a run ended.
struct Run {
    violations: Violations,
    digest: u64,
    messages: u32,
    /// Captures, those of them that went back, orders.
    turnover: (usize, usize, usize),
    lines: Vec<String>,
}

/// Messages in the stormy part of a run.
const STEPS: u32 = 200;
/// The longest that a storm lasts, should nobody do anything.
const STORM: Millis = 3_600_000;
/// Within this a captured payment is an order, or given back, once the last fault is over.
const BOUND: Millis = 30_000;
/// Time for what is open to lapse (two minutes), for captures that come late (five more), for a capture that
/// PayPal decides about a minute later, and for sweeps after each.
const REST: Millis = 600_000;

/// Plays one seed.
fn play(seed: u64, flaw: Flaw, keep_trace: bool) -> Run {
    let mut chance = Chance::of(seed);
    let nodes = 1 + usize::from(chance.yes(700)) + usize::from(chance.yes(300));
    let buyers = chance.between(2, 4);
    let variants = 1 + u64::from(chance.yes(500));
    let weather = Weather {
        errors: chance.below(80),
        stalls: chance.below(40),
        crashes: chance.below(25),
        lost_webhooks: chance.below(1_001),
    };
    let mut state = State::new(chance, flaw, nodes, keep_trace);
    state.weather = weather;
    state.note("seed", &(seed, nodes, buyers, weather));
    for n in 0..variants {
        let received = state.chance.between(1, 3);
        let units = Units {
            received,
            available: received,
            ..Units::default()
        };
        state.database.stock.insert(buyers::variant(n), units);
    }
    state.database.coupon.limit = state.chance.place(3);
    let shared = Shared::new(state);
    {
        let mut state = shared.lock();
        for node in 0..nodes {
            state.start_sweeping(node);
        }
        for _ in 0..buyers {
            let buyer = state.enter();
            let first = state.chance.between(1, 2_000);
            state.after(first, move |state| state.act(buyer));
        }
    }
    let mut machine = Machine::new(shared);
    machine.run(|state| state.messages >= STEPS || state.now > STORM);
    settle_down(&mut machine)
}

/// Ends the storm, waits, and looks.
fn settle_down(machine: &mut Machine) -> Run {
    let calm = {
        let mut state = machine.shared.lock();
        state.weather = Weather::default();
        state.buyers.gone = true;
        state.tell_what_was_decided();
        let calm = state.last_fault.max(state.now);
        state.note("quiet", &calm);
        calm
    };
    machine.run(|state| state.now > calm + BOUND);
    let mut violations = machine.shared.lock().check_money(calm, false);
    machine.run(|state| state.now > calm + BOUND + REST);
    let mut state = machine.shared.lock();
    violations.extend(state.check_all());
    violations.dedup();
    let lines = state.trace.lines.take();
    Run {
        violations,
        digest: state.trace.digest,
        messages: state.messages,
        turnover: state.turnover(),
        lines: lines.unwrap_or_default(),
    }
}
