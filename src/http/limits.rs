//! Rate limits: per client address for everything, per address and per account for credentials.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use actix_web::http::header::HeaderValue;
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use super::client::ClientAddress;
use crate::{
    config::RateLimitConfig,
    problem::{Code, Problem},
};

/// Which limit a request counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateClass {
    /// Sign-in, registration, password and refresh calls.
    Credentials,
    /// Everything else.
    General,
}

impl RateClass {
    /// Its name in `RateLimit` headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::General => "address",
        }
    }
}

type Keyed<K> = DefaultKeyedRateLimiter<K>;

struct Tables {
    general: Keyed<IpAddr>,
    credentials: Keyed<IpAddr>,
    accounts: Keyed<String>,
    clock: DefaultClock,
    policy: [HeaderValue; 2],
}

/// The node's rate limits; one for all workers.
#[derive(Clone)]
pub struct RateLimits(Option<Arc<Tables>>);

fn quota(per_minute: u32, burst: u32) -> Quota {
    let rate = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
    Quota::per_minute(rate).allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN))
}

impl RateLimits {
    /// Limits as configured; none where they are switched off.
    #[must_use]
    pub fn new(config: &RateLimitConfig) -> Self {
        if !config.enabled {
            return Self(None);
        }
        let policy = |name: &str, per_minute: u32| {
            HeaderValue::try_from(format!("\"{name}\";q={per_minute};w=60"))
                .unwrap_or_else(|_| HeaderValue::from_static("\"default\""))
        };
        Self(Some(Arc::new(Tables {
            general: RateLimiter::keyed(quota(config.general_per_minute, config.general_burst)),
            credentials: RateLimiter::keyed(quota(
                config.credentials_per_minute,
                config.credentials_burst,
            )),
            accounts: RateLimiter::keyed(quota(config.account_per_minute, config.account_burst)),
            clock: DefaultClock::default(),
            policy: [
                policy("address", config.general_per_minute),
                policy("credentials", config.credentials_per_minute),
            ],
        })))
    }

    /// Counts a request of `class` from `client`.
    ///
    /// # Errors
    /// 429 with Retry-After.
    pub fn admit(&self, class: RateClass, client: ClientAddress) -> Result<(), Problem> {
        let Some(tables) = &self.0 else { return Ok(()) };
        let table = match class {
            RateClass::Credentials => &tables.credentials,
            RateClass::General => &tables.general,
        };
        table
            .check_key(&client.network())
            .map_err(|until| refused(until.wait_time_from(tables.clock.now())))
    }

    /// Counts a try at the credentials of `account` (a normalised e-mail), whoever it comes from.
    ///
    /// # Errors
    /// 429 with Retry-After.
    pub fn admit_account(&self, account: &str) -> Result<(), Problem> {
        let Some(tables) = &self.0 else { return Ok(()) };
        tables
            .accounts
            .check_key(&account.to_owned())
            .map_err(|until| refused(until.wait_time_from(tables.clock.now())))
    }

    /// The `RateLimit-Policy` of a class, where limits are on.
    #[must_use]
    pub fn policy(&self, class: RateClass) -> Option<HeaderValue> {
        let [general, credentials] = &self.0.as_ref()?.policy;
        Some(match class {
            RateClass::General => general.clone(),
            RateClass::Credentials => credentials.clone(),
        })
    }

    /// Forgets clients that have not called for a while; to be called now and then.
    pub fn forget_idle(&self) {
        if let Some(tables) = &self.0 {
            tables.general.retain_recent();
            tables.credentials.retain_recent();
            tables.accounts.retain_recent();
        }
    }
}

fn refused(wait: Duration) -> Problem {
    Problem::new(Code::RateLimited)
        .detail("too many requests; wait and try again")
        .retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::TrustedProxies;

    #[test]
    fn the_request_after_the_burst_is_refused_and_another_address_is_not() {
        let limits = RateLimits::new(&RateLimitConfig {
            enabled: true,
            credentials_per_minute: 1,
            credentials_burst: 2,
            ..RateLimitConfig::default()
        });
        let client = |ip: &str| {
            let request = actix_web::test::TestRequest::default()
                .peer_addr(format!("{ip}:1").parse().unwrap())
                .to_http_request();
            TrustedProxies::default().client_of(request.head())
        };
        let admit = |ip| limits.admit(RateClass::Credentials, client(ip)).is_ok();
        assert_eq!(
            [admit("1.1.1.1"), admit("1.1.1.1"), admit("1.1.1.1")],
            [true, true, false]
        );
        assert!(admit("2.2.2.2"));
    }
}
