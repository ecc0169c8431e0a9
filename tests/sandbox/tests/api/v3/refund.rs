//! Refunds: asked for, looked at, notified, and those the bank refused.

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use super::support::{KEY, Shop, decrypt, public_key};
use crate::support::Receiver;

const NOWHERE: &str = "http://127.0.0.1:9/refund";

async fn paid(shop: &Shop, number: &str) {
    shop.prepay(number, "http://127.0.0.1:9/notify").await;
    shop.pay(number, json!({ "notify": false })).await;
}

fn look(number: &str) -> String {
    format!("/v3/refund/domestic/refunds/{number}")
}

#[tokio::test]
async fn a_refund_is_accepted_then_done_and_notified() {
    let shop = Shop::open();
    let receiver = Receiver::start(|_| (200, String::new())).await;
    paid(&shop, "T20260704130001").await;
    let answer = shop.refund("T20260704130001", "R|1*@-_", 995, &receiver.url).await;
    assert!(answer.status == 200 && shop.is_signed(&answer), "{}", answer.json());
    let accepted = answer.json();
    assert_eq!((&accepted["status"], &accepted["channel"]), (&json!("PROCESSING"), &json!("ORIGINAL")));
    assert!(accepted["success_time"].is_null());
    let refund_id = accepted["refund_id"].as_str().unwrap();
    assert!(refund_id.len() == 29 && refund_id.starts_with("50"), "{refund_id}");
    assert_eq!(accepted["amount"]["refund"], 995);

    let body = receiver.wait(1).await.remove(0);
    let envelope: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&envelope["event_type"], &envelope["resource"]["original_type"]),
        (&json!("REFUND.SUCCESS"), &json!("refund"))
    );
    let resource: Value = serde_json::from_str(&decrypt(KEY, &envelope["resource"]).unwrap()).unwrap();
    assert_eq!((&resource["refund_status"], &resource["mchid"]), (&json!("SUCCESS"), &json!(shop.mch_id)));
    assert_eq!(resource["amount"], json!({ "total": 1990, "refund": 995, "payer_total": 1990, "payer_refund": 995 }));
    assert!(resource["status"].is_null() && resource["appid"].is_null());

    let asked = shop.get(&look("R%7C1%2A%40-_")).await.json();
    assert_eq!((&asked["status"], &asked["out_refund_no"]), (&json!("SUCCESS"), &json!("R|1*@-_")));
    assert!(asked["success_time"].as_str().unwrap().ends_with("+08:00"));
    assert_eq!(shop.query("T20260704130001").await.json()["trade_state"], "REFUND");
    let again = shop.refund("T20260704130001", "R|1*@-_", 995, &receiver.url).await.json();
    assert_eq!((&again["refund_id"], &again["status"]), (&json!(refund_id), &json!("SUCCESS")), "the same refund");
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn rules() {
    let shop = Shop::open();
    shop.prepay("T20260704130101", "http://127.0.0.1:9/notify").await;
    assert_eq!(shop.refund("T20260704130101", "R1", 1, NOWHERE).await.code(), "404 RESOURCE_NOT_EXISTS");
    assert_eq!(shop.refund("T20260704130199", "R1", 1, NOWHERE).await.code(), "404 RESOURCE_NOT_EXISTS");
    assert_eq!(shop.get(&look("R1")).await.code(), "404 RESOURCE_NOT_EXISTS");
    shop.pay("T20260704130101", json!({ "notify": false })).await;
    let order = json!({
        "out_trade_no": "T20260704130101", "out_refund_no": "R1",
        "amount": { "refund": 1000, "total": 1990, "currency": "CNY" },
    });
    let target = "/v3/refund/domestic/refunds";
    for (pointer, value, code, field) in [
        ("/transaction_id", json!("4200"), "500 INVALID_TRANSACTIONID", ""),
        ("/out_trade_no", json!(""), "400 PARAM_ERROR", "/out_trade_no"),
        ("/out_refund_no", json!("no spaces"), "400 PARAM_ERROR", "/out_refund_no"),
        ("/out_refund_no", json!("x".repeat(65)), "400 PARAM_ERROR", "/out_refund_no"),
        ("/reason", json!("x".repeat(81)), "400 PARAM_ERROR", "/reason"),
        ("/notify_url", json!("https://pay.example.com/?a"), "400 PARAM_ERROR", "/notify_url"),
        ("/funds_account", json!("MINE"), "400 PARAM_ERROR", "/funds_account"),
        ("/amount/refund", json!(0), "400 PARAM_ERROR", "/amount/refund"),
        ("/amount/refund", json!(9.95), "400 PARAM_ERROR", "/amount/refund"),
        ("/amount/currency", json!("USD"), "400 PARAM_ERROR", "/amount/currency"),
        ("/amount/from", json!([{ "account": "AVAILABLE", "amount": 1 }]), "400 PARAM_ERROR", "/amount/from"),
        ("/amount/total", json!(1989), "400 INVALID_REQUEST", ""),
        ("/amount/refund", json!(1991), "400 INVALID_REQUEST", ""),
        ("/sub_mchid", json!("1900000999"), "400 MCH_NOT_EXISTS", ""),
        ("/sub_mchid", json!("1900000200"), "404 RESOURCE_NOT_EXISTS", ""),
    ] {
        let mut body = order.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value.clone();
        let answer = shop.post(target, &body).await;
        assert_eq!(answer.code(), code, "{pointer} {value}");
        assert_eq!(answer.json()["detail"]["field"].as_str().unwrap_or_default(), field, "{pointer} {value}");
    }
    assert_eq!(shop.refund("T20260704130101", "R1", 1000, NOWHERE).await.status, 200);
    assert_eq!(shop.refund("T20260704130101", "R1", 999, NOWHERE).await.code(), "400 INVALID_REQUEST");
    assert_eq!(shop.refund("T20260704130101", "R2", 991, NOWHERE).await.code(), "400 INVALID_REQUEST");
    assert_eq!(shop.refund("T20260704130101", "R2", 990, NOWHERE).await.status, 200);

    paid(&shop, "T20260704130102").await;
    assert_eq!(shop.refund("T20260704130102", "R1", 1000, NOWHERE).await.code(), "400 INVALID_REQUEST");
    for n in 0..50 {
        assert_eq!(shop.refund("T20260704130102", &format!("F{n}"), 1, NOWHERE).await.status, 200);
    }
    assert_eq!(shop.refund("T20260704130102", "F50", 1, NOWHERE).await.code(), "400 INVALID_REQUEST");
    paid(&shop, "T20260704130103").await;
    shop.bench.must("/clock", json!({ "advance_seconds": 366 * 24 * 3600 })).await;
    assert_eq!(shop.refund("T20260704130103", "R9", 1, NOWHERE).await.code(), "400 INVALID_REQUEST");
}

fn sealed(pem: &str, plain: &str) -> String {
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&public_key(pem)).unwrap()).unwrap();
    let mut bytes = vec![0; key.ciphertext_size()];
    let sealed = key.encrypt(&OAEP_SHA1_MGF1SHA1, plain.as_bytes(), &mut bytes, None).unwrap();
    BASE64_STANDARD.encode(sealed)
}

#[tokio::test]
async fn a_refund_the_bank_refused_is_paid_out_to_a_card() {
    let mut shop = Shop::open();
    let receiver = Receiver::start(|_| (200, String::new())).await;
    shop.bench.must("/policy", json!({ "auto_settle": false })).await;
    paid(&shop, "T20260704130201").await;
    let refund_id = shop.refund("T20260704130201", "R1", 100, &receiver.url).await.json()["refund_id"].clone();
    let settle = format!("/orders/{}/T20260704130201/refunds/R1/settle", shop.mch_id);
    shop.bench.must(&settle, json!({ "status": "ABNORMAL" })).await;
    let envelope: Value = serde_json::from_str(&receiver.wait(1).await[0]).unwrap();
    assert_eq!(envelope["event_type"], "REFUND.ABNORMAL");
    assert_eq!(shop.get(&look("R1")).await.json()["status"], "ABNORMAL");

    let key = shop.bench.sandbox.platform_public_key(&shop.mch_id).unwrap();
    let target = format!("{}/apply-abnormal-refund", look(refund_id.as_str().unwrap()));
    let body = json!({
        "out_refund_no": "R1", "type": "USER_BANK_CARD", "bank_type": "ICBC_DEBIT",
        "bank_account": sealed(&key.pem, "6222020000000000"), "real_name": sealed(&key.pem, "张三"),
    });
    let refused = shop.post(&target, &body).await;
    assert_eq!(refused.json()["detail"]["field"], "Wechatpay-Serial", "the key must be named");
    shop.asks_for = Some("PUB_KEY_ID_0000000000".to_owned());
    assert_eq!(shop.post(&target, &body).await.json()["detail"]["field"], "Wechatpay-Serial");
    shop.asks_for = Some(key.id);
    let mut plain = body.clone();
    plain["real_name"] = json!("张三");
    assert_eq!(shop.post(&target, &plain).await.json()["detail"]["field"], "/real_name", "not encrypted");
    let mut other = body.clone();
    other["out_refund_no"] = json!("R2");
    assert_eq!(shop.post(&target, &other).await.json()["detail"]["field"], "/out_refund_no");
    assert_eq!(shop.post(&target, &body).await.json()["status"], "PROCESSING");
    assert_eq!(shop.post(&target, &body).await.code(), "400 INVALID_REQUEST", "it is no longer abnormal");
    shop.bench.must(&settle, json!({ "status": "SUCCESS" })).await;
    assert_eq!(shop.get(&look("R1")).await.json()["status"], "SUCCESS");
    assert_eq!(receiver.wait(2).await.len(), 2);

    paid(&shop, "T20260704130202").await;
    shop.refund("T20260704130202", "R3", 100, &receiver.url).await;
    let settle = format!("/orders/{}/T20260704130202/refunds/R3/settle", shop.mch_id);
    shop.bench.must(&settle, json!({ "status": "CLOSED" })).await;
    let envelope: Value = serde_json::from_str(&receiver.wait(3).await[2]).unwrap();
    assert_eq!(envelope["event_type"], "REFUND.CLOSED");
    assert_eq!(shop.get(&look("R3")).await.json()["status"], "CLOSED");
    assert_eq!(shop.refund("T20260704130202", "R4", 1990, NOWHERE).await.status, 200, "a closed one does not count");
}

#[tokio::test]
async fn a_named_payer_is_read() {
    let mut shop = Shop::open();
    let key = shop.bench.sandbox.platform_public_key(&shop.mch_id).unwrap();
    shop.asks_for = Some(key.id);
    let plain_order = shop.order("T20260704130301");
    let order = |name: &str| {
        let mut order = plain_order.clone();
        order["payer"]["identity"] = json!({
            "type": "IDCARD", "number": sealed(&key.pem, "330106199001011234"), "name": sealed(&key.pem, name),
        });
        order
    };
    assert_eq!(shop.post("/v3/pay/transactions/jsapi", &order("张三")).await.status, 200);
    // Encrypted anew it is another text, and yet the same order.
    assert_eq!(shop.post("/v3/pay/transactions/jsapi", &order("张三")).await.status, 200);
    assert_eq!(shop.post("/v3/pay/transactions/jsapi", &order("李四")).await.code(), "400 INVALID_REQUEST");
    shop.bench.must("/v3/trust", json!({ "mch_id": shop.mch_id, "mode": "certificate" })).await;
    let answer = shop.post("/v3/pay/transactions/jsapi", &order("张三")).await;
    assert_eq!(answer.json()["detail"]["field"], "Wechatpay-Serial", "the public key is not this merchant's yet");
    let (serial, pem) = shop.bench.sandbox.platform_certificates().unwrap().remove(0);
    let mut sealed_for_it = order("张三");
    for (name, plain) in [("number", "330106199001011234"), ("name", "张三")] {
        sealed_for_it["payer"]["identity"][name] = json!(sealed(&pem, plain));
    }
    shop.asks_for = Some(serial.clone());
    assert_eq!(shop.post("/v3/pay/transactions/jsapi", &sealed_for_it).await.status, 200);
    shop.bench.must(&format!("/v3/certificates/{serial}"), json!({ "expire": true })).await;
    let answer = shop.post("/v3/pay/transactions/jsapi", &sealed_for_it).await;
    assert_eq!(answer.json()["detail"]["field"], "Wechatpay-Serial", "it has run out");
    let kept = shop.bench.look(&format!("/orders/{}/T20260704130301", shop.mch_id)).await;
    assert_eq!(kept["request"]["payer"]["identity"]["name"], "张三");
}
