//! Every published vector, run against the code that it is about.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dukou_domain::{Currency, Money, Secret, Timestamp};
use dukou_spi::{BillRowKind, Invoke, Notice};
use serde_json::Value;

use super::sign::{SignType, Signer};
use super::testing::{self, vectors};
use super::{invoke, notify, xml};
use crate::{beijing, bill};

#[test]
fn every_vector_holds() {
    let file = vectors::load();
    let mut run = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let (id, input, expected) = (text(vector, "id"), &vector["input"], &vector["expected"]);
        match text(vector, "kind") {
            "v2_sign" => sign(id, input, expected),
            "v2_xml_verify" => xml_verify(id, input, expected),
            "v2_pay_sign_jsapi" => pay_sign_jsapi(id, input, expected),
            "v2_pay_sign_app" => pay_sign_app(id, input, expected),
            "v2_refund_req_info" => refund_req_info(id, input, expected),
            "v2_refund_req_info_bad" => {
                assert!(
                    notify::decrypt(text(input, "req_info"), &Secret::new(text(input, "api_key")))
                        .is_none_or(|plain| { xml::parse(&plain, "root").is_err() }),
                    "{id}"
                );
            }
            "xml_attack" => assert!(xml::parse(text(input, "xml").as_bytes(), "xml").is_err(), "{id}"),
            "amount_yuan_to_fen" => {
                let read = Money::parse_major(text(input, "yuan"), Currency::Cny).ok().map(Money::minor);
                assert_eq!(read, expected["fen"].as_i64(), "{id}");
            }
            "time_parse" => {
                let value = text(input, "value");
                let read = beijing::parse_compact(value).or_else(|| beijing::parse_spaced(value));
                assert_eq!(read.map(Timestamp::as_seconds), expected["unix"].as_i64(), "{id}");
            }
            "bill_gzip" => bill_gzip(id, input, expected),
            other => panic!("{id}: nothing runs kind {other}"),
        }
        run += 1;
    }
    assert_eq!(run, 38);
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn sign_type(word: &str) -> SignType {
    if word == "MD5" { SignType::Md5 } else { SignType::HmacSha256 }
}

fn sign(id: &str, input: &Value, expected: &Value) {
    let fields: Vec<(&str, &str)> = input["params"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let signer = Signer::new(sign_type(text(input, "sign_type")), Secret::new(text(input, "api_key")));
    assert_eq!(signer.sign(&fields), text(expected, "sign"), "{id}");
}

fn xml_verify(id: &str, input: &Value, expected: &Value) {
    let fields = xml::parse(text(input, "xml").as_bytes(), "xml").unwrap();
    let right = sign_type(text(input, "sign_type_to_use"));
    let wrong = if right == SignType::Md5 { SignType::HmacSha256 } else { SignType::Md5 };
    let key = || Secret::new(text(input, "api_key"));
    assert_eq!(Signer::new(right, key()).verify(&fields).is_some(), expected["valid"].as_bool().unwrap(), "{id}");
    assert!(Signer::new(wrong, key()).verify(&fields).is_none(), "{id}");
    if let Some(wanted) = expected["fields"].as_object() {
        assert_eq!(fields.iter().count(), wanted.len(), "{id}");
        for (name, value) in wanted {
            assert_eq!(fields.get(name), value.as_str(), "{id}: {name}");
        }
    }
}

fn value<'a>(invoke: &'a Invoke, name: &str) -> &'a str {
    &invoke.0.iter().find(|(key, _)| *key == name).unwrap().1
}

fn pay_sign_jsapi(id: &str, input: &Value, expected: &Value) {
    let mut settings = testing::settings(text(input, "signType"));
    settings.account.app_id = text(input, "appId").to_owned();
    settings.signer = Signer::new(sign_type(text(input, "signType")), Secret::new(text(input, "api_key")));
    let prepay_id = text(input, "package").strip_prefix("prepay_id=").unwrap();
    let invoke = invoke::jsapi(
        &settings,
        settings.signer.sign_type(),
        prepay_id,
        text(input, "timeStamp"),
        text(input, "nonceStr"),
    );
    for name in ["appId", "timeStamp", "nonceStr", "package", "signType"] {
        assert_eq!(value(&invoke, name), text(input, name), "{id}");
    }
    assert_eq!(value(&invoke, "paySign"), text(expected, "paySign"), "{id}");
}

fn pay_sign_app(id: &str, input: &Value, expected: &Value) {
    let settings = testing::settings(text(input, "sign_type"));
    let invoke = invoke::app(
        &settings,
        settings.signer.sign_type(),
        text(input, "prepayid"),
        text(input, "timestamp"),
        text(input, "noncestr"),
    );
    for name in ["appid", "partnerid", "prepayid", "package", "noncestr", "timestamp"] {
        assert_eq!(value(&invoke, name), text(input, name), "{id}");
    }
    assert_eq!(value(&invoke, "sign"), text(expected, "sign"), "{id}");
}

fn refund_req_info(id: &str, input: &Value, expected: &Value) {
    let plain = notify::decrypt(text(input, "req_info"), &Secret::new(text(input, "api_key"))).unwrap();
    assert_eq!(std::str::from_utf8(&plain).unwrap(), text(expected, "plaintext"), "{id}");
    let (message, settings) = (text(input, "notify_xml").as_bytes(), testing::settings("MD5"));
    let Ok(Notice::RefundHint(hint)) = notify::refund(message, &settings) else {
        panic!("{id}: not a refund's message")
    };
    let fields = &expected["fields"];
    let shown = notify::show(message, &settings);
    for name in ["out_refund_no", "refund_fee", "refund_status"] {
        assert!(shown.contains(&(name.to_owned(), text(fields, name).to_owned())), "{id}: {name}: {shown:?}");
    }
    assert_eq!(
        (hint.out_refund_no.as_str(), &*hint.platform_word),
        (text(fields, "out_refund_no"), text(fields, "refund_status"))
    );
}

fn bill_gzip(id: &str, input: &Value, expected: &Value) {
    let bill = bill::parse(&BASE64_STANDARD.decode(text(input, "file_base64")).unwrap()).unwrap().content;
    let rows = expected["detail_rows"].as_array().unwrap();
    assert_eq!(bill.rows.len(), rows.len(), "{id}");
    for (row, wanted) in bill.rows.iter().zip(rows) {
        let refund = text(wanted, "交易状态") == "REFUND";
        let amount = text(wanted, if refund { "申请退款金额" } else { "订单金额" });
        assert_eq!(row.kind, if refund { BillRowKind::Refund } else { BillRowKind::Payment });
        assert_eq!(row.amount, Money::parse_major(amount, Currency::Cny).unwrap());
        assert_eq!(row.trade_no, text(wanted, "商户订单号"));
        assert_eq!(row.transaction_id, text(wanted, "微信订单号"));
        assert_eq!(row.out_refund_no.as_deref(), refund.then(|| text(wanted, "商户退款单号")));
        assert_eq!(row.provider_refund_id.as_deref(), refund.then(|| text(wanted, "微信退款单号")));
        assert_eq!(Some(row.at), beijing::parse_spaced(text(wanted, "交易时间")));
        assert_eq!(row.platform_word, "SUCCESS");
    }
}
