//! The project's vectors of the v3 protocol, against this crate's reading of it.

use std::io::Read;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use sha1_smol::Sha1;

use super::authorization::{Authorization, answer_message};
use super::keys::{PrivateKey, verify};
use super::{aead, oaep};
use crate::clock;

fn file() -> Value {
    serde_json::from_str(include_str!("../../testdata/wechat-v3.json")).unwrap()
}

/// The vectors of a kind: id, input, expected.
fn vectors(kind: &str) -> Vec<(String, Value, Value)> {
    let file = file();
    let all = file["vectors"].as_array().unwrap();
    let found: Vec<_> = all
        .iter()
        .filter(|vector| vector["kind"] == kind)
        .map(|vector| (vector["id"].as_str().unwrap().to_owned(), vector["input"].clone(), vector["expected"].clone()))
        .collect();
    assert!(!found.is_empty(), "no vectors of kind {kind}");
    found
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {value}"))
}

/// `keys.merchant.private_key_pkcs8_pem` and its like.
fn key(path: &str) -> PrivateKey {
    let pointer = format!("/{}", path.replace('.', "/"));
    let file = file();
    PrivateKey::from_pem(file.pointer(&pointer).and_then(Value::as_str).unwrap()).unwrap()
}

/// The platform's key by the name it has in `Wechatpay-Serial`.
fn platform_key(serial: &str) -> Option<PrivateKey> {
    let keys = &file()["keys"];
    ["platform_cert_old", "platform_cert_new", "platform_public_key"].iter().find_map(|name| {
        let one = &keys[*name];
        let known = one["serial_no"].as_str().or(one["public_key_id"].as_str()).unwrap();
        (known == serial).then(|| PrivateKey::from_pem(text(one, "private_key_pkcs8_pem")).unwrap())
    })
}

#[test]
fn requests() {
    for (id, input, expected) in vectors("v3_authorization") {
        let key = key(text(&input, "private_key"));
        let given = Authorization::parse(text(&expected, "authorization")).unwrap_or_else(|| panic!("{id}"));
        let message =
            given.message(text(&input, "method"), text(&input, "canonical_url"), text(&input, "body").as_bytes());
        assert_eq!(String::from_utf8(message.clone()).unwrap(), text(&expected, "message"), "{id}");
        assert_eq!(key.sign(&message), text(&expected, "signature"), "{id}");
        assert!(verify(key.public(), &message, &given.signature), "{id}");
        assert!(!verify(key.public(), &message[1..], &given.signature), "{id}");
        assert_eq!(
            (given.mchid.as_str(), given.serial_no.as_str()),
            (text(&input, "mchid"), text(&input, "serial_no"))
        );
    }
    for (id, input, expected) in vectors("v3_authorization_parse") {
        let given = Authorization::parse(text(&input, "authorization")).unwrap();
        let Authorization { mchid, serial_no, timestamp, nonce_str, signature } = &given;
        for (name, value) in [
            ("mchid", mchid),
            ("serial_no", serial_no),
            ("timestamp", timestamp),
            ("nonce_str", nonce_str),
            ("signature", signature),
        ] {
            assert_eq!(value, text(&expected, name), "{id} {name}");
        }
    }
}

#[test]
fn headers_that_are_none() {
    let good = "WECHATPAY2-SHA256-RSA2048 mchid=\"1\",nonce_str=\"n\",signature=\"s\",timestamp=\"2\",serial_no=\"3\"";
    assert!(Authorization::parse(good).is_some());
    for bad in [
        String::new(),
        good.replace("WECHATPAY2-SHA256-RSA2048 ", "WECHATPAY2-SHA256-RSA2048"),
        good.replace("WECHATPAY2", "WECHATPAY3"),
        good.replace("mchid=\"1\",", ""),
        good.replace("mchid=\"1\"", "mchid=1"),
        good.replace("mchid=\"1\"", "mchid=\"\""),
        good.replace("mchid=\"1\"", "mchid=\"1\",mchid=\"1\""),
        good.replace("mchid=\"1\"", "mchid=\"1\",other=\"1\""),
        good.replace("timestamp=\"2\"", "timestamp=\"-2\""),
        good.replace("\"n\"", &format!("\"{}\"", "n".repeat(33))),
    ] {
        assert_eq!(Authorization::parse(&bad), None, "{bad}");
    }
}

#[test]
fn answers() {
    for (id, input, expected) in vectors("v3_response_verify") {
        let header = |name: &str| text(&input["headers"], name).to_owned();
        let message =
            answer_message(&header("Wechatpay-Timestamp"), &header("Wechatpay-Nonce"), text(&input, "body").as_bytes());
        let valid = platform_key(&header("Wechatpay-Serial"))
            .is_some_and(|key| verify(key.public(), &message, &header("Wechatpay-Signature")));
        assert_eq!(valid, expected["valid"], "{id}");
        if valid {
            assert_eq!(String::from_utf8(message.clone()).unwrap(), text(&expected, "message"), "{id}");
            let key = platform_key(&header("Wechatpay-Serial")).unwrap();
            assert_eq!(key.sign(&message), header("Wechatpay-Signature"), "{id}");
        }
    }
}

#[test]
fn encrypted_resources() {
    for (id, input, expected) in vectors("v3_aead_decrypt") {
        let part = |name: &str| text(&input, name).to_owned();
        let (api_key, nonce, data) = (part("api_v3_key"), part("nonce"), part("associated_data"));
        let plain = aead::decrypt(&api_key, &nonce, &data, &part("ciphertext"));
        assert_eq!(plain.as_deref(), expected["plaintext"].as_str(), "{id}");
        if let Some(plain) = plain {
            assert_eq!(aead::encrypt(&api_key, &nonce, &data, &plain), Some(part("ciphertext")), "{id}");
        }
    }
    assert_eq!(aead::encrypt("short", "123456789012", "", "a"), None);
    assert_eq!(aead::encrypt(&"k".repeat(32), "short", "", "a"), None);
}

fn opened(resource: &Value) -> String {
    let part = |name: &str| text(resource, name).to_owned();
    let api_key = file()["keys"]["api_v3_key"].as_str().unwrap().to_owned();
    aead::decrypt(&api_key, &part("nonce"), &part("associated_data"), &part("ciphertext")).unwrap()
}

#[test]
fn notifications() {
    for (id, input, expected) in vectors("v3_notify_end_to_end") {
        let header = |name: &str| text(&input["headers"], name).to_owned();
        let body = text(&input, "body");
        let message = answer_message(&header("Wechatpay-Timestamp"), &header("Wechatpay-Nonce"), body.as_bytes());
        let key = platform_key(&header("Wechatpay-Serial")).unwrap();
        assert_eq!(key.sign(&message), header("Wechatpay-Signature"), "{id}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["event_type"], expected["event_type"], "{id}");
        let plain: Value = serde_json::from_str(&opened(&body["resource"])).unwrap();
        assert_eq!(plain, expected["resource"], "{id}");
    }
}

#[test]
fn certificates() {
    for (id, input, _) in vectors("v3_certificates_response") {
        let header = |name: &str| text(&input["headers"], name).to_owned();
        let body = text(&input, "body");
        let message = answer_message(&header("Wechatpay-Timestamp"), &header("Wechatpay-Nonce"), body.as_bytes());
        let key = platform_key(&header("Wechatpay-Serial")).unwrap();
        assert_eq!(key.sign(&message), header("Wechatpay-Signature"), "{id}");
        let body: Value = serde_json::from_str(body).unwrap();
        let keys = &file()["keys"];
        for one in body["data"].as_array().unwrap() {
            let known = ["platform_cert_old", "platform_cert_new"]
                .iter()
                .find(|name| keys[**name]["serial_no"] == one["serial_no"]);
            let pem = text(&keys[*known.unwrap()], "certificate_pem");
            assert_eq!(opened(&one["encrypt_certificate"]).trim(), pem.trim(), "{id}");
        }
    }
}

#[test]
fn second_signatures() {
    for (id, input, expected) in vectors("v3_pay_sign_jsapi").into_iter().chain(vectors("v3_pay_sign_app")) {
        let part = |name: &str| input[name].as_str().unwrap_or_default();
        let message = match part("appId") {
            "" => [part("appid"), part("timestamp"), part("noncestr"), part("prepayid"), ""].join("\n"),
            app => [app, part("timeStamp"), part("nonceStr"), part("package"), ""].join("\n"),
        };
        assert_eq!(message, text(&expected, "message"), "{id}");
        let signature = expected["paySign"].as_str().or(expected["sign"].as_str()).unwrap();
        assert!(verify(key(part("private_key")).public(), message.as_bytes(), signature), "{id}");
    }
}

#[test]
fn sensitive_fields() {
    for (id, input, expected) in vectors("v3_oaep_decrypt") {
        let key = key(text(&input, "key"));
        let (sealed, plain) = (text(&input, "ciphertext"), text(&expected, "plaintext"));
        assert_eq!(oaep::decrypt(key.pkcs8(), sealed).as_deref(), Some(plain), "{id}");
        let again = oaep::encrypt(key.public(), plain).unwrap();
        assert_ne!(again, sealed);
        assert_eq!(oaep::decrypt(key.pkcs8(), &again).as_deref(), Some(plain), "{id}");
        let mut broken = BASE64_STANDARD.decode(&again).unwrap();
        *broken.last_mut().unwrap() ^= 1;
        assert_eq!(oaep::decrypt(key.pkcs8(), &BASE64_STANDARD.encode(broken)), None, "{id}");
    }
    let key = key("keys.merchant.private_key_pkcs8_pem");
    for (length, fits) in [(0, true), (214, true), (215, false)] {
        let plain = "x".repeat(length);
        let sealed = oaep::encrypt(key.public(), &plain);
        assert_eq!(sealed.is_some(), fits, "{length}");
        if let Some(sealed) = sealed {
            assert_eq!(oaep::decrypt(key.pkcs8(), &sealed), Some(plain));
        }
    }
    for bad in ["", "AAAA", "not base64"] {
        assert_eq!(oaep::decrypt(key.pkcs8(), bad), None);
    }
}

#[test]
fn bills() {
    for (id, input, expected) in vectors("v3_bill") {
        let zipped = BASE64_STANDARD.decode(text(&input, "file_base64")).unwrap();
        let mut plain = String::new();
        flate2::read::GzDecoder::new(zipped.as_slice()).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, text(&expected, "text"), "{id}");
        assert_eq!(Sha1::from(&plain).digest().to_string(), text(&input, "hash_value"), "{id}");
        let lines: Vec<&str> = plain.split_terminator("\r\n").collect();
        let head: Vec<&str> = lines[0].split(',').collect();
        assert_eq!(head, crate::platform::bill::columns(), "{id}: the columns this crate writes");
        assert_eq!(lines[lines.len() - 2], crate::platform::bill::SUMMARY, "{id}");
    }
}

#[test]
fn times() {
    for (id, input, expected) in vectors("time_parse") {
        let at = clock::parse_rfc3339(text(&input, "value")).unwrap();
        assert_eq!(at, expected["unix"].as_i64().unwrap() * 1000, "{id}");
        assert_eq!(clock::rfc3339(at), text(&expected, "rfc3339"), "{id}");
    }
    assert_eq!(clock::parse_rfc3339("2018-06-08T02:34:56.120Z"), Some(1_528_425_296_120));
    assert_eq!(clock::parse_rfc3339("2018-06-08T10:34:56"), None, "a time without a zone");
}
