//! PayPal: everything the shop knows of it, and the only place its words are used.
//!
//! Built on the frame of `paypal-rs` (its `Endpoint` trait and its environments). What that crate's own
//! client and types lack for money is here: time budgets, a shared token, tries under one request id, a
//! circuit breaker, and types that keep what PayPal answers.
//!
//! - `request`, `wire`, `amount`: what is sent, what is read, decimal strings.
//! - `endpoints`, `client`, `token`, `breaker`, `transport`, `fault`: the call.
//! - `provider`: the shop's `Gateway`.
//! - `webhook`, `ipn`: whether a message is PayPal's; `event`, `ipn`: what it tells; `person`: what is left of it
//!   once its person is erased.

mod amount;
mod breaker;
mod client;
mod endpoints;
mod environment;
mod event;
mod fault;
mod ipn;
pub(super) mod person;
mod provider;
mod request;
#[cfg(test)]
pub(crate) mod testing;
mod token;
mod transport;
mod webhook;
mod wire;

use actix_web::http::header::HeaderMap;

use crate::config::PayPalConfig;

pub use event::{Event, EventError};
pub use ipn::{Ipn, IpnError};
pub use webhook::VerifyError;

/// PayPal cannot be set up; one line that names the key.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// TLS.
    #[error("paypal: no HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// A host of certificates.
    #[error("configuration: paypal.cert_hosts: {0}")]
    Hosts(#[from] webhook::InvalidHost),
    /// The roots of certificates.
    #[error("configuration: paypal.cert_roots_file: {0}")]
    Roots(#[from] webhook::BadRoots),
}

/// PayPal; one for all workers.
pub struct PayPal {
    client: client::Client,
    webhooks: webhook::Verifier,
    ipn: ipn::IpnDesk,
    /// The account that the money must go to; empty where it is not configured.
    receiver: String,
}

impl PayPal {
    /// Takes base URL, credentials and time budget from the configuration; calls nobody.
    ///
    /// # Errors
    /// When TLS cannot be set up, or certificate hosts or roots cannot be used.
    pub fn new(config: &PayPalConfig) -> Result<Self, SetupError> {
        Ok(Self {
            client: client::Client::new(config)?,
            webhooks: webhook::Verifier::new(config)?,
            ipn: ipn::IpnDesk::new(config)?,
            receiver: config.receiver_email.trim().to_owned(),
        })
    }

    /// Whether PayPal sent the webhook message of these headers and this body, byte for byte.
    ///
    /// # Errors
    /// [`VerifyError::False`] where it did not, [`VerifyError::Unavailable`] where that cannot be told now.
    pub async fn verify_webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), VerifyError> {
        self.webhooks.verify(&self.client, headers, body).await
    }

    /// Reads a webhook event; `None` where `body` is no JSON object.
    #[must_use]
    pub fn read_event(&self, body: &[u8]) -> Option<Event> {
        event::read(body)
    }

    /// Asks PayPal whether it sent the IPN message `body`, byte for byte.
    ///
    /// # Errors
    /// [`VerifyError::False`] where it did not, [`VerifyError::Unavailable`] where that cannot be told now.
    pub async fn verify_ipn(&self, body: &[u8]) -> Result<(), VerifyError> {
        self.ipn.verify(body).await
    }

    /// Reads an IPN message that PayPal vouches for.
    ///
    /// # Errors
    /// Where it is not for this shop, or not clear.
    pub fn read_ipn(&self, body: &[u8]) -> Result<Ipn, IpnError> {
        self.ipn.read(body)
    }
}
