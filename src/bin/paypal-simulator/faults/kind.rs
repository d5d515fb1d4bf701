//! The operations that can be disturbed and the ways to do it.

use actix_web::http::Method;
use serde::{Deserialize, Serialize};

/// A call of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// `POST /v1/oauth2/token`.
    Token,
    /// `POST /v2/checkout/orders`.
    Create,
    /// `GET /v2/checkout/orders/{id}`.
    Show,
    /// `PATCH /v2/checkout/orders/{id}`.
    Patch,
    /// `POST /v2/checkout/orders/{id}/authorize`.
    Authorize,
    /// `POST /v2/checkout/orders/{id}/capture`.
    Capture,
    /// `GET /v2/payments/captures/{id}`.
    ShowCapture,
    /// `POST /v2/payments/captures/{id}/refund`.
    Refund,
    /// `GET /v2/payments/refunds/{id}`.
    ShowRefund,
    /// `GET /v1/customer/disputes/{id}`.
    ShowDispute,
    /// `POST /v1/notifications/verify-webhook-signature`.
    Verify,
    /// `GET /v1/notifications/certs/{id}`.
    Cert,
    /// `GET /v1/notifications/webhooks-events`.
    Events,
    /// `POST /cgi-bin/webscr`.
    Webscr,
    /// Each of them.
    Any,
}

impl Operation {
    /// The operation of a request; `None` for pages, control calls and unknown paths.
    pub(crate) fn of(method: &Method, path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["v1", "oauth2", "token"]) => Some(Self::Token),
            ("POST", ["v2", "checkout", "orders"]) => Some(Self::Create),
            ("GET", ["v2", "checkout", "orders", _]) => Some(Self::Show),
            ("PATCH", ["v2", "checkout", "orders", _]) => Some(Self::Patch),
            ("POST", ["v2", "checkout", "orders", _, "authorize"]) => Some(Self::Authorize),
            ("POST", ["v2", "checkout", "orders", _, "capture"]) => Some(Self::Capture),
            ("GET", ["v2", "payments", "captures", _]) => Some(Self::ShowCapture),
            ("POST", ["v2", "payments", "captures", _, "refund"]) => Some(Self::Refund),
            ("GET", ["v2", "payments", "refunds", _]) => Some(Self::ShowRefund),
            ("GET", ["v1", "customer", "disputes", _]) => Some(Self::ShowDispute),
            ("POST", ["v1", "notifications", "verify-webhook-signature"]) => Some(Self::Verify),
            ("GET", ["v1", "notifications", "certs", _]) => Some(Self::Cert),
            ("GET", ["v1", "notifications", "webhooks-events", ..]) => Some(Self::Events),
            ("POST", ["cgi-bin", "webscr"]) => Some(Self::Webscr),
            _ => None,
        }
    }

    /// The word in control calls and in `issues.tsv`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Create => "create",
            Self::Show => "show",
            Self::Patch => "patch",
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::ShowCapture => "show_capture",
            Self::Refund => "refund",
            Self::ShowRefund => "show_refund",
            Self::ShowDispute => "show_dispute",
            Self::Verify => "verify",
            Self::Cert => "cert",
            Self::Events => "events",
            Self::Webscr => "webscr",
            Self::Any => "any",
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The connection is reset as soon as the request line is read. No work.
    Refuse,
    /// The connection is reset once the request is read. No work.
    Reset,
    /// The work is done, then the connection is reset.
    ResetAfter,
    /// Nothing for `delayMs` (2 minutes), then a reset. No work.
    Hang,
    /// The answer waits `delayMs`; the work is done at the end of the wait.
    Delay,
    /// The work takes `delayMs`, with its request id taken: for calls in flight.
    SlowWork,
    /// The answer comes in pieces of one byte, `delayMs` apart (100).
    SlowDrip,
    /// The work is done, half of the body comes, then the connection ends.
    CutBody,
    /// The work is done, the body is broken JSON.
    BadJson,
    /// The work is done, the body is empty.
    EmptyBody,
    /// The work is done, the answer is a page of HTML with status 200.
    Html,
    /// The work is done, amounts in the answer are one minor unit too high.
    WrongAmount,
    /// The work is done, amounts in the answer are in another currency.
    WrongCurrency,
    /// The work is done, every status in the answer is a word nobody knows.
    UnknownEnum,
    /// The work is done, the answer has members nobody knows.
    ExtraFields,
    /// `status` (500) in PayPal's form, with `retryAfter`. No work.
    Status,
    /// `status` (503) as a page of HTML. No work.
    StatusHtml,
    /// 429 with `retryAfter`. No work.
    RateLimit,
    /// The documented `issue`. No work.
    Issue,
    /// The work is done, the answer is `status` (500).
    DoneThenStatus,
    /// The work is done, then nothing for `delayMs` (2 minutes), then a reset.
    DoneThenTimeout,
    /// A capture or refund comes to PENDING, for `reason` (ECHECK).
    Pending,
    /// A capture answers 422 `INSTRUMENT_DECLINED`. No capture.
    Declined,
    /// A capture comes to DECLINED, a refund to CANCELLED.
    Denied,
    /// A capture or refund comes to FAILED.
    Failed,
    /// The body is `bytes` (10 MiB) long, whatever was asked. No work.
    Oversized,
    /// 302 to `location`. No work.
    Redirect,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_by_method_and_path() {
        let of = |method: Method, path: &str| Operation::of(&method, path);
        assert_eq!(
            of(Method::POST, "/v2/checkout/orders/X/capture"),
            Some(Operation::Capture)
        );
        assert_eq!(
            of(Method::GET, "/v2/checkout/orders/X"),
            Some(Operation::Show)
        );
        assert_eq!(of(Method::GET, "/v2/checkout/orders"), None);
        assert_eq!(of(Method::POST, "/control/faults"), None);
    }

    #[test]
    fn an_operation_has_one_word_everywhere() {
        for operation in [
            Operation::ShowCapture,
            Operation::Authorize,
            Operation::Webscr,
        ] {
            assert_eq!(serde_json::to_value(operation).unwrap(), operation.word());
        }
    }
}
