//! Which PayPal the shop belongs to.

use serde::Deserialize;

use super::PayPalConfig;

/// Hosts of PayPal's live API.
const LIVE_HOSTS: [&str; 2] = ["api-m.paypal.com", "api.paypal.com"];
/// Hosts of PayPal's test system.
const SANDBOX_HOSTS: [&str; 2] = ["api-m.sandbox.paypal.com", "api.sandbox.paypal.com"];

/// PayPal's environment, as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayPalEnvironment {
    /// Told by the base URL: live at PayPal's live hosts, sandbox anywhere else.
    Auto,
    /// Real money.
    Live,
    /// Test money: PayPal's sandbox, or a stand-in.
    Sandbox,
}

impl PayPalConfig {
    /// Whether the money is real. A base URL that is neither of PayPal's (a stand-in, a proxy) counts as
    /// a test system unless `paypal.environment` says otherwise, so that nothing is ever taken from both.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self.environment {
            PayPalEnvironment::Live => true,
            PayPalEnvironment::Sandbox => false,
            PayPalEnvironment::Auto => self.is_at(&LIVE_HOSTS),
        }
    }

    /// Whether `paypal.environment` says the opposite of what the base URL plainly is.
    pub(super) fn contradicts_itself(&self) -> bool {
        match self.environment {
            PayPalEnvironment::Auto => false,
            PayPalEnvironment::Live => self.is_at(&SANDBOX_HOSTS),
            PayPalEnvironment::Sandbox => self.is_at(&LIVE_HOSTS),
        }
    }

    fn is_at(&self, hosts: &[&str]) -> bool {
        let url = url::Url::parse(&self.base_url).ok();
        let host = url.as_ref().and_then(url::Url::host_str);
        host.is_some_and(|host| hosts.contains(&host))
    }
}
