//! WeChat Pay's APIv3: what keys, signatures and clocks can do to a notify.

use std::time::{Duration, Instant};

use dukou_e2e::{Answer, Merchant, Tenant, V3Trust, World, eventually};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::moved_clock::MovedClock;
use crate::support::{SOON, contradiction_is_kept, events_of, notify_once, paid_silently, refund_becomes, succeeded};

async fn shop(trust: V3Trust) -> World {
    World::builder().tenant(Tenant::bookshop().over_v3(trust)).start().await
}

/// A genuine message about a paid order, to be spoilt before it is sent: headers and body.
async fn message(world: &World, tenant: &Tenant, number: &str, signature: Value) -> (HeaderMap, Vec<u8>) {
    let path = format!("/orders/{}/{number}/notify", tenant.mch_id);
    let written = world.control.must(&path, &json!({ "write_only": true, "signature": signature })).await;
    let document = &written["documents"][0];
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    };
    match &document["headers"] {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| add(name, value.as_str().unwrap())),
        Value::Array(pairs) => {
            pairs.iter().for_each(|pair| add(pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        }
        other => panic!("{other}"),
    }
    headers.remove("content-length");
    headers.remove("host");
    (headers, document["body"].as_str().unwrap().as_bytes().to_vec())
}

async fn post(world: &World, headers: &HeaderMap, body: &[u8]) -> Option<Answer> {
    let url = world.notify_url("bookshop", "payment");
    let request = world.client().post(url).headers(headers.clone()).body(body.to_vec());
    Answer::read(request.timeout(SOON).send().await.ok()?).await.ok()
}

async fn refused(world: &World, headers: &HeaderMap, body: &[u8], shown: &str) {
    // A header that is too long may be cut off instead of answered.
    if let Some(answer) = post(world, headers, body).await {
        assert!((400..600).contains(&answer.status), "{shown}: {} {}", answer.status, answer.text);
    }
}

async fn downloads(world: &World) -> usize {
    world.control.journal("operation=v3_certificates").await.len()
}

async fn is_untouched(merchant: &Merchant, number: &str) {
    assert_eq!(merchant.status(number).await, "pending");
    assert_eq!(merchant.event_types(number).await, ["payment.created", "payment.pending"]);
}

/// Watches: that a good signature is not all: what was decrypted is compared with our own record.
#[tokio::test]
async fn f19_v3_a_genuine_notify_that_contradicts_the_record() {
    let world = shop(V3Trust::PublicKey).await;
    let (tenant, merchant) = world.bookshop();
    let cases = [
        ("F19-31", json!({ "amount.total": 102 })),
        ("F19-32", json!({ "amount.currency": "USD" })),
        ("F19-33", json!({ "appid": "wx7777777777777777" })),
        ("F19-34", json!({ "mchid": "1900000110" })),
    ];
    for (number, set) in &cases {
        contradiction_is_kept(&world, &merchant, number, set).await;
    }
    assert!(notify_once(&world, &tenant, "F19-31").await);
    assert_eq!(merchant.status("F19-31").await, "succeeded");
    world.verify().await;
}

/// Watches: that a partner's order is its own whether WeChat names the merchant's app or not, in a notify and in an
/// answer, and that another merchant's is not.
#[tokio::test]
async fn f19_v3_a_partners_order_with_a_sub_appid_that_nobody_gave() {
    let tenant = Tenant::bookshop().over_v3(V3Trust::PublicKey).acting_for("1900000200");
    let world = World::builder().tenant(tenant.set("providers.wechat.timeout", "2s")).start().await;
    let (tenant, merchant) = world.bookshop();
    let contradicting = [
        ("F19-41", json!({ "sub_mchid": "1900000201" })),
        ("F19-42", json!({ "sp_appid": "wx7777777777777777" })),
        ("F19-43", json!({ "sp_mchid": "1900000110" })),
    ];
    for (number, set) in &contradicting {
        contradiction_is_kept(&world, &merchant, number, set).await;
    }
    succeeded(&world, &merchant, "F19-44", 101).await;

    world.control.policy(&json!({ "v3_order_fields": { "sub_appid": "wx6666666666666666" } })).await;
    succeeded(&world, &merchant, "F19-45", 101).await;
    assert_eq!(events_of(&merchant, "F19-45", "payment.mismatch").await, 0);
    // The same from an answer: the order's own is lost, and a buyer pays unnoticed.
    let lost = json!({ "operation": "v3_prepay", "times": 1, "fault": { "type": "lose_answer" } });
    world.control.fault(&lost).await;
    let busy = json!({ "operation": "v3_query", "fault": { "type": "http", "status": 503, "body": "busy" } });
    world.control.fault(&busy).await;
    merchant.create(&merchant.order("F19-46", 101)).await.problem(504, "provider_timeout");
    world.control.pay_silently(&tenant, "F19-46").await;
    world.control.clear_faults().await;
    let known = async || (merchant.status("F19-46").await == "succeeded").then_some(());
    eventually("the answer counts", SOON, known).await;
    world.verify().await;
}

/// Watches: the signature over the very bytes, and each header as a part of it.
#[tokio::test]
async fn f20_v3_every_byte_and_every_header() {
    let world = shop(V3Trust::PublicKey).await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F20-31", 101).await;
    let (headers, body) = message(&world, &tenant, "F20-31", json!({})).await;
    for at in 0..body.len() {
        let mut flipped = body.clone();
        flipped[at] ^= 0x01;
        refused(&world, &headers, &flipped, &format!("byte {at}")).await;
    }
    let huge = "x".repeat(1 << 20);
    for name in ["wechatpay-timestamp", "wechatpay-nonce", "wechatpay-serial", "wechatpay-signature"] {
        let good = headers[name].clone();
        let spoilt = [vec![], vec![""], vec![good.to_str().unwrap(); 2], vec![huge.as_str()], vec!["0"]];
        for values in spoilt {
            let mut changed = headers.clone();
            changed.remove(name);
            for value in &values {
                changed.append(name, HeaderValue::from_str(value).unwrap());
            }
            let shown: Vec<&str> = values.iter().map(|value| &value[..value.len().min(40)]).collect();
            refused(&world, &changed, &body, &format!("{name}: {shown:?}")).await;
        }
    }
    is_untouched(&merchant, "F20-31").await;
    let metrics = world.metrics().await;
    assert!(metrics.notifies("bookshop", "payment", "bad_signature") >= body.len() as u64);
    assert_eq!(metrics.notifies("bookshop", "payment", "applied"), 0);
    // What was spoilt so often is a good one.
    assert_eq!(post(&world, &headers, &body).await.unwrap().status, 200);
    assert_eq!(merchant.status("F20-31").await, "succeeded");
    assert!(notify_once(&world, &tenant, "F20-31").await);
    world.verify().await;
}

/// Watches: that the platform's own wrong signature is refused as any other, and wakes nobody.
#[tokio::test]
async fn f20_v3_a_probe_is_refused_and_quiet() {
    let world = shop(V3Trust::PublicKey).await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F20-32", 101).await;
    for _ in 0..50 {
        let deliveries = world.control.notify(&tenant, "F20-32", &json!({ "corrupt": "probe" })).await;
        assert_eq!((&deliveries[0]["success"], &deliveries[0]["status"]), (&json!(false), &json!(401)));
    }
    is_untouched(&merchant, "F20-32").await;
    let metrics = world.metrics().await;
    assert_eq!(metrics.notifies("bookshop", "payment", "bad_signature"), 50);
    let labels = [("tenant", "bookshop"), ("provider", "wechat")];
    assert_eq!(metrics.count("dukou_signature_probes_total", &labels), 50);
    let logs = world.gateway.logs();
    let loud = logs.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\""));
    assert_eq!(loud.filter(|line| line.contains("notify")).collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(notify_once(&world, &tenant, "F20-32").await);

    // A probe in an answer: the same call again, and nobody notices.
    let fault = json!({ "type": "signature", "damage": "probe" });
    world.control.fault(&json!({ "operation": "v3_prepay", "times": 1, "fault": fault })).await;
    merchant.pending("F20-33", 101).await;
    assert_eq!(world.control.journal("operation=v3_prepay&out_trade_no=F20-33").await.len(), 2);
    world.verify().await;
}

/// Watches: the limit on what strangers can make the gateway fetch.
#[tokio::test]
async fn f20_v3_a_thousand_unknown_serials_are_one_download() {
    let world = shop(V3Trust::Certificates).await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F20-34", 101).await;
    let before = downloads(&world).await;
    let started = Instant::now();
    let (headers, body) = message(&world, &tenant, "F20-34", json!({ "serial": "unknown" })).await;
    for number in 0..1000 {
        let mut headers = headers.clone();
        headers.insert("wechatpay-serial", HeaderValue::from_str(&format!("{number:040X}")).unwrap());
        refused(&world, &headers, &body, &format!("serial {number}")).await;
    }
    let minutes = started.elapsed().as_secs() / 60 + 1;
    let fetched = downloads(&world).await - before;
    assert!((1..=minutes).contains(&(fetched as u64)), "{fetched} downloads in {minutes} minutes");
    is_untouched(&merchant, "F20-34").await;
    assert!(notify_once(&world, &tenant, "F20-34").await);
    world.verify().await;
}

/// Watches: the five minutes, and that a repetition has one effect.
#[tokio::test]
async fn f21_v3_only_what_was_signed_now_counts() {
    let world = shop(V3Trust::PublicKey).await;
    let (tenant, merchant) = world.bookshop();
    // Some seconds of room on the near side: the message travels.
    for (offset, counts) in [(-310, false), (-301, false), (-290, true), (290, true), (310, false)] {
        let number = format!("F21-3{}", offset + 400);
        paid_silently(&world, &merchant, &number, 101).await;
        let how = json!({ "signature": { "timestamp_offset": offset } });
        let deliveries = world.control.notify(&tenant, &number, &how).await;
        assert_eq!(deliveries[0]["success"], counts, "{offset}: {deliveries:?}");
        assert_eq!(merchant.status(&number).await, if counts { "succeeded" } else { "pending" }, "{offset}");
        assert!(notify_once(&world, &tenant, &number).await);
    }
    let again = world.control.notify(&tenant, "F21-3690", &json!({ "copies": 300, "concurrent": true })).await;
    assert!(again.iter().all(|delivery| delivery["success"] == true));
    assert_eq!(events_of(&merchant, "F21-3690", "payment.succeeded").await, 1);
    world.verify().await;
}

/// Watches: that a gateway which can hear nothing says why, though it has called nobody.
#[tokio::test]
async fn f22_v3_a_wrong_clock_is_noticed_from_a_notify_alone() {
    for off in [600, -600] {
        // Under the clock that is ahead a question would be due at once, and its answer says what time it is, too.
        let world = World::builder().tenant(Tenant::bookshop().over_v3(V3Trust::PublicKey));
        let world = world.set("queries.pending", vec![toml::Value::from("1h")]).start().await;
        let (tenant, merchant) = world.bookshop();
        paid_silently(&world, &merchant, "F22-31", 101).await;
        let clock = MovedClock::new(&world);
        clock.set(off);
        clock.restart(&world.gateway).await;
        let check = async || {
            let (_, report) = world.gateway.readiness().await.unwrap();
            report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "clock").unwrap().clone()
        };
        assert_eq!(check().await["status"], "ready", "no platform was heard yet");
        assert!(!notify_once(&world, &tenant, "F22-31").await, "signed ten minutes away");
        let said = check().await;
        assert_eq!(said["status"], "degraded", "{said}");
        assert!(said["detail"].as_str().unwrap().contains(if off > 0 { "ahead of" } else { "behind" }), "{said}");
        let logs = world.gateway.logs();
        assert!(logs.contains("signed ") && logs.contains("this machine's clock differs from the platform's"));
        // Set right by a jump: everything works at once.
        clock.set(0);
        assert!(notify_once(&world, &tenant, "F22-31").await);
        assert_eq!(merchant.status("F22-31").await, "succeeded");
        assert_eq!(check().await["status"], "ready");
        world.verify().await;
    }
}

/// Watches: that a key is chosen by its serial, that a new one is fetched when it is first seen, and that what has
/// expired is not used. Payments, refunds and notifies go on all the while.
#[tokio::test]
async fn f23_the_platform_changes_its_certificate_in_full_flight() {
    let world = shop(V3Trust::Certificates).await;
    let (tenant, merchant) = world.bookshop();
    succeeded(&world, &merchant, "F23-00", 101).await;
    let trust = world.control.call(reqwest::Method::GET, "/v3/trust", None).await.expect(200);
    let old = trust["certificates"][0]["serial"].as_str().or(trust["certificates"][0]["serial_no"].as_str());
    let old = old.unwrap_or_else(|| panic!("{trust}")).to_owned();
    let before = downloads(&world).await;

    // The new one is first seen in a notify: fetched, and the notify is not refused.
    let made = world.control.must("/v3/certificates", &json!({})).await;
    let new = made["serial"].as_str().or(made["serial_no"].as_str()).unwrap_or_else(|| panic!("{made}")).to_owned();
    paid_silently(&world, &merchant, "F23-01", 101).await;
    let how = json!({ "signature": { "serial": new } });
    assert_eq!(world.control.notify(&tenant, "F23-01", &how).await[0]["success"], true);
    assert_eq!(downloads(&world).await, before + 1);

    for share in [0.001, 0.2, 0.5, 1.0] {
        world.control.must(&format!("/v3/certificates/{new}"), &json!({ "share": share })).await;
        for number in 0..8 {
            let number = format!("F23-{}-{number}", (share * 1000.0) as u32);
            merchant.pending(&number, 101).await;
            world.control.pay_silently(&tenant, &number).await;
            let deliveries = world.control.notify(&tenant, &number, &json!({ "copies": 2 })).await;
            assert!(deliveries.iter().all(|delivery| delivery["success"] == true), "{share}: {deliveries:?}");
            assert_eq!(merchant.status(&number).await, "succeeded", "{share}");
        }
        let refund = format!("R-{}", (share * 1000.0) as u32);
        merchant.refund("F23-00", &refund, 10).await;
        refund_becomes(&merchant, &refund, "succeeded").await;
    }
    // Both are watched until the old one ends.
    let metrics = world.metrics().await;
    let serials = metrics.label_values("dukou_trust_expiry_seconds", "serial");
    assert!(serials.contains(&old.as_str()) && serials.contains(&new.as_str()), "{serials:?}");

    // A restart finds them in the store.
    let before = downloads(&world).await;
    world.gateway.restart().await;
    succeeded(&world, &merchant, "F23-99", 101).await;
    assert_eq!(downloads(&world).await, before, "another instance need not fetch");
    world.verify().await;
}

/// Watches: that what goes wrong with the one fetch that counts is over in seconds, not in the minute that strangers are
/// held to: a probe costs nothing, a failure a pause.
#[tokio::test]
async fn f23_a_list_that_could_not_be_fetched_is_fetched_soon() {
    let faults = [
        json!({ "type": "signature", "damage": "probe" }),
        json!({ "type": "http", "status": 503, "body": "busy" }),
        json!({ "type": "drop" }),
    ];
    for (fault, at_once) in faults.iter().zip([true, false, false]) {
        let world = shop(V3Trust::Certificates).await;
        let (tenant, merchant) = world.bookshop();
        paid_silently(&world, &merchant, "F23-71", 101).await;
        let made = world.control.must("/v3/certificates", &json!({})).await;
        let new = made["serial"].as_str().or(made["serial_no"].as_str()).unwrap_or_else(|| panic!("{made}")).to_owned();
        world.control.fault(&json!({ "operation": "v3_certificates", "times": 1, "fault": fault })).await;
        let how = json!({ "signature": { "serial": new } });
        let taken = async || world.control.notify(&tenant, "F23-71", &how).await[0]["success"] == true;
        assert_eq!(taken().await, at_once, "{fault}");
        let soon = async || taken().await.then_some(());
        eventually("the notify is taken", Duration::from_secs(25), soon).await;
        assert_eq!(merchant.status("F23-71").await, "succeeded", "{fault}");
        world.verify().await;
    }
}

/// Watches: the certificate's own end. WeChat certifies the key again with an end that has passed; who fetches that
/// list must not believe what the expired one signs.
#[tokio::test]
async fn f23_what_has_expired_is_not_used() {
    let world = shop(V3Trust::Certificates).await;
    let (tenant, merchant) = world.bookshop();
    let made = world.control.must("/v3/certificates", &json!({ "share": 1, "lasts_seconds": 12 })).await;
    let short = made["serial"].as_str().or(made["serial_no"].as_str()).unwrap_or_else(|| panic!("{made}")).to_owned();
    paid_silently(&world, &merchant, "F23-51", 101).await;
    let how = json!({ "signature": { "serial": short } });
    let answer = async || world.control.notify(&tenant, "F23-51", &how).await[0]["success"] == true;
    assert!(answer().await, "it is in force");
    paid_silently(&world, &merchant, "F23-52", 101).await;
    let how = json!({ "signature": { "serial": short } });
    let refused = async || {
        let deliveries = world.control.notify(&tenant, "F23-52", &how).await;
        (deliveries[0]["success"] == false).then_some(())
    };
    // Duplicates are answered with success as long as their signature counts.
    eventually("what the expired one signs is refused", Duration::from_secs(40), refused).await;
    world.verify().await;
}
