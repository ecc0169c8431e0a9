//! Numbers in a TOML file that are no numbers here: a merchant's password of digits alone, its quotes forgotten.

use toml::de::{DeTable, DeValue};

/// One of them: where in the file, and its key with its path.
pub struct OutOfRange {
    pub at: usize,
    pub key: String,
}

/// All of them. The parser takes any number of digits; what reads its numbers gives up at the first that is too long,
/// and knows neither its line nor its key.
pub fn out_of_range(table: &DeTable<'_>) -> Vec<OutOfRange> {
    let mut found = Vec::new();
    in_table("", table, &mut found);
    found.sort_by_key(|number| number.at);
    found
}

fn in_table(path: &str, table: &DeTable<'_>, found: &mut Vec<OutOfRange>) {
    for (key, value) in table {
        let name = key.get_ref();
        let key = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        in_value(key, value.span().start, value.get_ref(), found);
    }
}

fn in_value(key: String, at: usize, value: &DeValue<'_>, found: &mut Vec<OutOfRange>) {
    let fits = match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).is_ok(),
        DeValue::Float(number) => {
            number.as_str().contains("inf") || number.as_str().parse().is_ok_and(|number: f64| !number.is_infinite())
        }
        DeValue::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                in_value(format!("{key}[{index}]"), value.span().start, value.get_ref(), found);
            }
            true
        }
        DeValue::Table(table) => {
            in_table(&key, table, found);
            true
        }
        DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => true,
    };
    if !fits {
        found.push(OutOfRange { at, key });
    }
}
