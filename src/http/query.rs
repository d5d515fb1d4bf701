//! Query strings: strictly decoded, each fault named.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use serde::de::DeserializeOwned;

use super::pointer;
use crate::problem::Problem;

/// The most bytes a query string may have.
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// The query string decoded into `T`; refuses a NUL, and unknown parameters where `T` does (422).
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Params<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(decode(request.query_string()).map(Self))
    }
}

fn decode<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(invalid_parameter(
            "",
            "length",
            format!("at most {MAX_QUERY_BYTES} bytes"),
        ));
    }
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    refuse_nul(pairs)?;
    let pairs = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        Problem::invalid(vec![pointer::decode_error(
            error.path(),
            &error.inner().to_string(),
        )])
    })
}

/// No parameter means a NUL by anything, and MongoDB takes none in a regular expression.
fn refuse_nul(pairs: url::form_urlencoded::Parse<'_>) -> Result<(), Problem> {
    for (name, value) in pairs {
        if name.contains('\0') || value.contains('\0') {
            let reason = "must not hold the character NUL";
            return Err(invalid_parameter(&name, "control_character", reason));
        }
    }
    Ok(())
}

/// 422 for one query parameter.
#[must_use]
pub fn invalid_parameter(name: &str, code: &str, message: impl Into<String>) -> Problem {
    Problem::field(format!("/{name}"), code, message)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::page::Limit;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Listing {
        #[serde(default)]
        limit: Limit,
    }

    #[test]
    fn a_limit_is_read_and_a_typo_refused() {
        assert_eq!(decode::<Listing>("limit=5").unwrap().limit.rows(), 5);
        assert_eq!(decode::<Listing>("").unwrap().limit.rows(), 20);
        for query in [
            "limit=0",
            "limit=101",
            "limit=x",
            "limits=5",
            "limit=-1",
            "limit=1e9",
        ] {
            assert!(decode::<Listing>(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_nul_is_refused_by_the_parameters_name() {
        #[derive(Debug, Deserialize)]
        struct Search {
            q: String,
        }
        assert_eq!(decode::<Search>("q=a%01b").unwrap().q, "a\u{1}b");
        for query in ["q=%00", "q=mug%00", "q%00=mug&q=mug"] {
            let refused = decode::<Search>(query).unwrap_err();
            assert!(
                format!("{refused:?}").contains("control_character"),
                "{query}"
            );
        }
    }
}
