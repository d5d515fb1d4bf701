//! The issues that the simulator can answer with: status and description of each, per operation.
//!
//! Names and descriptions are those of PayPal's OpenAPI documents for Orders v2 and Payments v2
//! (<https://github.com/paypal/paypal-rest-api-specifications>, Apache-2.0), so that a client which
//! (wrongly) leans on the texts sees the true ones. They stand in `issues.tsv`: status, name,
//! operations that document it so, text. Two stand beside the documents: `ACTION_DOES_NOT_MATCH_INTENT`
//! on capture is as PayPal's reference page has it, and `DUPLICATE_REQUEST_ID` is ours, since PayPal
//! does not say what a second body under one request id answers.

use std::sync::LazyLock;

use crate::faults::Operation;

/// One documented issue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Issue {
    /// The stable code.
    pub(crate) name: &'static str,
    /// The HTTP status it comes with.
    pub(crate) status: u16,
    /// The human-readable text.
    pub(crate) text: &'static str,
    operations: &'static str,
}

static ISSUES: LazyLock<Vec<Issue>> = LazyLock::new(|| {
    include_str!("issues.tsv")
        .lines()
        .filter_map(parse)
        .collect()
});

fn parse(line: &'static str) -> Option<Issue> {
    let mut columns = line.splitn(4, '\t');
    Some(Issue {
        status: columns.next()?.parse().ok()?,
        name: columns.next()?,
        operations: columns.next()?,
        text: columns.next()?,
    })
}

/// The issue of that name, if the simulator knows it.
pub(crate) fn find(name: &str) -> Option<&'static Issue> {
    ISSUES.iter().find(|issue| issue.name == name)
}

/// The issue of that name in the words of one operation; a few differ from call to call.
pub(crate) fn find_for(name: &str, operation: Operation) -> Option<&'static Issue> {
    let word = operation.word();
    let own = |issue: &&Issue| {
        issue.name == name
            && issue
                .operations
                .split(',')
                .any(|documented| documented == word)
    };
    ISSUES.iter().find(own).or_else(|| find(name))
}

/// The error name and message that belong to a status.
pub(crate) const fn headline(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => (
            "INVALID_REQUEST",
            "Request is not well-formed, syntactically incorrect, or violates schema.",
        ),
        401 => (
            "AUTHENTICATION_FAILURE",
            "Authentication failed due to missing authorization header, or invalid authentication credentials.",
        ),
        403 => (
            "NOT_AUTHORIZED",
            "Authorization failed due to insufficient permissions.",
        ),
        404 => (
            "RESOURCE_NOT_FOUND",
            "The specified resource does not exist.",
        ),
        409 => (
            "RESOURCE_CONFLICT",
            "The server has detected a conflict while processing this request.",
        ),
        415 => (
            "UNSUPPORTED_MEDIA_TYPE",
            "The server does not support the request payload's media type.",
        ),
        422 => (
            "UNPROCESSABLE_ENTITY",
            "The requested action could not be performed, semantically incorrect, or failed business validation.",
        ),
        429 => (
            "RATE_LIMIT_REACHED",
            "Too many requests. Blocked due to rate limiting.",
        ),
        503 => ("SERVICE_UNAVAILABLE", "Service Unavailable."),
        _ => (
            "INTERNAL_SERVER_ERROR",
            "An internal server error occurred.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_is_an_issue_with_a_headline_of_its_own() {
        assert_eq!(ISSUES.len(), include_str!("issues.tsv").lines().count());
        for issue in ISSUES.iter() {
            assert_ne!(headline(issue.status).0, headline(500).0, "{}", issue.name);
            assert!(!issue.text.is_empty(), "{}", issue.name);
        }
        assert!(ISSUES.is_sorted_by_key(|issue| (issue.status, issue.name)));
    }

    #[test]
    fn a_name_has_one_status_and_an_operation_one_text() {
        let mut told = BTreeSet::new();
        for issue in ISSUES.iter() {
            assert_eq!(
                find(issue.name).unwrap().status,
                issue.status,
                "{}",
                issue.name
            );
            for operation in issue.operations.split(',') {
                assert!(
                    told.insert((issue.name, operation)),
                    "{} {operation}",
                    issue.name
                );
            }
        }
    }

    #[test]
    fn texts_may_differ_from_call_to_call() {
        let text = |operation| find_for("DUPLICATE_INVOICE_ID", operation).unwrap().text;
        assert_ne!(text(Operation::Refund), text(Operation::Capture));
        assert_eq!(
            text(Operation::Capture),
            text(Operation::Token),
            "the common one"
        );
    }
}
