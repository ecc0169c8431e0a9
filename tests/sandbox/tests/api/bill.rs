//! downloadbill.

use std::io::Read;

use serde_json::json;

use crate::support::{APP, Bench, MCH, assert_code, fields, read_xml};

async fn bill(bench: &Bench, more: &[(&str, &str)]) -> Vec<u8> {
    let mut all = fields(&[("mch_id", MCH), ("appid", APP)]);
    all.extend(fields(more));
    let xml = bench.sign(MCH, &all).await;
    let url = format!("{}/pay/downloadbill", bench.sandbox.https_url());
    bench.client.post(url).body(xml).send().await.unwrap().bytes().await.unwrap().to_vec()
}

async fn today(bench: &Bench) -> String {
    let clock = bench.look("/clock").await;
    clock["beijing"].as_str().unwrap()[..10].replace('-', "")
}

#[tokio::test]
async fn a_day_of_payments_and_refunds() {
    let bench = Bench::with_certificate();
    let day = today(&bench).await;
    let empty = String::from_utf8(bill(&bench, &[("bill_date", &day)]).await).unwrap();
    let empty = read_xml(&empty);
    assert_code(&empty, "!No Bill Exist");
    assert_eq!(empty["error_code"], "20002");

    bench.order("T20260704003000", &[("body", "一本书,两本书")]).await;
    bench.must(&format!("/orders/{MCH}/T20260704003000/pay"), json!({ "coupon_fee": 90 })).await;
    bench.order("T20260704003001", &[]).await;
    let accepted = bench.refund("T20260704003000", "R1", 995, &[]).await;
    assert_code(&accepted, "SUCCESS");

    let text = String::from_utf8(bill(&bench, &[("bill_date", &day)]).await).unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 5, "{text}");
    let head: Vec<&str> = lines[0].split(',').collect();
    assert_eq!(head.len(), 27);
    let row = |line: &str| -> Vec<String> { line[1..].split(",`").map(str::to_owned).collect() };
    let value = |line: &str, name: &str| row(line)[head.iter().position(|column| *column == name).unwrap()].clone();
    assert_eq!(row(lines[1]).len(), 27);
    assert_eq!(value(lines[1], "商户订单号"), "T20260704003000");
    assert_eq!(value(lines[1], "商品名称"), "一本书,两本书");
    assert_eq!((value(lines[1], "订单金额"), value(lines[1], "代金券金额")), ("19.90".to_owned(), "0.90".to_owned()));
    assert_eq!(value(lines[1], "手续费"), "0.12000");
    assert_eq!(value(lines[2], "微信退款单号"), accepted["refund_id"]);
    assert_eq!((value(lines[2], "退款金额"), value(lines[2], "手续费")), ("9.95".to_owned(), "-0.06000".to_owned()));
    assert_eq!(lines[3].split(',').count(), 7);
    assert_eq!(lines[4], "`2,`19.90,`9.95,`0.45,`0.06000,`19.90,`9.95");

    for (kind, columns, rows) in [("SUCCESS", 20, 1), ("REFUND", 29, 1)] {
        let text = String::from_utf8(bill(&bench, &[("bill_date", &day), ("bill_type", kind)]).await).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(
            (lines[0].split(',').count(), row(lines[1]).len(), lines.len()),
            (columns, columns, rows + 3),
            "{kind}"
        );
    }
    let zipped = bill(&bench, &[("bill_date", &day), ("tar_type", "GZIP")]).await;
    let mut unzipped = String::new();
    flate2::read::GzDecoder::new(zipped.as_slice()).read_to_string(&mut unzipped).unwrap();
    assert_eq!(unzipped, text);
}

#[tokio::test]
async fn refusals() {
    let bench = Bench::start();
    for (more, expected, code) in [
        (&[][..], "!missing parameter", "20001"),
        (&[("bill_date", "2026-07-04")], "!data format error", "20001"),
        (&[("bill_date", "20261304")], "!data format error", "20001"),
        (&[("bill_date", "20260704"), ("bill_type", "X")], "!invalid bill_type", "20001"),
    ] {
        let answer = read_xml(&String::from_utf8(bill(&bench, more).await).unwrap());
        assert_code(&answer, expected);
        assert_eq!(answer["error_code"], code);
    }
    bench.order("T20260704003100", &[]).await;
    bench.pay("T20260704003100").await;
    bench.must("/policy", json!({ "bill_schedule": true })).await;
    let day = today(&bench).await;
    let answer = read_xml(&String::from_utf8(bill(&bench, &[("bill_date", &day)]).await).unwrap());
    assert_code(&answer, "!No Bill Exist");
    bench.must("/clock", json!({ "advance_seconds": 2 * 24 * 3600 })).await;
    let text = String::from_utf8(bill(&bench, &[("bill_date", &day)]).await).unwrap();
    assert!(text.contains("`T20260704003100,"), "{text}");
}
