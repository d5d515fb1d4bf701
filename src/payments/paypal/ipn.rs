//! Instant Payment Notification, PayPal's older way of telling: forms that are asked back about.
//!
//! <https://developer.paypal.com/api/nvp-soap/ipn/IPNIntro/>. A message proves nothing until PayPal,
//! asked over TLS with the very same bytes, says `VERIFIED`; and even then only a message about our
//! account and this environment is acted upon. What it says was paid goes with the hint: whoever follows
//! it compares that with the shop's own record, and reads the capture from PayPal.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use encoding_rs::{Encoding, WINDOWS_1252};
use reqwest::{StatusCode, header};
use tokio::time::timeout;

use super::{SetupError, VerifyError, amount::Amount, environment::Environment, transport};
use crate::{
    config::PayPalConfig,
    id::CheckoutId,
    money::Money,
    payments::{CaptureId, Hint, ProviderRefundId},
};

/// What goes before the message when PayPal is asked.
const COMMAND: &[u8] = b"cmd=_notify-validate&";
/// The answer is one word.
const MAX_ANSWER: usize = 64;
/// No message has nearly as many fields.
const MAX_FIELDS: usize = 1_000;

/// A message that PayPal vouches for and that is for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipn {
    /// Transaction and status, which a message repeats when it is sent again; `None` where it is about no
    /// transaction.
    pub key: Option<String>,
    /// What it tells, where it concerns the shop.
    pub hint: Option<Hint>,
}

/// Why a message that PayPal vouches for is not acted upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IpnError {
    /// Which of the two would be meant?
    #[error("a field is there twice")]
    FieldTwice,
    /// More fields than any message has.
    #[error("too many fields")]
    TooManyFields,
    /// The money went to another account.
    #[error("the receiver is not this shop")]
    ForeignReceiver,
    /// A payment without an amount that can be read.
    #[error("it says no amount")]
    NoAmount,
    /// A test message in the live shop, or the other way round.
    #[error("it belongs to another environment")]
    ForeignEnvironment,
}

/// Asks PayPal about messages and reads them; one for all workers.
pub(super) struct IpnDesk {
    http: reqwest::Client,
    verify_url: String,
    receiver: String,
    environment: Environment,
    budget: Duration,
}

impl IpnDesk {
    /// Takes the URL, the receiver and the environment from the configuration.
    pub(super) fn new(config: &PayPalConfig) -> Result<Self, SetupError> {
        Ok(Self {
            http: transport::client()?,
            verify_url: config.ipn_verification(),
            receiver: config.receiver_email.trim().to_owned(),
            environment: Environment::of(config),
            budget: Duration::from_secs(config.timeout_seconds),
        })
    }

    /// Asks PayPal whether it sent `message`, byte for byte.
    pub(super) async fn verify(&self, message: &[u8]) -> Result<(), VerifyError> {
        let asked = timeout(self.budget, self.ask(message)).await;
        let answer = asked.unwrap_or_else(|_slow| Err("timed out".to_owned()));
        match answer.as_deref() {
            Ok("VERIFIED") => Ok(()),
            Ok("INVALID") => Err(VerifyError::False("PayPal says that it did not send it")),
            Ok(_other) => Err(VerifyError::Unavailable(
                "PayPal says neither yes nor no".to_owned(),
            )),
            Err(reason) => Err(VerifyError::Unavailable(reason.to_owned())),
        }
    }

    async fn ask(&self, message: &[u8]) -> Result<String, String> {
        let request = self
            .http
            .post(&self.verify_url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body([COMMAND, message].concat());
        let mut response = request.send().await.map_err(|error| error.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(response.status().to_string());
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
            answer.extend_from_slice(&chunk);
            if answer.len() > MAX_ANSWER {
                return Err("a page instead of a word".to_owned());
            }
        }
        Ok(String::from_utf8_lossy(&answer).trim().to_owned())
    }

    /// Reads a message that PayPal vouches for.
    pub(super) fn read(&self, message: &[u8]) -> Result<Ipn, IpnError> {
        let fields = fields(message)?;
        let field = |name: &str| {
            fields
                .get(name)
                .map(String::as_str)
                .filter(|v| !v.is_empty())
        };
        let ours = ["receiver_email", "business", "receiver_id"]
            .iter()
            .filter_map(|name| field(name))
            .any(|receiver| {
                !self.receiver.is_empty() && receiver.trim().eq_ignore_ascii_case(&self.receiver)
            });
        if !ours {
            return Err(IpnError::ForeignReceiver);
        }
        if !self.environment.takes_ipn(field("test_ipn") == Some("1")) {
            return Err(IpnError::ForeignEnvironment);
        }
        let status = field("payment_status").unwrap_or_default();
        let transaction = field("txn_id").and_then(CaptureId::parse);
        let gross = field("mc_gross").zip(field("mc_currency"));
        let about = About {
            parent: field("parent_txn_id").and_then(CaptureId::parse),
            checkout: field("custom").and_then(|custom| custom.parse().ok()),
            gross: gross.and_then(|(value, currency)| Amount::read(value, currency)),
        };
        let hint = match &transaction {
            Some(id) => hint(status, id, about)?,
            None => None,
        };
        Ok(Ipn {
            hint,
            key: transaction.map(|id| format!("{id}:{status:.40}")),
        })
    }
}

/// What a message says about its transaction.
struct About {
    parent: Option<CaptureId>,
    checkout: Option<CheckoutId>,
    gross: Option<Money>,
}

/// What a transaction's status says. The transaction of a payment is its capture, and its amount must be
/// there; refunds and reversals are transactions of their own and name the capture as their parent.
fn hint(status: &str, transaction: &CaptureId, about: About) -> Result<Option<Hint>, IpnError> {
    let About {
        parent,
        checkout,
        gross,
    } = about;
    let refund = ProviderRefundId::parse(transaction.as_str());
    Ok(match (status, parent) {
        ("Completed" | "Pending" | "Denied" | "Failed", _) => Some(Hint::Capture {
            capture: transaction.clone(),
            order: None,
            checkout,
            claimed: Some(gross.ok_or(IpnError::NoAmount)?),
        }),
        ("Refunded" | "Partially_Refunded", Some(capture)) => Some(Hint::Refund {
            capture,
            refund,
            total_refunded: None,
        }),
        ("Reversed", Some(capture)) => Some(Hint::Reversal {
            capture,
            refund,
            // What is taken back is written below zero, as a rule.
            amount: gross.map(|gross| Money::new(gross.amount.saturating_abs(), gross.currency)),
        }),
        ("Canceled_Reversal", Some(capture)) => Some(Hint::ReversalCanceled { capture }),
        _ => None,
    })
}

/// The fields of a form, in the encoding that the form itself names.
fn fields(message: &[u8]) -> Result<HashMap<String, String>, IpnError> {
    let pairs = message
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty());
    let mut raw: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    for pair in pairs {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (
            halves.next().unwrap_or_default(),
            halves.next().unwrap_or_default(),
        );
        if raw.len() >= MAX_FIELDS {
            return Err(IpnError::TooManyFields);
        }
        if raw.insert(unescaped(name), unescaped(value)).is_some() {
            return Err(IpnError::FieldTwice);
        }
    }
    let encoding = raw
        .get(b"charset".as_slice())
        .and_then(|label| Encoding::for_label(label))
        .unwrap_or(WINDOWS_1252);
    let text = |bytes: &[u8]| encoding.decode_without_bom_handling(bytes).0.into_owned();
    let mut fields = HashMap::with_capacity(raw.len());
    for (name, value) in &raw {
        // Two names may become one by decoding.
        if fields.insert(text(name), text(value)).is_some() {
            return Err(IpnError::FieldTwice);
        }
    }
    Ok(fields)
}

/// A form's bytes: `+` is a blank, `%xx` a byte.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let blanks: Vec<u8> = bytes
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    Cow::from(percent_encoding::percent_decode(&blanks)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::paypal::testing::{Reply, Stub, config, shared, usd};

    fn desk(base_url: &str, receiver: &str) -> IpnDesk {
        let mut config = config(base_url, 1);
        config.receiver_email = receiver.to_owned();
        IpnDesk::new(&config).unwrap()
    }

    fn sandbox(receiver: &str) -> IpnDesk {
        desk(paypal_rs::SANDBOX_ENDPOINT, receiver)
    }

    fn sample(name: &str) -> Vec<u8> {
        shared(&format!("paypal/samples/ipn/{name}.form"))
    }

    fn capture(id: &str) -> CaptureId {
        CaptureId::parse(id).unwrap()
    }

    #[test]
    fn text_is_in_the_charset_that_the_message_names() {
        let message = sample("completed-express_checkout-2009-windows-1252-nonascii");
        let read = fields(&message).unwrap();
        assert_eq!(read["first_name"], "Jörg");
        assert_eq!(read["custom"], "website_id=13&user_id=21");
        assert_eq!(read["payment_date"], "23:04:06 Feb 02, 2009 PST");
        let decoded = |message: &str| fields(message.as_bytes()).unwrap()["n"].clone();
        assert_eq!(decoded("charset=UTF-8&n=J%C3%B6rg"), "Jörg");
        assert_eq!(decoded("charset=klingon&n=J%F6rg"), "Jörg");
        assert_eq!(decoded("n=J%F6rg+%80"), "Jörg €");
        assert_eq!(decoded("charset=Shift_JIS&n=%93%FA"), "日");
        assert_eq!(decoded("n=100%"), "100%");
    }

    #[test]
    fn a_message_for_us_says_what_to_look_at() {
        let read = sandbox("GPMAC_1231902686_biz@paypal.com")
            .read(&sample("completed-express_checkout-2009-paypal-guide"))
            .unwrap();
        assert_eq!(read.key.as_deref(), Some("61E67681CH3238416:Completed"));
        let expected = Hint::Capture {
            capture: capture("61E67681CH3238416"),
            order: None,
            checkout: None,
            claimed: Some(usd(1_995)),
        };
        assert_eq!(read.hint, Some(expected));
        let reversed =
            sandbox("seller@paypalsandbox.com").read(&sample("gumroad-reversed-web_accept"));
        let expected = Hint::Reversal {
            capture: capture("SOMEPRIORTXNID002"),
            refund: ProviderRefundId::parse("995288809"),
            amount: Some(usd(1_234)),
        };
        assert_eq!(reversed.unwrap().hint, Some(expected));
        let desk = sandbox("a@b.c");
        let read = |rest: &str| {
            desk.read(format!("test_ipn=1&business=A@B.C&{rest}").as_bytes())
                .unwrap()
        };
        assert_eq!(
            read("payment_status=Refunded&txn_id=R1&parent_txn_id=C1&mc_gross=-4.00").hint,
            Some(Hint::Refund {
                capture: capture("C1"),
                refund: ProviderRefundId::parse("R1"),
                total_refunded: None
            })
        );
        assert_eq!(
            read("payment_status=Canceled_Reversal&txn_id=R2&parent_txn_id=C1&mc_gross=4.00").hint,
            Some(Hint::ReversalCanceled {
                capture: capture("C1")
            })
        );
        let custom = "662e41f09c1d4c3a8f0b7a11";
        assert_eq!(
            read(&format!(
                "payment_status=Pending&txn_id=C1&custom={custom}&mc_gross=32.50&mc_currency=USD"
            ))
            .hint,
            Some(Hint::Capture {
                capture: capture("C1"),
                order: None,
                checkout: custom.parse().ok(),
                claimed: Some(usd(3_250)),
            })
        );
        assert_eq!(read("payment_status=In-Progress&txn_id=C1").hint, None);
        assert_eq!(
            read("txn_type=masspay"),
            Ipn {
                key: None,
                hint: None
            }
        );
        assert_eq!(read("payment_status=Completed&txn_id=../x").key, None);
        for gross in [
            "",
            "mc_gross=32.50",
            "mc_currency=USD",
            "mc_gross=32,50&mc_currency=USD",
            "mc_gross=1e3&mc_currency=USD",
            "mc_gross=32.50&mc_currency=KWD",
        ] {
            let message =
                format!("test_ipn=1&business=a@b.c&payment_status=Completed&txn_id=C1&{gross}");
            assert_eq!(
                desk.read(message.as_bytes()),
                Err(IpnError::NoAmount),
                "{gross}"
            );
        }
    }

    #[test]
    fn a_message_that_is_not_for_us_is_refused() {
        let guide = sample("completed-express_checkout-2009-paypal-guide");
        let receiver = "gpmac_1231902686_biz@paypal.com";
        assert_eq!(
            sandbox("me@example.com").read(&guide),
            Err(IpnError::ForeignReceiver)
        );
        assert_eq!(
            sandbox("").read(b"receiver_email=&test_ipn=1"),
            Err(IpnError::ForeignReceiver)
        );
        let live = desk(paypal_rs::LIVE_ENDPOINT, receiver);
        assert_eq!(live.read(&guide), Err(IpnError::ForeignEnvironment));
        let real = b"receiver_email=a@b.c&payment_status=Completed&txn_id=C1&mc_gross=1.00&mc_currency=USD";
        assert_eq!(
            sandbox("a@b.c").read(real),
            Err(IpnError::ForeignEnvironment)
        );
        assert!(desk(paypal_rs::LIVE_ENDPOINT, "a@b.c").read(real).is_ok());
        let twice = [guide.as_slice(), b"&mc%5Fgross=1"].concat();
        assert_eq!(sandbox(receiver).read(&twice), Err(IpnError::FieldTwice));
        let many: Vec<String> = (0..2_000).map(|n| format!("f{n}=")).collect();
        let many = many.join("&");
        assert_eq!(
            sandbox(receiver).read(many.as_bytes()),
            Err(IpnError::TooManyFields)
        );
    }

    #[actix_web::test]
    async fn paypal_is_asked_with_the_very_bytes() {
        let message = sample("completed-express_checkout-2009-windows-1252-nonascii");
        let table = [
            (Reply::json(200, "VERIFIED"), "true"),
            (Reply::json(200, "VERIFIED\n"), "true"),
            (Reply::json(200, "INVALID"), "false"),
            (Reply::json(200, "verified"), "later"),
            (
                Reply::json(200, &format!("<html>VERIFIED{}", " ".repeat(100))),
                "later",
            ),
            (Reply::json(500, "VERIFIED"), "later"),
            (Reply::json(302, "VERIFIED"), "later"),
            (Reply::json(200, ""), "later"),
            (Reply::Reset, "later"),
            (Reply::Hang, "later"),
        ];
        for (reply, expected) in table {
            let shown = format!("{reply:?}");
            let stub = Stub::start(move |_| reply.clone()).await;
            let outcome = desk(&stub.url, "a@b.c").verify(&message).await;
            let word = match outcome {
                Ok(()) => "true",
                Err(VerifyError::False(_)) => "false",
                Err(VerifyError::Unavailable(_)) => "later",
            };
            assert_eq!(word, expected, "{shown}");
            let asked = stub.calls().remove(0);
            assert_eq!(asked.line, "POST /cgi-bin/webscr");
            assert_eq!(asked.body, [COMMAND, &message].concat(), "{shown}");
            assert!(asked.header("user-agent").is_some());
        }
    }
}
