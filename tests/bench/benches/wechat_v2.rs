//! What one notify and one order cost in signatures: `cargo bench -p dukou-bench`.

use divan::{Bencher, black_box};
use dukou_bench::messages::{Order, PLATFORM_KEY};
use dukou_domain::Secret;
use dukou_wechat::v2::sign::{SignType, Signer};
use dukou_wechat::v2::xml;

const SIGN_TYPES: [SignType; 2] = [SignType::Md5, SignType::HmacSha256];

fn main() {
    divan::main();
}

fn signer(sign_type: SignType) -> Signer {
    Signer::new(sign_type, Secret::new(PLATFORM_KEY.to_owned()))
}

/// Reading the document alone.
#[divan::bench]
fn parse_notify(bencher: Bencher<'_, '_>) {
    let body = Order(7).notify();
    bencher.bench(|| xml::parse(black_box(body.as_bytes()), "xml").is_ok());
}

/// From the bytes to the proof.
#[divan::bench]
fn verify_notify(bencher: Bencher<'_, '_>) {
    let (body, signer) = (Order(7).notify(), signer(SignType::Md5));
    let verified =
        || xml::parse(black_box(body.as_bytes()), "xml").is_ok_and(|fields| signer.verify(&fields).is_some());
    assert!(verified(), "the message must verify, or the bench measures a refusal");
    bencher.bench(verified);
}

/// The canonical string and its digest, over the fields of an order.
#[divan::bench(args = SIGN_TYPES)]
fn sign_order(bencher: Bencher<'_, '_>, sign_type: SignType) {
    let signer = signer(sign_type);
    let fields = order();
    bencher.bench(|| signer.sign(black_box(&fields)));
}

/// The document that is sent.
#[divan::bench]
fn write_order(bencher: Bencher<'_, '_>) {
    let fields = order();
    bencher.bench(|| xml::write(black_box(fields)));
}

fn order() -> [(&'static str, &'static str); 13] {
    [
        ("appid", "wx8888888888888888"),
        ("mch_id", "1900000109"),
        ("nonce_str", "5d2b6c2a8db53831f7eda20af46e531c"),
        ("body", "腾讯-图书"),
        ("attach", "shelf 7"),
        ("out_trade_no", "B20261123-0001"),
        ("fee_type", "CNY"),
        ("total_fee", "101"),
        ("spbill_create_ip", "203.0.113.9"),
        ("time_start", "20261123180133"),
        ("time_expire", "20261123200133"),
        ("notify_url", "https://pay.example.com/notify/bookshop/wechat/payment"),
        ("openid", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"),
    ]
}
