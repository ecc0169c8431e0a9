//! The documents themselves.

use rand::Rng;
use serde::Serialize;

use super::Corruption;
use crate::clock;
use crate::ledger::{Api, Order, Refund, RefundStatus, given, token};
use crate::sign::{Fields, SignType, sign};
use crate::wechat_v3::{Damage, Notice, Word, Writing, notice};
use crate::world::World;
use crate::{cipher, xml};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Payment,
    Refund,
}

impl Kind {
    /// The name in the journal.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Payment => "notify_payment",
            Self::Refund => "notify_refund",
        }
    }
}

/// One notification; every attempt writes and signs it anew.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    pub kind: Kind,
    pub mch_id: String,
    pub out_trade_no: Option<String>,
    pub out_refund_no: Option<String>,
    pub url: String,
    #[serde(flatten)]
    pub content: Content,
}

/// What is said, in the form of the API that made the order or the refund.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Content {
    V2(Letter),
    V3(Notice),
}

/// A v2 notification.
#[derive(Clone, Debug, Serialize)]
pub struct Letter {
    pub sign_type: SignType,
    /// For a payment the signed fields without `nonce_str`; for a refund those inside `req_info`.
    pub fields: Fields,
    /// The app a refund's envelope names.
    pub app_id: String,
}

/// A notification as it goes over the wire.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Document {
    pub body: String,
    pub content_type: &'static str,
    pub headers: Vec<(String, String)>,
    /// The key that signed it, where the platform has several.
    pub serial: Option<String>,
    /// For the journal, in v3.
    #[serde(skip)]
    pub word: Option<Word>,
}

/// The notification of a paid order.
pub fn payment(order: &Order) -> Message {
    let sign_type = match order.api {
        Api::V2 { sign_type } => sign_type,
        Api::V3 { .. } => return notice::payment(order),
    };
    let mut fields = paid_fields(order);
    fields.insert("return_code".to_owned(), "SUCCESS".to_owned());
    fields.insert("result_code".to_owned(), "SUCCESS".to_owned());
    message(order, sign_type, fields)
}

/// The notification of an order that could not be paid. Rare in practice, but documented.
pub fn payment_failure(order: &Order) -> Message {
    let sign_type = match order.api {
        Api::V2 { sign_type } => sign_type,
        Api::V3 { .. } => return notice::payment(order),
    };
    let mut fields = identity(order);
    fields.insert("return_code".to_owned(), "SUCCESS".to_owned());
    fields.insert("result_code".to_owned(), "FAIL".to_owned());
    fields.insert("err_code".to_owned(), order.err_code.clone().unwrap_or_else(|| "SYSTEMERROR".to_owned()));
    fields.insert("err_code_des".to_owned(), "支付失败".to_owned());
    fields.insert("total_fee".to_owned(), order.total_fee.to_string());
    fields.insert("trade_type".to_owned(), order.trade_type().to_owned());
    message(order, sign_type, fields)
}

fn message(order: &Order, sign_type: SignType, fields: Fields) -> Message {
    Message {
        kind: Kind::Payment,
        mch_id: order.mch_id.clone(),
        out_trade_no: Some(order.out_trade_no.clone()),
        out_refund_no: None,
        url: order.parameter("notify_url").unwrap_or_default().to_owned(),
        content: Content::V2(Letter { sign_type, fields, app_id: order.app_id().to_owned() }),
    }
}

fn identity(order: &Order) -> Fields {
    let mut fields = Fields::new();
    for name in ["appid", "mch_id", "device_info", "attach"] {
        if let Some(value) = order.parameter(name) {
            fields.insert(name.to_owned(), value.to_owned());
        }
    }
    fields.insert("out_trade_no".to_owned(), order.out_trade_no.clone());
    fields
}

/// What orderquery and the notification say alike about a paid order.
pub fn paid_fields(order: &Order) -> Fields {
    let mut fields = identity(order);
    let mut put = |name: &str, value: String| fields.insert(name.to_owned(), value);
    put("openid", order.payer.clone().unwrap_or_default());
    put("is_subscribe", "N".to_owned());
    put("trade_type", order.trade_type().to_owned());
    put("bank_type", order.bank_type.clone().unwrap_or_default());
    put("total_fee", order.total_fee.to_string());
    put("fee_type", "CNY".to_owned());
    put("cash_fee", (order.total_fee - order.coupon_fee).to_string());
    put("transaction_id", order.transaction_id.clone().unwrap_or_default());
    put("time_end", order.paid_at.map(clock::compact).unwrap_or_default());
    if order.coupon_fee > 0 {
        // coupon_type_0 is left out on purpose: the platform does that too.
        put("coupon_fee", order.coupon_fee.to_string());
        put("coupon_count", "1".to_owned());
        put("coupon_fee_0", order.coupon_fee.to_string());
        put("coupon_id_0", format!("2000000{:013}", order.paid_at.unwrap_or_default()));
    }
    fields
}

/// The notification of a refund's final state; `None` if nobody wants one.
pub fn refund(order: &Order, refund: &Refund) -> Option<Message> {
    if refund.v3 {
        return notice::refund(order, refund);
    }
    let url = refund.notify_url.clone()?;
    let mut fields = Fields::new();
    let mut put = |name: &str, value: String| fields.insert(name.to_owned(), value);
    put("transaction_id", refund.transaction_id.clone());
    put("out_trade_no", refund.out_trade_no.clone());
    put("refund_id", refund.refund_id.clone());
    put("out_refund_no", refund.out_refund_no.clone());
    put("total_fee", refund.total_fee.to_string());
    put("settlement_total_fee", refund.total_fee.to_string());
    put("refund_fee", refund.refund_fee.to_string());
    put("settlement_refund_fee", refund.refund_fee.to_string());
    put("cash_refund_fee", (refund.refund_fee - refund.coupon_refund_fee).to_string());
    put("refund_status", refund.status.name().to_owned());
    put("refund_recv_accout", "支付用户零钱".to_owned());
    put("refund_account", refund.account.clone());
    put("refund_request_source", "API".to_owned());
    if refund.status == RefundStatus::Success {
        put("success_time", clock::dashed(refund.succeeded_at.unwrap_or_default()));
    }
    Some(Message {
        kind: Kind::Refund,
        mch_id: order.mch_id.clone(),
        out_trade_no: Some(order.out_trade_no.clone()),
        out_refund_no: Some(refund.out_refund_no.clone()),
        url,
        // Nothing in it is signed.
        content: Content::V2(Letter { sign_type: SignType::Md5, fields, app_id: order.app_id().to_owned() }),
    })
}

impl Message {
    /// The document as it goes over the wire, with a new nonce unless one is given.
    pub fn write(&self, world: &World, corruption: Corruption, nonce: Option<&str>) -> Document {
        match &self.content {
            Content::V2(letter) => {
                let body = letter.write(world, self.kind, &self.mch_id, corruption, nonce);
                Document { body, content_type: "text/xml", ..Document::default() }
            }
            Content::V3(notice) => {
                let damage = Damage { nonce: nonce.map(str::to_owned), ..Damage::default() };
                let written = notice.write(world, &self.mch_id, &Writing { corruption, damage, ..Writing::default() });
                written.unwrap_or_else(|error| {
                    tracing::error!(%error, "a notification could not be written");
                    Document { content_type: "application/json", ..Document::default() }
                })
            }
        }
    }

    /// Whether this answer ends the repetitions: in v2 its `return_code` decides alone, in v3 its status.
    pub fn is_accepted(&self, status: u16, body: &[u8]) -> bool {
        match &self.content {
            Content::V2(_) => xml::read(body).is_ok_and(|fields| given(&fields, "return_code") == Some("SUCCESS")),
            Content::V3(_) => matches!(status, 200 | 204),
        }
    }
}

impl Letter {
    fn write(&self, world: &World, kind: Kind, mch_id: &str, corruption: Corruption, nonce: Option<&str>) -> String {
        let key = world.merchants.get(mch_id).map(|merchant| merchant.key().to_owned()).unwrap_or_default();
        let nonce = nonce.map_or_else(|| token(32), str::to_owned);
        let mut fields = match kind {
            Kind::Payment => self.fields.clone(),
            Kind::Refund => {
                let info = cipher::encrypt(&xml::write("root", &self.fields), &key);
                envelope(&self.app_id, mch_id, info)
            }
        };
        fields.entry("nonce_str".to_owned()).or_insert(nonce);
        if kind == Kind::Payment {
            if rand::rng().random_bool(world.unknown_field_share()) {
                fields.insert("sandbox_extra".to_owned(), token(8));
            }
            let signature = sign(&fields, &key, self.sign_type);
            fields.insert("sign".to_owned(), signature);
        }
        corrupt(&mut fields, corruption);
        let mut text = xml::write("xml", &fields);
        if corruption == Corruption::Truncate {
            let half = (0..=text.len() / 2).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.truncate(half);
        }
        text
    }
}

/// The outer fields of a refund notification, without a nonce.
pub fn envelope(app_id: &str, mch_id: &str, req_info: String) -> Fields {
    [
        ("return_code", "SUCCESS".to_owned()),
        ("appid", app_id.to_owned()),
        ("mch_id", mch_id.to_owned()),
        ("req_info", req_info),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn corrupt(fields: &mut Fields, corruption: Corruption) {
    let name = match corruption {
        Corruption::Sign if fields.contains_key("sign") => "sign",
        // A refund's notification is not signed: its encrypted part stands in.
        Corruption::Sign => "req_info",
        Corruption::Body if fields.contains_key("total_fee") => "total_fee",
        Corruption::Body => "req_info",
        Corruption::None | Corruption::Truncate => return,
    };
    if let Some(value) = fields.get_mut(name) {
        let last = value.pop();
        value.push(if last == Some('1') { '2' } else { '1' });
    }
}
