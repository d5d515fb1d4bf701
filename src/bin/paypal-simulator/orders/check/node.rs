//! A place in the request's JSON: the value there, and the pointer that names it in a refusal.

use serde_json::Value;

use crate::problem::{Detail, Problem};

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    syntax: Vec<Detail>,
    sense: Vec<Detail>,
}

impl Findings {
    /// Notes a fault of form (400).
    pub(crate) fn syntax(&mut self, issue: &'static str, node: &Node<'_>) {
        self.syntax.push(Detail::at(issue, &node.path, node.value));
    }

    /// Notes a fault of meaning (422).
    pub(crate) fn sense(&mut self, issue: &'static str, node: &Node<'_>) {
        self.sense.push(Detail::at(issue, &node.path, node.value));
    }

    /// Nothing, or the refusal that names everything of the graver kind.
    pub(crate) fn verdict(self) -> Result<(), Problem> {
        if !self.syntax.is_empty() {
            return Err(Problem::details(400, self.syntax));
        }
        if !self.sense.is_empty() {
            return Err(Problem::details(422, self.sense));
        }
        Ok(())
    }
}

/// A value that may be absent, and where it is or would be.
#[derive(Debug, Clone)]
pub(crate) struct Node<'v> {
    path: String,
    /// The value; `null` counts as absent.
    pub(crate) value: Option<&'v Value>,
}

impl<'v> Node<'v> {
    /// The whole document.
    pub(crate) const fn root(value: &'v Value) -> Self {
        Self {
            path: String::new(),
            value: Some(value),
        }
    }

    /// A member of an object.
    pub(crate) fn member(&self, name: &str) -> Self {
        Self {
            path: format!("{}/{name}", self.path),
            value: self
                .value
                .and_then(|value| value.get(name))
                .filter(|value| !value.is_null()),
        }
    }

    /// An item of an array.
    pub(crate) fn item(&self, index: usize) -> Self {
        Self {
            path: format!("{}/{index}", self.path),
            value: self.value.and_then(|value| value.get(index)),
        }
    }

    /// A string, whatever its length.
    pub(crate) fn any_text(&self, required: bool, found: &mut Findings) -> Option<&'v str> {
        match self.value {
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                found.syntax("INVALID_PARAMETER_SYNTAX", self);
                None
            }
            None => {
                if required {
                    found.syntax("MISSING_REQUIRED_PARAMETER", self);
                }
                None
            }
        }
    }

    /// A string of so many characters.
    pub(crate) fn text(
        &self,
        length: (usize, usize),
        required: bool,
        found: &mut Findings,
    ) -> Option<&'v str> {
        let text = self.any_text(required, found)?;
        let count = text.chars().count();
        if count < length.0 || count > length.1 {
            found.syntax("INVALID_STRING_LENGTH", self);
            return None;
        }
        Some(text)
    }

    /// One of these words.
    pub(crate) fn word(
        &self,
        words: &[&str],
        required: bool,
        found: &mut Findings,
    ) -> Option<&'v str> {
        let text = self.any_text(required, found)?;
        if !words.contains(&text) {
            found.syntax("INVALID_PARAMETER_VALUE", self);
            return None;
        }
        Some(text)
    }

    /// An absolute URL.
    pub(crate) fn url(&self, found: &mut Findings) -> Option<&'v str> {
        let text = self.text((1, 4_000), false, found)?;
        let parsed = url::Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        if parsed.is_none() {
            found.syntax("INVALID_PARAMETER_SYNTAX", self);
            return None;
        }
        Some(text)
    }

    /// An object; `None` also when it is absent and not required.
    pub(crate) fn object(&self, required: bool, found: &mut Findings) -> Option<Self> {
        match self.value {
            Some(Value::Object(_)) => Some(self.clone()),
            Some(_) => {
                found.syntax("INVALID_PARAMETER_SYNTAX", self);
                None
            }
            None => {
                if required {
                    found.syntax("MISSING_REQUIRED_PARAMETER", self);
                }
                None
            }
        }
    }

    /// An array of so many items.
    pub(crate) fn list(
        &self,
        least: usize,
        most: usize,
        required: bool,
        found: &mut Findings,
    ) -> Option<Vec<Self>> {
        let Some(value) = self.value else {
            if required {
                found.syntax("MISSING_REQUIRED_PARAMETER", self);
            }
            return None;
        };
        let Some(items) = value.as_array() else {
            found.syntax("INVALID_PARAMETER_SYNTAX", self);
            return None;
        };
        if items.len() < least {
            found.syntax("INVALID_ARRAY_MIN_ITEMS", self);
            return None;
        }
        if items.len() > most {
            found.syntax("INVALID_ARRAY_MAX_ITEMS", self);
            return None;
        }
        Some((0..items.len()).map(|index| self.item(index)).collect())
    }
}
