//! Which requests are let in: signature, time, nonce, serial, headers.

use serde_json::{Value, json};

use super::support::{Answer, Bent, Shop, now};

const TARGET: &str = "/v3/pay/transactions/jsapi";

fn sign_error(answer: &Answer, part: &str) {
    assert_eq!(answer.code(), "401 SIGN_ERROR");
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(part), "{message}");
    assert_eq!(answer.header("wechatpay-signature"), "", "a refused signature is answered without one");
}

#[tokio::test]
async fn signatures() {
    let shop = Shop::open();
    let order = shop.order("T20260704110001").to_string();
    let bent = || shop.bent();

    let answer = shop.send("POST", TARGET, &order, Bent { sent: Some(order.replace("1990", "1991")), ..bent() }).await;
    let answer = answer.unwrap();
    sign_error(&answer, "签名错误");
    let detail = answer.json()["detail"].clone();
    assert_eq!((&detail["field"], &detail["location"]), (&json!("signature"), &json!("authorization")));
    assert_eq!(detail["detail"]["issue"], "sign not match");
    let information = &detail["sign_information"];
    assert_eq!((&information["method"], &information["url"]), (&json!("POST"), &json!(TARGET)));
    assert!(information["truncated_sign_message"].as_str().unwrap().starts_with("POST\n/v3/pay/transactions/jsapi\n"));
    assert!(information["sign_message_length"].as_u64().unwrap() > order.len() as u64);

    // The target is signed byte for byte, its query included.
    let query = format!("/v3/pay/transactions/out-trade-no/T20260704110001?mchid={}", shop.mch_id);
    let elsewhere = Bent { signed_target: Some(query.replace("?mchid", "?Mchid")), ..bent() };
    sign_error(&shop.send("GET", &query, "", elsewhere).await.unwrap(), "签名错误");

    for (how, part) in [
        (Bent { timestamp: now() - 302, ..bent() }, "5分钟"),
        (Bent { timestamp: now() + 302, ..bent() }, "5分钟"),
        (Bent { mch_id: "1900000999".to_owned(), ..bent() }, "mchid不存在"),
        (Bent { mch_id: "1900000110".to_owned(), ..bent() }, "商户证书序列号有误"),
        (Bent { serial_no: "5A".repeat(20), ..bent() }, "商户证书序列号有误"),
        (Bent { nonce: "n".repeat(33), ..bent() }, "格式错误"),
    ] {
        sign_error(&shop.send("POST", TARGET, &order, how).await.unwrap(), part);
    }
    for timestamp in [now() - 295, now() + 295] {
        let how = Bent { timestamp, ..bent() };
        assert_eq!(shop.send("POST", TARGET, &order, how).await.unwrap().status, 200);
    }
    assert_eq!(shop.bench.look("/state").await["order_count"], 1);
}

#[tokio::test]
async fn a_nonce_is_used_once() {
    let shop = Shop::open();
    let order = shop.order("T20260704110101").to_string();
    let how = || Bent { nonce: "the-same".to_owned(), ..shop.bent() };
    assert_eq!(shop.send("POST", TARGET, &order, how()).await.unwrap().status, 200);
    sign_error(&shop.send("POST", TARGET, &order, how()).await.unwrap(), "nonce_str");
    shop.bench.must("/policy", json!({ "v3_nonces_once": false })).await;
    assert_eq!(shop.send("POST", TARGET, &order, how()).await.unwrap().status, 200);
}

#[tokio::test]
async fn headers_and_paths() {
    let shop = Shop::open();
    let url = format!("{}/v3/certificates", shop.bench.sandbox.https_url());
    for authorization in [None, Some("WECHATPAY2-SHA256-RSA2048 mchid=1"), Some("Bearer abc")] {
        let mut request = shop.bench.client.get(&url).header("accept", "application/json");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 401);
        let body: Value = response.json().await.unwrap();
        assert!(body["message"].as_str().unwrap().contains("Authorization值格式错误"), "{body}");
    }
    for (method, target, code) in [
        ("GET", "/v3/pay/transactions", "404 NOT_FOUND"),
        ("GET", "/v3/nothing/here", "404 NOT_FOUND"),
        ("GET", "/v3/pay/transactions/jsapi", "405 METHOD_NOT_ALLOWED"),
        ("POST", "/v3/certificates", "405 METHOD_NOT_ALLOWED"),
    ] {
        let answer = shop.call(method, target, if method == "GET" { "" } else { "{}" }).await;
        assert_eq!(answer.code(), code, "{method} {target}");
        assert!(shop.is_signed(&answer));
    }
    // Signed as it is, but no JSON.
    let bare = shop.bench.client.post(format!("{}{TARGET}", shop.bench.sandbox.https_url()));
    let (time, nonce) = (now(), "bare");
    let signature = shop.sign(format!("POST\n{TARGET}\n{time}\n{nonce}\n{{}}\n").as_bytes());
    let authorization = format!(
        "WECHATPAY2-SHA256-RSA2048 serial_no=\"{}\",timestamp=\"{time}\",mchid=\"{}\",signature=\"{signature}\",nonce_str=\"{nonce}\"",
        shop.serial_no, shop.mch_id
    );
    let sent = bare
        .header("authorization", authorization)
        .header("accept", "application/json")
        .header("user-agent", "t")
        .header("content-type", "text/plain")
        .body("{}");
    let body: Value = sent.send().await.unwrap().json().await.unwrap();
    assert_eq!(body["detail"]["field"], "Content-Type", "the pairs may stand in any order: {body}");
}

#[tokio::test]
async fn a_platform_whose_clock_is_off() {
    let shop = Shop::open();
    let order = shop.order("T20260704110201").to_string();
    for skew in [-600, 600] {
        shop.bench.must("/policy", json!({ "date_skew_seconds": skew })).await;
        let refused = shop.call("POST", TARGET, &order).await;
        sign_error(&refused, "5分钟");
        let how = Bent { timestamp: now() + skew, ..shop.bent() };
        let answer = shop.send("POST", TARGET, &order, how).await.unwrap();
        assert_eq!(answer.status, 200);
        let shown: i64 = answer.header("wechatpay-timestamp").parse().unwrap();
        assert!((shown - now() - skew).abs() < 60, "{shown}");
    }
    // The sandbox's own clock, which tests move by days, does not count.
    shop.bench.must("/policy", json!({ "date_skew_seconds": 0 })).await;
    shop.bench.must("/clock", json!({ "advance_seconds": 3600 })).await;
    assert_eq!(shop.call("POST", TARGET, &order).await.status, 200);
}

#[tokio::test]
async fn a_merchant_without_a_v3_key() {
    let shop = Shop::open();
    let body = json!({ "mch_id": shop.mch_id, "api_key": "k".repeat(32), "api_v3_key": "short" });
    assert_eq!(shop.bench.control("/merchants", body).await.0, 400);
    let body = json!({ "mch_id": "1900000333", "api_key": "k".repeat(32), "api_v3_key": "k".repeat(32) });
    let made = shop.bench.must("/merchants", body).await;
    assert!(made["serial_no"].as_str().unwrap().len() == 40);
    assert!(made["platform_public_key_id"].as_str().unwrap().starts_with("PUB_KEY_ID_011900000333"));
    let body = json!({ "mch_id": "1900000334", "api_key": "k".repeat(32) });
    let made = shop.bench.must("/merchants", body).await;
    let shop = shop.become_merchant("1900000334", &made);
    assert_eq!(shop.get("/v3/certificates").await.code(), "403 NO_AUTH");
}

/// The other answer that was seen to the serial number of another merchant's certificate.
#[tokio::test]
async fn a_foreign_serial_may_be_answered_as_trouble() {
    let shop = Shop::open();
    let order = shop.order("T20260704110301").to_string();
    let stranger = shop.bench.sandbox.merchant("1900000110").unwrap().serial_no;
    let send = |serial_no: &str| {
        let how = Bent { serial_no: serial_no.to_owned(), ..shop.bent() };
        let (shop, order) = (&shop, &order);
        async move { shop.send("POST", TARGET, order, how).await.unwrap() }
    };
    sign_error(&send(&stranger).await, "商户证书序列号有误");
    shop.bench.must("/policy", json!({ "v3_foreign_serial_busy": true })).await;
    assert_eq!(send(&stranger).await.code(), "500 SYSTEM_ERROR");
    sign_error(&send(&"5A".repeat(20)).await, "商户证书序列号有误");
}
