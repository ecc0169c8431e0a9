//! Reads a request's fields one by one and collects everything that is wrong with them, so that
//! a caller corrects a request once.

use std::collections::BTreeMap;

use dukou_domain::{Currency, InvalidId, Money, Timestamp};
use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::json::shortened;
use crate::problem::FieldError;

/// What a text may hold.
#[derive(Debug, Clone, Copy)]
pub struct TextRule {
    /// In characters.
    pub max: usize,
    /// Characters beyond U+FFFF are refused: the platforms do not take them.
    pub plane_zero_only: bool,
    /// Characters that show nothing themselves are refused: with them a text reads otherwise than it is.
    pub visible_only: bool,
}

/// The fields of one JSON object.
pub struct Fields {
    object: Map<String, Value>,
    /// What stands before every name of this object (`payer.`).
    prefix: &'static str,
    known: Vec<&'static str>,
    problems: Vec<FieldError>,
}

impl Fields {
    /// # Errors
    /// When the value is not an object.
    pub fn new(value: Value) -> Result<Self, FieldError> {
        match value {
            Value::Object(object) => Ok(Fields { object, prefix: "", known: Vec::new(), problems: Vec::new() }),
            _ => Err(FieldError::new("body", "expected a JSON object")),
        }
    }

    /// Notes that a field is wrong.
    pub fn refuse(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(FieldError::new(format!("{}{name}", self.prefix), message));
    }

    /// Nothing was found wrong so far.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The field's value; `null` counts as left out.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// Notes a field that has to be there and is not.
    pub fn require<T>(&mut self, name: &'static str, value: Option<T>) -> Option<T> {
        let already = format!("{}{name}", self.prefix);
        if value.is_none() && !self.problems.iter().any(|problem| problem.field == already) {
            self.refuse(name, "missing");
        }
        value
    }

    fn string(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.refuse(name, "expected a text");
                None
            }
        }
    }

    /// A text of people's words.
    pub fn text(&mut self, name: &'static str, rule: TextRule) -> Option<String> {
        let text = self.string(name)?;
        match check_text(&text, rule) {
            Ok(()) => Some(text),
            Err(message) => {
                self.refuse(name, message);
                None
            }
        }
    }

    /// A token of visible ASCII characters, at most `max` of them.
    pub fn token(&mut self, name: &'static str, max: usize) -> Option<String> {
        let text = self.string(name)?;
        if (1..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Some(text)
        } else {
            self.refuse(name, format!("expected 1 to {max} visible ASCII characters"));
            None
        }
    }

    /// A text with a grammar of its own.
    pub fn id<T>(&mut self, name: &'static str, parse: fn(&str) -> Result<T, InvalidId>) -> Option<T> {
        let text = self.string(name)?;
        match parse(&text) {
            Ok(id) => Some(id),
            Err(error) => {
                self.refuse(name, error.to_string());
                None
            }
        }
    }

    /// A text that `parse` understands; `expected` says which those are.
    pub fn word<T>(&mut self, name: &'static str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.string(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.refuse(name, format!("expected {expected}"));
        }
        value
    }

    /// A positive whole number of minor units.
    pub fn amount(&mut self, name: &'static str, currency: Currency) -> Option<Money> {
        let value = self.take(name)?;
        let minor = match &value {
            Value::Number(number) if number.is_i64() => number.as_i64(),
            _ => None,
        };
        let money = minor.filter(|minor| *minor > 0).and_then(|minor| Money::new(minor, currency).ok());
        if money.is_none() {
            self.refuse(name, format!("expected an integer from 1 to {}, in minor units (fen)", Money::MAX_MINOR));
        }
        money
    }

    /// A moment, RFC 3339.
    pub fn moment(&mut self, name: &'static str) -> Option<Timestamp> {
        self.word(name, "a time as in 2026-11-23T10:00:00Z (RFC 3339)", parse_moment)
    }

    /// An object of texts: at most 20 pairs, names of 1 to 40 characters, values of up to 500.
    pub fn metadata(&mut self, name: &'static str) -> BTreeMap<String, String> {
        const MAX_PAIRS: usize = 20;
        const NAME: TextRule = TextRule { max: 40, plane_zero_only: false, visible_only: false };
        const VALUE: TextRule = TextRule { max: 500, plane_zero_only: false, visible_only: false };
        let mut pairs = BTreeMap::new();
        let object = match self.take(name) {
            None => return pairs,
            Some(Value::Object(object)) => object,
            Some(_) => {
                self.refuse(name, "expected an object of texts");
                return pairs;
            }
        };
        if object.len() > MAX_PAIRS {
            self.refuse(name, format!("expected at most {MAX_PAIRS} pairs"));
            return pairs;
        }
        for (key, value) in object {
            let field = format!("{name}.{}", shortened(&key));
            if let Err(message) = check_text(&key, NAME) {
                self.refuse(&field, format!("name: {message}"));
            }
            match value {
                Value::String(text) => {
                    // Unlike other texts, a value may be empty.
                    if let Err(message) = check_characters(&text, VALUE) {
                        self.refuse(&field, message);
                    }
                    pairs.insert(key, text);
                }
                _ => self.refuse(&field, "expected a text"),
            }
        }
        pairs
    }

    /// An object inside this one, read by `read`; its problems join ours.
    pub fn object<T>(
        &mut self,
        name: &'static str,
        prefix: &'static str,
        read: impl FnOnce(&mut Fields) -> Option<T>,
    ) -> Option<T> {
        match self.take(name)? {
            Value::Object(object) => {
                let mut inner = Fields { object, prefix, known: Vec::new(), problems: Vec::new() };
                let value = read(&mut inner);
                self.problems.extend(inner.finish());
                value
            }
            _ => {
                self.refuse(name, "expected an object");
                None
            }
        }
    }

    /// Everything that is wrong; what was not asked for is wrong as well.
    pub fn finish(mut self) -> Vec<FieldError> {
        let unknown: Vec<String> = self.object.keys().map(|key| shortened(key)).collect();
        let known = self.known.join(", ");
        for key in unknown {
            self.refuse(&key, format!("unknown field, expected one of {known}"));
        }
        self.problems
    }
}

fn check_text(text: &str, rule: TextRule) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("empty, expected 1 to {} characters, or leave it out where it is optional", rule.max));
    }
    check_characters(text, rule)
}

fn check_characters(text: &str, rule: TextRule) -> Result<(), String> {
    let length = text.chars().count();
    if length > rule.max {
        return Err(format!("{length} characters, expected at most {}", rule.max));
    }
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') {
            return Err(format!("holds the control character U+{:04X}, expected printable characters", u32::from(c)));
        }
        if rule.visible_only && shows_nothing(c) {
            return Err(format!("holds the invisible character U+{:04X}, expected visible ones", u32::from(c)));
        }
        if rule.plane_zero_only && c > '\u{ffff}' {
            return Err(format!("holds U+{:04X}, expected no emoji and nothing else beyond U+FFFF", u32::from(c)));
        }
    }
    Ok(())
}

/// Whether the character has no shape of its own: it turns the direction of what stands around it, breaks a line, or is
/// not to be seen. The two joiners are none: scripts and emoji are written with them.
const fn shows_nothing(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Reads a moment in RFC 3339, to the millisecond. One that RFC 3339 could not write in UTC is none.
pub fn parse_moment(text: &str) -> Option<Timestamp> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)?;
    if !(0..=9999).contains(&moment.year()) {
        return None;
    }
    i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn amount(text: &str) -> Option<i64> {
        let mut fields = Fields::new(json::parse(format!("{{\"amount\":{text}}}").as_bytes()).ok()?).unwrap();
        let money = fields.amount("amount", Currency::Cny);
        assert_eq!(fields.finish().len(), usize::from(money.is_none()));
        money.map(Money::minor)
    }

    #[test]
    fn an_amount_is_a_positive_integer_within_the_limit() {
        assert_eq!(amount("101"), Some(101));
        assert_eq!(amount("10000000000"), Some(10_000_000_000));
        for wrong in ["0", "-1", "1.0", "1e2", "\"100\"", "10000000001", "9223372036854775808", "true", "[1]", "{}"] {
            assert_eq!(amount(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn texts_keep_to_their_rule() {
        let rule = TextRule { max: 5, plane_zero_only: true, visible_only: false };
        for (text, good) in [
            ("腾讯-图书", true),
            ("a\u{0}b", false),
            ("a\nb", false),
            ("\u{7f}", false),
            ("📚", false),
            ("123456", false),
            ("", false),
            ("  ", false),
        ] {
            assert_eq!(check_text(text, rule).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn all_problems_are_collected_and_strangers_are_named() {
        let value = serde_json::json!({ "amount": "1", "metadata": { "": "x", "k": 1 }, "surprise": true });
        let mut fields = Fields::new(value).unwrap();
        let amount = fields.amount("amount", Currency::Cny);
        fields.require("amount", amount);
        let absent = fields.token("code", 3);
        fields.require("code", absent);
        fields.metadata("metadata");
        let named: Vec<String> = fields.finish().into_iter().map(|problem| problem.field).collect();
        assert_eq!(named, ["amount", "code", "metadata.", "metadata.k", "surprise"]);
    }

    #[test]
    fn moments_are_rfc_3339() {
        assert_eq!(parse_moment("1970-01-01T00:00:01.5Z"), Some(Timestamp::from_millis(1500)));
        assert_eq!(parse_moment("1970-01-01T08:00:00+08:00"), Some(Timestamp::from_millis(0)));
        for wrong in ["2026-11-23", "2026-11-23T10:00:00", "1700000000", "", "99999-01-01T00:00:00Z"]
            .into_iter()
            .chain(["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+00:01"])
        {
            assert_eq!(parse_moment(wrong), None, "{wrong}");
        }
    }
}
