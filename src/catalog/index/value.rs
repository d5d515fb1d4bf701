//! Values of attributes as filters compare them.

use std::{cmp::Ordering, fmt, sync::Arc};

use serde_json::Value;

use super::query::normal;

/// A finite number, ordered and equal by value: `16` is `16.0`, `-0` is `0`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(f64);

impl Number {
    /// Below or equal to any other.
    pub(super) const LEAST: Self = Self(f64::MIN);
    /// Above or equal to any other.
    pub(super) const GREATEST: Self = Self(f64::MAX);

    fn new(value: f64) -> Option<Self> {
        if value == 0.0 {
            return Some(Self(0.0)); // one zero, whatever its sign
        }
        value.is_finite().then_some(Self(value))
    }

    /// Reads a decimal number such as `16`, `-2.5` or `1e3`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().and_then(Self::new)
    }

    /// The number for JSON, whole numbers without decimals.
    pub(super) fn to_json(self) -> Option<serde_json::Number> {
        serde_json::from_str(&self.to_string()).ok()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

/// One value of an attribute: not a list, not an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scalar {
    /// `true` or `false`.
    Flag(bool),
    /// A number.
    Number(Number),
    /// A text, trimmed, in Unicode's composed form, never empty.
    Text(Arc<str>),
}

impl Scalar {
    /// Takes a text; `None` where it is blank.
    pub(super) fn text(value: &str) -> Option<Self> {
        let value = normal(value);
        (!value.is_empty()).then(|| Self::Text(value.into()))
    }

    /// Takes a JSON value; `None` for null, blank texts, lists and objects.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(Self::Flag(*flag)),
            Value::Number(number) => number.as_f64().and_then(Number::new).map(Self::Number),
            Value::String(text) => Self::text(text),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The text, where it is one.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Flag(_) | Self::Number(_) => None,
        }
    }

    /// Every value that a filter's text stands for: the text itself, a number, a boolean.
    pub(super) fn meant_by(text: &str) -> impl Iterator<Item = Self> {
        let flag = match text {
            "true" => Some(Self::Flag(true)),
            "false" => Some(Self::Flag(false)),
            _ => None,
        };
        let number = Number::parse(text).map(Self::Number);
        [Some(Self::Text(text.into())), number, flag]
            .into_iter()
            .flatten()
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => fmt::Display::fmt(flag, f),
            Self::Number(number) => fmt::Display::fmt(number, f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_by_value() {
        let sixteen = Number::parse("16").unwrap();
        assert_eq!(Some(sixteen), Number::parse("16.0"));
        assert_eq!(Number::parse("-0"), Number::parse("0.0"));
        assert!(Number::parse("-3") < Number::parse("2.5"));
        assert_eq!(sixteen.to_json().unwrap().to_string(), "16");
        assert_eq!(
            Number::parse("2.50")
                .unwrap()
                .to_json()
                .unwrap()
                .to_string(),
            "2.5"
        );
    }

    #[test]
    fn what_is_not_finite_is_no_number() {
        for text in ["inf", "NaN", "-infinity", "1e999", "", "0x10", "1,5"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn unknown_values_are_no_values() {
        for text in ["null", r#""""#, r#"" \u00a0 ""#, "[]", "{}"] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Scalar::from_json(&value), None, "{text}");
        }
    }
}
