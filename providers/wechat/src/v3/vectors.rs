//! Every published vector, run against the code that it is about.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dukou_domain::Secret;
use dukou_spi::{Invoke, Notice, NotifyKind, PaymentOutcome, Provider, RawNotify, RsaPublicKey};
use serde_json::Value;
use x509_parser::pem::parse_x509_pem;

use super::certificates::Answer;
use super::cipher::{ApiV3Key, Sealed, open_field, seal_field};
use super::sign::{MerchantKey, Signature};
use super::testing::{NOW, VECTORS, World, certificate_mode, key_pair, key_text, section};
use crate::bill;

#[tokio::test]
async fn every_vector_holds() {
    let mut run = 0;
    for vector in VECTORS["vectors"].as_array().unwrap() {
        let (id, input, expected) = (text(vector, "id"), &vector["input"], &vector["expected"]);
        match text(vector, "kind") {
            "v3_authorization" => authorization(id, input, expected),
            "v3_authorization_parse" => parse(id, input, expected),
            "v3_response_verify" => assert_eq!(verify(input), expected["valid"].as_bool().unwrap(), "{id}"),
            "v3_aead_decrypt" => aead(id, input, expected),
            "v3_notify_end_to_end" => notify(id, input, expected).await,
            "v3_certificates_response" => certificates(id, input, expected),
            "v3_pay_sign_jsapi" => pay_sign_jsapi(id, input, expected),
            "v3_pay_sign_app" => pay_sign_app(id, input, expected),
            "v3_oaep_decrypt" => {
                let plain = open_field(&key_pair(text(input, "key")), text(input, "ciphertext")).unwrap();
                assert_eq!(plain.as_str(), text(expected, "plaintext"), "{id}");
            }
            "v3_bill" => bill_file(id, input, expected),
            other => panic!("{id}: nothing runs kind {other}"),
        }
        run += 1;
    }
    assert_eq!(run, 27);
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn merchant(input: &Value) -> MerchantKey {
    let serial_no = input["serial_no"].as_str().unwrap_or_default().to_owned();
    MerchantKey { pair: key_pair(text(input, "private_key")), serial_no }
}

fn authorization(id: &str, input: &Value, expected: &Value) {
    let made = merchant(input).authorization(
        text(input, "mchid"),
        text(input, "method"),
        text(input, "canonical_url"),
        text(input, "body").as_bytes(),
        text(input, "timestamp").parse().unwrap(),
        text(input, "nonce_str"),
    );
    assert_eq!(made.unwrap(), text(expected, "authorization"), "{id}");
}

/// We write the header and never read one; what is in it is the same in any order.
fn parse(id: &str, input: &Value, expected: &Value) {
    let pairs: Vec<(&str, &str)> = text(input, "authorization")
        .split_once(' ')
        .unwrap()
        .1
        .split(',')
        .map(|pair| pair.split_once("=\"").unwrap())
        .map(|(name, value)| (name, value.trim_end_matches('"')))
        .collect();
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(pairs.iter().find(|(found, _)| found == name).unwrap().1, value, "{id}");
    }
}

fn headers(input: &Value) -> Vec<(String, String)> {
    let headers = input["headers"].as_object().unwrap();
    headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str().unwrap().to_owned())).collect()
}

fn public_key(serial: &str) -> RsaPublicKey {
    for (named, pem) in [
        ("keys.platform_cert_old.serial_no", "keys.platform_cert_old.certificate_pem"),
        ("keys.platform_cert_new.serial_no", "keys.platform_cert_new.certificate_pem"),
    ] {
        if key_text(named) == serial {
            let (_, pem) = parse_x509_pem(key_text(pem).as_bytes()).unwrap();
            let certificate = pem.parse_x509().unwrap();
            return RsaPublicKey::from_spki(certificate.public_key().raw).unwrap();
        }
    }
    assert_eq!(key_text("keys.platform_public_key.public_key_id"), serial);
    let (_, pem) = parse_x509_pem(key_text("keys.platform_public_key.public_key_pem").as_bytes()).unwrap();
    RsaPublicKey::from_spki(&pem.contents).unwrap()
}

fn verify(input: &Value) -> bool {
    let headers = headers(input);
    let signature = Signature::read(&headers).unwrap();
    signature.verify(&public_key(signature.serial), text(input, "body").as_bytes()).is_some()
}

fn aead(id: &str, input: &Value, expected: &Value) {
    let sealed: Sealed = serde_json::from_value(input.clone()).unwrap();
    let opened = ApiV3Key::new(&Secret::new(text(input, "api_v3_key"))).unwrap().open(&sealed);
    let plain = opened.map(|plain| String::from_utf8(plain.to_vec()).unwrap());
    assert_eq!(plain.as_deref(), expected["plaintext"].as_str(), "{id}");
}

async fn notify(id: &str, input: &Value, expected: &Value) {
    let world = World::default();
    let headers = headers(input);
    world.set_seconds(Signature::read(&headers).unwrap().seconds().unwrap());
    // Both kinds of keys, the certificates from a download that is a vector itself.
    let list =
        VECTORS["vectors"].as_array().unwrap().iter().find(|vector| vector["kind"] == "v3_certificates_response");
    let provider = world.provider(serde_json::json!({ "platform_certificates": true }));
    fetch(&world, &*provider, &list.unwrap()["input"]).await;
    let body = text(input, "body").to_owned();
    let raw = RawNotify { kind: NotifyKind::Payment, headers, body: body.into() };
    let resource = &expected["resource"];
    match provider.notify(&raw).await.unwrap() {
        Notice::Payment(notice) => {
            let notice = notice.into_inner();
            let PaymentOutcome::Paid(facts) = notice.outcome else { panic!("{id}") };
            assert_eq!(facts.trade_no.as_str(), text(resource, "out_trade_no"), "{id}");
            assert_eq!(facts.transaction_id.as_str(), text(resource, "transaction_id"), "{id}");
            assert_eq!(Some(facts.amount.minor()), resource["amount"]["total"].as_i64(), "{id}");
            assert_eq!((&*facts.app_id, &*facts.merchant_id), (text(resource, "appid"), text(resource, "mchid")));
            assert_eq!(facts.openid.as_deref(), resource["payer"]["openid"].as_str(), "{id}");
        }
        Notice::Refund(notice) => {
            let notice = notice.into_inner();
            assert_eq!(notice.status.out_refund_no.as_str(), text(resource, "out_refund_no"), "{id}");
            assert_eq!(notice.status.platform_word, text(resource, "refund_status"), "{id}");
            assert_eq!(notice.status.amount.map(|amount| amount.minor()), resource["amount"]["refund"].as_i64());
            assert_eq!((notice.trade_no.as_str(), &*notice.merchant_id), ("T20260704000017", "1900000109"));
        }
        Notice::RefundHint(hint) => panic!("{id}: {hint:?}"),
    }
}

/// Downloads the list of a vector, at the time of its signature.
async fn fetch(world: &World, provider: &dyn Provider, input: &Value) {
    let now = world.now();
    let headers = headers(input);
    world.set_seconds(Signature::read(&headers).unwrap().seconds().unwrap());
    let body = text(input, "body").to_owned().into();
    world.replay.push(Ok(dukou_spi::transport::HttpAnswer { status: 200, headers, body }));
    provider.renew_trust().await.unwrap();
    world.set_seconds(now);
}

fn certificates(id: &str, input: &Value, expected: &Value) {
    let headers = headers(input);
    let signature = Signature::read(&headers).unwrap();
    let answer = Answer::new(&signature, text(input, "body").as_bytes()).unwrap();
    let kept = Answer::from_bytes(&answer.to_bytes()).unwrap();
    let key = ApiV3Key::new(&Secret::new(text(input, "api_v3_key"))).unwrap();
    for answer in [&answer, &kept] {
        let keys = answer.believe(&key, NOW, |_| None).unwrap();
        let serials: Vec<&str> = keys.iter().map(|key| key.serial.as_str()).collect();
        assert_eq!(serde_json::json!(serials), expected["serials"], "{id}");
        for key in &keys {
            assert_eq!(key.key, public_key(&key.serial), "{id}");
        }
    }
    // A bootstrap in certificate mode goes the same way.
    assert!(World::default().build(&section(certificate_mode())).0.is_some());
}

fn value<'a>(invoke: &'a Invoke, name: &str) -> &'a str {
    &invoke.0.iter().find(|(key, _)| *key == name).unwrap().1
}

fn pay_sign_jsapi(id: &str, input: &Value, expected: &Value) {
    let prepay_id = text(input, "package").strip_prefix("prepay_id=").unwrap();
    let made =
        merchant(input).jsapi(text(input, "appId"), prepay_id, text(input, "timeStamp"), text(input, "nonceStr"));
    let invoke = made.unwrap();
    for name in ["appId", "timeStamp", "nonceStr", "package", "signType"] {
        assert_eq!(value(&invoke, name), text(input, name), "{id}");
    }
    assert_eq!(value(&invoke, "paySign"), text(expected, "paySign"), "{id}");
}

fn pay_sign_app(id: &str, input: &Value, expected: &Value) {
    let (app_id, mch_id) = (text(input, "appid"), text(input, "partnerid"));
    let (prepay_id, seconds, nonce) = (text(input, "prepayid"), text(input, "timestamp"), text(input, "noncestr"));
    let invoke = merchant(input).app(app_id, mch_id, prepay_id, seconds, nonce).unwrap();
    for name in ["appid", "partnerid", "prepayid", "package", "noncestr", "timestamp"] {
        assert_eq!(value(&invoke, name), text(input, name), "{id}");
    }
    assert_eq!(value(&invoke, "sign"), text(expected, "sign"), "{id}");
}

fn bill_file(id: &str, input: &Value, expected: &Value) {
    let file = BASE64_STANDARD.decode(text(input, "file_base64")).unwrap();
    let bill = bill::parse(&file).unwrap();
    assert_eq!(bill.sha1, text(input, "hash_value"), "{id}");
    assert_ne!(bill.sha1, text(expected, "gzip_file_sha1_must_not_be_used"), "{id}");
    assert_eq!(bill.content.rows.len(), expected["detail_rows"].as_array().unwrap().len(), "{id}");
}

#[test]
fn a_sensitive_field_is_read_by_whom_it_is_for() {
    let pair = key_pair("keys.platform_public_key.private_key_pkcs8_pem");
    let public = public_key(key_text("keys.platform_public_key.public_key_id"));
    for name in ["", "张三", &"x".repeat(214)] {
        let sealed = seal_field(&public, name).unwrap();
        assert_eq!(sealed.len(), 344);
        assert_ne!(sealed, seal_field(&public, name).unwrap());
        assert_eq!(open_field(&pair, &sealed).unwrap().as_str(), name);
        assert!(open_field(&key_pair("keys.merchant.private_key_pkcs8_pem"), &sealed).is_none());
    }
    assert!(seal_field(&public, &"x".repeat(215)).is_none());
}
