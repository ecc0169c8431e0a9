//! Documents that attack their reader, and numbers and texts that are none.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use dukou_e2e::{Answer, World};
use reqwest::Method;

use crate::support::{acknowledges, notify_document, notify_once, paid_silently, post_notify, succeeded};

/// What refusing a document may take at its quickest; a build for debugging is that much slower.
const QUICK: Duration = Duration::from_millis(if cfg!(debug_assertions) { 60 } else { 10 });
/// What all attacks together may leave in memory.
const MEMORY: u64 = 8 << 20;
/// Each attack is sent so often.
const ROUNDS: usize = 10;

/// Watches: a reader that refuses every document type, a second root, a cut-off end, a field twice and any nesting, and
/// that resolves nothing.
#[tokio::test]
async fn f24_documents_that_attack_their_reader() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    paid_silently(&world, &merchant, "F24-01", 101).await;
    let good = notify_document(&world, &tenant, "F24-01").await;
    let inner = good.strip_prefix("<xml>").and_then(|rest| rest.strip_suffix("</xml>")).unwrap();

    // Whoever opens a pipe that nobody writes to hangs; whoever connects is seen.
    let pipe = world.directory().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let outside = trap.local_addr().unwrap();

    let laughs: String =
        (1..10).map(|n| format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(10))).collect();
    let utf16 = |order: fn(u16) -> [u8; 2]| good.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let attacks: Vec<(&str, Vec<u8>)> = vec![
        (
            "exploding entities",
            format!("<!DOCTYPE x [<!ENTITY a0 \"ha\">{laughs}]><xml><a>&a9;</a>{inner}</xml>").into(),
        ),
        (
            "one long entity often",
            format!("<!DOCTYPE x [<!ENTITY a \"{}\">]><xml><a>{}</a></xml>", "x".repeat(9000), "&a;".repeat(9000))
                .into(),
        ),
        (
            "a file",
            format!("<!DOCTYPE x [<!ENTITY e SYSTEM \"file://{}\">]><xml><a>&e;</a>{inner}</xml>", pipe.display())
                .into(),
        ),
        (
            "an address",
            format!("<!DOCTYPE x [<!ENTITY e SYSTEM \"http://{outside}/\">]><xml><a>&e;</a>{inner}</xml>").into(),
        ),
        ("an external subset", format!("<!DOCTYPE xml SYSTEM \"http://{outside}/x.dtd\">{good}").into()),
        ("a parameter entity", format!("<!DOCTYPE x [<!ENTITY % p SYSTEM \"http://{outside}/\"> %p;]>{good}").into()),
        ("an empty document type", format!("<!DOCTYPE xml>{good}").into()),
        ("a style sheet", format!("<?xml-stylesheet href=\"http://{outside}/\"?>{good}").into()),
        ("cut off", good[..good.len() - 6].into()),
        ("cut off in the middle", good[..good.len() / 2].into()),
        ("two roots", format!("{good}{good}").into()),
        ("text behind the root", format!("{good}x").into()),
        ("80,000 unclosed tags", "<a>".repeat(80_000).into()),
        ("80,000 unclosed tags in the root", format!("<xml>{}", "<a>".repeat(80_000)).into()),
        ("7,000 fields", format!("<xml>{}{inner}</xml>", "<a>1</a>".repeat(7_000)).into()),
        ("a field twice", format!("<xml><total_fee>1</total_fee>{inner}</xml>").into()),
        ("a field twice behind", format!("<xml>{inner}<total_fee>1</total_fee></xml>").into()),
        ("nested", format!("<xml><a>{good}</a></xml>").into()),
        ("an attribute", format!("<xml xmlns:xi=\"http://www.w3.org/2001/XInclude\">{inner}</xml>").into()),
        ("a declared wrong encoding", format!("<?xml version=\"1.0\" encoding=\"GBK\"?>{good}").into()),
        ("UTF-16, little end first", utf16(u16::to_le_bytes)),
        ("UTF-16, big end first", utf16(u16::to_be_bytes)),
        ("not UTF-8", good.replace("<a>", "").replace("JSAPI", "JSAPI\u{1}").into()),
        ("bytes that are none", [good.as_bytes(), b"\xff\xfe"].concat()),
        ("nothing", Vec::new()),
        ("nothing but zeros", vec![0; 200_000]),
    ];
    let url = world.notify_url("bookshop", "payment");
    // What the first requests allocate for good is no part of the measurement.
    for _ in 0..ROUNDS {
        post_notify(&world, &url, vec![b' '; 250_000]).await.unwrap();
    }
    let before = world.gateway.rss_bytes();
    let refused = ["malformed", "bad_signature"];
    let count = async || {
        let metrics = world.metrics().await;
        refused.map(|word| metrics.notifies("bookshop", "payment", word)).iter().sum::<u64>()
    };
    let counted = count().await;
    for (name, body) in &attacks {
        let mut quickest = Duration::MAX;
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let answer = post_notify(&world, &url, body.clone()).await.expect(name);
            quickest = quickest.min(started.elapsed());
            assert!(answer.status == 200 && !acknowledges(&answer), "{name}: {}", answer.text);
        }
        assert!(quickest < QUICK, "{name} took {quickest:?} at its quickest");
    }
    assert_eq!(count().await - counted, (attacks.len() * ROUNDS) as u64);
    let grown = world.gateway.rss_bytes().saturating_sub(before);
    assert!(grown < MEMORY, "memory grew by {grown} bytes");
    assert_eq!(trap.accept().map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock), "it was called");
    assert_eq!(merchant.event_types("F24-01").await, ["payment.created", "payment.pending"]);
    assert!(notify_once(&world, &tenant, "F24-01").await);
    world.verify().await;
}

/// Watches: amounts read as integers of fen and nothing else, and texts checked before anything is stored.
#[tokio::test]
async fn f25_numbers_and_texts_that_are_none() {
    let world = World::start().await;
    let (_, merchant) = world.bookshop();
    succeeded(&world, &merchant, "F25-paid", 101).await;
    let stored = merchant.all_payments().await.len();
    let sent = world.control.journal("direction=in").await.len();

    let long = format!("\"{}\"", "名".repeat(10_000));
    let amounts = [
        "1.0",
        "\"100\"",
        "1e2",
        "1E2",
        "-1",
        "0",
        "-0",
        "0.5",
        "9223372036854775808",
        "10000000001",
        "1e400",
        "true",
        "null",
        "[1]",
        "{}",
        "01",
    ];
    let texts = ["\"a\\u0000b\"", "\"\\u0007\"", "\"😀\"", "\"\\ud83d\"", "\"\\udc00x\"", "\"\"", "7", long.as_str()];
    let numbers =
        ["\"\"", "\"a b\"", "\"../x\"", "\"B%2f1\"", "\"书-123456\"", "12", long.as_str(), "\"a\\u0000bcdef\""];
    let mut cases: Vec<(&str, String, &str)> = Vec::new();
    cases.extend(amounts.iter().map(|text| ("amount", (*text).to_owned(), "/payments")));
    cases.extend(texts.iter().map(|text| ("description", (*text).to_owned(), "/payments")));
    cases.extend(texts.iter().map(|text| ("attach", (*text).to_owned(), "/payments")));
    cases.extend(numbers.iter().map(|text| ("out_trade_no", (*text).to_owned(), "/payments")));
    for (field, text) in [
        ("method", "\"cash\""),
        ("currency", "\"USD\""),
        ("currency", "156"),
        ("provider", "\"../wechat\""),
        ("payer", "\"x\""),
        ("payer.openid", "{\"openid\":\"a\\u0000\"}"),
        ("payer.openid", "{}"),
        ("client_ip", "\"300.1.1.1\""),
        ("client_ip", "\"localhost\""),
        ("expires_at", "\"tomorrow\""),
        ("expires_at", "\"2020-01-01T00:00:00Z\""),
        ("expires_at", "\"99999-01-01T00:00:00Z\""),
        ("metadata", "[]"),
        ("metadata.k", "{\"k\":1}"),
        ("surprise", "1"),
    ] {
        cases.push((field, text.to_owned(), "/payments"));
    }
    cases.extend(amounts.iter().map(|text| ("amount", (*text).to_owned(), "/payments/F25-paid/refunds")));
    cases.extend(
        ["\"a\\u0000\"", "\"😀\"", long.as_str()].map(|text| ("reason", text.to_owned(), "/payments/F25-paid/refunds")),
    );
    for (field, text, path) in &cases {
        let body = body_with(field, text, path);
        let answer = raw(&merchant, path, body).await;
        let shown: String = text.chars().take(60).collect();
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{field} = {shown}: {}", answer.text);
        let named = answer.json["errors"].as_array().into_iter().flatten().any(|error| error["field"] == *field);
        assert!(named, "{field} = {shown} is not named: {}", answer.text);
    }

    let nested = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let whole = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        nested.clone(),
        format!("{{\"metadata\":{nested}}}"),
        r#"{"amount":1,"amount":101}"#.to_owned(),
        r#"{"amount":0x10}"#.to_owned(),
        r#"{"amount":+1}"#.to_owned(),
        r#"{"amount":NaN}"#.to_owned(),
        r#"{"amount":１００}"#.to_owned(),
        format!("{} x", body_with("amount", "101", "/payments")),
    ];
    for body in whole {
        let shown: String = body.chars().take(60).collect();
        let answer = raw(&merchant, "/payments", body).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid_request"), "{shown}: {}", answer.text);
    }
    let bytes = raw(&merchant, "/payments", b"{\"description\":\"\xff\xfe\"}".to_vec()).await;
    assert_eq!(bytes.status, 400, "{}", bytes.text);

    assert_eq!(merchant.all_payments().await.len(), stored, "nothing was recorded");
    assert_eq!(merchant.refunds("F25-paid").await.len(), 0);
    assert_eq!(world.control.journal("direction=in").await.len(), sent, "nothing was sent");
    let whole_numbers = raw(&merchant, "/payments", body_with("amount", "10000000000", "/payments")).await;
    assert!(whole_numbers.status != 400, "the largest amount is one: {}", whole_numbers.text);
    world.verify().await;
}

/// A good body in which one field is this text.
fn body_with(field: &str, text: &str, path: &str) -> String {
    let good: &[(&str, &str)] = if path.ends_with("/refunds") {
        &[("out_refund_no", "\"R25-0001\""), ("amount", "50"), ("reason", "\"r\"")]
    } else {
        &[
            ("provider", "\"wechat\""),
            ("method", "\"native\""),
            ("out_trade_no", "\"F25-0001\""),
            ("amount", "101"),
            ("currency", "\"CNY\""),
            ("description", "\"books\""),
            ("client_ip", "\"203.0.113.9\""),
        ]
    };
    let top = field.split('.').next().unwrap();
    let others = good.iter().filter(|(name, _)| *name != top).map(|(name, text)| format!("\"{name}\":{text}"));
    let fields: Vec<String> = others.chain([format!("\"{top}\":{text}")]).collect();
    format!("{{{}}}", fields.join(","))
}

async fn raw(merchant: &dukou_e2e::Merchant, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = merchant.request(Method::POST, path).header("Content-Type", "application/json").body(body);
    merchant.send(request).await.expect("an answer")
}
