//! Accounts: sign-up, sign-in, sessions, roles, addresses.
//!
//! A sign-in is a *session*: a family of refresh tokens of which one lives at a time. An access token
//! names its session. Who may call is said by an extractor in the handler's signature: [`Principal`],
//! [`Staff`], [`Admin`], or [`Caller`] where guests are welcome.

mod principal;
mod token;

pub use principal::{Admin, Caller, Principal, Role, Staff};
pub use token::{AccessClaims, InvalidToken, Tokens};
