//! The fields of a prepay, orders entered again, and the four ways to pay.

use serde_json::{Value, json};

use super::support::{PAYER, Shop, now};

const JSAPI: &str = "/v3/pay/transactions/jsapi";

fn changed(order: &Value, path: &str, value: Value) -> Value {
    let mut order = order.clone();
    let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut at = &mut order;
    for step in parents.split('.').filter(|step| !step.is_empty()) {
        at = &mut at[step];
    }
    if value.is_null() {
        at.as_object_mut().unwrap().remove(name);
    } else {
        at[name] = value;
    }
    order
}

#[tokio::test]
async fn fields() {
    let shop = Shop::open();
    let order = shop.order("T20260704120001");
    for (path, value, field) in [
        ("appid", Value::Null, "/appid"),
        ("mchid", Value::Null, "/mchid"),
        ("mchid", json!("1900000110"), "/mchid"),
        ("description", Value::Null, "/description"),
        ("description", json!(""), "/description"),
        ("description", json!("x".repeat(128)), "/description"),
        ("out_trade_no", json!("short"), "/out_trade_no"),
        ("out_trade_no", json!("with space"), "/out_trade_no"),
        ("out_trade_no", json!(12_345_678), "/out_trade_no"),
        ("notify_url", json!("/relative"), "/notify_url"),
        ("notify_url", json!("https://pay.example.com/notify?a=1"), "/notify_url"),
        ("notify_url", json!("https://pay.example.com"), "/notify_url"),
        ("time_expire", json!("20260704130000"), "/time_expire"),
        ("time_expire", json!("2026-07-04T13:00:00"), "/time_expire"),
        ("amount", Value::Null, "/amount"),
        ("amount.total", json!(0), "/amount/total"),
        ("amount.total", json!(-1), "/amount/total"),
        ("amount.total", json!(19.9), "/amount/total"),
        ("amount.total", json!("1990"), "/amount/total"),
        ("amount.total", json!(10_000_000_001_i64), "/amount/total"),
        ("amount.currency", json!("USD"), "/amount/currency"),
        ("payer", Value::Null, "/payer"),
        ("payer.openid", Value::Null, "/payer/openid"),
        ("limit_pay", json!(["no_cash"]), "/limit_pay"),
        ("limit_pay", json!("no_credit"), "/limit_pay"),
        ("settle_info", json!({ "profit_sharing": "Y" }), "/settle_info/profit_sharing"),
        ("scene_info", json!({ "device_id": "1" }), "/scene_info/payer_client_ip"),
        ("scene_info", json!({ "payer_client_ip": "here" }), "/scene_info/payer_client_ip"),
        (
            "detail",
            json!({ "goods_detail": [{ "merchant_goods_id": "a", "quantity": 1 }] }),
            "/detail/goods_detail/0/unit_price",
        ),
        ("attatch", json!("misspelt"), "/attatch"),
    ] {
        let answer = shop.post(JSAPI, &changed(&order, path, value.clone())).await;
        assert_eq!(answer.code(), "400 PARAM_ERROR", "{path} {value}");
        assert_eq!(answer.json()["detail"]["field"], field, "{path} {value}: {}", answer.json());
        assert!(shop.is_signed(&answer), "refusals are signed too");
    }
    for body in ["", "[]", "{", "\"text\"", "{\"appid\":\"😀\"}", "{\"a\":null}"] {
        assert_eq!(shop.call("POST", JSAPI, body).await.code(), "400 PARAM_ERROR", "{body}");
    }
    assert_eq!(shop.bench.look("/state").await["order_count"], 0);
    let full = json!({
        "time_expire": "2099-01-01T00:00:00Z", "goods_tag": "WXG", "support_fapiao": true, "limit_pay": ["no_credit"],
        "settle_info": { "profit_sharing": true },
        "scene_info": { "payer_client_ip": "2001:db8::1", "device_id": "013467007045764", "store_info": { "id": "0001" } },
        "detail": { "cost_price": 0, "invoice_id": "w", "goods_detail": [{ "merchant_goods_id": "a", "quantity": 1, "unit_price": 1990 }] },
    });
    let mut order = order;
    order.as_object_mut().unwrap().extend(full.as_object().unwrap().clone());
    assert_eq!(shop.post(JSAPI, &order).await.status, 200);
}

#[tokio::test]
async fn identities_and_states() {
    let shop = Shop::open();
    let order = |number: &str| shop.order(number);
    for (path, value, code) in [
        ("appid", json!("wx7777777777777777"), "400 APPID_MCHID_NOT_MATCH"),
        ("appid", json!("wx0000000000000000"), "400 APPID_MCHID_NOT_MATCH"),
    ] {
        assert_eq!(shop.post(JSAPI, &changed(&order("T20260704120100"), path, value)).await.code(), code);
    }
    let elsewhere = json!({ "app_id": "wx7777777777777777", "openid": "oElsewhere" });
    shop.bench.must("/codes", elsewhere).await;
    let other = changed(&order("T20260704120100"), "payer.openid", json!("oElsewhere"));
    assert_eq!(shop.post(JSAPI, &other).await.code(), "500 OPENID_MISMATCH");

    let number = "T20260704120101";
    let first = shop.prepay(number, "http://127.0.0.1:9/notify").await;
    let again = shop.prepay(number, "http://127.0.0.1:9/notify").await;
    assert_ne!(first, again, "a fresh prepay_id");
    for (path, value) in [
        ("amount.total", json!(1991)),
        ("description", json!("另一本书")),
        ("attach", Value::Null),
        ("payer.openid", json!("oAnother")),
        ("time_expire", json!("2099-01-01T00:00:00+08:00")),
        ("notify_url", json!("http://127.0.0.1:9/other")),
    ] {
        let answer = shop.post(JSAPI, &changed(&order(number), path, value)).await;
        assert_eq!(answer.code(), "400 INVALID_REQUEST", "{path}");
        assert_eq!(answer.json()["message"], "201 商户订单号重复");
    }
    let native = changed(&order(number), "payer", Value::Null);
    assert_eq!(shop.post("/v3/pay/transactions/native", &native).await.code(), "403 OUT_TRADE_NO_USED");

    shop.pay(number, json!({})).await;
    assert_eq!(shop.post(JSAPI, &order(number)).await.code(), "400 ORDER_PAID");
    let close = |number: &str| format!("/v3/pay/transactions/out-trade-no/{number}/close");
    let own = json!({ "mchid": shop.mch_id });
    assert_eq!(shop.post(&close(number), &own).await.code(), "400 ORDER_PAID");

    let number = "T20260704120102";
    assert_eq!(shop.post(&close(number), &own).await.code(), "404 ORDER_NOT_EXIST");
    shop.prepay(number, "http://127.0.0.1:9/notify").await;
    assert_eq!(shop.post(&close(number), &json!({ "mchid": "1900000110" })).await.code(), "400 PARAM_ERROR");
    let closed = shop.post(&close(number), &own).await;
    assert!(closed.status == 204 && closed.body.is_empty() && shop.is_signed(&closed), "204 is signed over nothing");
    assert_eq!(shop.post(&close(number), &own).await.code(), "400 ORDER_CLOSED");
    assert_eq!(shop.post(JSAPI, &order(number)).await.code(), "400 ORDER_CLOSED");
    assert_eq!(shop.query(number).await.json()["trade_state"], "CLOSED");

    shop.bench.must("/policy", json!({ "v3_legacy_codes": true })).await;
    assert_eq!(shop.post(JSAPI, &order(number)).await.code(), "400 ORDERCLOSED");
    assert_eq!(shop.query("T20260704120999").await.code(), "404 ORDERNOTEXIST");
}

#[tokio::test]
async fn queries() {
    let shop = Shop::open();
    for (target, code) in [
        ("/v3/pay/transactions/out-trade-no/T20260704120201", "400 PARAM_ERROR"),
        ("/v3/pay/transactions/out-trade-no/T20260704120201?mchid=1900000110", "400 PARAM_ERROR"),
        ("/v3/pay/transactions/out-trade-no/T20260704120201?mchid=1900000109", "404 ORDER_NOT_EXIST"),
        ("/v3/pay/transactions/id/4200?mchid=1900000109", "404 ORDER_NOT_EXIST"),
    ] {
        assert_eq!(shop.get(target).await.code(), code, "{target}");
    }
    // A number with a sign that is percent-encoded on the wire, and signed so.
    shop.prepay("T|2026*07", "http://127.0.0.1:9/notify").await;
    let asked = shop.get("/v3/pay/transactions/out-trade-no/T%7C2026%2A07?mchid=1900000109").await;
    assert_eq!(asked.json()["out_trade_no"], "T|2026*07");
}

#[tokio::test]
async fn an_order_that_runs_out() {
    let shop = Shop::open();
    let soon = changed(&shop.order("T20260704120301"), "time_expire", json!("2026-01-01T00:00:00+08:00"));
    assert_eq!(shop.post(JSAPI, &soon).await.status, 200, "moved to a minute from now");
    shop.bench.must("/clock", json!({ "advance_seconds": 61 })).await;
    assert_eq!(shop.post(JSAPI, &soon).await.code(), "400 INVALID_REQUEST");
    let path = format!("/orders/{}/T20260704120301/pay", shop.mch_id);
    assert_eq!(shop.bench.control(&path, json!({})).await.0, 409);
    assert_eq!(shop.query("T20260704120301").await.json()["trade_state"], "NOTPAY", "it is not closed by itself");
}

#[tokio::test]
async fn native_h5_and_app() {
    let shop = Shop::open();
    let order = |number: &str| changed(&shop.order(number), "payer", Value::Null);
    let pay = async |client: Value| shop.bench.control("/client-pay", json!({ "client": client })).await;

    let native = shop.post("/v3/pay/transactions/native", &order("T20260704120401")).await.json();
    assert!(native["code_url"].as_str().unwrap().starts_with("weixin://wxpay/bizpayurl?pr="));
    assert_eq!(pay(json!({ "code_url": native["code_url"] })).await.0, 200);

    let h5 = order("T20260704120402");
    let refused = shop.post("/v3/pay/transactions/h5", &h5).await;
    assert_eq!(refused.json()["detail"]["field"], "/scene_info");
    let scene = json!({ "payer_client_ip": "203.0.113.9", "h5_info": { "type": "Wap" } });
    let h5 = changed(&h5, "scene_info", scene.clone());
    let bad = changed(&h5, "scene_info.h5_info.type", json!("WAP"));
    assert_eq!(shop.post("/v3/pay/transactions/h5", &bad).await.json()["detail"]["field"], "/scene_info/h5_info/type");
    let url = shop.post("/v3/pay/transactions/h5", &h5).await.json();
    assert!(url["h5_url"].as_str().unwrap().starts_with("https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?"));
    assert_eq!(pay(json!({ "h5_url": url["h5_url"] })).await.0, 200);
    assert_eq!(shop.query("T20260704120402").await.json()["trade_type"], "MWEB");

    let prepaid = shop.post("/v3/pay/transactions/app", &order("T20260704120403")).await.json();
    let (prepay_id, time) = (prepaid["prepay_id"].as_str().unwrap(), now().to_string());
    let signature = shop.sign(format!("{}\n{time}\nabc\n{prepay_id}\n", shop.app_id).as_bytes());
    let client = json!({
        "appid": shop.app_id, "partnerid": shop.mch_id, "prepayid": prepay_id, "package": "Sign=WXPay",
        "noncestr": "abc", "timestamp": time, "sign": signature,
    });
    for (name, value) in [("partnerid", "1900000110"), ("package", "prepay_id=1"), ("sign", "AAAA"), ("noncestr", "b")]
    {
        let (status, body) = pay(changed(&client, name, json!(value))).await;
        assert!(status == 400 && body["error"].as_str().unwrap().contains("支付验证签名失败"), "{name}: {body}");
    }
    assert_eq!(pay(client).await.0, 200);
}

#[tokio::test]
async fn the_second_signature_is_checked() {
    let shop = Shop::open();
    let prepay_id = shop.prepay("T20260704120501", "http://127.0.0.1:9/notify").await;
    let client = shop.client(&prepay_id);
    let pay = async |client: Value| shop.bench.control("/client-pay", json!({ "client": client })).await;
    for (name, value) in [
        ("appId", json!("wx7777777777777777")),
        ("timeStamp", json!(1_414_561_699)),
        ("timeStamp", json!("1414561699000")),
        ("timeStamp", json!("1414561699")),
        ("nonceStr", json!("other")),
        ("signType", json!("MD5")),
        ("paySign", json!("AAAA")),
        ("paySign", Value::Null),
    ] {
        let (status, body) = pay(changed(&client, name, value.clone())).await;
        assert!(
            status == 400 && body["error"].as_str().unwrap().contains("支付验证签名失败"),
            "{name} {value}: {body}"
        );
    }
    shop.bench.must("/clock", json!({ "advance_seconds": 2 * 3600 })).await;
    assert_eq!(pay(client).await.0, 409, "the prepay_id has run out");
    let client = shop.client(&shop.prepay("T20260704120501", "http://127.0.0.1:9/notify").await);
    assert_eq!(pay(client).await.0, 200);
    assert_eq!(shop.query("T20260704120501").await.json()["payer"]["openid"], PAYER);
}
