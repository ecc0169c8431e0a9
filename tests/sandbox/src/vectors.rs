//! The published examples and the project's own vectors of the v2 protocol, against this crate's reading of it.

use serde_json::Value;

use crate::sign::{Fields, SignType, sign, verify};
use crate::xml::Unreadable;
use crate::{cipher, xml};

fn vectors(kind: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../testdata/wechat-v2.json")).unwrap();
    let all = file["vectors"].as_array().unwrap();
    let found: Vec<Value> = all.iter().filter(|vector| vector["kind"] == kind).cloned().collect();
    assert!(!found.is_empty(), "no vectors of kind {kind}");
    found
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {value}"))
}

fn sign_type(name: &str) -> SignType {
    SignType::from_field(Some(name)).unwrap()
}

fn object(value: &Value) -> Fields {
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

#[test]
fn signatures() {
    for vector in vectors("v2_sign") {
        let input = &vector["input"];
        let got = sign(&object(&input["params"]), text(input, "api_key"), sign_type(text(input, "sign_type")));
        assert_eq!(got, text(&vector["expected"], "sign"), "{}", vector["id"]);
    }
}

#[test]
fn second_signatures() {
    for (kind, result, type_field) in
        [("v2_pay_sign_jsapi", "paySign", "signType"), ("v2_pay_sign_app", "sign", "sign_type")]
    {
        for vector in vectors(kind) {
            let input = &vector["input"];
            let mut fields = object(input);
            fields.remove("api_key");
            fields.remove("sign_type");
            let got = sign(&fields, text(input, "api_key"), sign_type(text(input, type_field)));
            assert_eq!(got, text(&vector["expected"], result), "{}", vector["id"]);
        }
    }
}

#[test]
fn documents() {
    for vector in vectors("v2_xml_verify") {
        let input = &vector["input"];
        let fields = xml::read(text(input, "xml").as_bytes()).unwrap();
        let valid = verify(&fields, text(input, "api_key"), sign_type(text(input, "sign_type_to_use")));
        assert_eq!(valid, vector["expected"]["valid"], "{}", vector["id"]);
        if let Value::Object(_) = vector["expected"]["fields"] {
            assert_eq!(fields, object(&vector["expected"]["fields"]), "{}", vector["id"]);
        }
    }
}

#[test]
fn refund_notifications() {
    for vector in vectors("v2_refund_req_info") {
        let input = &vector["input"];
        let plain = text(&vector["expected"], "plaintext");
        assert_eq!(
            cipher::decrypt(text(input, "req_info"), text(input, "api_key")).as_deref(),
            Some(plain),
            "{}",
            vector["id"]
        );
        assert_eq!(cipher::encrypt(plain, text(input, "api_key")), text(input, "req_info"), "{}", vector["id"]);
    }
    for vector in vectors("v2_refund_req_info_bad") {
        let input = &vector["input"];
        assert_eq!(cipher::decrypt(text(input, "req_info"), text(input, "api_key")), None, "{}", vector["id"]);
    }
}

#[test]
fn refused_documents() {
    for vector in vectors("xml_attack") {
        assert_eq!(xml::read(text(&vector["input"], "xml").as_bytes()), Err(Unreadable::Malformed), "{}", vector["id"]);
    }
    let cases: [(&[u8], Unreadable); 10] = [
        (b"", Unreadable::Empty),
        (b"  \n", Unreadable::Empty),
        (b"\xff\xfe", Unreadable::NotUtf8),
        (b"<xml>", Unreadable::Malformed),
        (b"<xml><a>1</a></xml><xml/>", Unreadable::Malformed),
        (b"<xml><a>1</a><a>2</a></xml>", Unreadable::Malformed),
        (b"<xml><a><b>1</b></a></xml>", Unreadable::Malformed),
        (b"<xml>text<a>1</a></xml>", Unreadable::Malformed),
        (b"a=1&b=2", Unreadable::Malformed),
        (b"<?xml version=\"1.0\"?><!-- a --> <!doctype xml><xml/>", Unreadable::Malformed),
    ];
    assert_eq!(xml::read("<a>".repeat(80_000).as_bytes()), Err(Unreadable::Malformed));
    for (bytes, expected) in cases {
        assert_eq!(xml::read(bytes), Err(expected), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut fields = Fields::new();
    for (name, value) in [
        ("plain", "abc"),
        ("number", "1990"),
        ("zeros", "00012"),
        ("empty", ""),
        ("spaces", "  a  "),
        ("markup", "<a>&amp;\"'"),
        ("cdata", "a]]>b]]]>>"),
        ("doctype", "<!DOCTYPE a>"),
        ("lines", "a\r\nb\nc\r"),
        ("chinese", "咖啡券"),
    ] {
        fields.insert(name.to_owned(), value.to_owned());
    }
    for _ in 0..50 {
        assert_eq!(xml::read(xml::write("xml", &fields).as_bytes()), Ok(fields.clone()));
    }
}
