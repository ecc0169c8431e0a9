//! Shows what crossed the wire: the fields that matter, secrets and signatures cut short.

use serde_json::Value;

/// Fields of which only the beginning is shown: whoever has them could sign, log in or decrypt.
const SHORT: [&str; 13] = [
    "resource",
    "sign",
    "paySign",
    "nonce_str",
    "nonceStr",
    "req_info",
    "session_key",
    "js_code",
    "secret",
    "code",
    "access_token",
    "openid",
    "unionid",
];
/// Fields that say nothing to a person.
const LEFT_OUT: [&str; 4] = ["nonce_str", "nonceStr", "scene_info", "mch_appid"];
const SHOWN: usize = 56;

/// An entry of the sandbox's journal, in lines.
pub fn entry_lines(entry: &Value) -> Vec<String> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    let out = text("direction") == "out";
    let platform = if entry["client_key"].is_string() { "抖音 Douyin" } else { "微信 WeChat Pay" };
    let (from, to) = if out { (platform, "gateway") } else { ("gateway", platform) };
    let (address, query) = text("url").split_once('?').unwrap_or((text("url"), ""));
    let mut lines = vec![format!("  {from} → {to}   {} {address}", text("method"))];
    if !query.is_empty() {
        let fields = query.split('&').filter_map(|pair| pair.split_once('='));
        lines.push(format!("      {}", pairs(fields.map(|(name, value)| (name.to_owned(), value.to_owned())))));
    }
    if !text("request").is_empty() {
        lines.push(format!("      {}", body(text("request"))));
    }
    let status = entry["status"].as_u64().map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    lines.push(format!("    ← {status}  {}", body(text("response"))));
    lines
}

/// A body of XML or JSON as `name=value` pairs; anything else by its length.
pub fn body(text: &str) -> String {
    if let Ok(Value::Object(object)) = serde_json::from_str(text) {
        return pairs(object.iter().map(|(name, value)| (name.clone(), plain(value))));
    }
    match xml_fields(text) {
        Some(fields) => pairs(fields.into_iter()),
        None if text.is_empty() => String::new(),
        None => format!("({} characters)", text.chars().count()),
    }
}

/// Some keys of a JSON object as `name=value` pairs.
pub fn some(object: &Value, keys: &[&str]) -> String {
    pairs(keys.iter().map(|key| ((*key).to_owned(), plain(&object[*key]))))
}

fn pairs(fields: impl Iterator<Item = (String, String)>) -> String {
    let shown = fields.filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())).map(|(name, value)| {
        let limit = if SHORT.contains(&name.as_str()) { 6 } else { SHOWN };
        format!("{name}={}", cut(&value, limit))
    });
    shown.collect::<Vec<_>>().join("  ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit).chain(['…']).collect()
}

/// The fields of a flat document, for showing alone: nothing is decided by them.
fn xml_fields(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.trim().strip_prefix("<xml>")?.strip_suffix("</xml>")?;
    let mut fields = Vec::new();
    while let Some(start) = rest.find('<') {
        let (name, after) = rest[start + 1..].split_once('>')?;
        let (value, after) = after.split_once(&format!("</{name}>"))?;
        let value = value.trim();
        let value = value.strip_prefix("<![CDATA[").and_then(|value| value.strip_suffix("]]>")).unwrap_or(value);
        fields.push((name.to_owned(), value.to_owned()));
        rest = after;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_shown_and_secrets_cut() {
        for (text, shown) in [
            ("<xml><a><![CDATA[1]]></a><sign>ABCDEFGHIJ</sign></xml>", "a=1  sign=ABCDEF…"),
            (r#"{"session_key":"0123456789","errcode":0}"#, "errcode=0  session_key=012345…"),
            ("<html>", "(6 characters)"),
            ("<xml><a>1</b></xml>", "(19 characters)"),
            ("", ""),
        ] {
            assert_eq!(body(text), shown, "{text}");
        }
    }
}
