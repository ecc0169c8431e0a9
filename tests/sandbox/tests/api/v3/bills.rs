//! Bills: where the file is, what its hash must be, and the file.

use std::io::Read;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};

use super::support::Shop;

fn sha1(bytes: &[u8]) -> String {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn today(shop: &Shop) -> String {
    shop.bench.look("/clock").await["beijing"].as_str().unwrap()[..10].to_owned()
}

/// Path and query of the `download_url`, after its host was checked.
fn path(shop: &Shop, offered: &Value) -> String {
    let url = offered["download_url"].as_str().unwrap();
    url.strip_prefix(&shop.bench.sandbox.https_url()).unwrap().to_owned()
}

async fn a_day(shop: &Shop) -> String {
    shop.prepay("T20260704140001", "http://127.0.0.1:9/notify").await;
    shop.pay("T20260704140001", json!({ "notify": false })).await;
    assert_eq!(shop.refund("T20260704140001", "R1", 995, "http://127.0.0.1:9/refund").await.status, 200);
    today(shop).await
}

#[tokio::test]
async fn a_trade_bill() {
    let shop = Shop::open();
    let day = a_day(&shop).await;
    let offered = shop.get(&format!("/v3/bill/tradebill?bill_date={day}")).await;
    assert!(shop.is_signed(&offered));
    let offered = offered.json();
    assert_eq!(offered["hash_type"], "SHA1");
    let file = shop.get(&path(&shop, &offered)).await;
    assert_eq!((file.status, file.header("wechatpay-signature")), (200, ""), "the file carries no signature");
    assert_eq!(sha1(&file.body), offered["hash_value"].as_str().unwrap());
    let text = String::from_utf8(file.body).unwrap();
    assert!(text.starts_with("交易时间,公众账号ID,") && text.contains(",`T20260704140001,"), "{text}");
    assert_eq!(text.lines().last().unwrap(), "`2,`19.90,`9.95,`0.00,`0.06000,`19.90,`9.95");

    let zipped = shop.get(&format!("/v3/bill/tradebill?bill_date={day}&tar_type=GZIP")).await.json();
    assert_eq!(zipped["hash_value"], offered["hash_value"], "of the plain text");
    assert!(path(&shop, &zipped).ends_with("&tartype=gzip"));
    let file = shop.get(&path(&shop, &zipped)).await;
    let mut plain = String::new();
    flate2::read::GzDecoder::new(file.body.as_slice()).read_to_string(&mut plain).unwrap();
    assert_eq!(plain, text);

    for (kind, columns) in [("SUCCESS", 20), ("REFUND", 29)] {
        let offered = shop.get(&format!("/v3/bill/tradebill?bill_date={day}&bill_type={kind}")).await.json();
        let file = shop.get(&path(&shop, &offered)).await;
        let text = String::from_utf8(file.body).unwrap();
        assert_eq!(text.lines().next().unwrap().split(',').count(), columns, "{kind}");
    }

    shop.bench.must("/clock", json!({ "advance_seconds": 301 })).await;
    assert_eq!(shop.get(&path(&shop, &offered)).await.code(), "400 INVALID_REQUEST", "five minutes are over");
}

#[tokio::test]
async fn a_fund_flow_bill() {
    let shop = Shop::open();
    let day = a_day(&shop).await;
    let offered = shop.get(&format!("/v3/bill/fundflowbill?bill_date={day}&account_type=BASIC")).await.json();
    let file = shop.get(&path(&shop, &offered)).await;
    assert_eq!(sha1(&file.body), offered["hash_value"].as_str().unwrap());
    let text = String::from_utf8(file.body).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 7, "{text}");
    for line in &lines[..5] {
        assert_eq!(line.split(',').count(), 11, "{line}");
    }
    // Paid 19.90 for a fee of 0.12, given back 9.95 with 0.06 of it.
    assert_eq!(lines[6], "`4,`2,`19.96,`2,`10.07");
    let last_but_summary: Vec<&str> = lines[4].split(",`").collect();
    assert_eq!(last_but_summary[7], "9.89", "what is left in the account");
    for account in ["OPERATION", "FEES"] {
        let answer = shop.get(&format!("/v3/bill/fundflowbill?bill_date={day}&account_type={account}")).await;
        assert_eq!(answer.code(), "400 NO_STATEMENT_EXIST");
    }
}

#[tokio::test]
async fn refusals() {
    let shop = Shop::open();
    let day = today(&shop).await;
    for (query, code) in [
        (String::new(), "400 PARAM_ERROR"),
        ("?bill_date=20260704".to_owned(), "400 PARAM_ERROR"),
        ("?bill_date=2026-13-04".to_owned(), "400 PARAM_ERROR"),
        (format!("?bill_date={day}&bill_type=NONE"), "400 PARAM_ERROR"),
        (format!("?bill_date={day}&bill_type=RECHARGE_REFUND"), "400 NO_STATEMENT_EXIST"),
        (format!("?bill_date={day}&bill_type=ALL_SPECIAL"), "403 NO_AUTH"),
        (format!("?bill_date={day}&sub_mchid=1"), "400 MCH_NOT_EXISTS"),
        (format!("?bill_date={day}"), "400 NO_STATEMENT_EXIST"),
    ] {
        assert_eq!(shop.get(&format!("/v3/bill/tradebill{query}")).await.code(), code, "{query}");
    }
    a_day(&shop).await;
    let zip = format!("/v3/bill/tradebill?bill_date={day}&tar_type=ZIP");
    assert_eq!(shop.get(&zip).await.code(), "400 PARAM_ERROR");
    assert_eq!(shop.get("/v3/billdownload/file?token=nothing").await.code(), "400 INVALID_REQUEST");
    shop.bench.must("/policy", json!({ "bill_schedule": true })).await;
    assert_eq!(shop.get(&format!("/v3/bill/tradebill?bill_date={day}")).await.code(), "400 NO_STATEMENT_EXIST");
    shop.bench.must("/clock", json!({ "advance_seconds": 48 * 3600 })).await;
    assert_eq!(shop.get(&format!("/v3/bill/tradebill?bill_date={day}")).await.status, 200);
}

#[tokio::test]
async fn files_that_are_not_what_the_hash_says() {
    let shop = Shop::open();
    let day = a_day(&shop).await;
    shop.bench.must("/policy", json!({ "v3_download_base": "https://elsewhere.example.com" })).await;
    let offered = shop.get(&format!("/v3/bill/tradebill?bill_date={day}")).await.json();
    assert!(offered["download_url"].as_str().unwrap().starts_with("https://elsewhere.example.com/v3/billdownload/"));
    shop.bench.must("/policy", json!({ "v3_download_base": "" })).await;
    let offered = shop.get(&format!("/v3/bill/tradebill?bill_date={day}")).await.json();
    for fault in ["bad_signature", "truncate"] {
        let rule = json!({ "operation": "v3_billdownload", "times": 1, "fault": { "type": fault } });
        shop.bench.must("/faults", rule).await;
        let file = shop.get(&path(&shop, &offered)).await;
        assert!(file.status == 200 && sha1(&file.body) != offered["hash_value"].as_str().unwrap(), "{fault}");
    }
}
