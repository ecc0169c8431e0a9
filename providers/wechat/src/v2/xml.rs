//! The flat XML of APIv2: one root, one text per field, nothing else.
//!
//! Reading is strict, because whoever can reach the notify address chooses the bytes: a document
//! type, a processing instruction, a comment, an attribute, an entity of its own, a second root,
//! a field twice or a cut-off end is refused, whatever else the document says.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesDecl, BytesRef, Event};

/// The longest document, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most fields in one document.
pub const MAX_FIELDS: usize = 512;

/// Why a document is none of WeChat's. Holds nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    #[error("the document is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the document is not UTF-8")]
    NotUtf8,
    #[error("the document holds a character that XML 1.0 forbids")]
    ForbiddenCharacter,
    #[error("the document is not well-formed or is cut off")]
    Malformed,
    #[error("the document has a part that these messages never have ({0})")]
    ForbiddenPart(&'static str),
    #[error("the document's root is not the expected one")]
    WrongRoot,
    #[error("the document is nested more than two levels deep")]
    TooDeep,
    #[error("the document has more than {MAX_FIELDS} fields")]
    TooManyFields,
    #[error("a field occurs twice")]
    DuplicateField,
}

/// The fields of one document, by name. Values are the texts after decoding, spaces and all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields<'a> {
    /// In ascending byte order of the names, as the signature wants them.
    sorted: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Fields<'a> {
    /// The field's text; an empty field counts as missing, as it does for the signature.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.sorted.binary_search_by(|(key, _)| (*key).cmp(name)).ok()?;
        self.sorted.get(at).map(|(_, value)| value.as_ref()).filter(|value| !value.is_empty())
    }

    /// All fields, in ascending byte order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.sorted.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// Whether the fields can be told apart in what was signed. There `&` ends a value, and nothing escapes one that
    /// stands in it: whoever chooses a text that the platform signs can write whole fields into it, and by moving the
    /// bounds make of a genuine signature one of other fields. So only `free`, which others choose, may hold `&`, and
    /// no field of `names` may be found in it that the document does not have outside: it would have been moved in.
    pub fn are_distinct(&self, free: &str, names: &[&str]) -> bool {
        self.iter().filter(|(_, value)| value.contains('&')).all(|(name, value)| {
            name == free
                && value
                    .split('&')
                    .skip(1)
                    .filter_map(|part| part.split_once('='))
                    .all(|(inside, _)| !names.contains(&inside) || self.get(inside).is_some())
        })
    }

    fn collect(mut fields: Vec<(&'a str, Cow<'a, str>)>) -> Result<Self, XmlError> {
        fields.sort_unstable_by_key(|(name, _)| *name);
        if fields.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(XmlError::DuplicateField);
        }
        Ok(Fields { sorted: fields })
    }
}

/// Reads a document whose root element is `root`.
///
/// # Errors
/// [`XmlError`] for anything but a flat document within the limits.
pub fn parse<'a>(body: &'a [u8], root: &str) -> Result<Fields<'a>, XmlError> {
    if body.len() > MAX_BYTES {
        return Err(XmlError::TooLong);
    }
    let text = std::str::from_utf8(body).map_err(|_| XmlError::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.bytes().any(|byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r'))
        || !text.is_ascii() && text.contains(['\u{fffe}', '\u{ffff}'])
    {
        return Err(XmlError::ForbiddenCharacter);
    }
    Document {
        text,
        root,
        depth: Depth::BeforeRoot,
        name: "",
        value: Cow::Borrowed(""),
        fields: Vec::with_capacity(32),
    }
    .read()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    BeforeRoot,
    Root,
    Field,
    AfterRoot,
}

struct Document<'a, 'r> {
    text: &'a str,
    root: &'r str,
    depth: Depth,
    name: &'a str,
    value: Cow<'a, str>,
    fields: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Document<'a, '_> {
    fn read(mut self) -> Result<Fields<'a>, XmlError> {
        let mut reader = Reader::from_str(self.text);
        let mut first = true;
        loop {
            let start = reader.buffer_position();
            let event = reader.read_event().map_err(|_| XmlError::Malformed)?;
            let span = usize::try_from(start).unwrap_or(usize::MAX)
                ..usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            match event {
                Event::Decl(declaration) if first => check_declaration(&declaration)?,
                Event::Start(_) => self.open(span)?,
                Event::Empty(_) => {
                    self.open(span)?;
                    self.close()?;
                }
                Event::End(_) => self.close()?,
                Event::Text(text) => self.text(text.xml10_content(), &text)?,
                Event::CData(text) if self.depth == Depth::Field => self.append(text.xml10_content()),
                Event::GeneralRef(reference) if self.depth == Depth::Field => {
                    let character = resolve(&reference)?;
                    self.value.to_mut().push(character);
                }
                Event::Eof if self.depth == Depth::AfterRoot => return Fields::collect(self.fields),
                Event::DocType(_) => return Err(XmlError::ForbiddenPart("document type")),
                Event::PI(_) => return Err(XmlError::ForbiddenPart("processing instruction")),
                Event::Comment(_) => return Err(XmlError::ForbiddenPart("comment")),
                Event::Decl(_) | Event::CData(_) | Event::GeneralRef(_) | Event::Eof => {
                    return Err(XmlError::Malformed);
                }
            }
            first = false;
        }
    }

    fn open(&mut self, span: Range<usize>) -> Result<(), XmlError> {
        let name = self.tag_name(span)?;
        match self.depth {
            Depth::BeforeRoot if name == self.root => self.depth = Depth::Root,
            Depth::BeforeRoot => return Err(XmlError::WrongRoot),
            Depth::Root if self.fields.len() == MAX_FIELDS => return Err(XmlError::TooManyFields),
            Depth::Root => {
                self.name = name;
                self.value = Cow::Borrowed("");
                self.depth = Depth::Field;
            }
            Depth::Field => return Err(XmlError::TooDeep),
            Depth::AfterRoot => return Err(XmlError::Malformed),
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), XmlError> {
        match self.depth {
            Depth::Field => {
                self.fields.push((self.name, std::mem::take(&mut self.value)));
                self.depth = Depth::Root;
            }
            Depth::Root => self.depth = Depth::AfterRoot,
            Depth::BeforeRoot | Depth::AfterRoot => return Err(XmlError::Malformed),
        }
        Ok(())
    }

    /// Text between the fields may only be white space; `]]>` may not stand in any text.
    fn text(&mut self, content: Cow<'a, str>, raw: &str) -> Result<(), XmlError> {
        match self.depth {
            Depth::Field if raw.contains("]]>") => return Err(XmlError::Malformed),
            Depth::Field => self.append(content),
            _ if content.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) => {}
            _ => return Err(XmlError::Malformed),
        }
        Ok(())
    }

    fn append(&mut self, more: Cow<'a, str>) {
        if self.value.is_empty() {
            self.value = more;
        } else {
            self.value.to_mut().push_str(&more);
        }
    }

    /// The name in the tag at `span`, borrowed from the document. There are no attributes.
    fn tag_name(&self, span: Range<usize>) -> Result<&'a str, XmlError> {
        let tag = self.text.get(span).ok_or(XmlError::Malformed)?;
        let inner = tag.strip_prefix('<').and_then(|tag| tag.strip_suffix('>')).ok_or(XmlError::Malformed)?;
        let name = inner.strip_suffix('/').unwrap_or(inner).trim_end_matches([' ', '\t', '\r', '\n']);
        if name.contains([' ', '\t', '\r', '\n']) {
            return Err(XmlError::ForbiddenPart("attribute"));
        }
        let mut bytes = name.bytes();
        let legal = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if legal { Ok(name) } else { Err(XmlError::Malformed) }
    }
}

fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), XmlError> {
    match declaration.version() {
        Ok(version) if version == "1.0" => {}
        _ => return Err(XmlError::ForbiddenPart("version other than 1.0")),
    }
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") || encoding.eq_ignore_ascii_case("utf8") => Ok(()),
        Some(_) => Err(XmlError::NotUtf8),
    }
}

/// The five entities of XML itself, and characters by number.
fn resolve(reference: &BytesRef<'_>) -> Result<char, XmlError> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| XmlError::ForbiddenCharacter)? {
        return if is_legal(character) { Ok(character) } else { Err(XmlError::ForbiddenCharacter) };
    }
    match &**reference {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(XmlError::ForbiddenPart("entity")),
    }
}

/// Whether XML 1.0 knows the character (its production `Char`).
pub fn is_legal(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Writes a document with root `xml`. Numbers stand bare, other texts in CDATA; what CDATA cannot
/// carry is escaped. The values must be legal XML text.
pub fn write<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    let mut xml = String::with_capacity(1024);
    xml.push_str("<xml>");
    for (name, value) in fields {
        let _ = write!(xml, "<{name}>");
        if value.bytes().all(|byte| byte.is_ascii_digit()) {
            xml.push_str(value);
        } else if value.contains('\r') || value.contains("]]>") {
            escape(&mut xml, value);
        } else {
            let _ = write!(xml, "<![CDATA[{value}]]>");
        }
        let _ = write!(xml, "</{name}>");
    }
    xml.push_str("</xml>");
    xml
}

fn escape(xml: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '&' => xml.push_str("&amp;"),
            '\r' => xml.push_str("&#13;"),
            other => xml.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
