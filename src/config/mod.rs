//! Configuration: one struct per concern, in layers, checked whole before anything starts.
//!
//! `config/default.toml` (built in), the folder's `default.toml` and `<BODEGA_ENV>.toml`, then the
//! environment `BODEGA__SECTION__KEY`. The first fault stops the start with one line that names the key.

mod check;
mod images;
mod outbox;
mod paypal;
mod read;
mod store;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde::Deserialize;

pub use images::ImagesConfig;
pub use outbox::OutboxConfig;
pub use paypal::PayPalEnvironment;
pub use read::{ConfigError, config_folder, load, load_from};
pub use store::{ShippingMethodConfig, StoreConfig, TaxConfig};

use crate::catalog::HoldLimits;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Listening and shutting down.
    pub server: ServerConfig,
    /// What is logged and how.
    pub log: LogConfig,
    /// The database.
    pub mongodb: MongoConfig,
    /// Tokens and passwords.
    pub auth: AuthConfig,
    /// The payment provider.
    pub paypal: PayPalConfig,
    /// How many requests are too many.
    pub rate_limit: RateLimitConfig,
    /// Cart sessions.
    pub cart: CartConfig,
    /// The catalogue's caches.
    pub catalog: CatalogConfig,
    /// Uploaded pictures.
    pub images: ImagesConfig,
    /// Reservations and their sweeper.
    pub checkout: CheckoutConfig,
    /// Live streams.
    pub realtime: RealtimeConfig,
    /// Where orders' events are relayed to.
    pub outbox: OutboxConfig,
    /// Currency, shipping, tax.
    pub store: StoreConfig,
}

/// Listening and shutting down.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port to listen on.
    pub bind: SocketAddr,
    /// How buyers reach the shop, without a trailing slash; empty: as each request names it.
    pub public_url: String,
    /// Further sites whose pages may open live streams.
    #[serde(deserialize_with = "read::list")]
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed, and without `public_url` their `X-Forwarded-Proto` and
    /// `X-Forwarded-Host`.
    #[serde(deserialize_with = "read::list")]
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// HTTP worker threads; 0: one a core.
    pub workers: usize,
    /// Where `/metrics` is served; empty: on `bind`.
    pub metrics_bind: String,
    /// Seconds that requests in flight get to finish at shutdown.
    pub shutdown_seconds: u64,
    /// Seconds in which a node that stops is merely not ready.
    pub drain_seconds: u64,
}

/// What is logged and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Filter directives.
    pub filter: String,
    /// For people or for machines.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The database.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MongoConfig {
    /// A replica set's URI, or `embedded`.
    pub uri: String,
    /// Name of the database.
    pub database: String,
    /// Folder of the embedded mongod.
    pub data_dir: PathBuf,
    /// Port of the embedded mongod; 0: a free one.
    pub port: u16,
    /// The embedded mongod's program; empty: looked for.
    pub mongod: String,
    /// The most connections to each member.
    pub pool_size: u32,
}

impl MongoConfig {
    /// Whether the server runs a mongod of its own.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.uri == "embedded"
    }
}

/// Tokens and passwords.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Signs access tokens.
    pub jwt_secret: SecretString,
    /// `iss` of access tokens.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// Life of an access token.
    pub access_seconds: u32,
    /// Life of a sign-in that is not used.
    pub refresh_seconds: u32,
    /// How long the refresh token before the present one is still answered.
    pub refresh_grace_seconds: u32,
    /// Work factor of bcrypt.
    pub bcrypt_cost: u32,
}

/// The payment provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayPalConfig {
    /// Base of the REST API, without a trailing slash.
    pub base_url: String,
    /// Live or sandbox; see [`PayPalConfig::is_live`].
    pub environment: PayPalEnvironment,
    /// Client id of the REST app.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Id of the registered webhook, part of each signature.
    pub webhook_id: String,
    /// How signatures are verified.
    pub webhook_verification: WebhookVerification,
    /// Hosts that signing certificates may come from; empty: PayPal's.
    #[serde(deserialize_with = "read::list")]
    pub cert_hosts: Vec<String>,
    /// PEM file of roots and intermediates; empty: PayPal's.
    pub cert_roots_file: String,
    /// Where IPN messages are verified.
    pub ipn_verify_url: String,
    /// The account that the money goes to.
    pub receiver_email: String,
    /// Where PayPal sends the buyer after approval; empty: a page of the shop.
    pub return_url: String,
    /// Where PayPal sends the buyer who gives up; empty: a page of the shop.
    pub cancel_url: String,
    /// Time for one call, tries included.
    pub timeout_seconds: u64,
}

/// How webhook signatures are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookVerification {
    /// Certificate chain and signature are checked here.
    Local,
    /// PayPal is asked.
    Api,
}

/// How many requests are too many.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitConfig {
    /// Whether there are limits at all.
    pub enabled: bool,
    /// Requests a minute and address.
    pub general_per_minute: u32,
    /// Requests at once.
    pub general_burst: u32,
    /// Requests to credential endpoints a minute and address.
    pub credentials_per_minute: u32,
    /// Requests to credential endpoints at once.
    pub credentials_burst: u32,
    /// Tries at one account a minute.
    pub account_per_minute: u32,
    /// Tries at one account at once.
    pub account_burst: u32,
}

/// Cart sessions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CartConfig {
    /// The most sessions in memory.
    pub max_sessions: usize,
    /// How long an idle session stays in memory.
    pub idle_seconds: u64,
    /// Changes that may wait for one cart.
    pub max_waiting: usize,
    /// Days after which an untouched guest cart is forgotten.
    pub guest_days: u32,
}

/// The catalogue's caches.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogConfig {
    /// Memory for encoded answers, in MiB.
    pub cache_mib: u64,
    /// Who answers reads of products.
    pub reads: ReadsFrom,
    /// Seconds that a shared cache may serve a public answer without asking.
    pub cdn_seconds: u32,
    /// Seconds that it may go on with it while it asks.
    pub cdn_stale_seconds: u32,
}

/// Who answers reads of products that decide about nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadsFrom {
    /// The primary.
    Primary,
    /// The other members, where there are some.
    Secondaries,
}

/// Reservations and their sweeper.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckoutConfig {
    /// How long stock is held for a buyer.
    pub reservation_seconds: u32,
    /// How often unfinished checkouts are looked after.
    pub reconcile_seconds: u32,
    /// The most units of one variant that open checkouts of one user may hold.
    pub max_held_per_user: u32,
    /// The most units of one variant that open checkouts from one client address may hold.
    pub max_held_per_address: u32,
}

impl CheckoutConfig {
    /// How much of a variant may be held together.
    #[must_use]
    pub fn hold_limits(&self) -> HoldLimits {
        HoldLimits {
            per_user: self.max_held_per_user,
            per_client: self.max_held_per_address,
        }
    }

    /// How long stock is held for a buyer.
    #[must_use]
    pub fn reservation(&self) -> Duration {
        Duration::from_secs(self.reservation_seconds.into())
    }

    /// How often unfinished checkouts are looked after.
    #[must_use]
    pub fn reconcile_every(&self) -> Duration {
        Duration::from_secs(self.reconcile_seconds.into())
    }
}

/// Live streams.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RealtimeConfig {
    /// Seconds between heartbeats.
    pub heartbeat_seconds: u64,
    /// Live streams one user may have open on a node.
    pub max_streams_per_user: usize,
}
