//! Entity tags: a resource's version, quoted.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{HeaderMap, IF_MATCH, IF_NONE_MATCH},
};

use crate::problem::{Code, Problem};

/// The tag of a version: `"5"`.
#[must_use]
pub fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// Whether the client already holds the representation tagged `tag` (RFC 9110, 13.1.2: weak
/// comparison).
#[must_use]
pub fn not_modified(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .any(|list| {
            list.split(',')
                .map(str::trim)
                .any(|held| held == "*" || held.trim_start_matches("W/") == tag)
        })
}

/// The version that a write was made against, where the client names one with `If-Match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// No condition, or `*`.
    Any,
    /// This version only.
    Version(u64),
    /// A tag that no version has.
    Never,
}

impl IfMatch {
    /// Checks the condition against the present version.
    ///
    /// # Errors
    /// 412 `stale_version`.
    pub fn check(self, present: u64) -> Result<(), Problem> {
        if self.allows(present) {
            Ok(())
        } else {
            Err(Problem::new(Code::Stale).detail(format!("the present version is {present}")))
        }
    }

    /// Whether a write over `present` may go on.
    #[must_use]
    pub fn allows(self, present: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Version(wanted) => wanted == present,
            Self::Never => false,
        }
    }
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let condition = match request.headers().get(IF_MATCH).map(|value| value.to_str()) {
            None => Self::Any,
            Some(Ok(text)) if text.trim() == "*" => Self::Any,
            Some(Ok(text)) => text
                .trim()
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                // A product's tag may end in a digest of its stock: `"5.0f3a…"`. Writes compare versions.
                .and_then(|tag| tag.split('.').next())
                .and_then(|version| version.parse().ok())
                .map_or(Self::Never, Self::Version),
            Some(Err(_unreadable)) => Self::Never,
        };
        ready(Ok(condition))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_held_tag_is_recognised_in_a_list_and_weak() {
        let holds = |tags: &'static str| {
            let request = TestRequest::default()
                .insert_header((IF_NONE_MATCH, tags))
                .to_http_request();
            not_modified(&request, "\"5\"")
        };
        assert!(holds("\"5\"") && holds("\"4\", W/\"5\"") && holds("*"));
        assert!(!holds("\"55\"") && !holds("5"));
    }

    #[test]
    fn a_tag_of_another_shape_never_matches() {
        let read = |tag: &'static str| {
            let request = TestRequest::default()
                .insert_header((IF_MATCH, tag))
                .to_http_request();
            IfMatch::from_request(&request, &mut Payload::None)
                .into_inner()
                .unwrap()
        };
        assert_eq!(read("\"7\""), IfMatch::Version(7));
        assert_eq!(read("\"7.00ff\""), IfMatch::Version(7));
        assert_eq!(read("\".7\""), IfMatch::Never);
        assert_eq!(read("*"), IfMatch::Any);
        assert_eq!(read("7"), IfMatch::Never);
    }
}
