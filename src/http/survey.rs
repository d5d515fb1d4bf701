//! All that is wrong with the shape of a body, once something is: a decoder stops at the first fault that it meets,
//! and whoever fills in a form wants to hear of all of them at once.

use jsonschema::{Draft, ValidationError, error::ValidationErrorKind};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::pointer;
use crate::problem::FieldError;

/// The most faults that an answer names.
const MOST: usize = 50;

/// What `T`'s own description in the OpenAPI document says of a body that cannot be decoded into it: fields that are
/// missing, not known, or of another type. What it leaves out the decoder has said.
pub(super) fn faults<T: ToSchema>(json: &[u8]) -> Vec<FieldError> {
    let Ok(body) = serde_json::from_slice::<Value>(json) else {
        return Vec::new();
    };
    let Some(description) = description::<T>() else {
        return Vec::new();
    };
    let options = jsonschema::options().with_draft(Draft::Draft202012);
    let Ok(judge) = options.build(&description) else {
        return Vec::new();
    };
    let faults = judge.iter_errors(&body).take(MOST);
    faults.flat_map(|fault| named(&fault)).take(MOST).collect()
}

fn description<T: ToSchema>() -> Option<Value> {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    let parts = parts.into_iter();
    let parts = parts.map(|(name, part)| Some((name, serde_json::to_value(part).ok()?)));
    let parts: Map<String, Value> = parts.collect::<Option<_>>()?;
    let mut description = serde_json::to_value(T::schema()).ok()?;
    let whole = description.as_object_mut()?;
    whole.insert(
        "components".to_owned(),
        serde_json::json!({ "schemas": parts }),
    );
    Some(description)
}

fn named(fault: &ValidationError<'_>) -> Vec<FieldError> {
    let place = fault.instance_path().as_str();
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever else a schema may say is judged once the body is decoded"
    )]
    match fault.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![pointer::missing(place, name)]
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let unknown = unexpected.iter();
            unknown.map(|name| pointer::unknown(place, name)).collect()
        }
        ValidationErrorKind::Type { .. } => vec![FieldError::new(
            place,
            "invalid_type",
            "expected a value of another type",
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(utoipa::ToSchema, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Form {
        email: String,
        password: String,
        name: Option<String>,
        #[serde(default)]
        addresses: Vec<Place>,
    }

    #[derive(utoipa::ToSchema, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Place {
        city: String,
    }

    fn named(body: &Value) -> Vec<(String, String)> {
        let faults = faults::<Form>(body.to_string().as_bytes());
        let named = faults.into_iter().map(|fault| (fault.pointer, fault.code));
        let mut named: Vec<_> = named.collect();
        named.sort();
        named
    }

    #[test]
    fn every_field_that_is_missing_unknown_or_of_another_type_is_named() {
        let of = |faults: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = faults
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            owned.collect()
        };
        assert_eq!(
            named(&json!({})),
            of(&[("/email", "required"), ("/password", "required")])
        );
        let body = json!({
            "email": 5, "password": "x", "name": null, "role": "admin", "a/b": 1,
            "addresses": [{ "city": "A" }, { "town": "B" }],
        });
        assert_eq!(
            named(&body),
            of(&[
                ("/addresses/1/city", "required"),
                ("/addresses/1/town", "unknown_field"),
                ("/a~1b", "unknown_field"),
                ("/email", "invalid_type"),
                ("/role", "unknown_field"),
            ])
        );
        assert_eq!(named(&json!({ "email": "a", "password": "b" })), []);
        let many: Map<String, Value> = (0..1_000).map(|n| (n.to_string(), json!(1))).collect();
        assert_eq!(named(&Value::Object(many)).len(), MOST);
    }
}
