//! How a call to PayPal can fail, and what that means: refused, unknown, or certainly not done.

use std::{fmt, time::Duration};

use serde::Deserialize;

use crate::payments::GatewayError;

/// When to try again where PayPal does not say.
const LATER: Duration = Duration::from_secs(2);

/// One try's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The breaker is open.
    Open(Duration),
    /// The request never left: no connection, or no token.
    NotSent {
        reason: String,
        /// Whether another try may fare better.
        retry: bool,
        after: Option<Duration>,
    },
    /// The request left and no whole answer came.
    Lost(String),
    /// PayPal's own error answer.
    Api(ApiError),
    /// An error answer that is not PayPal's: a proxy's, a page.
    Foreign {
        status: u16,
        /// Empty where it carries none.
        debug_id: String,
        after: Option<Duration>,
    },
    /// An answer of success that cannot be read.
    Unreadable(String),
}

/// PayPal's own error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    /// The first `details[].issue`, else `name`.
    pub(super) issue: String,
    pub(super) debug_id: String,
    pub(super) after: Option<Duration>,
}

impl Fault {
    /// Reads an answer whose status is not success.
    pub(super) fn of_answer(
        status: u16,
        body: &[u8],
        debug_id: &str,
        after: Option<Duration>,
    ) -> Self {
        #[derive(Deserialize)]
        struct Body {
            name: Option<String>,
            error: Option<String>,
            #[serde(default)]
            details: Option<Vec<Detail>>,
            debug_id: Option<String>,
        }
        #[derive(Deserialize)]
        struct Detail {
            issue: Option<String>,
        }
        let read = serde_json::from_slice::<Body>(body).ok();
        let Some((body, name)) =
            read.and_then(|mut body| body.name.take().or(body.error.take()).map(|n| (body, n)))
        else {
            return Self::Foreign {
                status,
                debug_id: debug_id.to_owned(),
                after,
            };
        };
        let issue = body
            .details
            .into_iter()
            .flatten()
            .find_map(|detail| detail.issue);
        let debug_id = if debug_id.is_empty() {
            body.debug_id.unwrap_or_default()
        } else {
            debug_id.to_owned()
        };
        Self::Api(ApiError {
            status,
            issue: issue.unwrap_or(name),
            debug_id,
            after,
        })
    }

    /// The answer's status, where there was one.
    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            Self::Api(error) => Some(error.status),
            Self::Foreign { status, .. } => Some(*status),
            Self::Open(_) | Self::NotSent { .. } | Self::Lost(_) | Self::Unreadable(_) => None,
        }
    }

    /// PayPal's word for it, where it gave one.
    pub(super) fn issue(&self) -> Option<&str> {
        match self {
            Self::Api(error) => Some(&error.issue),
            Self::Open(_)
            | Self::NotSent { .. }
            | Self::Lost(_)
            | Self::Foreign { .. }
            | Self::Unreadable(_) => None,
        }
    }

    fn under_way(&self) -> bool {
        self.issue() == Some("PREVIOUS_REQUEST_IN_PROGRESS")
    }

    /// Whether what was asked for may have happened all the same.
    pub(super) fn may_be_done(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Unreadable(_) => true,
            Self::Api(_) | Self::Foreign { .. } => {
                self.under_way() || self.status().is_some_and(|s| s == 408 || s >= 500)
            }
            Self::Open(_) | Self::NotSent { .. } => false,
        }
    }

    /// Whether the same request, under the same id, is worth another try now.
    pub(super) fn worth_another_try(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::NotSent { retry, .. } => *retry,
            Self::Api(_) | Self::Foreign { .. } => self.may_be_done() || self.status() == Some(429),
            // An answer that cannot be read will not read better; the caller asks for the state.
            Self::Open(_) | Self::Unreadable(_) => false,
        }
    }

    /// How long PayPal asks to wait.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Open(after) => Some(*after),
            Self::NotSent { after, .. } | Self::Foreign { after, .. } => *after,
            Self::Api(error) => error.after,
            Self::Lost(_) | Self::Unreadable(_) => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(_) => f.write_str("calls are refused while PayPal does not answer"),
            Self::NotSent { reason, .. } => write!(f, "not sent: {reason}"),
            Self::Lost(reason) => write!(f, "sent, no answer: {reason}"),
            Self::Api(error) => {
                let ApiError {
                    status,
                    issue,
                    debug_id,
                    ..
                } = error;
                write!(f, "{status} {issue} (debug id {debug_id})")
            }
            Self::Foreign {
                status, debug_id, ..
            } => write!(f, "{status} that is not PayPal's (debug id {debug_id})"),
            Self::Unreadable(reason) => write!(f, "unreadable answer: {reason}"),
        }
    }
}

/// A call's failure: the last try's fault, and what the tries before it may have done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub(super) struct CallError {
    pub(super) fault: Fault,
    /// Whether the call changes something, and one of its tries may have changed it.
    pub(super) may_be_done: bool,
}

impl CallError {
    /// A read, or a call that never left.
    pub(super) const fn harmless(fault: Fault) -> Self {
        Self {
            fault,
            may_be_done: false,
        }
    }

    /// The same failure after something was done: whatever it is, the outcome is unknown now.
    pub(super) fn after_effect(self) -> Self {
        Self {
            may_be_done: true,
            ..self
        }
    }
}

impl From<CallError> for GatewayError {
    fn from(error: CallError) -> Self {
        let CallError { fault, may_be_done } = error;
        // Even a refusal: it may be about this very call having been done by an earlier try.
        if may_be_done {
            return Self::Unknown(fault.to_string());
        }
        let unavailable = |fault: &Fault| Self::Unavailable {
            reason: fault.to_string(),
            retry_after: fault.retry_after().unwrap_or(LATER),
        };
        match fault {
            Fault::Api(ApiError { status: 404, .. }) => Self::NotFound,
            Fault::Api(ApiError {
                status,
                issue,
                debug_id,
                ..
            }) if (400..500).contains(&status) && !matches!(status, 401 | 408 | 429) => {
                Self::Refused {
                    status,
                    issue,
                    debug_id,
                }
            }
            fault @ (Fault::Api(_)
            | Fault::Open(_)
            | Fault::NotSent { .. }
            | Fault::Lost(_)
            | Fault::Foreign { .. }
            | Fault::Unreadable(_)) => unavailable(&fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Fault {
        Fault::of_answer(status, body.as_bytes(), "dbg", None)
    }

    /// What a call that changes something, and one that only reads, make of a fault.
    fn meaning(fault: Fault) -> (&'static str, &'static str) {
        let word = |error: GatewayError| match error {
            GatewayError::Refused { .. } => "refused",
            GatewayError::NotFound => "not found",
            GatewayError::Unknown(_) => "unknown",
            GatewayError::Unavailable { .. } => "unavailable",
        };
        let may_be_done = fault.may_be_done();
        let read = CallError::harmless(fault.clone());
        let write = CallError { fault, may_be_done };
        (word(write.into()), word(read.into()))
    }

    #[test]
    fn each_answer_has_one_meaning() {
        let refused = ("refused", "refused");
        let gone = ("unavailable", "unavailable");
        let unclear = ("unknown", "unavailable");
        let table = [
            (answer(400, r#"{"name":"INVALID_REQUEST"}"#), refused),
            (answer(401, r#"{"error":"invalid_token"}"#), gone),
            (answer(403, r#"{"name":"NOT_AUTHORIZED"}"#), refused),
            (answer(403, "<html>"), gone),
            (
                answer(404, r#"{"name":"RESOURCE_NOT_FOUND"}"#),
                ("not found", "not found"),
            ),
            (answer(404, "<html>no such route</html>"), gone),
            (answer(409, r#"{"name":"RESOURCE_CONFLICT"}"#), refused),
            (
                answer(
                    409,
                    r#"{"name":"RESOURCE_CONFLICT","details":[{"issue":"PREVIOUS_REQUEST_IN_PROGRESS"}]}"#,
                ),
                ("unknown", "refused"),
            ),
            (answer(415, r#"{"name":"UNSUPPORTED_MEDIA_TYPE"}"#), refused),
            (answer(422, r#"{"name":"UNPROCESSABLE_ENTITY"}"#), refused),
            (answer(429, r#"{"name":"RATE_LIMIT_REACHED"}"#), gone),
            (answer(500, r#"{"name":"INTERNAL_SERVER_ERROR"}"#), unclear),
            (answer(503, "<html>"), unclear),
            (answer(302, ""), gone),
            (Fault::Lost("reset".into()), unclear),
            (Fault::Unreadable("not JSON".into()), unclear),
            (Fault::Open(LATER), gone),
            (
                Fault::NotSent {
                    reason: "refused".into(),
                    retry: true,
                    after: None,
                },
                gone,
            ),
        ];
        for (fault, expected) in table {
            let shown = format!("{fault:?}");
            assert_eq!(meaning(fault), expected, "{shown}");
        }
    }

    #[test]
    fn a_refusal_after_an_unclear_try_is_unknown() {
        let refused = CallError::harmless(answer(422, r#"{"name":"UNPROCESSABLE_ENTITY"}"#));
        assert!(matches!(
            GatewayError::from(refused.after_effect()),
            GatewayError::Unknown(_)
        ));
    }

    #[test]
    fn the_issue_is_the_first_detail_or_the_name() {
        let detailed = answer(
            422,
            r#"{"name":"UNPROCESSABLE_ENTITY","details":[{"issue":"INSTRUMENT_DECLINED","links":[{"href":"x"}]}],"links":[]}"#,
        );
        assert_eq!(detailed.issue(), Some("INSTRUMENT_DECLINED"));
        assert_eq!(answer(400, r#"{"name":"X"}"#).issue(), Some("X"));
        assert_eq!(
            answer(400, r#"{"name":"X","details":null}"#).issue(),
            Some("X")
        );
    }
}
