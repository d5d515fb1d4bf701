//! Where every choice of a run comes from: its seed.

/// `SplitMix64`: small, fast, and the same on every machine and with every version of every crate. Or no
/// chance at all.
#[derive(Debug, Clone)]
pub(super) enum Chance {
    Drawn(u64),
    /// Nothing is drawn: a number is always the lowest, what may be is, and places take turns.
    Steady(usize),
}

/// The golden ratio, by which `SplitMix64` goes on.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl Chance {
    /// The choices of `seed`; neighbouring seeds have nothing in common.
    pub(super) const fn of(seed: u64) -> Self {
        Self::Drawn(seed.wrapping_mul(GAMMA))
    }

    /// No chance.
    pub(super) const fn steady() -> Self {
        Self::Steady(0)
    }

    /// A number below `n`; `n` is at least 1.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        let Self::Drawn(state) = self else { return 0 };
        *state = state.wrapping_add(GAMMA);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    /// Yes in `permille` of a thousand cases.
    pub(super) fn yes(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    /// A number from `low` to `high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low).unwrap_or(0) + 1;
        low + i64::try_from(self.below(span)).unwrap_or(0)
    }

    /// One of `n` places.
    pub(super) fn place(&mut self, n: usize) -> usize {
        if let Self::Steady(turn) = self {
            *turn += 1;
            return *turn % n.max(1);
        }
        let n = u64::try_from(n).unwrap_or(1);
        usize::try_from(self.below(n)).unwrap_or(0)
    }
}
