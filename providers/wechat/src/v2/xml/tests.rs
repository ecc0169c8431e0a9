use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Vec<(String, String)>, XmlError> {
    parse(text.as_bytes(), "xml").map(|fields| fields.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
}

#[test]
fn values_are_the_texts_after_decoding() {
    let cases = [
        ("<xml><a>1</a></xml>", "1"),
        ("<xml><a><![CDATA[1]]></a></xml>", "1"),
        ("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xml>\r\n <a>1</a>\n</xml>\n", "1"),
        ("<?xml version='1.0'?><xml><a>1</a></xml >", "1"),
        ("<xml><a>x<![CDATA[<y>&]]> z</a></xml>", "x<y>& z"),
        ("<xml><a> lead and trail </a></xml>", " lead and trail "),
        ("<xml><a><![CDATA[ ]]></a></xml>", " "),
        ("<xml><a>&lt;&gt;&amp;&quot;&apos;&#65;&#x4e2d;</a></xml>", "<>&\"'A中"),
        ("<xml><a>a]]&gt;b</a></xml>", "a]]>b"),
        ("<xml><a></a></xml>", ""),
        ("<xml><a/></xml>", ""),
        ("<xml><a />\t</xml>", ""),
        ("<xml><a>one\r\ntwo\rthree</a></xml>", "one\ntwo\nthree"),
        ("<xml><a>😀 深圳</a></xml>", "😀 深圳"),
    ];
    for (text, value) in cases {
        assert_eq!(read(text), Ok(vec![("a".to_owned(), value.to_owned())]), "{text:?}");
    }
    assert_eq!(read("<xml/>"), Ok(Vec::new()));
    assert_eq!(parse(b"<root><a>1</a></root>", "root").unwrap().get("a"), Some("1"));
}

#[test]
fn whatever_these_messages_never_hold_is_refused() {
    use XmlError::{
        DuplicateField, ForbiddenCharacter, ForbiddenPart, Malformed, NotUtf8, TooDeep, TooLong, TooManyFields,
        WrongRoot,
    };
    let many: String = (0..=MAX_FIELDS).map(|n| format!("<f{n}>1</f{n}>")).collect();
    let cases = [
        ("<!DOCTYPE xml><xml><a>1</a></xml>", ForbiddenPart("document type")),
        ("<xml><!DOCTYPE x><a>1</a></xml>", ForbiddenPart("document type")),
        ("<xml><a>&x;</a></xml>", ForbiddenPart("entity")),
        ("<xml><?php x?><a>1</a></xml>", ForbiddenPart("processing instruction")),
        ("<xml><a>1<!-- --></a></xml>", ForbiddenPart("comment")),
        ("<!-- --><xml><a>1</a></xml>", ForbiddenPart("comment")),
        ("<xml><a b='c'>1</a></xml>", ForbiddenPart("attribute")),
        ("<xml xmlns='c'><a>1</a></xml>", ForbiddenPart("attribute")),
        ("<?xml version='1.1'?><xml><a>1</a></xml>", ForbiddenPart("version other than 1.0")),
        ("<?xml version='1.0' encoding='gbk'?><xml><a>1</a></xml>", NotUtf8),
        ("<xml><a>&#0;</a></xml>", ForbiddenCharacter),
        ("<xml><a>&#xD800;</a></xml>", ForbiddenCharacter),
        ("<xml><a>&#x1F;</a></xml>", ForbiddenCharacter),
        ("<xml><a>&#x110000;</a></xml>", ForbiddenCharacter),
        ("<xml><a>\u{0}</a></xml>", ForbiddenCharacter),
        ("<xml><a>\u{1b}</a></xml>", ForbiddenCharacter),
        ("<xml><a>\u{ffff}</a></xml>", ForbiddenCharacter),
        ("", Malformed),
        (" ", Malformed),
        ("text", Malformed),
        ("<xml><a>1</a>", Malformed),
        ("<xml><a>1</xml>", Malformed),
        ("<xml><a>1</a></xml", Malformed),
        ("<xml><a><![CDATA[1</a></xml>", Malformed),
        ("<xml><a>1</b></xml>", Malformed),
        ("<xml><a>1</a></xml><xml/>", Malformed),
        ("<xml><a>1</a></xml>tail", Malformed),
        ("<xml><a>1</a></xml>&amp;", Malformed),
        ("<xml>loose<a>1</a></xml>", Malformed),
        ("<xml><![CDATA[loose]]><a>1</a></xml>", Malformed),
        (" <?xml version='1.0'?><xml><a>1</a></xml>", Malformed),
        ("<xml><a>1 & 2</a></xml>", Malformed),
        ("<xml><a>]]></a></xml>", Malformed),
        ("<xml><1>1</1></xml>", Malformed),
        ("<xml><金>1</金></xml>", Malformed),
        ("</xml>", Malformed),
        ("<root><a>1</a></root>", WrongRoot),
        ("<xml><a><b>1</b></a></xml>", TooDeep),
        ("<xml><a><b/></a></xml>", TooDeep),
        ("<xml><a>1</a><b>2</b><a>1</a></xml>", DuplicateField),
        (&format!("<xml>{many}</xml>"), TooManyFields),
        (&format!("<xml><a>{}</a></xml>", "x".repeat(MAX_BYTES)), TooLong),
        (&"<xml>".repeat(13_000), TooDeep),
    ];
    for (text, error) in cases {
        let start: String = text.chars().take(80).collect();
        assert_eq!(read(text), Err(error), "{start:?}");
    }
    assert_eq!(parse(b"<xml><a>\xff</a></xml>", "xml"), Err(NotUtf8));
    assert_eq!(parse(b"\xff\xfe<\0x\0m\0l\0/\0>\0", "xml"), Err(NotUtf8));
}

/// Every file in the corpus is refused, and quickly; new finds are added as files.
#[test]
fn the_corpus_is_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/xml-corpus");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(parse(&bytes, "xml").is_err(), "{path:?}");
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} files");
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-z_][A-Za-z0-9_.-]{0,12}"
}

fn legal_text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.chars().filter(|character| is_legal(*character)).collect())
}

proptest! {
    #[test]
    fn what_is_written_reads_back(fields in prop::collection::btree_map(name(), legal_text(), 0..20)) {
        let xml = write(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let read = parse(xml.as_bytes(), "xml").unwrap();
        let read: Vec<(&str, &str)> = read.iter().collect();
        let wanted: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn any_bytes_are_an_answer_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes, "xml");
    }

    #[test]
    fn any_markup_is_an_answer_not_a_panic(
        parts in prop::collection::vec(prop::sample::select(vec![
            "<xml>", "</xml>", "<a>", "</a>", "<b/>", "<![CDATA[", "]]>", "&amp;", "&#65;", "&x;", "&", "<", ">", "<?xml version='1.0'?>",
            "<!DOCTYPE x>", "<!--", "-->", "text", " ", "=", "\"", "\u{feff}", "中", "/", "<!", "<?",
        ]), 0..24)
    ) {
        let _ = parse(parts.concat().as_bytes(), "xml");
    }
}
