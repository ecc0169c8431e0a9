//! Money as whole minor units with the currency inside; no float anywhere on the path.

use std::fmt;

/// The currency of an amount. Those the gateway can count in all have two decimal
/// places, so one major unit is always 100 minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Currency {
    /// Renminbi; the minor unit is the fen (分).
    Cny,
    /// Any currency the gateway does not count in. It is never in an order of ours; a platform's
    /// word about money keeps it, so that the comparison with the order fails as it must and names it.
    Other(ForeignCode),
}

/// The three capital letters by which a platform named a currency; `XXX` (no currency) where it used another word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ForeignCode([u8; 3]);

impl fmt::Display for ForeignCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl Currency {
    /// The ISO 4217 code, upper case, of a currency the gateway counts in; `XXX` (no currency) for [`Currency::Other`],
    /// which is printed with its own.
    pub const fn code(self) -> &'static str {
        match self {
            Currency::Cny => "CNY",
            Currency::Other(_) => "XXX",
        }
    }

    /// Reads an ISO 4217 code. `None` for a currency the gateway does not know.
    pub fn parse(code: &str) -> Option<Self> {
        match code {
            "CNY" => Some(Currency::Cny),
            _ => None,
        }
    }

    /// The currency that a platform names by `word`, whichever it is.
    pub fn named(word: &str) -> Self {
        Self::parse(word).unwrap_or_else(|| {
            let letters = word.as_bytes().try_into().ok();
            let letters = letters.filter(|letters: &[u8; 3]| letters.iter().all(u8::is_ascii_uppercase));
            Currency::Other(ForeignCode(letters.unwrap_or(*b"XXX")))
        })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Currency::Cny => f.write_str(self.code()),
            Currency::Other(code) => code.fmt(f),
        }
    }
}

/// An amount in minor units (fen) of one currency. It may be zero (a sum of no refunds) but is
/// never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// Why an amount is not an amount, or why a calculation has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Below zero, or what is left of a subtraction would be.
    #[error("amount is negative")]
    Negative,
    /// Above [`Money::MAX_MINOR`], or a sum would be.
    #[error("amount is larger than {max} minor units", max = Money::MAX_MINOR)]
    TooLarge,
    /// The two amounts of a calculation: the left one's currency, then the right one's.
    #[error("amounts are in different currencies ({0} and {1})")]
    CurrencyMismatch(Currency, Currency),
    /// Not spelled as [`Money::parse_major`] reads it.
    #[error("not a decimal amount: expected digits with at most two decimal places, such as 19.90")]
    NotDecimal,
}

impl Money {
    /// The largest amount the gateway handles, in minor units: 10^10 fen, one hundred million
    /// yuan, which is also the platforms' own ceiling for one order.
    pub const MAX_MINOR: i64 = 10_000_000_000;

    /// An amount of `minor` minor units (fen).
    ///
    /// # Errors
    /// [`MoneyError::Negative`] below zero, [`MoneyError::TooLarge`] above [`Money::MAX_MINOR`].
    pub const fn new(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor < 0 {
            return Err(MoneyError::Negative);
        }
        if minor > Self::MAX_MINOR {
            return Err(MoneyError::TooLarge);
        }
        Ok(Money { minor, currency })
    }

    /// Nothing at all, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Money { minor: 0, currency }
    }

    /// Reads an amount in major units (yuan) as bills and some platforms print it:
    /// `(0|[1-9][0-9]*)(\.[0-9]{1,2})?`. Exact: no float is involved.
    ///
    /// # Errors
    /// [`MoneyError::NotDecimal`] for any other spelling, [`MoneyError::TooLarge`].
    pub fn parse_major(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if !digits(whole) || leading_zero || !digits(fraction) || fraction.len() > 2 {
            return Err(MoneyError::NotDecimal);
        }
        let whole: i64 = whole.parse().map_err(|_| MoneyError::TooLarge)?;
        let mut cents: i64 = fraction.parse().map_err(|_| MoneyError::NotDecimal)?;
        if fraction.len() == 1 {
            cents *= 10;
        }
        let minor = whole.checked_mul(100).and_then(|minor| minor.checked_add(cents)).ok_or(MoneyError::TooLarge)?;
        Money::new(minor, currency)
    }

    /// The amount in minor units (fen).
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// [`Currency::Other`] only of what a platform told, never of an order of ours.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// True of a sum of no refunds; an order or a refund is never of nothing.
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// # Errors
    /// [`MoneyError::CurrencyMismatch`], [`MoneyError::TooLarge`].
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.same_currency(other)?;
        Money::new(self.minor + other.minor, self.currency)
    }

    /// # Errors
    /// [`MoneyError::CurrencyMismatch`], [`MoneyError::Negative`] when `other` is the larger.
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.same_currency(other)?;
        Money::new(self.minor - other.minor, self.currency)
    }

    fn same_currency(self, other: Money) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch(self.currency, other.currency))
        }
    }
}

/// Prints major units with two decimals and the code, for people: `1.01 CNY`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} {}", self.minor / 100, self.minor % 100, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fen(minor: i64) -> Money {
        Money::new(minor, Currency::Cny).unwrap()
    }

    #[test]
    fn reads_yuan_exactly() {
        let cases = [
            ("19.90", Ok(1990)),
            ("0.01", Ok(1)),
            ("9.8", Ok(980)),
            ("100", Ok(10_000)),
            ("0.29", Ok(29)),
            ("0", Ok(0)),
            ("1.005", Err(MoneyError::NotDecimal)),
            ("-1.00", Err(MoneyError::NotDecimal)),
            ("+1", Err(MoneyError::NotDecimal)),
            ("1e2", Err(MoneyError::NotDecimal)),
            ("", Err(MoneyError::NotDecimal)),
            (".5", Err(MoneyError::NotDecimal)),
            ("1.", Err(MoneyError::NotDecimal)),
            ("01.00", Err(MoneyError::NotDecimal)),
            ("١.٠٠", Err(MoneyError::NotDecimal)),
            ("100000000.01", Err(MoneyError::TooLarge)),
            ("99999999999999999999", Err(MoneyError::TooLarge)),
        ];
        for (text, expected) in cases {
            let got = Money::parse_major(text, Currency::Cny).map(Money::minor);
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_an_amount() {
        assert_eq!(Money::new(-1, Currency::Cny), Err(MoneyError::Negative));
        assert_eq!(Money::new(i64::MAX, Currency::Cny), Err(MoneyError::TooLarge));
        assert_eq!(fen(1).checked_sub(fen(2)), Err(MoneyError::Negative));
        assert_eq!(fen(Money::MAX_MINOR).checked_add(fen(1)), Err(MoneyError::TooLarge));
    }

    #[test]
    fn a_currency_is_printed_as_the_platform_named_it() {
        for (word, printed) in [
            ("CNY", "CNY"),
            ("USD", "USD"),
            ("XXX", "XXX"),
            ("cny", "XXX"),
            ("", "XXX"),
            ("EURO", "XXX"),
            ("元", "XXX"),
        ] {
            let currency = Currency::named(word);
            assert_eq!(currency.to_string(), printed, "{word}");
            assert_eq!(currency == Currency::Cny, word == "CNY", "{word}");
            assert_eq!(Currency::named(&currency.to_string()), currency, "{word}");
        }
    }

    proptest! {
        #[test]
        fn printed_yuan_reads_back(minor in 0..=Money::MAX_MINOR) {
            let printed = fen(minor).to_string();
            let yuan = printed.strip_suffix(" CNY").unwrap();
            prop_assert_eq!(Money::parse_major(yuan, Currency::Cny), Ok(fen(minor)));
        }

        #[test]
        fn any_text_is_an_answer_not_a_panic(text in "\\PC*") {
            let _ = Money::parse_major(&text, Currency::Cny);
        }
    }
}
