//! What may go wrong with the database, in the ways that matter to a caller.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the driver's error kinds are open: a new one must count as unknown"
)]

use std::time::Duration;

use mongodb::error::{ErrorKind, WriteFailure};

use crate::problem::{Code, Problem};

/// The database's error number for a duplicate key.
const DUPLICATE_KEY: i32 = 11_000;

/// A failure of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The driver's error.
    #[error("database: {0}")]
    Driver(#[from] mongodb::error::Error),
    /// A document breaks a rule of the code that reads it.
    #[error("document of {collection} is damaged: {reason}")]
    Damaged {
        /// The collection.
        collection: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    /// A room's own error, to be raised inside a transaction and taken out by [`StoreError::aborted`].
    pub fn abort(reason: impl Send + Sync + 'static) -> mongodb::error::Error {
        mongodb::error::Error::custom(reason)
    }

    /// The room's own error that ended the transaction, if one did.
    #[must_use]
    pub fn aborted<T: Send + Sync + Clone + 'static>(&self) -> Option<T> {
        match self {
            Self::Driver(error) => error.get_custom::<T>().cloned(),
            Self::Damaged { .. } => None,
        }
    }

    /// Whether a unique index refused the write.
    #[must_use]
    pub fn is_duplicate_key(&self) -> bool {
        matches!(self, Self::Driver(error) if is_duplicate_key(error))
    }

    /// Whether the write may have happened all the same: the caller must look before it repeats.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Driver(error) => match error.kind.as_ref() {
                ErrorKind::Write(WriteFailure::WriteError(_))
                | ErrorKind::InvalidArgument { .. } => false,
                _other => !is_duplicate_key(error),
            },
            Self::Damaged { .. } => false,
        }
    }
}

/// Whether a unique index refused the write.
#[must_use]
pub fn is_duplicate_key(error: &mongodb::error::Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.code == DUPLICATE_KEY,
        ErrorKind::Command(command) => command.code == DUPLICATE_KEY,
        ErrorKind::InsertMany(many) => many
            .write_errors
            .as_ref()
            .is_some_and(|errors| errors.iter().any(|error| error.code == DUPLICATE_KEY)),
        _other => false,
    }
}

impl From<StoreError> for Problem {
    /// 503 where the database cannot be reached now, 500 for everything else.
    fn from(error: StoreError) -> Self {
        let unreachable = match &error {
            StoreError::Driver(driver) => {
                matches!(
                    driver.kind.as_ref(),
                    ErrorKind::ServerSelection { .. }
                        | ErrorKind::Io(_)
                        | ErrorKind::ConnectionPoolCleared { .. }
                ) || driver.contains_label(mongodb::error::TRANSIENT_TRANSACTION_ERROR)
                    || driver.contains_label(mongodb::error::RETRYABLE_WRITE_ERROR)
            }
            StoreError::Damaged { .. } => false,
        };
        let code = if unreachable {
            Code::Unavailable
        } else {
            Code::Internal
        };
        let problem = Self::new(code).caused_by(error);
        if unreachable {
            problem.retry_after(Duration::from_secs(2))
        } else {
            problem
        }
    }
}
