use proptest::prelude::*;
use serde_json::json;
use utoipa::PartialSchema;

use super::*;
use crate::json;

const NOW: Timestamp = Timestamp::from_millis(1_795_424_400_000); // 2026-11-23T09:00:00Z

/// For a tenant that has the provider `wechat`.
fn read(body: Value) -> Result<CreatePayment, Vec<String>> {
    let made = OutTradeNo::new("made").unwrap();
    let unknown = |provider: &ProviderName| {
        let problem = FieldProblem { field: "provider", message: "is not configured".to_owned() };
        (provider.as_str() != "wechat").then_some(problem)
    };
    read_create(body, made, "192.0.2.1".parse().ok(), NOW, unknown)
        .map_err(|problems| problems.into_iter().map(|problem| problem.field).collect())
}

fn contract_sample() -> Value {
    json!({
        "provider": "wechat", "method": "jsapi", "out_trade_no": "B20261123-0001",
        "amount": 101, "currency": "CNY", "description": "腾讯-图书",
        "payer": { "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o" },
        "client_ip": "203.0.113.9", "attach": "shelf 7", "expires_at": "2026-11-23T10:00:00Z"
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut body = contract_sample();
    body[field] = value;
    body
}

#[test]
fn the_contracts_sample_is_read() {
    let command = read(contract_sample()).unwrap();
    assert_eq!(command.provider.as_str(), "wechat");
    assert_eq!(command.out_trade_no.as_str(), "B20261123-0001");
    assert_eq!(command.amount.minor(), 101);
    assert_eq!(command.attach.as_deref(), Some("shelf 7"));
    assert_eq!(command.client_ip.to_string(), "203.0.113.9");
    assert_eq!(command.expires_at, Some(Timestamp::from_millis(1_795_428_000_000)));
    assert!(matches!(command.payer, Some(Payer::OpenId(openid)) if openid == "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"));
}

#[test]
fn what_may_be_left_out_has_its_default() {
    let least = json!({ "provider": "wechat", "method": "native", "amount": 1, "description": "书", "payer": null });
    let command = read(least).unwrap();
    assert_eq!(command.out_trade_no.as_str(), "made");
    assert_eq!(command.client_ip.to_string(), "192.0.2.1");
    assert!(command.payer.is_none() && command.expires_at.is_none() && command.metadata.is_empty());
}

#[test]
fn every_wrong_field_is_named() {
    let long = "n".repeat(10_000);
    let many: serde_json::Map<String, Value> = (0..21).map(|n| (format!("k{n}"), json!("v"))).collect();
    let cases = [
        ("provider", json!("../wechat"), "provider"),
        ("provider", json!(long), "provider"),
        ("provider", json!(null), "provider"),
        ("method", json!("JSAPI"), "method"),
        ("method", json!(1), "method"),
        ("out_trade_no", json!("订单"), "out_trade_no"),
        ("out_trade_no", json!(long), "out_trade_no"),
        ("amount", json!(1.0), "amount"),
        ("amount", json!("100"), "amount"),
        ("amount", json!(0), "amount"),
        ("amount", json!(-1), "amount"),
        ("amount", json!(u64::MAX), "amount"),
        ("currency", json!("USD"), "currency"),
        ("description", json!("a\u{0}b"), "description"),
        ("description", json!("book 📚"), "description"),
        ("description", json!(long), "description"),
        ("attach", json!("📚"), "attach"),
        ("metadata", json!(many), "metadata"),
        ("metadata", json!({ "k": 1 }), "metadata.k"),
        ("metadata", json!({ "k": "v".repeat(501) }), "metadata.k"),
        ("metadata", json!([]), "metadata"),
        ("payer", json!({}), "payer.openid"),
        ("payer", json!({ "openid": "o", "code": "c" }), "payer.openid"),
        ("payer", json!({ "openid": "o", "name": "Afei" }), "payer.name"),
        ("payer", json!("o"), "payer"),
        ("client_ip", json!("localhost"), "client_ip"),
        ("expires_at", json!("tomorrow"), "expires_at"),
        ("total_fee", json!(1), "total_fee"),
    ];
    for (field, value, named) in cases {
        let shown = value.to_string();
        assert_eq!(read(with(field, value)).err(), Some(vec![named.to_owned()]), "{field}: {shown}");
    }
    let mut all = read(json!({ "amount": 0, "x": 1 })).unwrap_err();
    all.sort();
    assert_eq!(all, ["amount", "description", "method", "provider", "x"]);
}

#[test]
fn h5_needs_the_payers_own_address() {
    let mut body = with("method", json!("h5"));
    assert!(read(body.clone()).is_ok());
    body["client_ip"] = Value::Null;
    assert_eq!(read(body).unwrap_err(), ["client_ip"]);
}

#[test]
fn provider_and_end_are_left_to_the_engine_unless_more_is_wrong() {
    for end in [
        "2020-01-01T00:00:00Z",
        "2026-11-23T09:00:59Z",
        "2027-11-24T09:00:01Z",
        "9999-12-31T16:00:00Z",
        "9999-12-31T23:59:59Z",
    ] {
        let mut body = with("expires_at", json!(end));
        body["provider"] = json!("alipay");
        assert!(read(body.clone()).is_ok(), "{end}");
        body["amount"] = json!(0);
        assert_eq!(read(body).unwrap_err(), ["amount", "provider", "expires_at"], "{end}");
    }
    for end in ["2026-11-23T09:01:00Z", "2026-12-23T09:00:00Z", "2027-11-24T09:00:00Z"] {
        let mut body = with("expires_at", json!(end));
        body["amount"] = json!(0);
        assert_eq!(read(body).unwrap_err(), ["amount"], "{end}");
    }
}

#[test]
fn the_documented_fields_are_the_ones_read() {
    let schema = serde_json::to_value(CreatePaymentBody::schema()).unwrap();
    for field in schema["properties"].as_object().unwrap().keys() {
        // A value of a type that no field takes is refused by the field itself, not as a stranger.
        let made = OutTradeNo::new("m").unwrap();
        let problems = read_create(with(field, json!(false)), made, None, NOW, |_| None).unwrap_err();
        assert!(problems.iter().any(|problem| problem.field == *field), "{field}");
        assert!(problems.iter().all(|problem| !problem.message.starts_with("unknown field")), "{field}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_not_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(body) = json::parse(&bytes) {
            let _ = read(body);
        }
    }

    #[test]
    fn any_text_in_any_field_is_an_answer_not_a_panic(field in "[a-z_]{1,12}", text in any::<String>()) {
        let _ = read(with(&field, json!(text)));
        for field in ["provider", "method", "out_trade_no", "amount", "description", "payer", "client_ip", "expires_at"] {
            let _ = read(with(field, json!(text)));
        }
    }

    #[test]
    fn any_integer_is_taken_exactly_or_refused(amount: i64) {
        match read(with("amount", json!(amount))) {
            Ok(command) => prop_assert_eq!(command.amount.minor(), amount),
            Err(fields) => prop_assert!(fields == ["amount"] && !(1..=10_000_000_000).contains(&amount)),
        }
    }
}
