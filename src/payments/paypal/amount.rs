//! PayPal's decimal strings, made from and read into integer minor units.
//!
//! PayPal's own rule differs from ISO 4217: HUF, JPY and TWD take no decimals, everything else two
//! (<https://developer.paypal.com/api/rest/reference/currency-codes/>).

use serde::{Deserialize, Serialize};

use crate::money::{Currency, Money};

/// The longest value PayPal writes (`money.value` in its API documents).
const MAX_LENGTH: usize = 32;
/// Decimals of a currency that has them at PayPal.
const DECIMALS: u32 = 2;

/// An amount as PayPal writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Amount {
    currency_code: String,
    value: String,
}

/// The amount cannot be written in PayPal's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AmountError {
    /// PayPal takes no currency of three decimals.
    #[error("PayPal does not take {0}")]
    Currency(Currency),
    /// A currency without decimals at PayPal, and an amount with some.
    #[error("PayPal takes whole {0} only")]
    Fraction(Currency),
}

impl AmountError {
    /// PayPal's own word for the same fault.
    pub(super) const fn issue(self) -> &'static str {
        match self {
            Self::Currency(_) => "INVALID_CURRENCY_CODE",
            Self::Fraction(_) => "DECIMAL_PRECISION",
        }
    }
}

/// How many decimals PayPal writes for `currency`; `None` where it has no form for it.
fn decimals(currency: Currency) -> Option<u32> {
    if currency.exponent() > DECIMALS {
        return None;
    }
    Some(match currency.code() {
        "HUF" | "JPY" | "TWD" => 0,
        _ => DECIMALS,
    })
}

impl Amount {
    /// Writes `money` in PayPal's form.
    pub(super) fn of(money: Money) -> Result<Self, AmountError> {
        let currency = money.currency;
        let decimals = decimals(currency).ok_or(AmountError::Currency(currency))?;
        let (unit, scale) = (
            10_u64.pow(currency.exponent()),
            10_u64.pow(currency.exponent().saturating_sub(decimals)),
        );
        let minor = money.amount.unsigned_abs();
        if !minor.is_multiple_of(scale) {
            return Err(AmountError::Fraction(currency));
        }
        let sign = if money.amount < 0 { "-" } else { "" };
        let value = if decimals == 0 {
            format!("{sign}{}", minor / unit)
        } else {
            // An exponent of 0 with decimals at PayPal: the fraction is all zeros.
            let cents = minor % unit * 10_u64.pow(decimals - currency.exponent());
            format!("{sign}{}.{cents:02}", minor / unit)
        };
        Ok(Self {
            currency_code: currency.code().to_owned(),
            value,
        })
    }

    /// Reads PayPal's form where value and currency come apart; see [`Amount::money`].
    pub(super) fn read(value: &str, currency_code: &str) -> Option<Money> {
        let amount = Self {
            currency_code: currency_code.to_owned(),
            value: value.to_owned(),
        };
        amount.money()
    }

    /// Reads PayPal's form; `None` for whatever is not an exact amount of a currency PayPal takes, which
    /// never counts as paid.
    pub(super) fn money(&self) -> Option<Money> {
        let currency: Currency = self.currency_code.parse().ok()?;
        decimals(currency)?;
        if self.value.len() > MAX_LENGTH {
            return None;
        }
        let (negative, digits) = match self.value.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, self.value.as_str()),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None if digits.is_empty() => return None,
            None => (digits, ""),
        };
        let minor = minor_units(whole, fraction, currency.exponent())?;
        let amount = if negative {
            minor.checked_neg()?
        } else {
            minor
        };
        Some(Money::new(amount, currency))
    }
}

/// `whole.fraction` in units of ten to the minus `exponent`; `None` where that is not exact.
fn minor_units(whole: &str, fraction: &str, exponent: u32) -> Option<i64> {
    let places = usize::try_from(exponent).ok()?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return None;
    }
    let padding = std::iter::repeat_n(b'0', places - fraction.len());
    let digits = whole.bytes().chain(fraction.bytes()).chain(padding);
    digits.into_iter().try_fold(0_i64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(amount: i64, code: &str) -> Money {
        Money::new(amount, code.parse().unwrap())
    }

    fn read(value: &str, code: &str) -> Option<i64> {
        Amount::read(value, code).map(|money| money.amount)
    }

    #[test]
    fn each_currency_is_written_by_paypals_rule() {
        let value = |amount, code| Amount::of(money(amount, code)).map(|a| a.value);
        assert_eq!(value(3_250, "USD").unwrap(), "32.50");
        assert_eq!(value(5, "EUR").unwrap(), "0.05");
        assert_eq!(value(-5, "EUR").unwrap(), "-0.05");
        assert_eq!(value(500, "JPY").unwrap(), "500");
        // ISO 4217 gives both two decimals, PayPal none.
        assert_eq!(value(150_000, "HUF").unwrap(), "1500");
        assert_eq!(value(150_000, "TWD").unwrap(), "1500");
        assert_eq!(
            value(150_050, "HUF").unwrap_err(),
            AmountError::Fraction("HUF".parse().unwrap())
        );
        assert_eq!(
            value(1_000, "KWD").unwrap_err(),
            AmountError::Currency("KWD".parse().unwrap())
        );
    }

    #[test]
    fn only_an_exact_amount_is_read() {
        assert_eq!(read("32.5", "USD"), Some(3_250));
        assert_eq!(read(".50", "USD"), Some(50));
        assert_eq!(read("32.500", "USD"), Some(3_250));
        assert_eq!(read("1500", "HUF"), Some(150_000));
        assert_eq!(read("500.00", "JPY"), Some(500));
        for (value, code) in [
            ("32.505", "USD"),
            ("500.5", "JPY"),
            ("1.000", "KWD"),
            ("32,50", "USD"),
            ("1e3", "USD"),
            ("+1", "USD"),
            ("", "USD"),
            ("-", "USD"),
            ("5.", "USD"),
            ("--5", "USD"),
            (" 5", "USD"),
            ("٥", "USD"),
            ("5", "usd"),
            ("5", ""),
            ("99999999999999999999", "USD"),
            ("000000000000000000000000000000005", "USD"),
        ] {
            assert_eq!(read(value, code), None, "{value} {code}");
        }
    }

    proptest! {
        #[test]
        fn what_goes_out_comes_back(amount in any::<i64>(), code in prop::sample::select(vec![
            "USD", "EUR", "GBP", "JPY", "HUF", "TWD", "CHF", "KRW",
        ])) {
            prop_assume!(amount != i64::MIN);
            let whole = if matches!(code, "HUF" | "TWD") { amount / 100 * 100 } else { amount };
            let sent = money(whole, code);
            let written = Amount::of(sent).unwrap();
            prop_assert!(written.value.len() <= MAX_LENGTH);
            prop_assert_eq!(written.value.contains('.'), !matches!(code, "HUF" | "TWD" | "JPY"));
            prop_assert_eq!(written.money(), Some(sent));
        }

        #[test]
        fn no_text_makes_the_reader_panic(value in ".{0,40}", code in "[A-Z]{0,4}") {
            let _nothing = read(&value, &code);
        }
    }
}
