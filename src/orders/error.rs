//! What may go wrong with an order.

use super::model::Refusal;
use crate::mongo::StoreError;

/// An order cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is none with this id.
    #[error("no such order")]
    NotFound,
    /// It is not at the version the caller saw.
    #[error("the order is at version {0}")]
    Stale(u64),
    /// It does not change as wished.
    #[error(transparent)]
    Refused(Refusal),
    /// Too many change it at once.
    #[error("too many change the order at once")]
    Busy,
    /// The provider refused to give money back, in its own words.
    #[error("the provider refused the refund: {0}")]
    RefundRefused(String),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

/// Why a transaction on an order was given up; carried through the driver.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Abort {
    #[error("no such order")]
    NotFound,
    #[error("the order is at version {0}")]
    Stale(u64),
    #[error(transparent)]
    Refused(Refusal),
    #[error("too many change the order at once")]
    Busy,
}

impl From<Abort> for OrderError {
    fn from(abort: Abort) -> Self {
        match abort {
            Abort::NotFound => Self::NotFound,
            Abort::Stale(version) => Self::Stale(version),
            Abort::Refused(refusal) => Self::Refused(refusal),
            Abort::Busy => Self::Busy,
        }
    }
}

impl From<StoreError> for OrderError {
    fn from(error: StoreError) -> Self {
        match error.aborted::<Abort>() {
            Some(abort) => abort.into(),
            None => Self::Store(error),
        }
    }
}

impl From<mongodb::error::Error> for OrderError {
    fn from(error: mongodb::error::Error) -> Self {
        StoreError::from(error).into()
    }
}
