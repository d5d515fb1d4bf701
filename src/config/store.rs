//! What the shop charges: currency, shipping methods, tax rates.

use serde::Deserialize;

use crate::money::Currency;

/// Currency, shipping and tax.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// The shop's name, as PayPal shows it to the buyer.
    pub name: String,
    /// Every price is in it.
    pub currency: Currency,
    /// How many calendar years after its own an order is kept for the books.
    pub keep_orders_years: u16,
    /// The shipping methods offered.
    pub shipping: Vec<ShippingMethodConfig>,
    /// The taxes; the first match applies.
    #[serde(default)]
    pub tax: Vec<TaxConfig>,
}

/// One way to ship.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShippingMethodConfig {
    /// What the client names.
    pub id: String,
    /// What the buyer reads.
    pub name: String,
    /// ISO 3166 codes served; `*`: every country that no entry with the same id names.
    pub countries: Vec<String>,
    /// Minor units.
    pub price: i64,
    /// Subtotal after discounts, in minor units, from which it costs nothing; 0: never.
    pub free_from: i64,
    /// Fastest, in days.
    pub days_min: u32,
    /// Slowest, in days.
    pub days_max: u32,
}

impl ShippingMethodConfig {
    /// Whether it serves `country` (ISO 3166, two letters).
    #[must_use]
    pub fn serves(&self, country: &str) -> bool {
        self.countries
            .iter()
            .any(|served| served == "*" || served == country)
    }
}

/// One tax.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaxConfig {
    /// ISO 3166 code.
    pub country: String,
    /// The region's short code (ISO 3166-2 without the country); none: the whole country.
    pub region: Option<String>,
    /// Ten-thousandths of goods and shipping.
    pub basis_points: u32,
}
