//! What can be set: flags at the start, settings at any time.

use std::path::PathBuf;

use clap::Parser;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::Duration;

/// A stand-in for PayPal: REST API, approval page, signed webhooks, IPN, faults and a journal.
#[derive(Debug, Clone, Parser)]
#[command(name = "paypal-simulator", version)]
pub(crate) struct Flags {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "PAYPAL_SIMULATOR_BIND", default_value = "127.0.0.1:8090")]
    pub(crate) bind: String,
    /// Base of every URL it hands out; by default that of the listening socket.
    #[arg(long, env = "PAYPAL_SIMULATOR_PUBLIC_URL")]
    pub(crate) public_url: Option<String>,
    /// Base of the approval page's URL, where browsers reach it by another name than the shop does.
    #[arg(long, env = "PAYPAL_SIMULATOR_APPROVAL_URL")]
    pub(crate) approval_url: Option<String>,
    /// The one client id that gets tokens.
    #[arg(long, env = "PAYPAL_SIMULATOR_CLIENT_ID", default_value = "sim-client")]
    pub(crate) client_id: String,
    /// Its secret.
    #[arg(
        long,
        env = "PAYPAL_SIMULATOR_CLIENT_SECRET",
        default_value = "sim-secret",
        hide_env_values = true
    )]
    pub(crate) client_secret: String,
    /// Where webhook events go; more can be added over the control API.
    #[arg(long, env = "PAYPAL_SIMULATOR_WEBHOOK_URL")]
    pub(crate) webhook_url: Option<String>,
    /// The id under which that URL is registered; part of every signature.
    #[arg(
        long,
        env = "PAYPAL_SIMULATOR_WEBHOOK_ID",
        default_value = "WHSIM0000000000001"
    )]
    pub(crate) webhook_id: String,
    /// Where IPN messages go; without it none are sent.
    #[arg(long, env = "PAYPAL_SIMULATOR_IPN_URL")]
    pub(crate) ipn_url: Option<String>,
    /// The merchant's e-mail address, as payee and in IPN messages.
    #[arg(
        long,
        env = "PAYPAL_SIMULATOR_RECEIVER_EMAIL",
        default_value = "merchant@example.com"
    )]
    pub(crate) receiver_email: String,
    /// Keeps the certificate authority here, and writes `ca-bundle.pem` for the shop.
    #[arg(long, env = "PAYPAL_SIMULATOR_CERTS_DIR")]
    pub(crate) certs_dir: Option<PathBuf>,
    /// Keeps the journal in this file, after what is there already.
    #[arg(long, env = "PAYPAL_SIMULATOR_JOURNAL")]
    pub(crate) journal: Option<PathBuf>,
    /// Keeps every REST exchange and every event in this file, as JSON Lines.
    #[arg(long, env = "PAYPAL_SIMULATOR_RECORD")]
    pub(crate) record: Option<PathBuf>,
    /// Life of an access token in seconds.
    #[arg(long, env = "PAYPAL_SIMULATOR_TOKEN_SECONDS", default_value_t = 32_400)]
    pub(crate) token_seconds: i64,
    /// Life of an order before approval, and again between approval and capture, in seconds.
    #[arg(long, env = "PAYPAL_SIMULATOR_ORDER_SECONDS", default_value_t = 10_800)]
    pub(crate) order_seconds: i64,
    /// Approves every order by itself shortly after its creation.
    #[arg(long, env = "PAYPAL_SIMULATOR_AUTO_APPROVE")]
    pub(crate) auto_approve: bool,
    /// Wait before each webhook delivery, in milliseconds.
    #[arg(long, env = "PAYPAL_SIMULATOR_WEBHOOK_DELAY_MS", default_value_t = 0)]
    pub(crate) webhook_delay_ms: u64,
    /// First wait between two attempts of one delivery, in milliseconds; it doubles from there.
    #[arg(long, env = "PAYPAL_SIMULATOR_RETRY_BASE_MS", default_value_t = 1_000)]
    pub(crate) retry_base_ms: u64,
}

/// What a second request under an id answers while the first still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum InFlight {
    /// 409 `PREVIOUS_REQUEST_IN_PROGRESS`.
    Conflict,
    /// 500.
    Error,
    /// It waits, and answers as a replay.
    Wait,
}

/// What a second request under an id answers when its body differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OtherBody {
    /// 422 `DUPLICATE_REQUEST_ID`.
    Refuse,
    /// The first answer, as if the bodies were the same.
    FirstAnswer,
}

/// How the bytes of an event are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum EventFormat {
    /// One line, no spaces.
    Plain,
    /// Tabs, line ends, spaces and non-ASCII text: still JSON, but only as these very bytes.
    Odd,
}

/// The character set of IPN messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Charset {
    /// PayPal's old default.
    #[serde(rename = "windows-1252")]
    Windows1252,
    /// What accounts can switch to.
    #[serde(rename = "UTF-8")]
    Utf8,
}

/// The environment whose name stands in signing certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Environment {
    /// `messageverificationcerts.sandbox.paypal.com`.
    Sandbox,
    /// `messageverificationcerts.paypal.com`.
    Live,
}

/// Everything that `POST /control/settings` can change.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each switch is set by name and independent"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Life of a new access token, seconds.
    pub(crate) token_seconds: i64,
    /// Life of an order before approval, and again after it, seconds.
    pub(crate) order_seconds: i64,
    /// Memory of request ids on orders, seconds (PayPal: 6 hours).
    pub(crate) order_key_seconds: i64,
    /// Memory of request ids on payments, seconds (PayPal: 45 days).
    pub(crate) payment_key_seconds: i64,
    /// See [`InFlight`].
    pub(crate) in_flight: InFlight,
    /// See [`OtherBody`].
    pub(crate) other_body: OtherBody,
    /// Time that each creating, capturing or refunding call takes, milliseconds.
    pub(crate) work_ms: u64,
    /// Time that the capture of a slow payment takes, milliseconds.
    pub(crate) slow_capture_ms: u64,
    /// Approves every order by itself.
    pub(crate) auto_approve: bool,
    /// How long after its creation, milliseconds.
    pub(crate) auto_approve_ms: u64,
    /// Refuses a second capture under one invoice id, as PayPal accounts do by default.
    pub(crate) unique_invoices: bool,
    /// Refuses a create call with a payment source but without a request id, as PayPal does.
    pub(crate) require_request_id: bool,
    /// Days in which a capture can be refunded.
    pub(crate) refund_days: i64,
    /// The merchant's e-mail address.
    pub(crate) receiver_email: String,
    /// Wait before each webhook delivery, milliseconds.
    pub(crate) webhook_delay_ms: u64,
    /// Extra wait for events about an order whose buyer chose late ones, milliseconds.
    pub(crate) late_notice_ms: u64,
    /// A random extra wait up to this many milliseconds, which shuffles events.
    pub(crate) webhook_jitter_ms: u64,
    /// How often each event is delivered, all copies at once.
    pub(crate) webhook_copies: u32,
    /// Loses this many of the next deliveries for good.
    pub(crate) webhook_drop_next: u32,
    /// Sends this many of the next deliveries once more after a 2xx.
    pub(crate) webhook_repeat_next: u32,
    /// Patience with the shop's answer, milliseconds.
    pub(crate) webhook_timeout_ms: u64,
    /// Attempts at one delivery (PayPal: 25 in 3 days).
    pub(crate) webhook_attempts: u32,
    /// First wait between two attempts, milliseconds; doubles up to 64 times itself.
    pub(crate) retry_base_ms: u64,
    /// See [`EventFormat`].
    pub(crate) event_format: EventFormat,
    /// Whether captures in events carry `supplementary_data.related_ids`; PayPal's may not.
    pub(crate) event_related_ids: bool,
    /// See [`Environment`]; a change takes effect with the next certificate.
    pub(crate) certificate_environment: Environment,
    /// Where IPN messages go.
    pub(crate) ipn_url: Option<String>,
    /// See [`Charset`].
    pub(crate) ipn_charset: Charset,
    /// Attempts at one IPN message (PayPal's samples: up to 16).
    pub(crate) ipn_attempts: u32,
    /// First wait between two IPN attempts, milliseconds; doubles without bound.
    pub(crate) ipn_retry_base_ms: u64,
    /// Finished orders beyond this many are forgotten, the oldest first, with their payments.
    pub(crate) keep_orders: usize,
    /// Events and IPN messages beyond this many are forgotten, the oldest first.
    pub(crate) keep_events: usize,
}

impl Settings {
    /// The settings that the flags ask for.
    pub(crate) fn from_flags(flags: &Flags) -> Self {
        Self {
            token_seconds: flags.token_seconds,
            order_seconds: flags.order_seconds,
            order_key_seconds: 6 * 3_600,
            payment_key_seconds: 45 * 86_400,
            in_flight: InFlight::Conflict,
            other_body: OtherBody::Refuse,
            work_ms: 0,
            slow_capture_ms: 4_000,
            auto_approve: flags.auto_approve,
            auto_approve_ms: 50,
            unique_invoices: true,
            require_request_id: true,
            refund_days: 180,
            receiver_email: flags.receiver_email.clone(),
            webhook_delay_ms: flags.webhook_delay_ms,
            late_notice_ms: 4_000,
            webhook_jitter_ms: 0,
            webhook_copies: 1,
            webhook_drop_next: 0,
            webhook_repeat_next: 0,
            webhook_timeout_ms: 10_000,
            webhook_attempts: 25,
            retry_base_ms: flags.retry_base_ms,
            event_format: EventFormat::Plain,
            event_related_ids: true,
            certificate_environment: Environment::Sandbox,
            ipn_url: flags.ipn_url.clone(),
            ipn_charset: Charset::Windows1252,
            ipn_attempts: 16,
            ipn_retry_base_ms: flags.retry_base_ms,
            keep_orders: 50_000,
            keep_events: 20_000,
        }
    }

    /// The settings with some members replaced; refuses unknown names and wrong types.
    pub(crate) fn patched(&self, patch: &Value) -> Result<Self, String> {
        let mut whole = serde_json::to_value(self).map_err(|e| e.to_string())?;
        let (Some(target), Some(changes)) = (whole.as_object_mut(), patch.as_object()) else {
            return Err("an object is expected".to_owned());
        };
        for (name, value) in changes {
            if target.insert(name.clone(), value.clone()).is_none() {
                return Err(format!("unknown setting `{name}`"));
            }
        }
        serde_json::from_value(whole).map_err(|e| e.to_string())
    }

    /// Life of an order before approval, and again after it.
    pub(crate) const fn order_life(&self) -> Duration {
        Duration::seconds(self.order_seconds)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let before = Settings::from_flags(&Flags::parse_from(["paypal-simulator"]));
        let after = before
            .patched(&json!({ "tokenSeconds": 2, "inFlight": "wait" }))
            .unwrap();
        assert_eq!((after.token_seconds, after.in_flight), (2, InFlight::Wait));
        assert_eq!(after.order_seconds, before.order_seconds);
        assert!(before.patched(&json!({ "tokenSecond": 2 })).is_err());
        assert!(before.patched(&json!({ "tokenSeconds": "2" })).is_err());
        assert!(before.patched(&json!([])).is_err());
    }

    #[test]
    fn every_flag_has_a_default() {
        let flags = Flags::parse_from(["paypal-simulator", "--bind", "127.0.0.1:0"]);
        assert_eq!(flags.bind, "127.0.0.1:0");
        assert_eq!(Settings::from_flags(&flags).token_seconds, 32_400);
    }
}
