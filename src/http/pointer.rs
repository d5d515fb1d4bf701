//! From a decoder's complaint to the faulty place: JSON pointers and codes.

use std::borrow::Cow;

use serde_path_to_error::{Path, Segment};
use validator::{ValidationErrors, ValidationErrorsKind};

use crate::problem::FieldError;

/// Makes the RFC 6901 pointer of a path.
fn pointer_of(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

fn push(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
}

/// The field's name as quoted in serde's message: "unknown field `x`, …".
fn quoted<'m>(message: &'m str, prefix: &str) -> Option<&'m str> {
    message
        .strip_prefix(prefix)?
        .split_once('`')
        .map(|(name, _)| name)
}

/// A field that the object at `parent` must have.
pub(super) fn missing(parent: &str, name: &str) -> FieldError {
    let mut pointer = parent.to_owned();
    push(&mut pointer, name);
    FieldError::new(pointer, "required", "this field is required")
}

/// A field that the object at `parent` may not have.
pub(super) fn unknown(parent: &str, name: &str) -> FieldError {
    let mut pointer = parent.to_owned();
    push(&mut pointer, name);
    FieldError::new(pointer, "unknown_field", "this field is not known")
}

/// Turns serde's complaint at `path` into the faulty place.
///
/// The message never repeats the value: it may be a secret.
pub(super) fn decode_error(path: &Path, message: &str) -> FieldError {
    let mut pointer = pointer_of(path);
    if let Some(name) = quoted(message, "unknown field `") {
        // serde_path_to_error already ends in the unknown field's name when it was a map key.
        let parent = pointer.strip_suffix(&format!("/{name}"));
        return unknown(parent.unwrap_or(&pointer), name);
    }
    if let Some(name) = quoted(message, "missing field `") {
        return missing(&pointer, name);
    }
    if let Some(name) = quoted(message, "duplicate field `") {
        if !pointer.ends_with(&format!("/{name}")) {
            push(&mut pointer, name);
        }
        return FieldError::new(pointer, "duplicate_field", "this field stands twice");
    }
    let expected = message
        .split_once("expected ")
        .map(|(_, rest)| in_json(strip_position(rest)));
    if message.starts_with("invalid type") {
        let wanted = expected.unwrap_or("another type".into());
        return FieldError::new(pointer, "invalid_type", format!("expected {wanted}"));
    }
    if message.starts_with("unknown variant") {
        let wanted = expected.unwrap_or("another value".into());
        return FieldError::new(pointer, "unknown_value", format!("expected {wanted}"));
    }
    if message.starts_with("invalid value") || message.starts_with("number out of range") {
        let wanted = expected.unwrap_or("a number within range".into());
        return FieldError::new(pointer, "range", format!("expected {wanted}"));
    }
    if message.starts_with("invalid length") {
        let wanted = expected.unwrap_or("another length".into());
        return FieldError::new(pointer, "length", format!("expected {wanted}"));
    }
    FieldError::new(pointer, "invalid", strip_position(message))
}

/// What serde expects, in the words of JSON: clients know nothing of the types it is kept in.
fn in_json(expected: &str) -> Cow<'_, str> {
    macro_rules! whole {
        ($kind:ty) => {
            format!("a whole number from {} to {}", <$kind>::MIN, <$kind>::MAX).into()
        };
    }
    match expected {
        "u8" => whole!(u8),
        "u16" => whole!(u16),
        "u32" => whole!(u32),
        "u64" | "usize" => whole!(u64),
        "i8" => whole!(i8),
        "i16" => whole!(i16),
        "i32" => whole!(i32),
        "i64" | "isize" => whole!(i64),
        "f32" | "f64" => "a number".into(),
        "a map" => "an object".into(),
        "a sequence" => "an array".into(),
        "unit" => "null".into(),
        "field identifier" | "variant identifier" => "a string".into(),
        _ if expected.starts_with("struct ") => "an object".into(),
        _ if expected.starts_with("tuple ") || expected.starts_with("a tuple ") => {
            "an array".into()
        }
        _ if expected.starts_with("enum ") || expected.ends_with(" variant") => {
            "one of the known values".into()
        }
        _ => expected.into(),
    }
}

/// Cuts `serde_json`'s " at line 1 column 5".
fn strip_position(message: &str) -> &str {
    message
        .split_once(" at line ")
        .map_or(message, |(head, _)| head)
}

/// Turns validator's findings into faulty places, without the rejected values.
pub(super) fn validation_errors(findings: &ValidationErrors) -> Vec<FieldError> {
    let mut errors = Vec::new();
    collect("", findings, &mut errors);
    errors.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    errors
}

fn collect(prefix: &str, findings: &ValidationErrors, errors: &mut Vec<FieldError>) {
    for (field, kind) in findings.errors() {
        // `__all__` is validator's name for a rule over the whole struct.
        let pointer = if field == "__all__" {
            prefix.to_owned()
        } else {
            format!("{prefix}/{}", camel(field))
        };
        match kind {
            ValidationErrorsKind::Struct(inner) => collect(&pointer, inner, errors),
            ValidationErrorsKind::List(items) => {
                for (index, inner) in items {
                    collect(&format!("{pointer}/{index}"), inner, errors);
                }
            }
            ValidationErrorsKind::Field(found) => {
                for error in found {
                    let message = error
                        .message
                        .as_deref()
                        .map_or_else(|| words(error), str::to_owned);
                    errors.push(FieldError::new(&pointer, error.code.as_ref(), message));
                }
            }
        }
    }
}

/// A sentence from the rule's own bounds; the rejected value is left out on purpose.
fn words(error: &validator::ValidationError) -> String {
    let bound = |name: &str| error.params.get(name).map(ToString::to_string);
    match (bound("min"), bound("max"), bound("equal")) {
        (_, _, Some(equal)) => format!("must be exactly {equal}"),
        (Some(min), Some(max), None) => format!("must be from {min} to {max}"),
        (Some(min), None, None) => format!("must be at least {min}"),
        (None, Some(max), None) => format!("must be at most {max}"),
        (None, None, None) => format!("breaks the rule '{}'", error.code),
    }
}

/// `postal_code` as clients write it: `postalCode`.
fn camel(field: &str) -> String {
    let mut words = field.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}
