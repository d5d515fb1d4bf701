//! Refusals in PayPal's forms.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde_json::{Value, json};

use crate::{faults::Operation, ids, issues};

/// The header that every answer of PayPal carries.
pub(crate) const DEBUG_ID: &str = "Paypal-Debug-Id";

/// One entry of `details`.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    issue: &'static str,
    field: Option<String>,
    value: Option<String>,
    location: Option<&'static str>,
}

impl Detail {
    /// An issue without a place in the request.
    pub(crate) fn new(issue: &'static str) -> Self {
        debug_assert!(issues::find(issue).is_some(), "issues.tsv lacks {issue}");
        Self {
            issue,
            field: None,
            value: None,
            location: None,
        }
    }

    /// An issue at a JSON pointer of the body.
    pub(crate) fn at(issue: &'static str, field: &str, value: Option<&Value>) -> Self {
        let shown = value
            .filter(|value| !value.is_object() && !value.is_array())
            .map(|value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            });
        Self {
            field: Some(field.to_owned()),
            value: shown,
            location: Some("body"),
            ..Self::new(issue)
        }
    }

    /// An issue with the path parameter or header that caused it.
    pub(crate) fn of(
        issue: &'static str,
        location: &'static str,
        field: &str,
        value: &str,
    ) -> Self {
        Self {
            field: Some(field.to_owned()),
            value: Some(value.to_owned()),
            location: Some(location),
            ..Self::new(issue)
        }
    }

    /// The issue's name.
    pub(crate) const fn issue(&self) -> &'static str {
        self.issue
    }

    fn json(&self, operation: Operation) -> Value {
        let text = issues::find_for(self.issue, operation).map(|known| known.text);
        let mut detail = json!({ "issue": self.issue, "description": text });
        if let Some(map) = detail.as_object_mut() {
            let texts = [
                ("field", self.field.clone()),
                ("value", self.value.clone()),
                ("location", self.location.map(str::to_owned)),
            ];
            for (key, text) in texts {
                if let Some(text) = text {
                    map.insert(key.to_owned(), Value::String(text));
                }
            }
        }
        detail
    }
}

/// The body that a refusal has.
#[derive(Debug, Clone)]
enum Shape {
    /// `name`, `message`, `debug_id`, `details`, `links`.
    Standard {
        details: Vec<Detail>,
        redirect: Option<String>,
    },
    /// `error`, `error_description`: the token endpoint and bad bearer tokens.
    OAuth {
        error: &'static str,
        description: &'static str,
    },
    /// `name`, `debug_id`, `message`, empty `links`, no details: rate limits.
    Bare,
    /// A page of HTML, as gateways in front of PayPal send it.
    Html,
}

/// A refusal: status and body.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    shape: Shape,
    retry_after: Option<u64>,
}

impl Problem {
    fn standard(status: u16, details: Vec<Detail>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            shape: Shape::Standard {
                details,
                redirect: None,
            },
            retry_after: None,
        }
    }

    /// One known issue, with its own status.
    pub(crate) fn issue(issue: &'static str) -> Self {
        Self::detail(Detail::new(issue))
    }

    /// One detail, with its issue's status.
    pub(crate) fn detail(detail: Detail) -> Self {
        let status = issues::find(detail.issue).map_or(500, |known| known.status);
        Self::standard(status, vec![detail])
    }

    /// Several details under one status.
    pub(crate) fn details(status: u16, details: Vec<Detail>) -> Self {
        Self::standard(status, details)
    }

    /// A bare status without details.
    pub(crate) fn status(status: u16) -> Self {
        Self::standard(status, Vec::new())
    }

    /// 404: no such order, capture or refund.
    pub(crate) fn not_found(field: &str, id: &str) -> Self {
        Self::detail(Detail::of("INVALID_RESOURCE_ID", "path", field, id))
    }

    /// 400: the body is no JSON.
    pub(crate) fn malformed() -> Self {
        Self::detail(Detail::at("MALFORMED_REQUEST_JSON", "/", None))
    }

    /// The OAuth form of a refusal, always 401 or 400.
    pub(crate) fn oauth(status: u16, error: &'static str, description: &'static str) -> Self {
        Self {
            shape: Shape::OAuth { error, description },
            ..Self::status(status)
        }
    }

    /// 429, with or without Retry-After in seconds.
    pub(crate) fn rate_limit(retry_after: Option<u64>) -> Self {
        Self {
            shape: Shape::Bare,
            retry_after,
            ..Self::status(429)
        }
    }

    /// A page of HTML under that status.
    pub(crate) fn html(status: u16) -> Self {
        Self {
            shape: Shape::Html,
            ..Self::status(status)
        }
    }

    /// Adds Retry-After in seconds.
    pub(crate) const fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    /// Adds the link that sends the buyer back to the approval page.
    pub(crate) fn with_redirect(mut self, href: String) -> Self {
        if let Shape::Standard { redirect, .. } = &mut self.shape {
            *redirect = Some(href);
        }
        self
    }

    /// The first issue, for the journal and for tests.
    pub(crate) fn first_issue(&self) -> Option<&'static str> {
        match &self.shape {
            Shape::Standard { details, .. } => details.first().map(Detail::issue),
            Shape::OAuth { .. } | Shape::Bare | Shape::Html => None,
        }
    }

    /// Status and issues, for tests.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> (u16, Vec<String>) {
        let issues = match &self.shape {
            Shape::Standard { details, .. } => details
                .iter()
                .map(|detail| detail.issue.to_owned())
                .collect(),
            Shape::OAuth { .. } | Shape::Bare | Shape::Html => Vec::new(),
        };
        (self.status.as_u16(), issues)
    }

    fn body(&self, debug_id: &str, operation: Operation) -> Value {
        let (name, message) = issues::headline(self.status.as_u16());
        match &self.shape {
            Shape::OAuth { error, description } => {
                json!({ "error": error, "error_description": description })
            }
            Shape::Standard { details, redirect } => {
                let information = details.first().map(|detail| {
                    json!({
                        "href": format!("https://developer.paypal.com/docs/api/orders/v2/#error-{}", detail.issue),
                        "rel": "information_link",
                        "method": "GET"
                    })
                });
                let redirect = redirect
                    .as_ref()
                    .map(|href| json!({ "href": href, "rel": "redirect", "method": "GET" }));
                json!({
                    "name": name,
                    "message": message,
                    "debug_id": debug_id,
                    "details": details.iter().map(|one| one.json(operation)).collect::<Vec<_>>(),
                    "links": information.into_iter().chain(redirect).collect::<Vec<_>>()
                })
            }
            Shape::Bare | Shape::Html => {
                json!({ "name": name, "message": message, "debug_id": debug_id, "links": [] })
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.first_issue().unwrap_or("-"))
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.told_by(Operation::Any)
    }
}

impl Problem {
    /// The answer, in the words of that operation.
    pub(crate) fn told_by(&self, operation: Operation) -> HttpResponse {
        let debug_id = ids::debug();
        let mut answer = HttpResponse::build(self.status);
        answer.insert_header((DEBUG_ID, debug_id.clone()));
        if let Some(seconds) = self.retry_after {
            answer.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if matches!(self.shape, Shape::Html) {
            let status = self.status;
            return answer
                .content_type("text/html; charset=utf-8")
                .body(format!(
                    "<!DOCTYPE html><html><head><title>{status}</title></head>\
                 <body><h1>{status}</h1><p>Please try again later.</p></body></html>"
                ));
        }
        answer.json(self.body(&debug_id, operation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_issue_field_and_value() {
        let value = json!("1.005");
        let detail = Detail::at(
            "DECIMAL_PRECISION",
            "/purchase_units/0/amount/value",
            Some(&value),
        );
        let body = Problem::detail(detail).body("abc", Operation::Create);
        assert_eq!(body["name"], "UNPROCESSABLE_ENTITY");
        assert_eq!(body["details"][0]["value"], "1.005");
        assert_eq!(body["details"][0]["location"], "body");
        assert_eq!(body["links"][0]["rel"], "information_link");
    }

    #[test]
    fn a_rate_limit_has_no_details() {
        let problem = Problem::rate_limit(Some(3));
        assert!(problem.body("abc", Operation::Any).get("details").is_none());
        assert_eq!(
            problem
                .error_response()
                .headers()
                .get("retry-after")
                .unwrap(),
            "3"
        );
    }
}
