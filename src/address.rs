//! Postal addresses, as accounts keep them and checkouts and orders copy them.

use serde::{Deserialize, Serialize};
use validator::{Validate, ValidationError};

/// Where a parcel or an invoice goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostalAddress {
    /// Who receives it.
    #[validate(length(min = 1, max = 200), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// Street and number.
    #[validate(length(min = 1, max = 300), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 300)]
    pub line1: String,
    /// Flat, floor, company.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(max = 300), custom(function = "plain"))]
    #[schema(max_length = 300)]
    pub line2: Option<String>,
    /// City or town.
    #[validate(length(min = 1, max = 120), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 120)]
    pub city: String,
    /// State, province, region; where taxes differ by it, its short code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(max = 120), custom(function = "plain"))]
    #[schema(max_length = 120)]
    pub region: Option<String>,
    /// Postal code, as the country writes it.
    #[validate(length(min = 1, max = 60), custom(function = "plain"))]
    #[schema(min_length = 1, max_length = 60)]
    pub postal_code: String,
    /// ISO 3166-1 code of two capital letters.
    #[validate(custom(function = "country_code"))]
    #[schema(pattern = "^[A-Z]{2}$", example = "US")]
    pub country: String,
    /// For the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(max = 40), custom(function = "plain"))]
    #[schema(max_length = 40)]
    pub phone: Option<String>,
}

/// Stands where a name, a street or a town stood.
const ERASED: &str = "erased";
/// The longest text that counts as a region's short code.
const MAX_REGION_CODE: usize = 3;

impl PostalAddress {
    /// The address without the person: what taxes depend on, the country and a region's short code.
    #[must_use]
    pub fn without_person(&self) -> Self {
        let code = |region: &String| {
            region.len() <= MAX_REGION_CODE && region.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        Self {
            name: ERASED.to_owned(),
            line1: ERASED.to_owned(),
            line2: None,
            city: ERASED.to_owned(),
            region: self.region.clone().filter(code),
            postal_code: ERASED.to_owned(),
            country: self.country.clone(),
            phone: None,
        }
    }
}

/// Refuses control characters: they have no place in an address and break labels.
///
/// # Errors
/// `control_character`.
pub fn plain(text: &str) -> Result<(), ValidationError> {
    if text.chars().any(char::is_control) {
        return Err(ValidationError::new("control_character")
            .with_message("must not hold control characters".into()));
    }
    Ok(())
}

/// Refuses what is not two capital letters (ISO 3166-1 alpha-2).
///
/// # Errors
/// `country`.
pub fn country_code(text: &str) -> Result<(), ValidationError> {
    if text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(ValidationError::new("country")
        .with_message("expected an ISO 3166-1 code such as US".into()))
}
