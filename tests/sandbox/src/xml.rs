//! The flat XML of the v2 API: one root, text children, no document type.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::sign::Fields;

const MAX_FIELDS: usize = 512;

/// Why a document was not read. The text is the platform's code for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    Empty,
    NotUtf8,
    Malformed,
}

impl Unreadable {
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "POST_DATA_EMPTY",
            Self::NotUtf8 => "NOT_UTF8",
            Self::Malformed => "XML_FORMAT_ERROR",
        }
    }
}

/// Reads a flat document with any root. A document type, a nested or a repeated element is refused.
pub fn read(bytes: &[u8]) -> Result<Fields, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::NotUtf8)?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(Unreadable::Empty);
    }
    if has_document_type(text) {
        return Err(Unreadable::Malformed);
    }
    let options =
        roxmltree::ParsingOptions { allow_dtd: false, nodes_limit: 4 * MAX_FIELDS as u32, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).map_err(|_| Unreadable::Malformed)?;
    let mut fields = Fields::new();
    for child in document.root_element().children() {
        if child.is_text() && !child.text().unwrap_or_default().trim().is_empty() {
            return Err(Unreadable::Malformed);
        }
        if !child.is_element() {
            continue;
        }
        let mut value = String::new();
        for part in child.children() {
            if part.is_element() {
                return Err(Unreadable::Malformed);
            }
            if part.is_text() {
                value.push_str(part.text().unwrap_or_default());
            }
        }
        if fields.insert(child.tag_name().name().to_owned(), value).is_some() || fields.len() > MAX_FIELDS {
            return Err(Unreadable::Malformed);
        }
    }
    Ok(fields)
}

/// Looks at what stands before the root element only: a value may speak of `<!DOCTYPE` as it likes.
fn has_document_type(text: &str) -> bool {
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        let end = match rest.as_bytes().get(1) {
            Some(b'?') => rest.find("?>"),
            Some(b'!') if rest.starts_with("<!--") => rest.find("-->"),
            Some(b'!') => return true,
            _ => return false,
        };
        let Some(end) = end else { return false };
        rest = &rest[end + 2..];
    }
    false
}

/// Writes the fields in a random order, strings in CDATA, short integers now and then bare, as the platform does.
pub fn write(root: &str, fields: &Fields) -> String {
    let mut rng = rand::rng();
    let mut ordered: Vec<_> = fields.iter().collect();
    ordered.shuffle(&mut rng);
    let mut text = format!("<{root}>");
    for (name, value) in ordered {
        let bare = is_short_integer(value) && rng.random_bool(0.5);
        text.push('<');
        text.push_str(name);
        text.push('>');
        if bare {
            text.push_str(value);
        } else if value.contains('\r') {
            text.push_str(&escape(value));
        } else {
            text.push_str("<![CDATA[");
            text.push_str(&value.replace("]]>", "]]]]><![CDATA[>"));
            text.push_str("]]>");
        }
        text.push_str("</");
        text.push_str(name);
        text.push('>');
    }
    text.push_str("</");
    text.push_str(root);
    text.push('>');
    text
}

fn is_short_integer(value: &str) -> bool {
    (1..=10).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())
}

/// CDATA cannot hold a carriage return that survives reading; a character reference can.
fn escape(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#13;")
}
