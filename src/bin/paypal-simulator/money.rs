//! Amounts as PayPal writes them: decimal strings, with PayPal's own number of decimals.
//!
//! The simulator keeps its own arithmetic on purpose: it is the second opinion on every cent, so it
//! shares no line with the shop.

use serde_json::{Value, json};

/// A currency that PayPal supports, and how many decimals it takes there.
///
/// Source: <https://developer.paypal.com/api/rest/reference/currency-codes/>. HUF, JPY and TWD take
/// none at PayPal, whatever ISO 4217 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Currency {
    /// ISO 4217 code.
    pub(crate) code: &'static str,
    /// Digits after the point.
    pub(crate) decimals: u32,
}

const CURRENCIES: &[Currency] = &[
    Currency {
        code: "AUD",
        decimals: 2,
    },
    Currency {
        code: "BRL",
        decimals: 2,
    },
    Currency {
        code: "CAD",
        decimals: 2,
    },
    Currency {
        code: "CHF",
        decimals: 2,
    },
    Currency {
        code: "CNY",
        decimals: 2,
    },
    Currency {
        code: "CZK",
        decimals: 2,
    },
    Currency {
        code: "DKK",
        decimals: 2,
    },
    Currency {
        code: "EUR",
        decimals: 2,
    },
    Currency {
        code: "GBP",
        decimals: 2,
    },
    Currency {
        code: "HKD",
        decimals: 2,
    },
    Currency {
        code: "HUF",
        decimals: 0,
    },
    Currency {
        code: "ILS",
        decimals: 2,
    },
    Currency {
        code: "JPY",
        decimals: 0,
    },
    Currency {
        code: "MXN",
        decimals: 2,
    },
    Currency {
        code: "MYR",
        decimals: 2,
    },
    Currency {
        code: "NOK",
        decimals: 2,
    },
    Currency {
        code: "NZD",
        decimals: 2,
    },
    Currency {
        code: "PHP",
        decimals: 2,
    },
    Currency {
        code: "PLN",
        decimals: 2,
    },
    Currency {
        code: "SEK",
        decimals: 2,
    },
    Currency {
        code: "SGD",
        decimals: 2,
    },
    Currency {
        code: "THB",
        decimals: 2,
    },
    Currency {
        code: "TWD",
        decimals: 0,
    },
    Currency {
        code: "USD",
        decimals: 2,
    },
];

/// The longest amount string (`money.value` in PayPal's OpenAPI document).
pub(crate) const MAX_LENGTH: usize = 32;
/// 999999999999999.99 in hundredths.
const MAX_HUNDREDTHS: i128 = 99_999_999_999_999_999;

impl Currency {
    /// The supported currency with that code.
    pub(crate) fn find(code: &str) -> Option<Self> {
        CURRENCIES
            .iter()
            .find(|currency| currency.code == code)
            .copied()
    }

    const fn scale(self) -> i128 {
        10_i128.pow(self.decimals)
    }
}

/// Why a string is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AmountFault {
    /// Not `^((-?[0-9]+)|(-?([0-9]+)?[.][0-9]+))$`.
    Syntax,
    /// Longer than [`MAX_LENGTH`].
    Length,
    /// More decimals than the currency takes.
    Precision,
    /// Above 999999999999999.99.
    TooLarge,
}

/// An amount: minor units and their currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Minor units by PayPal's decimals. Sums of bounded amounts cannot overflow 128 bits.
    pub(crate) minor: i128,
    /// The currency.
    pub(crate) currency: Currency,
}

impl Amount {
    /// Reads a decimal string.
    pub(crate) fn parse(text: &str, currency: Currency) -> Result<Self, AmountFault> {
        if text.chars().count() > MAX_LENGTH {
            return Err(AmountFault::Length);
        }
        let (negative, digits) = text
            .strip_prefix('-')
            .map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(AmountFault::Syntax),
            None if digits.is_empty() => return Err(AmountFault::Syntax),
            None => (digits, ""),
        };
        if !whole
            .bytes()
            .chain(fraction.bytes())
            .all(|byte| byte.is_ascii_digit())
        {
            return Err(AmountFault::Syntax);
        }
        let decimals = usize::try_from(currency.decimals).unwrap_or_default();
        if fraction.len() > decimals {
            return Err(AmountFault::Precision);
        }
        let padded = format!("{whole}{fraction:0<decimals$}");
        let minor: i128 = padded.parse().unwrap_or_default();
        if minor > MAX_HUNDREDTHS / 100 * currency.scale() + (currency.scale() - 1) {
            return Err(AmountFault::TooLarge);
        }
        Ok(Self {
            minor: if negative { -minor } else { minor },
            currency,
        })
    }

    /// That many minor units of the same currency.
    pub(crate) const fn of(self, minor: i128) -> Self {
        Self {
            minor,
            currency: self.currency,
        }
    }

    /// The decimal string, with exactly the currency's decimals.
    pub(crate) fn value(self) -> String {
        let scale = self.currency.scale();
        let sign = if self.minor < 0 { "-" } else { "" };
        let (whole, rest) = (self.minor.abs() / scale, self.minor.abs() % scale);
        if self.currency.decimals == 0 {
            return format!("{sign}{whole}");
        }
        let width = usize::try_from(self.currency.decimals).unwrap_or_default();
        format!("{sign}{whole}.{rest:0width$}")
    }

    /// PayPal's money object.
    pub(crate) fn json(self) -> Value {
        json!({ "currency_code": self.currency.code, "value": self.value() })
    }

    /// What PayPal keeps of a sale: 3.49 % plus 0.49, rounded half up, never more than the amount.
    /// The rate is invented but plausible; nobody may depend on it.
    pub(crate) fn fee(self) -> Self {
        let fixed = if self.currency.decimals == 0 { 40 } else { 49 };
        let fee = (self.minor * 349 + 5_000) / 10_000 + fixed;
        self.of(fee.min(self.minor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> Currency {
        Currency::find("USD").unwrap()
    }

    #[test]
    fn amounts_follow_the_specifications_pattern() {
        let good = [
            ("32.50", 3250),
            ("32.5", 3250),
            (".5", 50),
            ("7", 700),
            ("-1.00", -100),
            ("00.10", 10),
        ];
        for (text, minor) in good {
            assert_eq!(
                Amount::parse(text, usd()).map(|a| a.minor),
                Ok(minor),
                "{text}"
            );
        }
        for text in [
            "", "-", "5.", ".", "1,00", "1e3", "+1", " 1", "١", "--1", "1.2.3", "0x10",
        ] {
            assert_eq!(
                Amount::parse(text, usd()),
                Err(AmountFault::Syntax),
                "{text}"
            );
        }
        assert_eq!(Amount::parse("1.005", usd()), Err(AmountFault::Precision));
        assert_eq!(
            Amount::parse("1000000000000000", usd()),
            Err(AmountFault::TooLarge)
        );
        assert!(Amount::parse("999999999999999.99", usd()).is_ok());
        assert_eq!(
            Amount::parse(&"1".repeat(33), usd()),
            Err(AmountFault::Length)
        );
        assert_eq!(
            Amount::parse(&"9".repeat(32), usd()),
            Err(AmountFault::TooLarge)
        );
    }

    #[test]
    fn three_currencies_take_no_decimals() {
        for code in ["HUF", "JPY", "TWD"] {
            let currency = Currency::find(code).unwrap();
            assert_eq!(
                Amount::parse("1200.00", currency),
                Err(AmountFault::Precision)
            );
            assert_eq!(Amount::parse("1200", currency).unwrap().value(), "1200");
            assert!(Amount::parse("999999999999999", currency).is_ok());
            assert_eq!(
                Amount::parse("1000000000000000", currency),
                Err(AmountFault::TooLarge)
            );
        }
        assert!(Currency::find("KWD").is_none());
    }

    proptest::proptest! {
        #[test]
        fn every_amount_survives_the_round_trip(minor in -99_999_999_999_999_999_i128..=99_999_999_999_999_999, index in 0..CURRENCIES.len()) {
            let currency = CURRENCIES[index];
            let limit = currency.scale() * 999_999_999_999_999;
            let amount = Amount { minor: minor % limit, currency };
            proptest::prop_assert_eq!(Amount::parse(&amount.value(), currency), Ok(amount));
        }
    }

    #[test]
    fn the_fee_never_exceeds_the_amount() {
        let cent = Amount::parse("0.01", usd()).unwrap();
        assert_eq!(cent.fee().minor, 1);
        assert_eq!(
            Amount::parse("100.00", usd()).unwrap().fee().value(),
            "3.98"
        );
    }
}
