//! Why a cart could not be read or changed.

use std::sync::Arc;

use super::model::{Cart, CartRefusal};
use crate::mongo::StoreError;

/// A command came to nothing, or it is not known what it came to. Cheap to clone: one failed write may
/// answer several callers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CartError {
    /// A rule refused it; certainly nothing has changed.
    #[error("{refusal}")]
    Refused {
        /// The rule.
        refusal: CartRefusal,
        /// The cart as it is, where there is one.
        present: Option<Arc<Cart>>,
    },
    /// Too many commands wait, or too many sessions live; nothing has changed.
    #[error("too many changes at once")]
    Busy,
    /// The shop is closing; nothing has changed.
    #[error("the shop is closing")]
    Closing,
    /// The database refused; nothing has changed.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The database did not answer in time; nothing has changed.
    #[error("no answer from the database in time")]
    Unavailable,
    /// The database did not answer in time or broke off: the change may have happened.
    #[error("no certain answer from the database: {0}")]
    Unknown(String),
    /// A fault of ours ended the work: the change may have happened.
    #[error("the cart session was interrupted")]
    Interrupted,
}

impl From<StoreError> for CartError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
