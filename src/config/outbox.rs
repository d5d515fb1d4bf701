//! Where orders' events are relayed to.

use std::str::FromStr;

use lapin::uri::AMQPUri;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::check::{Checked, rule};
use crate::clock::Timestamp;

/// AMQP's limit for names.
const LONGEST_NAME: usize = 255;

/// The broker that orders' events are relayed to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxConfig {
    /// The broker, password included; empty: there is none.
    pub amqp_url: SecretString,
    /// The topic exchange.
    pub exchange: String,
    /// RFC 3339; earlier events are left out. Empty: none is.
    pub from: String,
}

impl OutboxConfig {
    /// The broker, where there is one.
    #[must_use]
    pub fn broker(&self) -> Option<AMQPUri> {
        let mut uri = AMQPUri::from_str(self.amqp_url.expose_secret()).ok()?;
        // `amqp://host/` says "the virtual host of no name", and everybody means the default one.
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        Some(uri)
    }

    /// Events from before it are left out.
    #[must_use]
    pub fn from(&self) -> Option<Timestamp> {
        Timestamp::parse(&self.from).ok()
    }

    pub(super) fn check(&self) -> Checked {
        // The line says nothing of the value: it holds a password.
        let text = self.amqp_url.expose_secret();
        // lapin takes a URL without a host for localhost's.
        let named = url::Url::parse(text)
            .is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()));
        rule(
            text.is_empty() || (named && self.broker().is_some()),
            "outbox.amqp_url",
            "expected amqp://user:password@host:port/vhost, or amqps://",
        )?;
        rule(
            (1..=LONGEST_NAME).contains(&self.exchange.len()) && !self.exchange.starts_with("amq."),
            "outbox.exchange",
            "expected a name of 1 to 255 bytes that does not begin with amq.",
        )?;
        rule(
            self.from.is_empty() || self.from().is_some(),
            "outbox.from",
            "expected a time such as 2026-11-25T00:00:00Z",
        )
    }
}
