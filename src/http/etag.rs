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

/// The versions that a write may be made over, where the client names some with `If-Match` (RFC 9110, 13.1.1:
/// one of them is enough, by strong comparison).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// No condition, or `*`.
    Any,
    /// One of these; none where the client names tags that no version has.
    OneOf(Vec<u64>),
}

impl IfMatch {
    /// Checks the condition against the present version.
    ///
    /// # Errors
    /// 412 `stale_version`.
    pub fn check(&self, present: u64) -> Result<(), Problem> {
        if self.allows(present) {
            Ok(())
        } else {
            Err(Problem::new(Code::Stale).detail(format!("the present version is {present}")))
        }
    }

    /// Whether a write over `present` may go on.
    #[must_use]
    pub fn allows(&self, present: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(wanted) => wanted.contains(&present),
        }
    }
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let mut lines = request.headers().get_all(IF_MATCH).peekable();
        if lines.peek().is_none() {
            return ready(Ok(Self::Any));
        }
        let mut versions = Vec::new();
        for line in lines.filter_map(|line| line.to_str().ok()) {
            if line.trim() == "*" {
                return ready(Ok(Self::Any));
            }
            versions.extend(line.split(',').filter_map(version_of));
        }
        ready(Ok(Self::OneOf(versions)))
    }
}

/// The version of a strong tag; a weak one never matches.
fn version_of(tag: &str) -> Option<u64> {
    let opaque = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
    // A product's tag may end in a digest of its stock: `"5.0f3a…"`. Writes compare versions.
    opaque.split('.').next()?.parse().ok()
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
            not_modified(request.headers(), "\"5\"")
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
        let only = |version| IfMatch::OneOf(vec![version]);
        assert_eq!(read("\"7\""), only(7));
        assert_eq!(read("\"7.00ff\""), only(7));
        assert_eq!(read("*"), IfMatch::Any);
        for never in ["\".7\"", "7", "", "W/\"7\"", "\"7", "\"seven\""] {
            assert_eq!(read(never), IfMatch::OneOf(Vec::new()), "{never}");
        }
    }

    #[test]
    fn any_tag_of_a_list_matches_but_no_weak_one() {
        let request = TestRequest::default()
            .insert_header((IF_MATCH, "\"1\", W/\"2\" ,\"3.ff\",\"x\""))
            .append_header((IF_MATCH, "\"5\""))
            .to_http_request();
        let read = IfMatch::from_request(&request, &mut Payload::None);
        let read = read.into_inner().unwrap();
        let allowed: Vec<u64> = (0..7).filter(|version| read.allows(*version)).collect();
        assert_eq!(allowed, [1, 3, 5]);
    }
}
