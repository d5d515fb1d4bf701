//! Rules across keys: what no single type can refuse.

use secrecy::ExposeSecret;

use super::{Config, ConfigError, TaxConfig};
use crate::address::region_code;

/// The id under which PayPal's public webhook simulator signs, with the live key: whoever trusts it
/// trusts everyone (`docs/decisions/0001-webhook-id.md`).
const PUBLIC_WEBHOOK_ID: &str = "WEBHOOK_ID";
/// Why a URL that secrets or money go to is refused.
const NOT_SAFE: &str = "expected an https URL; http is for a loopback host, and in a test system for a name without a dot";
/// PayPal takes two decimals at most.
const PAYPAL_DECIMALS: u32 = 2;

/// Whether a rule holds.
pub(super) type Checked = Result<(), ConfigError>;

/// Refuses with one line what does not hold.
pub(super) fn rule(holds: bool, key: &'static str, reason: &str) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(ConfigError::Invalid {
            key,
            reason: reason.to_owned(),
        })
    }
}

/// Checks the whole configuration.
pub(super) fn check(config: &Config) -> Checked {
    server(config)?;
    auth(config)?;
    paypal(config)?;
    rule(
        config.mongodb.pool_size >= 2,
        "mongodb.pool_size",
        "at least 2",
    )?;
    rule(
        !config.mongodb.database.is_empty(),
        "mongodb.database",
        "must not be empty",
    )?;
    rule(
        config.mongodb.is_embedded() || config.mongodb.uri.starts_with("mongodb"),
        "mongodb.uri",
        "expected \"embedded\" or a URI that begins with mongodb:// or mongodb+srv://",
    )?;
    limits(config)?;
    config.images.check()?;
    config.outbox.check()?;
    store(config)
}

fn server(config: &Config) -> Checked {
    let url = &config.server.public_url;
    let http = url.starts_with("http://") || url.starts_with("https://");
    rule(
        url.is_empty() || (http && !url.ends_with('/')),
        "server.public_url",
        "expected an http(s) URL without a trailing slash",
    )?;
    let bind = &config.server.metrics_bind;
    rule(
        bind.is_empty() || bind.parse::<std::net::SocketAddr>().is_ok(),
        "server.metrics_bind",
        "expected address:port",
    )
}

fn auth(config: &Config) -> Checked {
    rule(
        config.auth.jwt_secret.expose_secret().len() >= 32,
        "auth.jwt_secret",
        "at least 32 bytes",
    )?;
    rule(
        config.auth.access_seconds >= 1,
        "auth.access_seconds",
        "at least 1",
    )?;
    rule(
        config.auth.refresh_seconds >= 60,
        "auth.refresh_seconds",
        "at least 60",
    )?;
    rule(
        (4..=31).contains(&config.auth.bcrypt_cost),
        "auth.bcrypt_cost",
        "from 4 to 31",
    )
}

fn paypal(config: &Config) -> Checked {
    let paypal = &config.paypal;
    rule(
        url::Url::parse(&paypal.base_url).is_ok() && !paypal.base_url.ends_with('/'),
        "paypal.base_url",
        "expected a URL without a trailing slash",
    )?;
    rule(
        paypal.is_safe(&paypal.base_url),
        "paypal.base_url",
        NOT_SAFE,
    )?;
    rule(!paypal.client_id.is_empty(), "paypal.client_id", "missing")?;
    rule(
        !paypal.client_secret.expose_secret().is_empty(),
        "paypal.client_secret",
        "missing",
    )?;
    rule(
        !paypal.webhook_id.is_empty(),
        "paypal.webhook_id",
        "missing",
    )?;
    rule(
        !paypal.contradicts_itself(),
        "paypal.environment",
        "says the opposite of paypal.base_url",
    )?;
    rule(
        paypal.is_safe(&paypal.ipn_verification()),
        "paypal.ipn_verify_url",
        NOT_SAFE,
    )?;
    rule(
        paypal.verifies_ipn_at_home(),
        "paypal.ipn_verify_url",
        "is not where PayPal verifies messages of this environment: leave it empty for PayPal's own",
    )?;
    rule(
        paypal.return_url.is_empty() || is_page(&paypal.return_url),
        "paypal.return_url",
        "expected an http(s) URL",
    )?;
    rule(
        paypal.cancel_url.is_empty() || is_page(&paypal.cancel_url),
        "paypal.cancel_url",
        "expected an http(s) URL",
    )?;
    rule(
        !(paypal.is_live() && paypal.webhook_id == PUBLIC_WEBHOOK_ID),
        "paypal.webhook_id",
        "WEBHOOK_ID is the id of PayPal's public webhook simulator: anyone could send signed events",
    )?;
    rule(
        paypal.timeout_seconds >= 1,
        "paypal.timeout_seconds",
        "at least 1",
    )
}

/// Whether a browser can be sent to `url`.
fn is_page(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn limits(config: &Config) -> Checked {
    let limit = &config.rate_limit;
    let all = [
        limit.general_per_minute,
        limit.general_burst,
        limit.credentials_per_minute,
        limit.credentials_burst,
        limit.account_per_minute,
        limit.account_burst,
    ];
    rule(
        !limit.enabled || all.iter().all(|n| *n > 0),
        "rate_limit",
        "every limit must be at least 1",
    )?;
    rule(
        config.cart.max_sessions > 0,
        "cart.max_sessions",
        "at least 1",
    )?;
    rule(
        config.cart.max_waiting > 0,
        "cart.max_waiting",
        "at least 1",
    )?;
    rule(
        config.checkout.reservation_seconds > 0,
        "checkout.reservation_seconds",
        "at least 1",
    )?;
    rule(
        config.checkout.reconcile_seconds > 0,
        "checkout.reconcile_seconds",
        "at least 1",
    )?;
    let held = [
        config.checkout.max_held_per_user,
        config.checkout.max_held_per_address,
    ];
    rule(
        held.iter().all(|most| *most > 0),
        "checkout",
        "max_held_per_user and max_held_per_address: at least 1",
    )?;
    rule(
        config.realtime.heartbeat_seconds > 0,
        "realtime.heartbeat_seconds",
        "at least 1",
    )
}

fn store(config: &Config) -> Checked {
    let store = &config.store;
    rule(
        store.currency.exponent() <= PAYPAL_DECIMALS,
        "store.currency",
        "PayPal takes no currency of more than two decimals, such as KWD: its amounts could not be charged exactly",
    )?;
    rule(
        store.keep_orders_years <= 100,
        "store.keep_orders_years",
        "at most 100",
    )?;
    rule(
        !store.shipping.is_empty(),
        "store.shipping",
        "at least one method",
    )?;
    rule(
        store
            .shipping
            .iter()
            .all(|m| m.price >= 0 && m.free_from >= 0),
        "store.shipping",
        "prices must not be negative",
    )?;
    let step = store.currency.payable_step();
    rule(
        store
            .shipping
            .iter()
            .all(|m| m.price % step == 0 && m.free_from % step == 0),
        "store.shipping",
        "amounts of this currency are whole: multiples of 100 minor units",
    )?;
    let named = |tax: &TaxConfig| {
        tax.region
            .as_deref()
            .is_none_or(|name| region_code(name).is_some())
    };
    rule(
        store.tax.iter().all(named),
        "store.tax",
        "a region is its short code of 1 to 3 letters or digits (ISO 3166-2), such as CA",
    )?;
    rule(
        store.tax.iter().all(|tax| tax.basis_points <= 10_000),
        "store.tax",
        "at most 10000 basis points",
    )
}
