//! The room over HTTP, on a real replica set.

mod forgeries;
mod passwords;
mod profile;
mod refresh;
mod rights;
mod sessions;
mod sign_in;
mod support;
