//! The requests of APIv3, member by member as WeChat spells them.
//!
//! A body is a function of what it is made from and of the configuration: sent again it is the same
//! order to WeChat (the re-entry rule).

use bytes::Bytes;
use dukou_domain::{Method, TransactionId};
use dukou_spi::{PayOrder, RefundOrder, RefundQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Serialize;
use time::Date;

use super::config::Partner;
use crate::account::Account;
use crate::{beijing, text};

/// Left as they are in a path; everything else is percent-encoded, and signed so.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Who calls, and for whom.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub account: &'a Account,
    pub partner: Option<&'a Partner>,
}

/// A JSON body as bytes; they are signed and sent as they are.
fn body(value: &impl Serialize) -> Bytes {
    // Texts and numbers alone: nothing in them cannot be written.
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, PATH)
}

/// `…/pay/transactions/{jsapi,app,native,h5}`. The order has passed the provider's check.
pub fn order(caller: Caller<'_>, order: &PayOrder) -> (String, Bytes) {
    let Caller { account, partner } = caller;
    let direct = partner.is_none();
    let sub_app_id = partner.and_then(|partner| partner.sub_app_id.as_deref());
    let (page, name) = text::h5_page(account, &order.notify_url);
    let openid = order.openid.as_deref().filter(|_| order.method == Method::Jsapi);
    let request = Order {
        appid: direct.then_some(&account.app_id),
        mchid: direct.then_some(&account.mch_id),
        sp_appid: partner.map(|_| account.app_id.as_str()),
        sp_mchid: partner.map(|_| account.mch_id.as_str()),
        sub_appid: sub_app_id,
        sub_mchid: partner.map(|partner| partner.sub_mch_id.as_str()),
        // As it was checked: WeChat counts its characters here.
        description: &order.description,
        out_trade_no: order.trade_no.as_str(),
        time_expire: beijing::rfc3339(order.expires_at),
        attach: order.attach.as_deref().filter(|attach| !attach.is_empty()),
        notify_url: &order.notify_url,
        amount: Total { total: order.amount.minor(), currency: order.amount.currency().code() },
        payer: openid.map(|openid| Payer {
            openid: direct.then_some(openid),
            sp_openid: (!direct && sub_app_id.is_none()).then_some(openid),
            sub_openid: sub_app_id.map(|_| openid),
        }),
        scene_info: SceneInfo {
            payer_client_ip: order.client_ip.to_canonical().to_string(),
            h5_info: (order.method == Method::H5).then_some(H5Info { kind: "Wap", app_name: name, app_url: page }),
        },
    };
    let word = match order.method {
        Method::Jsapi => "jsapi",
        Method::App => "app",
        Method::Native => "native",
        Method::H5 => "h5",
    };
    (format!("{}/{word}", transactions(caller)), body(&request))
}

fn transactions(caller: Caller<'_>) -> &'static str {
    if caller.partner.is_some() { "/v3/pay/partner/transactions" } else { "/v3/pay/transactions" }
}

/// The query by WeChat's number where it is known, else by ours.
pub fn query(caller: Caller<'_>, order: &PayOrder) -> String {
    let number = match &order.transaction_id {
        Some(id) => format!("id/{}", encoded(TransactionId::as_str(id))),
        None => format!("out-trade-no/{}", encoded(order.trade_no.as_str())),
    };
    let mch_id = &caller.account.mch_id;
    match caller.partner {
        None => format!("{}/{number}?mchid={mch_id}", transactions(caller)),
        Some(partner) => {
            format!("{}/{number}?sp_mchid={mch_id}&sub_mchid={}", transactions(caller), partner.sub_mch_id)
        }
    }
}

pub fn close(caller: Caller<'_>, order: &PayOrder) -> (String, Bytes) {
    let mch_id = caller.account.mch_id.as_str();
    let request = Close {
        mchid: caller.partner.is_none().then_some(mch_id),
        sp_mchid: caller.partner.map(|_| mch_id),
        sub_mchid: caller.partner.map(|partner| partner.sub_mch_id.as_str()),
    };
    let number = encoded(order.trade_no.as_str());
    (format!("{}/out-trade-no/{number}/close", transactions(caller)), body(&request))
}

const REFUNDS: &str = "/v3/refund/domestic/refunds";

pub fn refund(caller: Caller<'_>, refund: &RefundOrder) -> (String, Bytes) {
    let request = Refund {
        sub_mchid: caller.partner.map(|partner| partner.sub_mch_id.as_str()),
        out_trade_no: refund.trade_no.as_str(),
        out_refund_no: refund.out_refund_no.as_str(),
        reason: refund.reason.as_deref().map(text::refund_reason).filter(|reason| !reason.is_empty()),
        notify_url: &refund.notify_url,
        amount: RefundAmount {
            refund: refund.amount.minor(),
            total: refund.total.minor(),
            currency: refund.amount.currency().code(),
        },
    };
    (REFUNDS.to_owned(), body(&request))
}

pub fn refund_query(caller: Caller<'_>, query: &RefundQuery) -> String {
    let number = encoded(query.out_refund_no.as_str());
    match caller.partner {
        None => format!("{REFUNDS}/{number}"),
        Some(partner) => format!("{REFUNDS}/{number}?sub_mchid={}", partner.sub_mch_id),
    }
}

/// Where a day's bill is asked for. `None` for a day beyond the calendar.
pub fn trade_bill(caller: Caller<'_>, day: Date) -> Option<String> {
    let day = beijing::dashed_day(day)?;
    let of = caller.partner.map_or(String::new(), |partner| format!("&sub_mchid={}", partner.sub_mch_id));
    Some(format!("/v3/bill/tradebill?bill_date={day}{of}&bill_type=ALL&tar_type=GZIP"))
}

/// As [`trade_bill`], of the caller's own basic account.
pub fn fund_bill(day: Date) -> Option<String> {
    let day = beijing::dashed_day(day)?;
    Some(format!("/v3/bill/fundflowbill?bill_date={day}&account_type=BASIC&tar_type=GZIP"))
}

#[derive(Serialize)]
struct Order<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    appid: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mchid: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sp_appid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sp_mchid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_appid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_mchid: Option<&'a str>,
    description: &'a str,
    out_trade_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_expire: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attach: Option<&'a str>,
    notify_url: &'a str,
    amount: Total<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payer: Option<Payer<'a>>,
    scene_info: SceneInfo<'a>,
}

#[derive(Serialize)]
struct Total<'a> {
    total: i64,
    currency: &'a str,
}

#[derive(Serialize)]
struct Payer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    openid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sp_openid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_openid: Option<&'a str>,
}

#[derive(Serialize)]
struct SceneInfo<'a> {
    payer_client_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    h5_info: Option<H5Info<'a>>,
}

#[derive(Serialize)]
struct H5Info<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    app_name: &'a str,
    app_url: &'a str,
}

#[derive(Serialize)]
struct Close<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mchid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sp_mchid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_mchid: Option<&'a str>,
}

#[derive(Serialize)]
struct Refund<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_mchid: Option<&'a str>,
    out_trade_no: &'a str,
    out_refund_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    notify_url: &'a str,
    amount: RefundAmount<'a>,
}

#[derive(Serialize)]
struct RefundAmount<'a> {
    refund: i64,
    total: i64,
    currency: &'a str,
}

#[cfg(test)]
mod tests;
