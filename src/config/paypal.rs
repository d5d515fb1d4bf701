//! Which PayPal the shop belongs to.

use serde::Deserialize;
use url::{Host, Url};

use super::PayPalConfig;

/// Hosts of PayPal's live API.
const LIVE_HOSTS: [&str; 2] = ["api-m.paypal.com", "api.paypal.com"];
/// Hosts of PayPal's test system.
const SANDBOX_HOSTS: [&str; 2] = ["api-m.sandbox.paypal.com", "api.sandbox.paypal.com"];

/// Where PayPal's live system says whether an IPN message is its own
/// (<https://developer.paypal.com/api/nvp-soap/ipn/IPNImplementation/>).
const LIVE_IPN_HOST: &str = "ipnpb.paypal.com";
/// The same of its test system.
const SANDBOX_IPN_HOST: &str = "ipnpb.sandbox.paypal.com";

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

    /// Where IPN messages are verified: as configured, or PayPal's own for the environment.
    #[must_use]
    pub fn ipn_verification(&self) -> String {
        if self.ipn_verify_url.is_empty() {
            let host = self.ipn_host();
            format!("https://{host}/cgi-bin/webscr")
        } else {
            self.ipn_verify_url.clone()
        }
    }

    /// Whether what is asked about IPN messages is the system that they come from: PayPal's own of this environment
    /// where `base_url` is PayPal's; elsewhere, a stand-in's or a proxy's too, but never PayPal's other one.
    pub(super) fn verifies_ipn_at_home(&self) -> bool {
        let url = Url::parse(&self.ipn_verification()).ok();
        let asked = url.as_ref().and_then(Url::host_str);
        let is_paypals = self.is_at(&LIVE_HOSTS) || self.is_at(&SANDBOX_HOSTS);
        let foreign = [LIVE_IPN_HOST, SANDBOX_IPN_HOST]
            .into_iter()
            .any(|host| host != self.ipn_host() && asked == Some(host));
        !foreign && (asked == Some(self.ipn_host()) || !is_paypals)
    }

    /// Whether secrets and money may go to `url`: over https; in the clear to this machine, and of a test system's to
    /// a name without a dot, such as a container's, which is nobody's on the internet.
    pub(super) fn is_safe(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else {
            return false;
        };
        let near = match url.host() {
            Some(Host::Domain(name)) => {
                name == "localhost" || (!name.contains('.') && !self.is_live())
            }
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => return false,
        };
        match url.scheme() {
            "https" => true,
            "http" => near,
            _ => false,
        }
    }

    fn ipn_host(&self) -> &'static str {
        if self.is_live() {
            LIVE_IPN_HOST
        } else {
            SANDBOX_IPN_HOST
        }
    }

    fn is_at(&self, hosts: &[&str]) -> bool {
        let url = Url::parse(&self.base_url).ok();
        let host = url.as_ref().and_then(Url::host_str);
        host.is_some_and(|host| hosts.contains(&host))
    }
}
