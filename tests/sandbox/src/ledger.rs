//! What the platform knows: orders and refunds, by every number they can be asked for.

use std::collections::{HashMap, VecDeque};

use rand::Rng;
use serde::Serialize;

use crate::clock::{self, Millis};
use crate::sign::{Fields, SignType};

/// How many of the latest orders the phone page looks at.
const RECENT_ORDERS: usize = 300;
/// A `prepay_id` and a `code_url` can be paid with for two hours.
pub const PREPAY_LIFETIME: Millis = 2 * 3600 * 1000;
/// An `mweb_url` can be opened for five minutes.
pub const MWEB_LIFETIME: Millis = 5 * 60 * 1000;

/// `trade_state` of orderquery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TradeState {
    NotPay,
    Success,
    /// Paid, and at least one refund was accepted.
    Refund,
    Closed,
    PayError,
}

impl TradeState {
    pub fn name(self) -> &'static str {
        match self {
            Self::NotPay => "NOTPAY",
            Self::Success => "SUCCESS",
            Self::Refund => "REFUND",
            Self::Closed => "CLOSED",
            Self::PayError => "PAYERROR",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Self::NotPay => "订单未支付",
            Self::Success => "支付成功",
            Self::Refund => "订单发生过退款，退款详情请查询退款单",
            Self::Closed => "订单已关闭",
            Self::PayError => "支付失败(其他原因，如银行返回失败)",
        }
    }

    pub fn is_paid(self) -> bool {
        matches!(self, Self::Success | Self::Refund)
    }
}

/// The API that made an order or a refund: its notifications have that API's form.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "api")]
pub enum Api {
    #[serde(rename = "v2")]
    V2 { sign_type: SignType },
    /// With what the first prepay said, sensitive fields decrypted: entering the order again must say the same.
    #[serde(rename = "v3")]
    V3 { request: serde_json::Value },
}

/// An order as unifiedorder or a v3 prepay made it and as paying, refunding and closing changed it.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    pub mch_id: String,
    pub out_trade_no: String,
    pub trade_state: TradeState,
    #[serde(flatten)]
    pub api: Api,
    /// Fen.
    pub total_fee: i64,
    /// Everything the first unifiedorder said, without `nonce_str`, `sign` and empty fields; of a v3 prepay, the same
    /// things under their v2 names.
    pub parameters: Fields,
    pub created_at: Millis,
    pub expires_at: Option<Millis>,
    pub prepay_id: String,
    pub prepaid_at: Millis,
    pub code_url: Option<String>,
    pub mweb_url: Option<String>,
    pub transaction_id: Option<String>,
    pub paid_at: Option<Millis>,
    pub payer: Option<String>,
    pub bank_type: Option<String>,
    /// Fen of the total that a coupon paid.
    pub coupon_fee: i64,
    pub err_code: Option<String>,
    /// `out_refund_no`s in the order they were accepted.
    pub refunds: Vec<String>,
}

impl Order {
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    pub fn app_id(&self) -> &str {
        self.parameter("appid").unwrap_or_default()
    }

    pub fn trade_type(&self) -> &str {
        self.parameter("trade_type").unwrap_or_default()
    }

    /// The sub-merchant (特约商户) of an order in partner mode.
    pub fn sub_mch_id(&self) -> Option<&str> {
        self.parameter("sub_mch_id")
    }

    pub fn is_v3(&self) -> bool {
        matches!(self.api, Api::V3 { .. })
    }

    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }
}

/// `refund_status` of refundquery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RefundStatus {
    Processing,
    Success,
    /// The bank refused; somebody has to act. v3 says ABNORMAL.
    #[serde(alias = "ABNORMAL")]
    Change,
    /// v3 says CLOSED.
    #[serde(alias = "CLOSED")]
    RefundClose,
}

impl RefundStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Processing => "PROCESSING",
            Self::Success => "SUCCESS",
            Self::Change => "CHANGE",
            Self::RefundClose => "REFUNDCLOSE",
        }
    }
}

/// One refund of one order.
#[derive(Clone, Debug, Serialize)]
pub struct Refund {
    pub out_refund_no: String,
    pub refund_id: String,
    pub out_trade_no: String,
    pub transaction_id: String,
    pub status: RefundStatus,
    /// Fen.
    pub refund_fee: i64,
    /// Fen of it that go back to the coupon.
    pub coupon_refund_fee: i64,
    pub total_fee: i64,
    pub created_at: Millis,
    pub succeeded_at: Option<Millis>,
    pub notify_url: Option<String>,
    pub account: String,
    /// Whether the v3 API made it.
    pub v3: bool,
}

/// One merchant's orders and refunds.
#[derive(Default)]
pub struct Book {
    pub orders: HashMap<String, Order>,
    pub by_transaction: HashMap<String, String>,
    pub refunds: HashMap<String, Refund>,
    pub by_refund_id: HashMap<String, String>,
}

impl Book {
    /// The order a request names; `transaction_id` wins.
    pub fn find(&self, fields: &Fields) -> Option<&Order> {
        let number = match given(fields, "transaction_id") {
            Some(id) => self.by_transaction.get(id)?,
            None => given(fields, "out_trade_no")?,
        };
        self.orders.get(number)
    }

    /// Fen of the order that are refunded or on their way.
    pub fn refunded(&self, order: &Order) -> i64 {
        let counted = order.refunds.iter().filter_map(|number| self.refunds.get(number));
        counted.filter(|refund| refund.status != RefundStatus::RefundClose).map(|refund| refund.refund_fee).sum()
    }
}

/// A field's value unless it is missing or empty.
pub fn given<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// Something a client holds to pay with.
#[derive(Clone, Debug)]
pub struct Handle {
    pub mch_id: String,
    pub out_trade_no: String,
    pub expires_at: Millis,
}

#[derive(Default)]
pub struct Ledger {
    pub books: HashMap<String, Book>,
    /// By `prepay_id` and `code_url`.
    pub handles: HashMap<String, Handle>,
    pub recent: VecDeque<(String, String)>,
    issued: u64,
}

impl Ledger {
    pub fn book(&mut self, mch_id: &str) -> &mut Book {
        if !self.books.contains_key(mch_id) {
            self.books.insert(mch_id.to_owned(), Book::default());
        }
        self.books.get_mut(mch_id).expect("the book was just opened")
    }

    pub fn order(&self, mch_id: &str, out_trade_no: &str) -> Option<&Order> {
        self.books.get(mch_id)?.orders.get(out_trade_no)
    }

    pub fn order_mut(&mut self, mch_id: &str, out_trade_no: &str) -> Option<&mut Order> {
        self.books.get_mut(mch_id)?.orders.get_mut(out_trade_no)
    }

    /// Enters a new order.
    pub fn insert(&mut self, order: Order) {
        self.recent.push_back((order.mch_id.clone(), order.out_trade_no.clone()));
        if self.recent.len() > RECENT_ORDERS {
            self.recent.pop_front();
        }
        self.book(&order.mch_id.clone()).orders.insert(order.out_trade_no.clone(), order);
    }

    /// Gives an order a fresh `prepay_id`, and what its trade type hands the client besides.
    pub fn prepay(&mut self, mch_id: &str, out_trade_no: &str, now: Millis) {
        let prepay_id = prepay_id(now);
        let Some(order) = self.order_mut(mch_id, out_trade_no) else { return };
        order.prepay_id.clone_from(&prepay_id);
        order.prepaid_at = now;
        let mut handles = vec![(prepay_id.clone(), PREPAY_LIFETIME)];
        match order.trade_type() {
            "NATIVE" => {
                let url = format!("weixin://wxpay/bizpayurl?pr={}zz", token(9));
                order.code_url = Some(url.clone());
                handles.push((url, PREPAY_LIFETIME));
            }
            "MWEB" => {
                order.mweb_url = Some(format!(
                    "https://wx.tenpay.com/cgi-bin/mmpayweb-bin/checkmweb?prepay_id={prepay_id}&package={}",
                    rand::rng().random_range(1_000_000_000_u32..4_000_000_000)
                ));
                handles = vec![(prepay_id, MWEB_LIFETIME)];
            }
            _ => {}
        }
        for (handle, lifetime) in handles {
            let (mch_id, out_trade_no) = (mch_id.to_owned(), out_trade_no.to_owned());
            self.handles.insert(handle, Handle { mch_id, out_trade_no, expires_at: now + lifetime });
        }
    }

    /// 28 digits, starting with 42.
    pub fn transaction_id(&mut self, now: Millis) -> String {
        self.issued += 1;
        format!("4200{:06}{}{:010}", rand::rng().random_range(0..1_000_000), clock::day(now), self.issued)
    }

    /// 29 digits, starting with 50.
    pub fn refund_id(&mut self, now: Millis) -> String {
        self.issued += 1;
        format!("5030{:07}{}{:010}", rand::rng().random_range(0..10_000_000), clock::day(now), self.issued)
    }
}

/// `wx`, day and time, then hex: 36 characters.
fn prepay_id(now: Millis) -> String {
    let bytes: [u8; 13] = rand::random();
    format!("wx{}{}", &clock::compact(now)[6..], hex::encode(bytes))
}

/// Random letters and digits.
pub fn token(length: usize) -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(length).map(char::from).collect()
}
