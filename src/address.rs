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
    /// State, province, region. Where taxes differ by it, its short code (ISO 3166-2 without the country), such
    /// as CA.
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
/// The longest short code of a region (ISO 3166-2: one to three letters or digits).
const MAX_REGION_CODE: usize = 3;
/// The assigned codes of ISO 3166-1, alpha-2, in order (<https://www.iso.org/obp/ui/#search/code/>, as in tzdata's
/// `iso3166.tab`, 2024-02-29).
const COUNTRIES: [&str; 249] = [
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ",
    "BA", "BB", "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS",
    "BT", "BV", "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN",
    "CO", "CR", "CU", "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ", "EC", "EE",
    "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF",
    "GG", "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK", "HM",
    "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN", "IO", "IQ", "IR", "IS", "IT", "JE", "JM",
    "JO", "JP", "KE", "KG", "KH", "KI", "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC",
    "LI", "LK", "LR", "LS", "LT", "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK",
    "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS", "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA",
    "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP", "NR", "NU", "NZ", "OM", "PA", "PE", "PF", "PG",
    "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO", "RS", "RU", "RW",
    "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS",
    "ST", "SV", "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO",
    "TR", "TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI",
    "VN", "VU", "WF", "WS", "YE", "YT", "ZA", "ZM", "ZW",
];

/// Reads a region's short code, whatever its case and the blanks around it; `None` where it is none.
#[must_use]
pub fn region_code(region: &str) -> Option<String> {
    let code = region.trim();
    let fits = (1..=MAX_REGION_CODE).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then(|| code.to_ascii_uppercase())
}

impl PostalAddress {
    /// The short code of its region, where it has one.
    #[must_use]
    pub fn region_code(&self) -> Option<String> {
        region_code(self.region.as_deref()?)
    }

    /// The address without the person: what taxes depend on, the country and a region's short code.
    #[must_use]
    pub fn without_person(&self) -> Self {
        Self {
            name: ERASED.to_owned(),
            line1: ERASED.to_owned(),
            line2: None,
            city: ERASED.to_owned(),
            region: self.region_code(),
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

/// Refuses what is no assigned code of a country (ISO 3166-1 alpha-2, capital letters).
///
/// # Errors
/// `country`.
pub fn country_code(text: &str) -> Result<(), ValidationError> {
    if COUNTRIES.binary_search(&text).is_ok() {
        return Ok(());
    }
    Err(ValidationError::new("country")
        .with_message("expected an ISO 3166-1 code such as US".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_assigned_codes_are_countries() {
        assert!(COUNTRIES.is_sorted());
        for known in ["US", "DE", "JP", "AX", "ZW", "AD"] {
            assert_eq!(country_code(known), Ok(()), "{known}");
        }
        for none in [
            "XX", "ZZ", "UK", "EU", "AA", "us", "USA", "U", "", " US", "ÅX",
        ] {
            assert!(country_code(none).is_err(), "{none:?}");
        }
    }

    #[test]
    fn a_regions_code_is_read_whatever_its_case() {
        for written in ["CA", "ca", " Ca\t"] {
            assert_eq!(region_code(written).as_deref(), Some("CA"), "{written:?}");
        }
        assert_eq!(region_code("13").as_deref(), Some("13"));
        for none in ["", " ", "California", "C A", "C-A", "Ä", "CALI"] {
            assert_eq!(region_code(none), None, "{none:?}");
        }
    }
}
