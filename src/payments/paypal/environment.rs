//! Which PayPal the shop talks to: live or sandbox.

use paypal_rs::{LIVE_ENDPOINT, PaypalEnv, SANDBOX_ENDPOINT};

use crate::config::PayPalConfig;

/// PayPal's environment. What belongs to the other one is never taken
/// (`docs/decisions/0010-one-paypal-environment.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Environment {
    /// Real money.
    Live,
    /// Test money: PayPal's test system, or a stand-in.
    Sandbox,
}

impl Environment {
    /// As configured.
    pub(super) fn of(config: &PayPalConfig) -> Self {
        if config.is_live() {
            Self::Live
        } else {
            Self::Sandbox
        }
    }

    /// Hosts that PayPal serves its signing certificates from.
    pub(super) const fn certificate_hosts(self) -> &'static [&'static str] {
        match self {
            Self::Live => &["api.paypal.com", "api-m.paypal.com"],
            Self::Sandbox => &["api.sandbox.paypal.com", "api-m.sandbox.paypal.com"],
        }
    }

    /// The name that a signing certificate must be made out to.
    pub(super) const fn certificate_name(self) -> &'static str {
        match self {
            Self::Live => "messageverificationcerts.paypal.com",
            Self::Sandbox => "messageverificationcerts.sandbox.paypal.com",
        }
    }

    /// Whether an IPN message that calls itself a test (or does not) belongs here.
    pub(super) const fn takes_ipn(self, test: bool) -> bool {
        match self {
            Self::Live => !test,
            Self::Sandbox => test,
        }
    }
}

/// The frame's own word for where calls go.
pub(super) fn frame(base_url: &str) -> PaypalEnv {
    match base_url {
        LIVE_ENDPOINT => PaypalEnv::Live,
        SANDBOX_ENDPOINT => PaypalEnv::Sandbox,
        elsewhere => PaypalEnv::Mock(elsewhere.to_owned()),
    }
}
