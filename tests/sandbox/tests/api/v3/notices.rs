//! Notifications sent by hand, repeated, damaged, forged.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::{KEY, Shop, decrypt, now, verify};
use crate::support::{Received, Receiver, until};

fn is_good(shop: &Shop, request: &Received) -> bool {
    shop.platform_key(request.header("wechatpay-serial")).is_some_and(|pem| {
        let header = |name: &str| request.header(name);
        verify(
            &pem,
            header("wechatpay-timestamp"),
            header("wechatpay-nonce"),
            request.body.as_bytes(),
            header("wechatpay-signature"),
        )
    })
}

fn resource(body: &str) -> Value {
    let envelope: Value = serde_json::from_str(body).unwrap();
    serde_json::from_str(&decrypt(KEY, &envelope["resource"]).unwrap()).unwrap()
}

async fn paid(shop: &Shop, number: &str, url: &str) -> String {
    shop.prepay(number, url).await;
    shop.pay(number, json!({ "notify": false })).await;
    format!("/orders/{}/{number}/notify", shop.mch_id)
}

#[tokio::test]
async fn the_status_alone_ends_the_repetitions() {
    let shop = Shop::open();
    let receiver = Receiver::start(|number| match number {
        0 => (500, r#"{"code":"SUCCESS","message":"成功"}"#.to_owned()),
        1 => (401, String::new()),
        2 => (202, String::new()),
        // The body does not matter.
        _ => (200, r#"{"code":"FAIL","message":"失败"}"#.to_owned()),
    })
    .await;
    shop.prepay("T20260704160001", &receiver.url).await;
    shop.pay("T20260704160001", json!({})).await;
    for (count, seconds) in [(1, 15), (2, 15), (3, 30), (4, 90_000)] {
        assert_eq!(receiver.wait(count).await.len(), count);
        // The attempt is entered in the queue before the clock moves on.
        until(async || {
            let queue = shop.bench.look("/notifies").await;
            (queue["notifies"][0]["attempts"].as_array().unwrap().len() == count).then_some(())
        })
        .await;
        shop.bench.must("/clock", json!({ "advance_seconds": seconds })).await;
    }
    let queue = shop.bench.look("/notifies").await;
    assert_eq!(
        (&queue["notifies"][0]["state"], &queue["notifies"][0]["event_type"]),
        (&json!("delivered"), &json!("TRANSACTION.SUCCESS"))
    );
    let all = receiver.requests(4).await;
    assert!(all.iter().all(|one| is_good(&shop, one) && one.header("content-type") == "application/json"));
    let parts = |part: fn(&Value) -> String| -> usize {
        all.iter().map(|one| part(&serde_json::from_str(&one.body).unwrap())).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(parts(|body| body["id"].to_string()), 1, "one event, one id");
    assert_eq!(parts(|body| body["resource"]["nonce"].to_string()), 4, "encrypted anew");
    let signed: BTreeSet<_> = all.iter().map(|one| one.header("wechatpay-signature").to_owned()).collect();
    assert_eq!(signed.len(), 4, "signed anew");
    // Signed at the real time, although the sandbox's clock went on by a day.
    assert!(all.iter().all(|one| (now() - one.header("wechatpay-timestamp").parse::<i64>().unwrap()).abs() < 60));
}

#[tokio::test]
async fn copies_changes_and_damage() {
    let shop = Shop::open();
    let receiver = Receiver::start(|_| (200, String::new())).await;
    let path = paid(&shop, "T20260704160101", &receiver.url).await;
    let sent = shop.bench.must(&path, json!({ "copies": 20, "concurrent": true })).await;
    let responses = sent["responses"].as_array().unwrap();
    assert!(responses.len() == 20 && responses.iter().all(|one| one["success"] == true), "{sent}");
    assert_eq!(receiver.count(), 20);

    let last = async |body: Value| {
        let before = receiver.count();
        shop.bench.must(&path, body).await;
        receiver.requests(before + 1).await.pop().unwrap()
    };
    let set = json!({ "amount.total": 1989, "payer.openid": null, "mchid": "1900000110" });
    let changed = last(json!({ "set": set, "envelope": { "event_type": "OTHER.EVENT" }, "nonce": "fixed" })).await;
    assert!(is_good(&shop, &changed) && changed.header("wechatpay-nonce") == "fixed");
    let plain = resource(&changed.body);
    assert_eq!((&plain["amount"]["total"], &plain["mchid"]), (&json!(1989), &json!("1900000110")));
    assert!(plain["payer"]["openid"].is_null() && changed.body.contains("OTHER.EVENT"));

    for corrupt in ["sign", "body", "truncate", "probe"] {
        let bad = last(json!({ "corrupt": corrupt })).await;
        assert!(!is_good(&shop, &bad), "{corrupt}");
        assert_eq!(bad.header("wechatpay-signature").len(), 344, "{corrupt}");
        assert_eq!(bad.header("wechatpay-signature").starts_with("WECHATPAY/SIGNTEST/"), corrupt == "probe");
    }
    let other_key = last(json!({ "corrupt": "key" })).await;
    let envelope: Value = serde_json::from_str(&other_key.body).unwrap();
    assert!(is_good(&shop, &other_key) && decrypt(KEY, &envelope["resource"]).is_none());

    for (seconds, signature) in [(-301, json!({ "timestamp_offset": -301 })), (299, json!({ "timestamp_offset": 299 }))]
    {
        let off = last(json!({ "signature": signature })).await;
        let shown: i64 = off.header("wechatpay-timestamp").parse().unwrap();
        assert!(is_good(&shop, &off) && (shown - now() - seconds).abs() < 30, "{seconds}");
    }
    let unknown = last(json!({ "signature": { "serial": "unknown" } })).await;
    assert!(unknown.header("wechatpay-serial").len() == 40 && !is_good(&shop, &unknown));
    let certificate = shop.bench.sandbox.platform_certificates().unwrap()[0].0.clone();
    let named = last(json!({ "signature": { "serial": certificate } })).await;
    assert!(named.header("wechatpay-serial") == certificate && is_good(&shop, &named));
    let bare = last(json!({ "signature": { "omit": ["Wechatpay-Nonce"] } })).await;
    assert_eq!(bare.header("wechatpay-nonce"), "");
    let empty = last(json!({ "signature": { "replace": { "Wechatpay-Signature": "" } } })).await;
    assert_eq!(empty.header("wechatpay-signature"), "");
    let written =
        shop.bench.must(&path, json!({ "write_only": true, "signature": { "double": ["wechatpay-serial"] } })).await;
    let headers = written["documents"][0]["headers"].as_array().unwrap();
    assert_eq!(headers.iter().filter(|one| one[0] == "Wechatpay-Serial").count(), 2);
    for bad in [
        json!({ "copies": 0 }),
        json!({ "corrupt": "x" }),
        json!({ "x": 1 }),
        json!({ "resource": {} }),
        json!({ "signature": { "serial": "PUB_KEY_ID_1" } }),
    ] {
        assert_eq!(shop.bench.control(&path, bad.clone()).await.0, 400, "{bad}");
    }
    assert_eq!(shop.bench.control(&path, json!({ "kind": "refund" })).await.0, 404);
}

#[tokio::test]
async fn the_journal_says_what_each_was_worth() {
    let shop = Shop::open();
    let receiver = Receiver::start(|_| (200, String::new())).await;
    let path = paid(&shop, "T20260704160201", &receiver.url).await;
    let mut seen = 0;
    let mut worth = async |how: Value| {
        shop.bench.must(&path, how).await;
        let journal = shop.bench.look(&format!("/journal?after={seen}&direction=out")).await;
        seen = journal["last"].as_u64().unwrap();
        let entries = journal["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 1);
        let word = &entries[0]["v3"];
        let said = word["resource"].as_str().map(|text| serde_json::from_str::<Value>(text).unwrap());
        (word["genuine"].as_bool().unwrap(), said.map(|said| said["amount"]["total"].as_i64().unwrap()))
    };
    let certificate = shop.bench.sandbox.platform_certificates().unwrap()[0].0.clone();
    for (how, genuine, total) in [
        (json!({}), true, Some(1990)),
        (json!({ "set": { "amount.total": 1989 } }), true, Some(1989)),
        (json!({ "corrupt": "key" }), true, None),
        (json!({ "corrupt": "sign" }), false, Some(1990)),
        (json!({ "corrupt": "body" }), false, None),
        (json!({ "corrupt": "truncate" }), false, None),
        (json!({ "corrupt": "probe" }), false, Some(1990)),
        (json!({ "signature": { "timestamp_offset": -290 } }), true, Some(1990)),
        (json!({ "signature": { "timestamp_offset": -310 } }), false, Some(1990)),
        (json!({ "signature": { "timestamp_offset": 310 } }), false, Some(1990)),
        (json!({ "signature": { "serial": "unknown" } }), false, Some(1990)),
        (json!({ "signature": { "serial": certificate } }), true, Some(1990)),
        (json!({ "signature": { "omit": ["Wechatpay-Nonce"] } }), false, Some(1990)),
        (json!({ "signature": { "double": ["Wechatpay-Signature"] } }), false, Some(1990)),
        (json!({ "signature": { "replace": { "Wechatpay-Serial": "" } } }), false, Some(1990)),
    ] {
        assert_eq!(worth(how.clone()).await, (genuine, total), "{how}");
    }
    shop.bench.must(&format!("/v3/certificates/{certificate}"), json!({ "expire": true })).await;
    assert_eq!(worth(json!({ "signature": { "serial": certificate } })).await, (false, Some(1990)));
}

#[tokio::test]
async fn any_content_in_a_merchants_name() {
    let shop = Shop::open();
    let receiver = Receiver::start(|_| (204, String::new())).await;
    let raw = json!({
        "mch_id": shop.mch_id, "url": receiver.url, "event_type": "REFUND.SUCCESS",
        "resource": { "out_trade_no": "Never-seen", "out_refund_no": "R1", "refund_status": "SUCCESS" },
    });
    let sent = shop.bench.must("/v3/notify-raw", raw.clone()).await;
    assert_eq!(sent["responses"][0]["success"], true);
    let request = receiver.requests(1).await.remove(0);
    assert!(is_good(&shop, &request));
    assert_eq!(resource(&request.body)["out_trade_no"], "Never-seen");
    let journal = shop.bench.look("/journal?out_trade_no=Never-seen").await;
    assert_eq!(journal["entries"][0]["operation"], "notify_refund");

    let signed = shop.bench.must("/v3/sign", json!({ "mch_id": shop.mch_id, "body": "any text" })).await;
    let header = |name: &str| {
        let all = signed["headers"].as_array().unwrap();
        all.iter().find(|one| one[0] == name).unwrap()[1].as_str().unwrap().to_owned()
    };
    let pem = shop.platform_key(&header("Wechatpay-Serial")).unwrap();
    assert!(verify(
        &pem,
        &header("Wechatpay-Timestamp"),
        &header("Wechatpay-Nonce"),
        b"any text",
        &header("Wechatpay-Signature")
    ));
    let plain = json!({ "mch_id": shop.mch_id, "plaintext": "中文", "associated_data": "x" });
    let mut sealed = shop.bench.must("/v3/encrypt", plain).await;
    assert_eq!(decrypt(KEY, &sealed).unwrap(), "中文");
    sealed["mch_id"] = json!(shop.mch_id);
    sealed.as_object_mut().unwrap().remove("algorithm");
    assert_eq!(shop.bench.must("/v3/decrypt", sealed.clone()).await["plaintext"], "中文");
    sealed["mch_id"] = json!("1900000110");
    assert_eq!(shop.bench.control("/v3/decrypt", sealed).await.0, 400);
}

#[tokio::test]
async fn probes_come_among_the_real_ones() {
    let shop = Shop::open();
    shop.prepay("T20260704160301", "http://127.0.0.1:9/notify").await;
    shop.bench.must("/policy", json!({ "v3_probe_share": 1 })).await;
    let answer = shop.query("T20260704160301").await;
    assert!(answer.header("wechatpay-signature").starts_with("WECHATPAY/SIGNTEST/") && !shop.is_signed(&answer));
    shop.bench.must("/policy", json!({ "v3_probe_share": 0 })).await;

    let receiver =
        Receiver::start(|number| if number == 0 { (401, String::new()) } else { (200, String::new()) }).await;
    shop.prepay("T20260704160302", &receiver.url).await;
    shop.bench.must("/policy", json!({ "v3_probe_share": 1 })).await;
    shop.pay("T20260704160302", json!({})).await;
    receiver.wait(1).await;
    shop.bench.must("/policy", json!({ "v3_probe_share": 0 })).await;
    until(async || {
        let queue = shop.bench.look("/notifies").await;
        (queue["notifies"][0]["attempts"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    shop.bench.must("/clock", json!({ "advance_seconds": 15 })).await;
    let all = receiver.requests(2).await;
    assert!(!is_good(&shop, &all[0]) && is_good(&shop, &all[1]), "the event comes again, signed");
}

#[tokio::test]
async fn a_payment_that_failed() {
    let shop = Shop::open();
    let receiver = Receiver::start(|_| (200, String::new())).await;
    shop.prepay("T20260704160401", &receiver.url).await;
    shop.bench.must(&format!("/orders/{}/T20260704160401/fail", shop.mch_id), json!({ "notify": true })).await;
    let body = receiver.wait(1).await.remove(0);
    assert!(body.contains("TRANSACTION.FAIL"));
    assert_eq!(resource(&body)["trade_state"], "PAYERROR");
    assert_eq!(shop.query("T20260704160401").await.json()["trade_state"], "PAYERROR");
    shop.pay("T20260704160401", json!({})).await;
    assert_eq!(resource(&receiver.wait(2).await[1])["trade_state"], "SUCCESS", "it stays payable");
}
