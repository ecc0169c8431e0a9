//! Notifies that are not what they seem, and tenants that reach for what is not theirs.

use dukou_e2e::{Tenant, World};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    acknowledges, becomes, contradiction_is_kept, events_of, notify_document, notify_once, paid_silently, post_notify,
    successes,
};

/// Watches: the comparison of amount, currency, app and merchant with our own record, and that it is the order's total
/// that is compared.
#[tokio::test]
async fn f19_a_genuine_notify_that_contradicts_the_record() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let cases = [
        ("F19-amount", json!({ "total_fee": 102 })),
        ("F19-currency", json!({ "fee_type": "USD" })),
        ("F19-app", json!({ "appid": "wx7777777777777777" })),
        ("F19-merchant", json!({ "mch_id": "1900000110" })),
    ];
    for (number, set) in &cases {
        contradiction_is_kept(&world, &merchant, number, set).await;
    }
    let metrics = world.metrics().await;
    let outcomes = ["mismatch", "duplicate", "applied"].map(|word| metrics.notifies("bookshop", "payment", word));
    assert_eq!(outcomes, [cases.len() as u64, cases.len() as u64, 0]);
    // The platform's true word is still heard.
    assert!(notify_once(&world, &tenant, "F19-amount").await);
    assert_eq!(merchant.status("F19-amount").await, "succeeded");

    merchant.pending("F19-coupon", 101).await;
    world.control.pay_with(&tenant, "F19-coupon", &json!({ "coupon_fee": 31 })).await;
    becomes(&merchant, "F19-coupon", "succeeded").await;
    assert_eq!(merchant.payment("F19-coupon").await.expect(200)["amount"], 101);
    assert_eq!(events_of(&merchant, "F19-coupon", "payment.mismatch").await, 0);
    world.verify().await;
}

/// Watches: the signature over every field, and a reader that takes one reading of a document only.
#[tokio::test]
async fn f20_every_byte_of_a_notify_flipped() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    for id in ["bookshop", "teahouse"] {
        let merchant = world.merchant(id);
        paid_silently(&world, &merchant, "F20-01", 101).await;
        let url = world.notify_url(id, "payment");
        let document = notify_document(&world, &merchant.tenant, "F20-01").await.into_bytes();
        for at in 0..document.len() {
            let mut flipped = document.clone();
            flipped[at] ^= 0x01;
            let answer = post_notify(&world, &url, flipped.clone()).await.expect("an answer in the platform's form");
            assert_eq!(answer.status, 200);
            assert!(!acknowledges(&answer), "byte {at}: {}", String::from_utf8_lossy(&flipped));
        }
        let metrics = world.metrics().await;
        let refused = ["bad_signature", "malformed"].map(|word| metrics.notifies(id, "payment", word));
        assert_eq!(refused.iter().sum::<u64>(), document.len() as u64, "{refused:?}");
        assert!(refused.iter().all(|count| *count > 0), "{refused:?}");
        assert_eq!(merchant.status("F20-01").await, "pending");
        assert_eq!(merchant.event_types("F20-01").await, ["payment.created", "payment.pending"]);
        // The document that was spoilt so often is a good one.
        assert!(acknowledges(&post_notify(&world, &url, document).await.unwrap()));
        assert!(notify_once(&world, &merchant.tenant, "F20-01").await);
    }
    world.verify().await;
}

/// Watches: that nothing but the signature decides, and the limit on headers.
#[tokio::test]
async fn f20_headers_missing_empty_doubled_and_huge() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F20-02", 101).await;
    let url = world.notify_url("bookshop", "payment");
    let good = notify_document(&world, &tenant, "F20-02").await;
    let spoilt = good.replace("101", "100");
    let huge = "x".repeat(1 << 20);
    let signature = "Wechatpay-Signature";
    // Connections of their own: the gateway ends those it cannot read on.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).pool_max_idle_per_host(0).build().unwrap();
    for (name, values) in [
        ("Content-Type", vec![]),
        ("Content-Type", vec![""]),
        ("Content-Type", vec!["application/json"]),
        ("Content-Type", vec!["text/xml", "text/xml"]),
        (signature, vec!["WECHATPAY/SIGNTEST/x"]),
        (signature, vec!["", ""]),
        (signature, vec![huge.as_str()]),
    ] {
        let request = client.request(Method::POST, &url).body(spoilt.clone());
        let request = values.iter().fold(request, |request, value| request.header(name, *value));
        // A header that is too long may be answered or cut off.
        if let Ok(response) = request.send().await {
            let status = response.status().as_u16();
            let text = response.text().await.unwrap_or_default();
            assert!(!text.contains("SUCCESS"), "{name}: {status} {text}");
            assert_eq!(status == 200, values.iter().all(|value| value.len() < 1000), "{name}: {status}");
        }
    }
    assert_eq!(merchant.status("F20-02").await, "pending");
    assert!(notify_once(&world, &tenant, "F20-02").await);
    world.verify().await;
}

/// Watches: the state and the unique key that make a repetition harmless, however often it comes.
#[tokio::test]
async fn f21_a_notify_replayed_a_thousand_times() {
    const COPIES: usize = 1000;
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F21-01", 101).await;
    assert!(notify_once(&world, &tenant, "F21-01").await);
    merchant.refund("F21-01", "R21-0001", 101).await.expect(201);
    becomes(&merchant, "F21-01", "refunded").await;
    let events = merchant.all_events().await;

    let deliveries = world.control.notify(&tenant, "F21-01", &json!({ "copies": COPIES, "concurrent": true })).await;
    assert_eq!(successes(&deliveries), COPIES);
    assert_eq!(merchant.status("F21-01").await, "refunded", "an old success does not undo what came after it");
    assert_eq!(merchant.all_events().await, events);
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "duplicate"), COPIES as u64);
    world.verify().await;
}

/// Watches: the tenant in every key of the store, the key of the address's tenant in every check.
#[tokio::test]
async fn f26_tenants_do_not_touch() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let (books, tea) = (world.merchant("bookshop"), world.merchant("teahouse"));
    // The same number in both, side by side.
    paid_silently(&world, &books, "F26-01", 101).await;
    paid_silently(&world, &tea, "F26-01", 202).await;
    tea.pending("F26-tea", 303).await;

    // One's key on the other's order, and what is not there at all.
    books.payment("F26-tea").await.problem(404, "not_found");
    books.refund("F26-tea", "R26", 1).await.problem(404, "not_found");
    books.close("F26-tea").await.problem(404, "not_found");
    let with_key = async |tenant: &str, key: &str| {
        let url = format!("{}/v1/{tenant}/payments/F26-tea", world.gateway.url());
        let response = world.client().get(url).bearer_auth(key).send().await.unwrap();
        let answer = dukou_e2e::Answer::read(response).await.unwrap();
        let mut json = answer.json;
        json.as_object_mut().map(|fields| fields.remove("request_id"));
        (answer.status, json)
    };
    let key = &books.tenant.api_key;
    let foreign = with_key("teahouse", key).await;
    assert_eq!(foreign.0, 401);
    for nobody in ["nobody", "TeaHouse", "..", "%2e%2e", "tea%68ouse%00", "x'--"] {
        let answer = with_key(nobody, key).await;
        assert!(answer == foreign || answer.0 == 404, "{nobody}: {answer:?}");
    }
    let odd: Vec<(u16, Value)> = vec![with_key("nobody", key).await, with_key("TEAHOUSE", key).await];
    assert!(odd.iter().all(|answer| *answer == foreign), "isn't there and isn't yours answer alike: {odd:?}");
    for path in ["/payments/..%2f..%2fteahouse%2fpayments%2fF26-tea", "/payments/f26-TEA", "/payments/F26-tea%00"] {
        assert_eq!(books.get(path).await.status, 404, "{path}");
    }

    // What is signed for one, at the other's address.
    for sign_type in ["HMAC-SHA256", "MD5"] {
        let signer = Tenant { sign_type: sign_type.to_owned(), ..tea.tenant.clone() };
        let signed_for_tea = notify_document(&world, &signer, "F26-01").await;
        let answer = post_notify(&world, &world.notify_url("bookshop", "payment"), signed_for_tea).await.unwrap();
        assert!(!acknowledges(&answer), "{sign_type}: {}", answer.text);
    }
    for merchant in [&books, &tea] {
        assert_eq!(merchant.status("F26-01").await, "pending");
    }
    assert!(notify_once(&world, &tea.tenant, "F26-01").await);
    assert_eq!((books.status("F26-01").await, tea.status("F26-01").await), ("pending".into(), "succeeded".into()));
    assert!(notify_once(&world, &books.tenant, "F26-01").await);
    assert_eq!(books.payment("F26-01").await.expect(200)["amount"], 101);
    world.verify().await;
}
