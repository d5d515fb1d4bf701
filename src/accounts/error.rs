//! What may go wrong in this room.

use crate::mongo::StoreError;

/// A refusal of the accounts room, or a failure under it.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Another account has the e-mail.
    #[error("the e-mail belongs to an account")]
    EmailTaken,
    /// No such account, another password, or the account is disabled: the caller is not told which.
    #[error("e-mail or password is wrong")]
    InvalidCredentials,
    /// There is no such sign-in, or it has ended.
    #[error("the sign-in does not exist any more")]
    SignedOut,
    /// A refresh token came a second time, too late to be a racing tab: the sign-in has been ended.
    #[error("the refresh token was used before")]
    TokenReused,
    /// The link of an e-mail was used, has expired, or was never sent.
    #[error("the link was used or has expired")]
    LinkSpent,
    /// The account is not at the version that the caller named.
    #[error("the account is at version {present}")]
    Stale {
        /// The present version.
        present: u64,
    },
    /// The address book breaks a rule.
    #[error(transparent)]
    Address(#[from] super::model::AddressFault),
    /// There is no such account or sign-in.
    #[error("not found")]
    NotFound,
    /// Too much waits already; a moment later there is room.
    #[error("too much waits already")]
    Busy,
    /// A thread that hashed a password died.
    #[error("a password could not be hashed")]
    HashingFailed,
    /// A stored hash is none.
    #[error("bcrypt: {0}")]
    Bcrypt(#[from] bcrypt::BcryptError),
    /// An access token could not be signed.
    #[error("an access token could not be signed: {0}")]
    Signing(crate::problem::Problem),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<mongodb::error::Error> for AccountError {
    fn from(error: mongodb::error::Error) -> Self {
        Self::Store(error.into())
    }
}
