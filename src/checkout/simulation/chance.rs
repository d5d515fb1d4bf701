//! Where every choice of a run comes from: a seed, or a list of choices to be explored.

/// A source of choices.
#[derive(Debug, Clone)]
pub(super) enum Chance {
    /// `SplitMix64`: small, fast, and the same on every machine.
    Seeded(u64),
    /// The first choices are given, all others are the first possible one; for exhausting small worlds.
    Given(Given),
}

/// Choices to be repeated, and those that were made.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    prefix: Vec<usize>,
    /// What was chosen, out of how many.
    pub(super) made: Vec<(usize, usize)>,
}

impl Given {
    pub(super) const fn new(prefix: Vec<usize>) -> Self {
        Self {
            prefix,
            made: Vec::new(),
        }
    }
}

impl Chance {
    /// The choices of `seed`; neighbouring seeds have nothing in common.
    pub(super) const fn of(seed: u64) -> Self {
        Self::Seeded(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// A number below `n`; `n` is at least 1.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        match self {
            Self::Seeded(state) => {
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                (z ^ (z >> 31)) % n
            }
            Self::Given(_) => 0,
        }
    }

    /// Yes in `permille` of a thousand cases; never where choices are given.
    pub(super) fn yes(&mut self, permille: u64) -> bool {
        match self {
            Self::Seeded(_) => self.below(1_000) < permille,
            Self::Given(_) => false,
        }
    }

    /// A number from `low` to `high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low).unwrap_or(0) + 1;
        low + i64::try_from(self.below(span)).unwrap_or(0)
    }

    /// One of `n` ways, explored where choices are given.
    pub(super) fn way(&mut self, n: usize) -> usize {
        match self {
            Self::Seeded(_) => {
                let n = u64::try_from(n).unwrap_or(1);
                usize::try_from(self.below(n)).unwrap_or(0)
            }
            Self::Given(given) => {
                let chosen = given.prefix.get(given.made.len()).copied().unwrap_or(0);
                given.made.push((chosen, n));
                chosen
            }
        }
    }
}
