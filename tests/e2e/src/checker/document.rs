use std::collections::BTreeMap;

use serde_json::Value;

use crate::xml;

/// What one side said. Read by APIv2's names whatever the interface, so that a rule is written once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// XML.
    V2(String),
    /// JSON: each value by its path.
    V3(BTreeMap<String, String>),
}

/// Where APIv3 keeps what APIv2 has another name for.
const NAMES: [(&str, &str); 4] = [
    ("mchid", "mch_id"),
    ("amount.total", "total_fee"),
    ("amount.currency", "fee_type"),
    ("amount.refund", "refund_fee"),
];

impl Default for Document {
    fn default() -> Self {
        Self::V2(String::new())
    }
}

impl Document {
    pub fn xml(text: &str) -> Self {
        Self::V2(text.to_owned())
    }

    /// What cannot be read has no fields but itself.
    pub fn json(text: &str) -> Self {
        let mut fields = BTreeMap::new();
        if !text.is_empty() {
            flatten(String::new(), &serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)), &mut fields);
        }
        Self::V3(fields)
    }

    pub fn field(&self, name: &str) -> Option<String> {
        match self {
            Self::V2(text) => xml::field(text, name),
            Self::V3(fields) => fields.get(name).cloned(),
        }
    }

    pub fn fields(&self) -> BTreeMap<String, String> {
        match self {
            Self::V2(text) => xml::fields(text).into_iter().collect(),
            Self::V3(fields) => fields.clone(),
        }
    }
}

fn flatten(path: String, value: &Value, fields: &mut BTreeMap<String, String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(inner) => inner.iter().for_each(|(name, value)| flatten(below(name), value, fields)),
        Value::Array(inner) => {
            inner.iter().enumerate().for_each(|(at, value)| flatten(below(&at.to_string()), value, fields));
        }
        Value::Null => {}
        one => {
            let text = one.as_str().map_or_else(|| one.to_string(), str::to_owned);
            let name = NAMES.iter().find(|(there, _)| *there == path).map_or(path.as_str(), |(_, name)| name);
            fields.insert(name.to_owned(), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_for_a_thing() {
        let v2 = Document::xml("<xml><mch_id>19</mch_id><total_fee>101</total_fee><fee_type>CNY</fee_type></xml>");
        let v3 = Document::json(r#"{"mchid":"19","amount":{"total":101,"currency":"CNY"},"list":[{"a":true},null]}"#);
        for (name, value) in [("mch_id", "19"), ("total_fee", "101"), ("fee_type", "CNY")] {
            assert_eq!((v2.field(name).as_deref(), v3.field(name).as_deref()), (Some(value), Some(value)));
        }
        assert_eq!(v3.field("list.0.a").as_deref(), Some("true"));
        assert_eq!(v3.fields().len(), 4);
        assert_eq!(v2.field("amount.total"), None);
        assert_ne!(Document::json("{\"a\""), Document::json("{\"b\""), "what cannot be read is still compared");
        assert_eq!(Document::json("").fields().len(), 0);
    }
}
