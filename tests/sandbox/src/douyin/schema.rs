//! A share schema (protocol 1.6) taken apart as the Douyin app does.

use std::collections::BTreeMap;

use serde::Serialize;

/// How every share schema begins.
const START: &str = "snssdk1128://openplatform/share?";
/// Bytes of a schema that the app takes; the platform publishes no number.
const MAX_SCHEMA: usize = 16 * 1024;
pub type Parameters = BTreeMap<String, String>;

/// Why the app does not go on: a word for programs, what it shows, and what exactly is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub reason: &'static str,
    pub shown: &'static str,
    pub detail: String,
}

impl Refused {
    pub fn new(reason: &'static str, shown: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, shown, detail: detail.into() }
    }

    pub fn parameter(detail: impl Into<String>) -> Self {
        Self::new("parameter", "参数错误，无法分享", detail)
    }

    pub fn media(detail: impl Into<String>) -> Self {
        Self::new("media", "素材加载失败，无法分享", detail)
    }
}

/// Takes a schema apart. Nothing is decoded but percent signs: a `+` stays a `+`.
pub fn read(text: &str) -> Result<Parameters, Refused> {
    if text.len() > MAX_SCHEMA {
        return Err(Refused::parameter(format!("the schema has {} bytes; at most {MAX_SCHEMA} are read", text.len())));
    }
    let Some(query) = text.strip_prefix(START) else {
        return Err(Refused::parameter(format!("the schema must begin with {START}")));
    };
    let mut parameters = Parameters::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| Refused::parameter(format!("{pair}: = is missing")))?;
        let value = decode(value).ok_or_else(|| {
            Refused::parameter(format!("{name}: must be percent-encoded UTF-8, as encodeURIComponent writes it"))
        })?;
        if parameters.insert(name.to_owned(), value).is_some() {
            return Err(Refused::parameter(format!("{name}: is there twice")));
        }
    }
    Ok(parameters)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'!'..=b'~' => byte,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The value of a parameter that is there and not empty.
pub fn given<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
}
