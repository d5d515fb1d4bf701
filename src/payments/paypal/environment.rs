//! Which PayPal the shop talks to: live, sandbox, or something else, such as a simulator.

use paypal_rs::{LIVE_ENDPOINT, PaypalEnv, SANDBOX_ENDPOINT};

/// PayPal's environment, told by the base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Environment {
    /// Real money.
    Live,
    /// PayPal's test system.
    Sandbox,
    /// Anything else; what differs between live and sandbox is taken either way.
    Other,
}

impl Environment {
    /// Told by `base_url`, as configured.
    pub(super) fn of(base_url: &str) -> Self {
        match base_url {
            LIVE_ENDPOINT => Self::Live,
            SANDBOX_ENDPOINT => Self::Sandbox,
            _ => Self::Other,
        }
    }

    /// Hosts that PayPal serves its signing certificates from.
    pub(super) const fn certificate_hosts(self) -> &'static [&'static str] {
        match self {
            Self::Live => &["api.paypal.com", "api-m.paypal.com"],
            Self::Sandbox => &["api.sandbox.paypal.com", "api-m.sandbox.paypal.com"],
            Self::Other => &[
                "api.paypal.com",
                "api-m.paypal.com",
                "api.sandbox.paypal.com",
                "api-m.sandbox.paypal.com",
            ],
        }
    }

    /// Names that a signing certificate may be made out to.
    pub(super) const fn certificate_names(self) -> &'static [&'static str] {
        const LIVE: &str = "messageverificationcerts.paypal.com";
        const SANDBOX: &str = "messageverificationcerts.sandbox.paypal.com";
        match self {
            Self::Live => &[LIVE],
            Self::Sandbox => &[SANDBOX],
            Self::Other => &[LIVE, SANDBOX],
        }
    }

    /// Whether an IPN message that calls itself a test (or does not) belongs here.
    pub(super) const fn takes_ipn(self, test: bool) -> bool {
        match self {
            Self::Live => !test,
            Self::Sandbox => test,
            Self::Other => true,
        }
    }
}

/// The frame's own word for where calls go.
pub(super) fn frame(base_url: &str) -> PaypalEnv {
    match Environment::of(base_url) {
        Environment::Live => PaypalEnv::Live,
        Environment::Sandbox => PaypalEnv::Sandbox,
        Environment::Other => PaypalEnv::Mock(base_url.to_owned()),
    }
}
