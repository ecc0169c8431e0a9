//! The few fields that the checker reads in what crossed the wire: flat documents, with or without CDATA.

/// The text of a field.
pub fn field(document: &str, name: &str) -> Option<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let from = document.find(&open)? + open.len();
    let length = document[from..].find(&close)?;
    Some(plain(&document[from..from + length]))
}

/// Every field of a flat document, in order.
pub fn fields(document: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let inner = document.find("<xml>").map_or(document, |at| &document[at + "<xml>".len()..]);
    let mut rest = inner;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let Some(end) = rest.find('>') else { break };
        let name = &rest[..end];
        let close = format!("</{name}>");
        let Some(length) = rest[end + 1..].find(&close) else { break };
        found.push((name.to_owned(), plain(&rest[end + 1..end + 1 + length])));
        rest = &rest[end + 1 + length + close.len()..];
    }
    found
}

fn plain(text: &str) -> String {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>")) {
        return inner.replace("]]]]><![CDATA[>", "]]>");
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields() {
        let document = "<xml>\n<a><![CDATA[x<y]]></a>\n<b>1</b><c>p&amp;q</c></xml>";
        let all = [("a", "x<y"), ("b", "1"), ("c", "p&q")];
        assert_eq!(fields(document), all.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for (name, value) in all {
            assert_eq!(field(document, name).as_deref(), Some(value));
        }
        assert_eq!(field(document, "d"), None);
    }
}
