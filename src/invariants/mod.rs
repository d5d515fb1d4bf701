//! The checker: what must always hold, judged over the database and, where it can be had, over the
//! provider's own record of the money and the acknowledgements that clients have kept.
//!
//! It shares no rule with the rooms it judges: states and ways between them are written down here a second
//! time, so that a rule that was changed by mistake there is found here. It only reads: from a secondary
//! where there is one, by cursors, each group of invariants over one snapshot, joined and sorted by the
//! database. It holds no more in memory than a batch of documents, and what it was handed to compare with.
//!
//! `judge_…` functions are pure: what they are handed, they find fault with. The rest reads.

mod acks;
mod books;
mod carts;
mod journal;
mod money;
mod orders;
mod orphans;
mod report;
mod rows;
mod stock;
use std::{path::PathBuf, time::Duration};

pub use acks::BadAcks;
pub use books::Books;
pub use journal::BadJournal;
pub use report::{Invariant, Report};

use crate::mongo::StoreError;

/// What to compare with, and how long to wait first.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The root of the simulator whose journal is the truth about the money.
    pub journal: Option<String>,
    /// Acknowledgements that clients have kept, as JSON Lines.
    pub acks: Option<PathBuf>,
    /// How long to wait until nothing is under way any more. Where it is not zero, whatever is unfinished
    /// after that is a violation, as after the last fault of a test; where it is, only what is past its
    /// time is one, as in a shop that is open.
    pub wait: Duration,
    /// How often the reconciler sweeps.
    pub sweep: Duration,
    /// Who is to be paid, where that is known.
    pub payee: Option<String>,
    /// Whether orders' events are relayed to a broker.
    pub relayed: bool,
}

/// The checker cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] BadJournal),
    /// The acknowledgements.
    #[error(transparent)]
    Acks(#[from] BadAcks),
}

impl From<mongodb::error::Error> for CheckError {
    fn from(error: mongodb::error::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Judges every invariant over `books`.
///
/// # Errors
/// When something cannot be read; what breaks an invariant is in the report.
pub async fn check(books: &Books, wish: &Wish) -> Result<Report, CheckError> {
    orphans::wait_for_quiet(books, wish.wait, wish.relayed).await?;
    let quiet = !wish.wait.is_zero();
    let journal = match &wish.journal {
        Some(url) => Some(journal::read(url).await?),
        None => None,
    };
    let acks = match &wish.acks {
        Some(path) => acks::read(path).await?,
        None => acks::Acks::default(),
    };
    let mut report = Report::default();
    let payee = wish.payee.as_deref();
    money::check(books, journal.as_ref(), payee, &mut report).await?;
    stock::check(books, &mut report).await?;
    orders::check(books, &acks, &mut report).await?;
    if wish.relayed {
        orders::check_outbox(books, quiet, &mut report).await?;
    }
    carts::check(books, &acks, &mut report).await?;
    acks.check(books, &mut report).await?;
    orphans::check_messages(books, journal.as_ref(), quiet, &mut report).await?;
    let slack = wish.sweep.saturating_mul(2) + orphans::MARGIN;
    orphans::check(books, quiet, slack, &mut report).await?;
    Ok(report)
}
