//! Accounts: sign-up, sign-in, sessions, roles, addresses.
//!
//! A sign-in is a *session*: a family of refresh tokens of which one lives at a time (`refresh`,
//! `sessions`). An access token names its session; when that ends, its access tokens are refused at once
//! on this node and on the others within the change feed's delay (`revoked`). Who may call is said by an
//! extractor in the handler's signature: [`Principal`], [`Staff`], [`Admin`], or [`Caller`] where guests
//! are welcome.
//!
//! Always: a family has one refresh token that lives, and none once it has ended; the database holds
//! hashes, never a password or a token; whether an e-mail has an account shows in no answer but that of
//! registration, nor in the time an answer takes.
//!
//! Decisions. Sessions end in the same transaction as the change that ends them (new password, erasure).
//! A sign-in reads the user again after its session is stored: whoever disables the user or changes the
//! password meanwhile either finds that session, or is seen by that read. Erasure deletes the person and
//! leaves a row in `erasures` for the rooms that hold more (`data_rights`).

mod data_rights;
mod email;
mod error;
mod handle;
mod http;
mod links;
mod mac;
mod mail;
mod model;
mod password;
mod password_change;
mod principal;
mod profile;
mod refresh;
mod revoked;
mod sessions;
mod sign_in;
mod store;
mod token;

#[cfg(test)]
mod tests;

pub use data_rights::Export;
pub use email::{Email, InvalidEmail};
pub use error::AccountError;
pub use handle::{Accounts, ended_by};
pub use http::{ExportView, OwnPage, UserView, routes};
pub use links::LinkPurpose;
pub use mail::{Mail, MailOutbox, Mailer};
pub use model::{Address, AddressDraft, AddressFault, Change, MAX_ADDRESSES, ProfileChange, User};
pub use password::{Attempt, MAX_PASSWORD, MIN_PASSWORD, NewPassword};
pub use principal::{Admin, Caller, Principal, Role, Staff};
pub use revoked::Revocations;
pub use sessions::{Device, Session};
pub use token::{AccessClaims, InvalidToken, Tokens};

use crate::mongo::schema;

/// The collection that [`Accounts::follow`] needs in the change feed.
pub const FED: &str = sessions::COLLECTION;

/// The collections of this room.
#[must_use]
pub fn collections() -> Vec<schema::Collection> {
    vec![
        store::collection(),
        sessions::collection(),
        links::collection(),
        mail::collection(),
        data_rights::collection(),
    ]
}
