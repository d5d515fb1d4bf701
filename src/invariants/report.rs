//! What the checker found, invariant by invariant.

use std::{collections::BTreeMap, fmt};

/// The most violations of one invariant that are named.
const NAMED: usize = 5;

macro_rules! invariants {
    ($($id:ident $about:literal,)*) => {
        /// What must always hold (`RELIABILITY.md`, section 2).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the words are beside each")]
        pub enum Invariant { $($id,)* }

        impl Invariant {
            /// Every one, in order.
            pub const ALL: &[Self] = &[$(Self::$id,)*];

            /// Its id.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$id => stringify!($id),)* }
            }

            /// What it says.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$id => $about,)* }
            }
        }
    };
}

invariants! {
    I1 "money once",
    I2 "no free order",
    I3 "stock adds up",
    I4 "one order, one answer",
    I5 "acknowledged is kept",
    I6 "legal history",
    I7 "event once",
    I8 "notices complete",
    I9 "cart as commanded",
    I10 "no orphans",
}

/// How one invariant stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Things looked at.
    pub looked_at: u64,
    /// Violations found.
    pub violations: u64,
    /// The first of them.
    pub named: Vec<String>,
}

impl Tally {
    /// One more thing was looked at, and found to have these faults.
    pub(super) fn judged(&mut self, faults: impl IntoIterator<Item = String>) {
        self.looked_at += 1;
        for fault in faults {
            self.fault(fault);
        }
    }

    /// A fault in something that was counted already, or that is not there.
    pub(super) fn fault(&mut self, fault: String) {
        self.violations += 1;
        if self.named.len() < NAMED {
            self.named.push(fault);
        }
    }
}

/// How every invariant stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report(BTreeMap<Invariant, Tally>);

impl Report {
    /// How `invariant` stands.
    #[must_use]
    pub fn of(&self, invariant: Invariant) -> Tally {
        self.0.get(&invariant).cloned().unwrap_or_default()
    }

    pub(super) fn tally(&mut self, invariant: Invariant) -> &mut Tally {
        self.0.entry(invariant).or_default()
    }

    /// Violations of all.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.0.values().map(|tally| tally.violations).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for invariant in Invariant::ALL.iter().copied() {
            let tally = self.of(invariant);
            let (id, about) = (invariant.id(), invariant.about());
            let (looked_at, violations) = (tally.looked_at, tally.violations);
            writeln!(
                f,
                "{id:<4}{about:<24}{looked_at:>9} looked at{violations:>7} violations"
            )?;
            for fault in &tally.named {
                writeln!(f, "      {fault}")?;
            }
        }
        Ok(())
    }
}
