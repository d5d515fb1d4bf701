//! Where every choice of a run comes from: its seed.

/// `SplitMix64`: small, fast, and the same on every machine and with every version of every crate.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

/// The golden ratio, by which `SplitMix64` goes on.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

impl Chance {
    /// The choices of `seed`; neighbouring seeds have nothing in common.
    pub(super) const fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(GAMMA))
    }

    /// A number below `n`; `n` is at least 1.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        let mut z = self.0;
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
        let n = u64::try_from(n).unwrap_or(1);
        usize::try_from(self.below(n)).unwrap_or(0)
    }
}
