//! Amounts as people read them, from minor units by whole numbers alone.

use dukou_domain::{Currency, Money};

/// `¥1,234.56`.
pub fn shown(amount: Money) -> String {
    sum(amount.currency(), i128::from(amount.minor()))
}

/// A sum that may be larger than one amount can be.
pub fn sum(currency: Currency, minor: i128) -> String {
    let (whole, part) = (minor / 100, (minor % 100).unsigned_abs());
    let digits = whole.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if minor < 0 { "-" } else { "" };
    let mark = if currency.code() == "CNY" { "¥".to_owned() } else { format!("{} ", currency.code()) };
    format!("{sign}{mark}{grouped}.{part:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn yuan_with_groups_of_three() {
        let yuan = Currency::parse("CNY").unwrap();
        for (fen, text) in [
            (0, "¥0.00"),
            (1, "¥0.01"),
            (101, "¥1.01"),
            (99_999, "¥999.99"),
            (100_000, "¥1,000.00"),
            (123_456_789, "¥1,234,567.89"),
            (-5, "-¥0.05"),
        ] {
            assert_eq!(sum(yuan, fen), text);
        }
    }

    proptest! {
        #[test]
        fn reads_back(fen in 0..i64::MAX) {
            let text = sum(Currency::parse("CNY").unwrap(), i128::from(fen));
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            prop_assert_eq!(digits.parse::<i64>().unwrap(), fen);
        }
    }
}
