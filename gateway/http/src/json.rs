//! JSON read strictly: one document, no key twice, and every fault told by the field it is in.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::problem::FieldError;

/// A path is cut after this many characters before it is shown.
const MAX_PATH: usize = 100;

/// Reads one JSON document. Nesting is limited to 127 levels.
///
/// # Errors
/// The field the fault is in, and the fault: not JSON, not UTF-8, an unpaired surrogate, a number
/// out of range, a key that is there twice, something after the document.
pub fn parse(bytes: &[u8]) -> Result<Value, FieldError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Strict(value) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = field_of(&error.path().to_string());
        FieldError::new(field, format!("not valid JSON: {}", shortened(&error.into_inner().to_string())))
    })?;
    reader.end().map_err(|error| FieldError::new("body", format!("not valid JSON: {error}")))?;
    Ok(value)
}

/// A fault between two fields has a `?` where the name would be, one outside of all a single dot.
fn field_of(path: &str) -> String {
    match path.trim_end_matches(['?', '.']) {
        "" => "body".to_owned(),
        path => shortened(path),
    }
}

/// The beginning of a text that a caller chose, short enough to be shown.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_PATH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                // Failing inside the value puts the key into the error's path.
                entries.next_value::<Repeated>()?;
            }
            let Strict(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

struct Repeated;

impl<'de> Deserialize<'de> for Repeated {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("the key is there twice"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn faults_name_their_field() {
        let deep = "[".repeat(100_000);
        let cases: [(&[u8], &str); 11] = [
            (b"", "body"),
            (b"{", "body"),
            (b"{} {}", "body"),
            (b"{\"a\": 1} x", "body"),
            (b"{\"a\": 1, \"a\": 2}", "a"),
            (b"{\"payer\": {\"openid\": \"x\", \"openid\": \"x\"}}", "payer.openid"),
            (b"{\"description\": \"\\ud800\"}", "description"),
            (b"{\"description\": \"\\ud800\\u0041\"}", "description"),
            (b"{\"description\": \"\xff\"}", "description"),
            (b"{\"amount\": 1e999}", "amount"),
            (b"{\"amount\": 01}", "amount"),
        ];
        for (text, field) in cases {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.field, field, "{:?}: {}", String::from_utf8_lossy(text), fault.message);
        }
        assert!(parse(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_not_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_printed_reads_back(text in "\\PC*", number: i64) {
            let value = serde_json::json!({ "text": text, "list": [number, null, true] });
            prop_assert_eq!(parse(value.to_string().as_bytes()), Ok(value));
        }
    }
}
