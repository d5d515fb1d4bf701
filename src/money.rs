//! Money: integer minor units of one currency, checked arithmetic, no floating point.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[cfg(feature = "faults")]
use crate::faults::{Plant, planted};

/// The largest amount Bodega handles, in minor units: far above any price, far below overflow when
/// 200 lines of 999 pieces are added up.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;

/// Arithmetic on money failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The result does not fit.
    #[error("the amount is out of range")]
    Overflow,
    /// Two currencies met in one sum.
    #[error("amounts of {0} and {1} do not add up")]
    CurrencyMismatch(Currency, Currency),
    /// A price that nobody can pay to the cent.
    #[error("amounts of {0} are whole: multiples of {step}", step = .0.payable_step())]
    NotPayable(Currency),
}

/// A currency of ISO 4217 that somebody can pay in, by its three-letter code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(iso_currency::Currency::USD);

    /// The three-letter code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimals the minor unit stands for (ISO 4217): JPY 0, USD 2, KWD 3.
    #[must_use]
    pub fn exponent(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }

    /// The smallest amount that can be paid, in minor units. ISO 4217 gives the forint and the Taiwan
    /// dollar two decimals that nobody pays with, PayPal included ([currency codes][codes]): every amount
    /// of these is a multiple of 100. Of all other currencies it is 1.
    ///
    /// [codes]: https://developer.paypal.com/reference/currency-codes/
    #[must_use]
    pub fn payable_step(self) -> i64 {
        match self.code() {
            "HUF" | "TWD" => 100,
            _ => 1,
        }
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        // Metals, units of account, funds, codes for testing and for none at all are no money.
        iso_currency::Currency::from_code(code)
            .filter(|currency| !currency.is_special() && !currency.is_fund())
            .map(Self)
            .ok_or(UnknownCurrency)
    }
}

/// The text is no code of ISO 4217, or one of no money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a currency code of ISO 4217 such as USD")]
pub struct UnknownCurrency;

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        code.parse().map_err(de::Error::custom)
    }
}

impl utoipa::PartialSchema for Currency {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[A-Z]{3}$"))
            .examples(["USD"])
            .into()
    }
}

impl utoipa::ToSchema for Currency {}

/// An amount in minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units: cents of a dollar, yen, fils of a Kuwaiti dinar.
    #[schema(example = 12999)]
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: Currency,
}

impl Money {
    /// `amount` minor units of `currency`.
    #[must_use]
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing, in `currency`.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum of both.
    ///
    /// # Errors
    /// On overflow or where the currencies differ.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let amount = self
            .amount
            .checked_add(other.amount)
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// This amount less `other`.
    ///
    /// # Errors
    /// On overflow or where the currencies differ.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let amount = self
            .amount
            .checked_sub(other.amount)
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// This amount `count` times.
    ///
    /// # Errors
    /// On overflow.
    pub fn times(self, count: u32) -> Result<Self, MoneyError> {
        let amount = self
            .amount
            .checked_mul(i64::from(count))
            .ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// The share of `basis_points` ten-thousandths, rounded as [`Money::portion`] does.
    ///
    /// # Errors
    /// On overflow.
    pub fn share(self, basis_points: u32) -> Result<Self, MoneyError> {
        #[cfg(feature = "faults")]
        if planted(Plant::ShareInFloats) {
            return Ok(self.share_in_floats(basis_points));
        }
        self.portion(i64::from(basis_points), 10_000)
    }

    /// What [`Plant::ShareInFloats`] puts in place of [`Money::share`].
    #[cfg(feature = "faults")]
    #[expect(
        clippy::float_arithmetic,
        clippy::as_conversions,
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "this is the fault"
    )]
    fn share_in_floats(self, basis_points: u32) -> Self {
        let share = self.amount as f64 * f64::from(basis_points) / 10_000.0;
        Self::new(share.round() as i64, self.currency)
    }

    /// `part` of `whole` equal parts of this amount, rounded half away from zero to what can be paid
    /// ([`Currency::payable_step`]): the one rounding rule of Bodega (`docs/money.md`). Of no parts at all
    /// it is nothing.
    ///
    /// # Errors
    /// On overflow.
    pub fn portion(self, part: i64, whole: i64) -> Result<Self, MoneyError> {
        let step = i128::from(self.currency.payable_step());
        let product = i128::from(self.amount) * i128::from(part);
        let unit = i128::from(whole) * step;
        let (Some(steps), Some(rest)) = (product.checked_div(unit), product.checked_rem(unit))
        else {
            return Ok(Self::zero(self.currency));
        };
        let rounds_away = rest.abs() * 2 >= unit.abs();
        let steps = steps
            + if rounds_away {
                product.signum() * unit.signum()
            } else {
                0
            };
        let amount = i64::try_from(steps * step).map_err(|_too_large| MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// Whether it can be paid: a multiple of its currency's smallest payable amount.
    #[must_use]
    pub fn is_payable(self) -> bool {
        self.amount.checked_rem(self.currency.payable_step()) == Some(0)
    }

    /// Itself, where it can be paid.
    ///
    /// # Errors
    /// [`MoneyError::NotPayable`].
    pub fn payable(self) -> Result<Self, MoneyError> {
        if self.is_payable() {
            Ok(self)
        } else {
            Err(MoneyError::NotPayable(self.currency))
        }
    }

    /// Adds up `amounts`, all in `currency`.
    ///
    /// # Errors
    /// On overflow or where a currency differs.
    pub fn sum(
        currency: Currency,
        amounts: impl IntoIterator<Item = Self>,
    ) -> Result<Self, MoneyError> {
        amounts
            .into_iter()
            .try_fold(Self::zero(currency), Self::plus)
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch(self.currency, other.currency))
        }
    }
}

impl fmt::Display for Money {
    /// Shows major units with the currency's decimals: `129.99 USD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent();
        let unit = 10_u64.pow(exponent);
        let sign = if self.amount < 0 { "-" } else { "" };
        let amount = self.amount.unsigned_abs();
        write!(f, "{sign}{}", amount / unit)?;
        if exponent > 0 {
            let width = usize::try_from(exponent).unwrap_or_default();
            write!(f, ".{:0width$}", amount % unit)?;
        }
        write!(f, " {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn each_currency_shows_its_own_decimals() {
        assert_eq!(Money::new(12_999, Currency::USD).to_string(), "129.99 USD");
        assert_eq!(Money::new(-5, Currency::USD).to_string(), "-0.05 USD");
        assert_eq!(Money::new(500, currency("JPY")).to_string(), "500 JPY");
        assert_eq!(Money::new(1_234, currency("KWD")).to_string(), "1.234 KWD");
    }

    #[test]
    fn a_half_rounds_away_from_zero() {
        let share = |amount, points| {
            Money::new(amount, Currency::USD)
                .share(points)
                .unwrap()
                .amount
        };
        assert_eq!(share(50, 100), 1);
        assert_eq!(share(49, 100), 0);
        assert_eq!(share(-50, 100), -1);
        assert_eq!(share(i64::MAX, 10_000), i64::MAX);
    }

    #[test]
    fn where_nobody_pays_cents_a_share_is_whole() {
        let share = |amount, code, points| {
            Money::new(amount, currency(code))
                .share(points)
                .unwrap()
                .amount
        };
        assert_eq!(share(149_900, "HUF", 2_700), 40_500);
        assert_eq!(share(500, "TWD", 1_000), 100);
        assert_eq!(share(400, "TWD", 1_000), 0);
        assert_eq!(share(155, "JPY", 1_000), 16);
        assert!(Money::new(150_000, currency("HUF")).is_payable());
        assert_eq!(
            Money::new(150_050, currency("HUF"))
                .payable()
                .unwrap_err()
                .to_string(),
            "amounts of HUF are whole: multiples of 100"
        );
    }

    #[test]
    fn currencies_do_not_mix() {
        let dollars = Money::new(1, Currency::USD);
        assert!(dollars.plus(Money::new(1, currency("EUR"))).is_err());
    }

    #[test]
    fn a_float_or_an_extra_field_is_no_money() {
        for text in [
            r#"{"amount":1.5,"currency":"USD"}"#,
            r#"{"amount":"1","currency":"USD"}"#,
            r#"{"amount":1,"currency":"usd"}"#,
            r#"{"amount":1,"currency":"USD","x":1}"#,
            r#"{"amount":9223372036854775808,"currency":"USD"}"#,
        ] {
            assert!(serde_json::from_str::<Money>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn shares_agree_with_wide_integers(amount in any::<i64>(), points in 0_u32..=10_000) {
            let share = Money::new(amount, Currency::USD).share(points).unwrap().amount;
            let product = i128::from(amount) * i128::from(points);
            let rest = product - i128::from(share) * 10_000;
            // At most half a minor unit off, and a half only towards zero.
            prop_assert!(rest.abs() < 5_000 || rest.abs() == 5_000 && rest.signum() != product.signum());
        }

        #[test]
        fn sums_agree_with_wide_integers(amounts in prop::collection::vec(any::<i64>(), 0..20)) {
            let wide: i128 = amounts.iter().map(|a| i128::from(*a)).sum();
            let mut partial = 0_i128;
            let fits = amounts.iter().all(|a| {
                partial += i128::from(*a);
                i64::try_from(partial).is_ok()
            });
            let sum = Money::sum(Currency::USD, amounts.iter().map(|a| Money::new(*a, Currency::USD)));
            match sum {
                Ok(total) => prop_assert_eq!(i128::from(total.amount), wide),
                Err(error) => {
                    prop_assert_eq!(error, MoneyError::Overflow);
                    prop_assert!(!fits);
                }
            }
        }

        #[test]
        fn a_portion_is_payable_and_off_by_half_a_step_at_most(
            amount in -MAX_AMOUNT..MAX_AMOUNT, part in 0..MAX_AMOUNT, whole in 1..MAX_AMOUNT,
            code in prop::sample::select(vec!["USD", "HUF", "TWD", "JPY", "KWD"]),
        ) {
            let money = Money::new(amount, currency(code));
            let step = i128::from(money.currency.payable_step());
            if let Ok(found) = money.portion(part, whole) {
                prop_assert!(found.is_payable());
                let off = i128::from(found.amount) * i128::from(whole)
                    - i128::from(amount) * i128::from(part);
                prop_assert!(off.abs() * 2 <= step * i128::from(whole));
            }
        }

        #[test]
        fn what_is_added_can_be_taken_away(a in -MAX_AMOUNT..MAX_AMOUNT, b in -MAX_AMOUNT..MAX_AMOUNT) {
            let (a, b) = (Money::new(a, Currency::USD), Money::new(b, Currency::USD));
            prop_assert_eq!(a.plus(b).unwrap().minus(b).unwrap(), a);
        }
    }
}
