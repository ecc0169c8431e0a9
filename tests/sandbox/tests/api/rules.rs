//! A case per rule of ordering, asking and closing: what the platform answers.

use serde_json::json;

use crate::support::{APP, Bench, MCH, OTHER_APP, OTHER_MCH, assert_code, fields, order_fields, read_xml};

#[tokio::test]
async fn documents_that_are_not_requests() {
    let bench = Bench::start();
    let get = bench.client.get(format!("{}/pay/unifiedorder", bench.sandbox.https_url())).send().await.unwrap();
    assert_code(&read_xml(&get.text().await.unwrap()), "!REQUIRE_POST_METHOD");
    let doctype = "<!DOCTYPE xml [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><xml><mch_id>&x;</mch_id></xml>";
    for (body, expected) in [
        ("", "!POST_DATA_EMPTY"),
        ("<xml>", "!XML_FORMAT_ERROR"),
        (doctype, "!XML_FORMAT_ERROR"),
        ("<xml><mch_id>1900000109</mch_id></xml>", "!缺少参数appid"),
        (
            "<xml><mch_id>1</mch_id><appid>a</appid><nonce_str>n</nonce_str><sign>s</sign></xml>",
            "!商户号mch_id或sub_mch_id不存在",
        ),
    ] {
        let (status, text) = bench.send("/pay/unifiedorder", body.to_owned()).await.unwrap();
        assert_eq!(status, 200);
        assert_code(&read_xml(&text), expected);
        assert!(!text.contains("<sign>"));
    }
    let latin1 = bench.client.post(format!("{}/pay/orderquery", bench.sandbox.https_url())).body(vec![0xe4, 0xff]);
    assert_code(&read_xml(&latin1.send().await.unwrap().text().await.unwrap()), "!NOT_UTF8");
}

#[tokio::test]
async fn signatures_and_identities() {
    let bench = Bench::start();
    let usual = order_fields("T20260704000100", &[("mch_id", MCH), ("appid", APP)]);
    let xml = bench.sign(MCH, &usual).await;
    let (_, text) = bench.send("/pay/unifiedorder", xml.replace("1990", "1991")).await.unwrap();
    assert_code(&read_xml(&text), "!签名错误");
    // Signed with HMAC-SHA256 without saying so: MD5 is what is checked.
    let body = json!({ "mch_id": MCH, "fields": usual, "sign_type": "HMAC-SHA256" });
    let hmac = bench.must("/sign", body).await["xml"].as_str().unwrap().to_owned();
    assert_code(&read_xml(&bench.send("/pay/unifiedorder", hmac).await.unwrap().1), "!签名错误");
    assert_code(&bench.order("T20260704000101", &[("appid", OTHER_APP)]).await, "APPID_MCHID_NOT_MATCH");
    assert_code(&bench.order("T20260704000101", &[("appid", "wx0000000000000000")]).await, "APPID_NOT_EXIST");
    // A field nobody knows takes part in the signature.
    assert_code(&bench.order("T20260704000102", &[("future_field", "1")]).await, "SUCCESS");

    let answer = bench.order("T20260704000103", &[("sign_type", "HMAC-SHA256")]).await;
    assert_code(&answer, "SUCCESS");
    assert_eq!(answer["sign"].len(), 64);
    assert!(!answer.contains_key("sign_type"));
}

#[tokio::test]
async fn fields_of_an_order() {
    let bench = Bench::start();
    let long_body = "书".repeat(129);
    let long_attach = "a".repeat(128);
    let long_scene =
        format!(r#"{{"h5_info":{{"type":"Wap","wap_url":"https://example.com","wap_name":"{}"}}}}"#, "a".repeat(256));
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("body", "")], "LACK_PARAMS"),
        (&[("total_fee", "")], "LACK_PARAMS"),
        (&[("spbill_create_ip", "")], "LACK_PARAMS"),
        (&[("notify_url", "")], "LACK_PARAMS"),
        (&[("openid", "")], "LACK_PARAMS"),
        (&[("trade_type", "NATIVE")], "LACK_PARAMS"),
        (&[("trade_type", "MWEB")], "LACK_PARAMS"),
        (&[("trade_type", "MWEB"), ("scene_info", "{}")], "PARAM_ERROR"),
        (&[("trade_type", "MWEB"), ("scene_info", &long_scene)], "PARAM_ERROR"),
        (&[("trade_type", "MWEB"), ("scene_info", r#"{"h5_info":{"type":"Wap"}}"#)], "PARAM_ERROR"),
        (
            &[("trade_type", "MWEB"), ("scene_info", r#"{"h5_info":{"type":"Wap","wap_url":"https://a.com"}}"#)],
            "PARAM_ERROR",
        ),
        (&[("trade_type", "MWEB"), ("scene_info", r#"{"h5_info":{"type":"Wap","wap_name":"a"}}"#)], "PARAM_ERROR"),
        (&[("trade_type", "FACE")], "PARAM_ERROR"),
        (&[("total_fee", "0")], "PARAM_ERROR"),
        (&[("total_fee", "0.12")], "PARAM_ERROR"),
        (&[("total_fee", "-1")], "PARAM_ERROR"),
        (&[("total_fee", "+1")], "PARAM_ERROR"),
        (&[("total_fee", "01")], "PARAM_ERROR"),
        (&[("total_fee", "9223372036854775808")], "PARAM_ERROR"),
        (&[("fee_type", "USD")], "PARAM_ERROR"),
        (&[("body", &long_body)], "PARAM_ERROR"),
        (&[("attach", &long_attach)], "PARAM_ERROR"),
        (&[("out_trade_no", "short")], "PARAM_ERROR"),
        (&[("out_trade_no", "with a space")], "PARAM_ERROR"),
        (&[("time_expire", "2026-07-04 13:00:00")], "PARAM_ERROR"),
        (&[("time_expire", "20261304130000")], "PARAM_ERROR"),
        (&[("notify_url", "https://pay.example.com/notify?tenant=1")], "PARAM_ERROR"),
        (&[("notify_url", "https://pay.example.com")], "PARAM_ERROR"),
        (&[("notify_url", "/notify")], "PARAM_ERROR"),
        (&[("notify_url", "ftp://pay.example.com/notify")], "PARAM_ERROR"),
        (&[("profit_sharing", "true")], "PARAM_ERROR"),
    ];
    for (changes, expected) in cases {
        let answer = bench.order("T20260704000200", changes).await;
        assert_code(&answer, expected);
    }
    // Nothing of all this made an order.
    assert_code(&bench.query("T20260704000200").await, "ORDERNOTEXIST");

    let native =
        bench.order("T20260704000201", &[("trade_type", "NATIVE"), ("product_id", "p1"), ("openid", "")]).await;
    assert!(native["code_url"].starts_with("weixin://wxpay/bizpayurl?pr="), "{native:?}");
    let scene = r#"{"h5_info":{"type":"Wap","wap_url":"https://example.com","wap_name":"shop"}}"#;
    let mweb = bench.order("T20260704000202", &[("trade_type", "MWEB"), ("scene_info", scene), ("openid", "")]).await;
    assert!(mweb["mweb_url"].contains(&mweb["prepay_id"]), "{mweb:?}");
}

#[tokio::test]
async fn an_order_entered_again() {
    let bench = Bench::start();
    let number = "T20260704000300";
    let first = bench.order(number, &[]).await;
    let second = bench.order(number, &[("nonce_str", "another")]).await;
    assert_code(&second, "SUCCESS");
    assert_ne!(first["prepay_id"], second["prepay_id"]);
    for (changes, expected) in [
        (&[("total_fee", "1991")][..], "INVALID_REQUEST"),
        (&[("attach", "x")], "INVALID_REQUEST"),
        (&[("notify_url", "https://pay.example.com/other")], "INVALID_REQUEST"),
        (&[("openid", "oAnotherPersonOfTheSameApp00")], "INVALID_REQUEST"),
        (&[("trade_type", "NATIVE"), ("product_id", "p")], "OUT_TRADE_NO_USED"),
    ] {
        let answer = bench.order(number, changes).await;
        assert_code(&answer, expected);
        if expected == "INVALID_REQUEST" {
            assert_eq!(answer["err_code_des"], "201 商户订单号重复");
        }
    }
    assert_eq!(bench.look("/state").await["order_count"], 1);
    bench.pay(number).await;
    assert_code(&bench.order(number, &[]).await, "ORDERPAID");
    assert_code(&bench.call("/pay/closeorder", fields(&[("out_trade_no", number)])).await, "ORDERPAID");
}

#[tokio::test]
async fn the_same_number_of_two_merchants() {
    let bench = Bench::start();
    bench.order("T20260704000400", &[]).await;
    let other =
        [("mch_id", OTHER_MCH), ("appid", OTHER_APP), ("openid", "oOfTheOtherApp00000000000000"), ("total_fee", "5")];
    assert_code(&bench.order("T20260704000400", &other).await, "SUCCESS");
    bench.pay("T20260704000400").await;
    let asked = fields(&[("mch_id", OTHER_MCH), ("appid", OTHER_APP), ("out_trade_no", "T20260704000400")]);
    assert_eq!(bench.call("/pay/orderquery", asked).await["trade_state"], "NOTPAY");
}

#[tokio::test]
async fn an_openid_belongs_to_one_app() {
    let bench = Bench::start();
    bench.order("T20260704000500", &[("openid", "oFirstUsedByTheFirstApp00000")]).await;
    let other = [("mch_id", OTHER_MCH), ("appid", OTHER_APP), ("openid", "oFirstUsedByTheFirstApp00000")];
    let answer = bench.order("T20260704000501", &other).await;
    assert_code(&answer, "PARAM_ERROR");
    assert_eq!(answer["err_code_des"], "appid和openid不匹配");
    // The other form, which has no signature.
    bench.must("/policy", json!({ "v2_unsigned_payer_mismatch": true })).await;
    let xml = bench.sign(OTHER_MCH, &order_fields("T20260704000502", &other)).await;
    let answer = read_xml(&bench.send("/pay/unifiedorder", xml).await.unwrap().1);
    assert_code(&answer, "!appid and openid not match");
    assert!(!answer.contains_key("sign") && !answer.contains_key("result_code"), "{answer:?}");
    let asked = fields(&[("mch_id", OTHER_MCH), ("appid", OTHER_APP), ("out_trade_no", "T20260704000502")]);
    assert_code(&bench.call("/pay/orderquery", asked).await, "ORDERNOTEXIST");
}

#[tokio::test]
async fn closing() {
    let bench = Bench::start();
    let close = async |number: &str| bench.call("/pay/closeorder", fields(&[("out_trade_no", number)])).await;
    assert_code(&close("T20260704000600").await, "ORDERNOTEXIST");
    bench.order("T20260704000600", &[]).await;
    bench.must("/policy", json!({ "five_minute_close_rule": true })).await;
    assert_code(&close("T20260704000600").await, "TRADE_STATE_ERROR");
    bench.must("/clock", json!({ "advance_seconds": 301 })).await;
    assert_code(&close("T20260704000600").await, "SUCCESS");
    assert_code(&close("T20260704000600").await, "ORDERCLOSED");
    assert_code(&bench.order("T20260704000600", &[]).await, "ORDERCLOSED");
    assert_eq!(bench.query("T20260704000600").await["trade_state"], "CLOSED");
    let (status, _) = bench.control(&format!("/orders/{MCH}/T20260704000600/pay"), json!({})).await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn asking() {
    let bench = Bench::start();
    assert_code(&bench.query("T20260704000700").await, "ORDERNOTEXIST");
    assert_code(&bench.call("/pay/orderquery", fields(&[])).await, "LACK_PARAMS");
    assert_code(&bench.call("/pay/orderquery", fields(&[("transaction_id", "42")])).await, "ORDERNOTEXIST");
    bench.order("T20260704000700", &[]).await;
    bench.must(&format!("/orders/{MCH}/T20260704000700/fail"), json!({ "err_code": "NOTENOUGH" })).await;
    assert_eq!(bench.query("T20260704000700").await["trade_state"], "PAYERROR");
    // A failed payment can be tried again.
    bench.pay("T20260704000700").await;
    assert_eq!(bench.query("T20260704000700").await["trade_state"], "SUCCESS");
}

#[tokio::test]
async fn an_expired_order_is_not_payable_and_not_closed() {
    let bench = Bench::start();
    // Long ago: moved to a minute from now.
    bench.order("T20260704000800", &[("time_expire", "20200101000000")]).await;
    bench.must("/clock", json!({ "advance_seconds": 61 })).await;
    let (status, _) = bench.control(&format!("/orders/{MCH}/T20260704000800/pay"), json!({})).await;
    assert_eq!(status, 409);
    assert_eq!(bench.query("T20260704000800").await["trade_state"], "NOTPAY");
}

#[tokio::test]
async fn a_coupon_pays_a_part() {
    let bench = Bench::start();
    bench.order("T20260704000900", &[]).await;
    bench.must(&format!("/orders/{MCH}/T20260704000900/pay"), json!({ "coupon_fee": 90 })).await;
    let asked = bench.query("T20260704000900").await;
    assert_eq!(
        (asked["total_fee"].as_str(), asked["cash_fee"].as_str(), asked["coupon_fee"].as_str()),
        ("1990", "1900", "90")
    );
    assert!(asked.contains_key("coupon_id_0") && !asked.contains_key("coupon_type_0"));
}

#[tokio::test]
async fn the_second_signature_is_checked() {
    let bench = Bench::start();
    let number = "T20260704001000";
    let prepaid = bench.order(number, &[]).await;
    // By hand: this signature has no nonce_str, which the sandbox's own signer would add.
    let signed = |package: &str, sign_type: &str| {
        let parts = fields(&[
            ("appId", APP),
            ("timeStamp", "1783139445"),
            ("nonceStr", "n1"),
            ("package", package),
            ("signType", sign_type),
        ]);
        let text: Vec<String> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let text = format!("{}&key=3f7c9d0ab1e24c6f8a5d7e9012b3c4d5", text.join("&"));
        let mut client = json!(parts);
        client["paySign"] = json!(format!("{:X}", md5::compute(text)));
        client
    };
    let package = format!("prepay_id={}", prepaid["prepay_id"]);
    let good = signed(&package, "MD5");
    let path = format!("/orders/{MCH}/{number}/pay");
    let mut changed = good.clone();
    changed["nonceStr"] = json!("n2");
    let mut number_time = good.clone();
    number_time["timeStamp"] = json!(1783139445);
    let mut no_sign = good.clone();
    no_sign["paySign"] = json!(null);
    for bad in [changed, number_time, no_sign, signed(&package, "HMAC-SHA256")] {
        let (status, answer) = bench.control(&path, json!({ "client": bad })).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer["error"].as_str().unwrap().starts_with("支付验证签名失败"), "{answer}");
    }
    let (status, _) = bench.control("/client-pay", json!({ "client": signed("prepay_id=wx0", "MD5") })).await;
    assert_eq!(status, 404);
    assert_eq!(bench.query(number).await["trade_state"], "NOTPAY");
    let paid = bench.must("/client-pay", json!({ "client": good })).await;
    assert_eq!(paid["out_trade_no"], number);
}

#[tokio::test]
async fn a_code_url_is_scanned() {
    let bench = Bench::start();
    let native =
        bench.order("T20260704001100", &[("trade_type", "NATIVE"), ("product_id", "p1"), ("openid", "")]).await;
    let client = json!({ "client": { "code_url": native["code_url"] } });
    let paid = bench.must("/client-pay", client.clone()).await;
    assert_eq!(paid["trade_state"], "SUCCESS");
    assert!(paid["payer"].as_str().unwrap().starts_with('o'));
    let (status, _) = bench.control("/client-pay", client).await;
    assert_eq!(status, 409);
}

/// A gateway hands the address on under a name of its own.
#[tokio::test]
async fn an_h5_page_is_paid_by_either_name_of_its_address() {
    let bench = Bench::start();
    let scene = r#"{"h5_info":{"type":"Wap","wap_url":"https://example.com","wap_name":"shop"}}"#;
    for (number, name) in [("T20260704001201", "mweb_url"), ("T20260704001202", "h5_url")] {
        let made = bench.order(number, &[("trade_type", "MWEB"), ("scene_info", scene), ("openid", "")]).await;
        let paid = bench.must("/client-pay", json!({ "client": { name: made["mweb_url"] } })).await;
        assert_eq!((paid["out_trade_no"].as_str(), paid["trade_state"].as_str()), (Some(number), Some("SUCCESS")));
    }
}
