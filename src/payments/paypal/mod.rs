//! PayPal: everything the shop knows of it, and the only place its words are used.
//!
//! Built on the frame of `paypal-rs` (its `Endpoint` trait and its environments). What that crate's own
//! client and types lack for money is here: time budgets, a shared token, tries under one request id, a
//! circuit breaker, and types that keep what PayPal answers.
//!
//! - `request`, `wire`, `amount`: what is sent, what is read, decimal strings.
//! - `endpoints`, `client`, `token`, `breaker`, `transport`, `fault`: the call.
//! - `provider`: the shop's `Gateway`.

mod amount;
mod breaker;
mod client;
mod endpoints;
mod environment;
mod fault;
mod provider;
mod request;
#[cfg(test)]
mod testing;
mod token;
mod transport;
mod wire;

use crate::config::PayPalConfig;

/// PayPal cannot be set up; one line that names the key.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// TLS.
    #[error("paypal: no HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// PayPal; one for all workers.
pub struct PayPal {
    client: client::Client,
}

impl PayPal {
    /// Takes base URL, credentials and time budget from the configuration; calls nobody.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(config: &PayPalConfig) -> Result<Self, SetupError> {
        Ok(Self {
            client: client::Client::new(config)?,
        })
    }
}
