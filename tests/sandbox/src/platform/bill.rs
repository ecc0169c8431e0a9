//! downloadbill (下载交易账单): the day's payments and refunds, in yuan, every value behind a back-tick.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Outcome, Request};
use crate::clock::{self, Millis};
use crate::ledger::{Book, Order, Refund};
use crate::lock;
use crate::world::World;

/// The columns of ALL, each with whether it speaks of refunds only and so is missing from SUCCESS.
const COLUMNS: [(&str, bool); 27] = [
    ("交易时间", false),
    ("公众账号ID", false),
    ("商户号", false),
    ("特约商户号", false),
    ("设备号", false),
    ("微信订单号", false),
    ("商户订单号", false),
    ("用户标识", false),
    ("交易类型", false),
    ("交易状态", false),
    ("付款银行", false),
    ("货币种类", false),
    ("应结订单金额", false),
    ("代金券金额", false),
    ("微信退款单号", true),
    ("商户退款单号", true),
    ("退款金额", true),
    ("充值券退款金额", true),
    ("退款类型", true),
    ("退款状态", true),
    ("商品名称", false),
    ("商户数据包", false),
    ("手续费", false),
    ("费率", false),
    ("订单金额", false),
    ("申请退款金额", true),
    ("费率备注", false),
];
/// What REFUND says besides, before this column.
const REFUND_TIMES: [&str; 2] = ["退款申请时间", "退款成功时间"];
const REFUND_TIMES_AT: usize = 14;
pub const SUMMARY: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";
const DAY: Millis = 24 * 3600 * 1000;

/// The columns of ALL by name.
#[cfg(test)]
pub fn columns() -> Vec<&'static str> {
    COLUMNS.iter().map(|(name, _)| *name).collect()
}

/// A refusal in the form bills use.
pub fn error(message: &str, code: &str) -> Outcome {
    Outcome::ReturnFail { message: message.to_owned(), error_code: Some(code.to_owned()) }
}

/// Which rows a bill has.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    All,
    Success,
    Refund,
}

pub fn run(world: &World, request: &Request) -> Outcome {
    let Some(day) = request.given("bill_date") else { return error("missing parameter", "20001") };
    if day.len() != 8 || !clock::is_day(day) {
        return error("data format error", "20001");
    }
    let kind = match request.given("bill_type") {
        None | Some("ALL") => Kind::All,
        Some("SUCCESS") => Kind::Success,
        Some("REFUND") => Kind::Refund,
        // Nothing here refunds a merchant's top-up.
        Some("RECHARGE_REFUND") => return error("No Bill Exist", "20002"),
        Some(_) => return error("invalid bill_type", "20001"),
    };
    match ready(world, day) {
        Ready::Yes => {}
        Ready::Never => return error("No Bill Exist", "20002"),
        Ready::Later => return error("Bill Creating", "20002"),
    }
    let text = match lock(&world.ledger).books.get(request.mch_id()) {
        Some(book) => write(book, day, kind, None),
        None => None,
    };
    let Some(text) = text else { return error("No Bill Exist", "20002") };
    match request.given("tar_type") {
        None => Outcome::File(text.into_bytes()),
        Some("GZIP") => match compress(&text) {
            Ok(bytes) => Outcome::File(bytes),
            Err(_) => error("CompressGZip Error", "20003"),
        },
        Some(_) => error("invalid tar_type", "20001"),
    }
}

/// Whether a day's bill is there.
pub enum Ready {
    Yes,
    Later,
    Never,
}

/// Looks at the policy's schedule. The day is `yyyyMMdd`.
pub fn ready(world: &World, day: &str) -> Ready {
    let now = world.clock.now();
    if !world.policy().bill_schedule {
        return Ready::Yes;
    }
    if day >= clock::day(now).as_str() {
        return Ready::Never;
    }
    if day == clock::day(now - DAY) && clock::compact(now)[8..10] < *"09" { Ready::Later } else { Ready::Yes }
}

pub fn compress(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

/// The file, of one sub-merchant or of all; `None` if there is nothing to say about that day.
pub fn write(book: &Book, day: &str, kind: Kind, sub_mch_id: Option<&str>) -> Option<String> {
    let mut rows: Vec<(Millis, Row<'_>)> = Vec::new();
    for order in book.orders.values().filter(|order| sub_mch_id.is_none() || order.sub_mch_id() == sub_mch_id) {
        if let Some(paid_at) = order.paid_at.filter(|&at| kind != Kind::Refund && clock::day(at) == day) {
            rows.push((paid_at, Row { order, refund: None }));
        }
        let refunds = order.refunds.iter().filter_map(|number| book.refunds.get(number));
        for refund in refunds.filter(|refund| kind != Kind::Success && clock::day(refund.created_at) == day) {
            rows.push((refund.created_at, Row { order, refund: Some(refund) }));
        }
    }
    if rows.is_empty() {
        return None;
    }
    rows.sort_by(|a, b| (a.0, &a.1.order.out_trade_no).cmp(&(b.0, &b.1.order.out_trade_no)));

    let mut head: Vec<&str> =
        COLUMNS.iter().filter(|(_, of_refunds)| kind != Kind::Success || !of_refunds).map(|(name, _)| *name).collect();
    if kind == Kind::Refund {
        head.splice(REFUND_TIMES_AT..REFUND_TIMES_AT, REFUND_TIMES);
    }
    let mut text = format!("{}\r\n", head.join(","));
    let mut totals = Totals::default();
    for (_, row) in &rows {
        text.push_str(&line(&row.values(kind)));
        totals.add(row);
    }
    text.push_str(SUMMARY);
    text.push_str("\r\n");
    text.push_str(&line(&totals.values(rows.len())));
    Some(text)
}

pub fn line(values: &[String]) -> String {
    let marked: Vec<String> = values.iter().map(|value| format!("`{}", value.replace(['\r', '\n'], " "))).collect();
    format!("{}\r\n", marked.join(","))
}

struct Row<'a> {
    order: &'a Order,
    refund: Option<&'a Refund>,
}

impl Row<'_> {
    fn paid(&self) -> i64 {
        if self.refund.is_some() { 0 } else { self.order.total_fee }
    }

    fn refunded(&self) -> i64 {
        self.refund.map_or(0, |refund| refund.refund_fee)
    }

    fn coupon_refunded(&self) -> i64 {
        self.refund.map_or(0, |refund| refund.coupon_refund_fee)
    }

    /// The platform's fee in fen; given back with a refund.
    fn fee(&self) -> i64 {
        rate(self.paid()) - rate(self.refunded())
    }

    fn values(&self, kind: Kind) -> Vec<String> {
        let order = self.order;
        let text = |name: &str| order.parameter(name).unwrap_or_default().to_owned();
        let at = self.refund.map_or(order.paid_at.unwrap_or_default(), |refund| refund.created_at);
        let coupon = if self.refund.is_some() { 0 } else { order.coupon_fee };
        let (refund_id, out_refund_no, refund_type, status) = match self.refund {
            Some(refund) => (refund.refund_id.clone(), refund.out_refund_no.clone(), "ORIGINAL", refund.status.name()),
            None => ("0".to_owned(), "0".to_owned(), "", ""),
        };
        let all = [
            clock::dashed(at),
            order.app_id().to_owned(),
            order.mch_id.clone(),
            order.sub_mch_id().unwrap_or("0").to_owned(),
            text("device_info"),
            order.transaction_id.clone().unwrap_or_default(),
            order.out_trade_no.clone(),
            order.payer.clone().unwrap_or_default(),
            order.trade_type().to_owned(),
            if self.refund.is_some() { "REFUND" } else { "SUCCESS" }.to_owned(),
            order.bank_type.clone().unwrap_or_default(),
            "CNY".to_owned(),
            yuan(self.paid()),
            yuan(coupon),
            refund_id,
            out_refund_no,
            yuan(self.refunded()),
            yuan(self.coupon_refunded()),
            refund_type.to_owned(),
            status.to_owned(),
            text("body"),
            text("attach"),
            fee(self.fee()),
            "0.60%".to_owned(),
            yuan(self.paid()),
            yuan(self.refunded()),
            String::new(),
        ];
        let kept = all.into_iter().zip(COLUMNS).filter(|(_, (_, of_refunds))| kind != Kind::Success || !of_refunds);
        let mut values: Vec<String> = kept.map(|(value, _)| value).collect();
        if let Some(refund) = self.refund.filter(|_| kind == Kind::Refund) {
            let times = [clock::dashed(refund.created_at), refund.succeeded_at.map(clock::dashed).unwrap_or_default()];
            values.splice(REFUND_TIMES_AT..REFUND_TIMES_AT, times);
        }
        values
    }
}

/// The platform's fee on an amount, both in fen: 0.6 %, rounded half up.
pub fn rate(fen: i64) -> i64 {
    fen.saturating_mul(6).saturating_add(500) / 1000
}

#[derive(Default)]
struct Totals {
    paid: i64,
    refunded: i64,
    coupon_refunded: i64,
    fee: i64,
}

impl Totals {
    fn add(&mut self, row: &Row<'_>) {
        self.paid += row.paid();
        self.refunded += row.refunded();
        self.coupon_refunded += row.coupon_refunded();
        self.fee += row.fee();
    }

    fn values(&self, count: usize) -> [String; 7] {
        [
            count.to_string(),
            yuan(self.paid),
            yuan(self.refunded),
            yuan(self.coupon_refunded),
            fee(self.fee),
            yuan(self.paid),
            yuan(self.refunded),
        ]
    }
}

/// Fen as yuan with two decimals.
pub fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", fen.unsigned_abs() / 100, fen.unsigned_abs() % 100)
}

/// Fen as yuan with five decimals, the form of fees.
fn fee(fen: i64) -> String {
    format!("{}000", yuan(fen))
}

#[cfg(test)]
mod tests {
    use super::{fee, yuan};

    #[test]
    fn fen_become_yuan() {
        for (fen, text) in [
            (0, "0.00"),
            (1, "0.01"),
            (-1, "-0.01"),
            (1990, "19.90"),
            (-100, "-1.00"),
            (10_000_000_000, "100000000.00"),
        ] {
            assert_eq!(yuan(fen), text);
        }
        assert_eq!(fee(12), "0.12000");
    }
}
