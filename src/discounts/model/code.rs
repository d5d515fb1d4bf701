//! What a buyer types.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// The longest code.
const MAX_LENGTH: usize = 40;

/// A discount code: 1 to 40 letters, digits, hyphens and underscores, the same in capitals and small.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DiscountCode(String);

impl DiscountCode {
    /// Reads a code as typed: blanks around it are dropped, small letters count as capitals. `None` for
    /// what can be no code.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = (1..=MAX_LENGTH).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        fits.then(|| Self(text.to_ascii_uppercase()))
    }

    /// The code, in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DiscountCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&DiscountCode> for bson::Bson {
    fn from(code: &DiscountCode) -> Self {
        Self::String(code.0.clone())
    }
}

impl<'de> Deserialize<'de> for DiscountCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "expected 1 to {MAX_LENGTH} letters, digits, hyphens and underscores"
            ))
        })
    }
}

impl utoipa::PartialSchema for DiscountCode {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[A-Za-z0-9_-]{1,40}$"))
            .examples(["SPRING-10"])
            .into()
    }
}

impl utoipa::ToSchema for DiscountCode {}
