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
