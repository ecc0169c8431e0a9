//! Partner mode (服务商): one merchant acts for another.

use serde_json::{Value, json};

use super::support::{KEY, Shop, decrypt, now};
use crate::support::Receiver;

const SUB: &str = "1900000200";
const SUB_APP: &str = "wx6666666666666666";
const JSAPI: &str = "/v3/pay/partner/transactions/jsapi";

fn order(shop: &Shop, number: &str, notify_url: &str) -> Value {
    json!({
        "sp_appid": shop.app_id, "sp_mchid": shop.mch_id, "sub_appid": SUB_APP, "sub_mchid": SUB,
        "description": "书", "out_trade_no": number, "notify_url": notify_url,
        "amount": { "total": 1990 }, "payer": { "sub_openid": "oSubPerson" },
    })
}

#[tokio::test]
async fn a_sub_merchants_order() {
    let shop = Shop::open();
    let receiver = Receiver::start(|_| (200, String::new())).await;
    let number = "T20260704180001";
    let prepaid = shop.post(JSAPI, &order(&shop, number, &receiver.url)).await;
    assert!(prepaid.status == 200 && shop.is_signed(&prepaid), "{}", prepaid.json());
    let prepay_id = prepaid.json()["prepay_id"].as_str().unwrap().to_owned();

    // The sub-merchant's app calls, signed with the provider's key.
    let (time, package) = (now().to_string(), format!("prepay_id={prepay_id}"));
    let signature = shop.sign(format!("{SUB_APP}\n{time}\nabc\n{package}\n").as_bytes());
    let client = json!({ "appId": SUB_APP, "timeStamp": time, "nonceStr": "abc", "package": package, "signType": "RSA", "paySign": signature });
    assert_eq!(shop.bench.control("/client-pay", json!({ "client": shop.client(&prepay_id) })).await.0, 400);
    let paid = shop.bench.must("/client-pay", json!({ "client": client })).await;
    let transaction_id = paid["transaction_id"].as_str().unwrap();

    let envelope: Value = serde_json::from_str(&receiver.wait(1).await[0]).unwrap();
    let resource: Value = serde_json::from_str(&decrypt(KEY, &envelope["resource"]).unwrap()).unwrap();
    for (name, value) in [
        ("sp_mchid", &shop.mch_id),
        ("sp_appid", &shop.app_id),
        ("sub_mchid", &SUB.to_owned()),
        ("sub_appid", &SUB_APP.to_owned()),
    ] {
        assert_eq!(resource[name], json!(value), "{name}");
    }
    assert_eq!(resource["payer"]["sub_openid"], "oSubPerson");
    assert!(resource["payer"]["sp_openid"].is_string() && resource["mchid"].is_null() && resource["appid"].is_null());

    let by_number = format!("/v3/pay/partner/transactions/out-trade-no/{number}");
    let whole = format!("sp_mchid={}&sub_mchid={SUB}", shop.mch_id);
    assert_eq!(shop.get(&format!("{by_number}?{whole}")).await.json()["trade_state"], "SUCCESS");
    let by_id = format!("/v3/pay/partner/transactions/id/{transaction_id}");
    assert_eq!(shop.get(&format!("{by_id}?{whole}")).await.json()["sub_mchid"], SUB);
    assert_eq!(shop.get(&format!("{by_number}?sp_mchid={}", shop.mch_id)).await.code(), "400 PARAM_ERROR");
    let other = format!("{by_number}?sp_mchid={}&sub_mchid=1900000201", shop.mch_id);
    assert_eq!(shop.get(&other).await.code(), "404 ORDER_NOT_EXIST");
    assert_eq!(shop.query(number).await.code(), "404 ORDER_NOT_EXIST", "not seen from direct mode");

    let refund = json!({
        "sub_mchid": SUB, "transaction_id": transaction_id, "out_refund_no": "R1", "notify_url": receiver.url,
        "amount": { "refund": 100, "total": 1990, "currency": "CNY" },
    });
    let mut direct = refund.clone();
    direct.as_object_mut().unwrap().remove("sub_mchid");
    assert_eq!(shop.post("/v3/refund/domestic/refunds", &direct).await.code(), "500 INVALID_TRANSACTIONID");
    assert_eq!(shop.post("/v3/refund/domestic/refunds", &refund).await.json()["status"], "PROCESSING");
    let envelope: Value = serde_json::from_str(&receiver.wait(2).await[1]).unwrap();
    let resource: Value = serde_json::from_str(&decrypt(KEY, &envelope["resource"]).unwrap()).unwrap();
    assert_eq!((&resource["sp_mchid"], &resource["sub_mchid"]), (&json!(shop.mch_id), &json!(SUB)));
    assert_eq!(shop.get("/v3/refund/domestic/refunds/R1").await.code(), "404 RESOURCE_NOT_EXISTS");
    assert_eq!(shop.get(&format!("/v3/refund/domestic/refunds/R1?sub_mchid={SUB}")).await.json()["status"], "SUCCESS");

    let day = shop.bench.look("/clock").await["beijing"].as_str().unwrap()[..10].to_owned();
    let offered = shop.get(&format!("/v3/bill/tradebill?bill_date={day}&sub_mchid={SUB}")).await.json();
    let path = offered["download_url"].as_str().unwrap().replace(&shop.bench.sandbox.https_url(), "");
    let text = String::from_utf8(shop.get(&path).await.body).unwrap();
    assert!(text.contains(&format!(",`{},`{SUB},", shop.mch_id)), "{text}");
}

#[tokio::test]
async fn rules() {
    let shop = Shop::open();
    let good = order(&shop, "T20260704180101", "http://127.0.0.1:9/notify");
    for (name, value, code, field) in [
        ("sp_mchid", json!("1900000110"), "400 PARAM_ERROR", "/sp_mchid"),
        ("sub_mchid", Value::Null, "400 PARAM_ERROR", "/sub_mchid"),
        ("sub_mchid", json!("1900000201"), "400 MCH_NOT_EXISTS", ""),
        ("sp_appid", json!(SUB_APP), "400 APPID_MCHID_NOT_MATCH", ""),
        ("sub_appid", json!("wx5555555555555555"), "400 APPID_MCHID_NOT_MATCH", ""),
        ("sub_appid", Value::Null, "400 PARAM_ERROR", "/sub_appid"),
        ("payer", json!({}), "400 PARAM_ERROR", "/payer"),
        ("payer", json!({ "openid": "o" }), "400 PARAM_ERROR", "/payer"),
        ("payer", json!({ "sp_openid": "oA", "sub_openid": "oB" }), "400 PARAM_ERROR", "/payer"),
        ("appid", json!("wx8888888888888888"), "400 PARAM_ERROR", "/appid"),
    ] {
        let mut body = good.clone();
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
            ref value => body[name] = value.clone(),
        }
        let answer = shop.post(JSAPI, &body).await;
        assert_eq!(answer.code(), code, "{name} {value}");
        assert_eq!(answer.json()["detail"]["field"].as_str().unwrap_or_default(), field, "{name} {value}");
    }
    // The person at the provider's own app.
    let mut own = order(&shop, "T20260704180102", "http://127.0.0.1:9/notify");
    own["payer"] = json!({ "sp_openid": "oOwnPerson" });
    own.as_object_mut().unwrap().remove("sub_appid");
    assert_eq!(shop.post("/v3/pay/partner/transactions/miniprogram", &own).await.status, 200);
    let close = "/v3/pay/partner/transactions/out-trade-no/T20260704180102/close";
    assert_eq!(shop.post(close, &json!({ "sp_mchid": shop.mch_id })).await.code(), "400 PARAM_ERROR");
    let body = json!({ "sp_mchid": shop.mch_id, "sub_mchid": SUB });
    assert_eq!(shop.post(close, &body).await.status, 204);
    let direct = "/v3/pay/transactions/out-trade-no/T20260704180102/close";
    assert_eq!(shop.post(direct, &json!({ "mchid": shop.mch_id })).await.code(), "404 ORDER_NOT_EXIST");
}
