//! Many seeds, one seed, and worlds that are wrong.

use super::{Flaw, play};

/// Seeds in the small form; the full form is asked for by `BODEGA_TORTURE=full`.
const SOME: u64 = 2_000;
const ALL: u64 = 100_000;

/// The one seed that is wanted, where one is.
fn wanted() -> Option<u64> {
    let seed = std::env::var("BODEGA_SEED").ok();
    seed.and_then(|seed| seed.parse().ok())
}

fn seeds() -> std::ops::Range<u64> {
    if let Some(seed) = wanted() {
        return seed..seed + 1;
    }
    let full = std::env::var("BODEGA_TORTURE").is_ok_and(|form| form == "full");
    0..if full { ALL } else { SOME }
}

/// How many of the seeds that bring violations are named.
const NAMED: usize = 20;

#[test]
fn seeds_bring_no_violation() {
    let seeds = seeds();
    let count = seeds.end - seeds.start;
    let begun = std::time::Instant::now();
    let (mut messages, mut captures, mut returned, mut orders) = (0_u64, 0, 0, 0);
    let mut bad = Vec::new();
    for seed in seeds {
        let run = play(seed, Flaw::None, false);
        if !run.violations.is_empty() {
            bad.push((seed, run.violations));
        }
        messages += u64::from(run.messages);
        captures += run.turnover.0;
        returned += run.turnover.1;
        orders += run.turnover.2;
    }
    println!(
        "{count} seeds, {messages} messages, {captures} captures, {returned} given back, {orders} orders, \
         {} seeds with violations, {:?}",
        bad.len(),
        begun.elapsed()
    );
    let first = bad.first().map(|(seed, _)| *seed);
    if let Some(seed) = wanted().or(first) {
        for line in play(seed, Flaw::None, true).lines {
            println!("{line}");
        }
    }
    for (seed, violations) in bad.iter().take(NAMED) {
        println!("seed {seed}: {violations:#?}");
    }
    assert!(
        bad.is_empty(),
        "{} seeds bring violations; scripts/simulate {first:?} plays the first alone",
        bad.len()
    );
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 77, 4_242] {
        let (first, second) = (play(seed, Flaw::None, true), play(seed, Flaw::None, true));
        assert_eq!(first.lines, second.lines);
        assert_eq!(first.digest, second.digest);
        assert_ne!(first.digest, play(seed + 1, Flaw::None, false).digest);
    }
}

/// Seeds within which a flaw must show.
const SOON: u64 = 20_000;

/// The first seed that shows a flaw and nothing without it, and what it shows.
fn caught(flaw: Flaw) -> (u64, Vec<String>) {
    (0..SOON)
        .map(|seed| (seed, play(seed, flaw, false).violations))
        .find(|(seed, violations)| {
            !violations.is_empty() && play(*seed, Flaw::None, false).violations.is_empty()
        })
        .unwrap_or_else(|| panic!("{flaw:?} is not noticed within {SOON} seeds"))
}

macro_rules! flaws {
    ($($name:ident: $flaw:ident;)+) => {$(
        #[test]
        fn $name() {
            let (seed, violations) = caught(Flaw::$flaw);
            println!("{:?} shows in seed {seed}: {violations:?}", Flaw::$flaw);
        }
    )+};
}

flaws! {
    units_held_unconditionally_are_noticed: HoldUnconditional;
    a_pin_that_lies_is_noticed: PinLies;
    captures_without_a_request_id_are_noticed: CaptureWithoutKey;
    amounts_that_are_not_compared_are_noticed: AmountNotCompared;
    orders_without_unique_index_are_noticed: NoOrderIndex;
    carts_with_several_open_checkouts_are_noticed: NoOpenCartIndex;
    discounts_beyond_their_limit_are_noticed: CouponUnlimited;
    changes_that_name_no_status_are_noticed: StatusNotCompared;
}
