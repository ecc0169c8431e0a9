//! Paying as the person at the phone does: with what the app handed to WeChat, checked as WeChat checks it.

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::Deserialize;
use serde_json::Value;

use super::Refusal;
use crate::ledger::{Api, Ledger, Order, TradeState, token};
use crate::sign::{Fields, SignType, verify};
use crate::world::World;
use crate::{lock, notify, wechat_v3};

/// What the phone shows when the second signature (二次签名) is wrong.
pub const BAD_SIGNATURE: &str = "支付验证签名失败";

/// How an order is paid.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pay {
    /// Fen of the total that a coupon pays.
    pub coupon_fee: i64,
    /// False keeps the platform from notifying; true is the default unless the policy says otherwise.
    pub notify: Option<bool>,
    /// What the app passed to the client library; it is checked when given.
    pub client: Option<Value>,
    /// Who pays; it must be the order's openid if that has one.
    pub openid: Option<String>,
}

/// Pays an order and notifies.
pub fn pay(world: &World, mch_id: &str, out_trade_no: &str, pay: &Pay) -> Result<Order, Refusal> {
    let now = world.clock.now();
    let mut ledger = lock(&world.ledger);
    if let Some(client) = &pay.client {
        let named = check_client(world, &ledger, client)?;
        if named != (mch_id.to_owned(), out_trade_no.to_owned()) {
            return Err(Refusal::bad("the client pays another order"));
        }
    }
    let transaction_id = ledger.transaction_id(now);
    let order = ledger.order_mut(mch_id, out_trade_no).ok_or_else(|| unknown(mch_id, out_trade_no))?;
    match order.trade_state {
        TradeState::NotPay | TradeState::PayError => {}
        TradeState::Success | TradeState::Refund => return Err(Refusal::conflict("该订单已支付")),
        TradeState::Closed => return Err(Refusal::conflict("该订单已关闭")),
    }
    if order.is_expired(now) {
        return Err(Refusal::conflict("该订单已过期"));
    }
    if !(0..order.total_fee).contains(&pay.coupon_fee) {
        return Err(Refusal::bad("coupon_fee must be from 0 to below total_fee"));
    }
    let payer = match (order.parameter("openid").or(order.parameter("sub_openid")), &pay.openid) {
        (Some(wanted), Some(payer)) if wanted != payer => return Err(Refusal::bad("下单账号与支付账号不一致")),
        (Some(wanted), _) => wanted.to_owned(),
        (None, Some(payer)) => payer.clone(),
        (None, None) => new_openid(),
    };
    order.trade_state = TradeState::Success;
    order.transaction_id = Some(transaction_id.clone());
    order.paid_at = Some(now);
    order.payer = Some(payer);
    order.bank_type =
        ["OTHERS", "CMB_CREDIT", "ICBC_DEBIT", "CFT"].choose(&mut rand::rng()).map(|&name| name.to_owned());
    order.coupon_fee = pay.coupon_fee;
    let order = order.clone();
    ledger.book(mch_id).by_transaction.insert(transaction_id, out_trade_no.to_owned());
    drop(ledger);
    if pay.notify.unwrap_or(true) && world.policy().auto_notify {
        world.notifier.enqueue(world, notify::payment(&order));
    }
    Ok(order)
}

/// A fresh openid, as a code of any app gives.
pub fn new_openid() -> String {
    let middle = rand::rng().random_range(b'A'..=b'Z');
    format!("o{}{}", char::from(middle), token(26))
}

pub fn unknown(mch_id: &str, out_trade_no: &str) -> Refusal {
    Refusal::unknown(format!("no order {out_trade_no} of merchant {mch_id}"))
}

/// Finds the order a client pays (merchant number and order number) and checks the second signature.
pub fn check_client(world: &World, ledger: &Ledger, client: &Value) -> Result<(String, String), Refusal> {
    let text = |name: &str| client.get(name).and_then(Value::as_str);
    let handle = match (text("code_url"), text("mweb_url").or(text("h5_url")), text("prepayid"), text("package")) {
        (Some(url), ..) => url.to_owned(),
        (_, Some(url), ..) => {
            let url = url::Url::parse(url).map_err(|_| Refusal::bad("mweb_url or h5_url is not a URL"))?;
            let pair = url.query_pairs().find(|(name, _)| name == "prepay_id");
            pair.map(|(_, value)| value.into_owned())
                .ok_or_else(|| Refusal::bad("mweb_url or h5_url has no prepay_id"))?
        }
        (_, _, Some(prepay_id), _) => prepay_id.to_owned(),
        (.., Some(package)) => {
            let prepay_id = package.strip_prefix("prepay_id=");
            prepay_id.ok_or_else(|| Refusal::bad("package must be prepay_id=…"))?.to_owned()
        }
        _ => return Err(Refusal::bad("client has neither package, prepayid, code_url, mweb_url nor h5_url")),
    };
    let found = ledger.handles.get(&handle).ok_or_else(|| Refusal::unknown("no order has that prepay_id or URL"))?;
    let order =
        ledger.order(&found.mch_id, &found.out_trade_no).ok_or_else(|| unknown(&found.mch_id, &found.out_trade_no))?;
    if world.clock.now() >= found.expires_at {
        return Err(Refusal::conflict("prepay_id or URL has expired"));
    }
    let sign_type = match order.api {
        Api::V2 { sign_type } => sign_type,
        Api::V3 { .. } => {
            wechat_v3::check_client(world, order, client)?;
            return Ok((found.mch_id.clone(), found.out_trade_no.clone()));
        }
    };
    let signed = match order.trade_type() {
        "JSAPI" => Some((jsapi_fields(order, sign_type, client)?, "paySign")),
        "APP" => Some((app_fields(order, client)?, "sign")),
        "NATIVE" if text("code_url").is_some() => None,
        "MWEB" if text("mweb_url").or(text("h5_url")).is_some() => None,
        other => return Err(Refusal::bad(format!("a {other} order is not paid this way"))),
    };
    if let Some((mut fields, name)) = signed {
        fields.insert("sign".to_owned(), text(name).unwrap_or_default().to_owned());
        let merchant = world.merchants.get(&order.mch_id);
        if !merchant.is_some_and(|merchant| verify(&fields, merchant.key(), sign_type)) {
            return Err(Refusal::bad(BAD_SIGNATURE));
        }
    }
    Ok((found.mch_id.clone(), found.out_trade_no.clone()))
}

/// A field that must be there, as a text: numbers are not taken for it, as on a real phone.
pub fn wanted<'a>(client: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    let value = client.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| Refusal::bad(format!("{BAD_SIGNATURE}: {name} must be a text")))
}

pub fn is_timestamp(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn jsapi_fields(order: &Order, order_type: SignType, client: &Value) -> Result<Fields, Refusal> {
    let app_id = client.get("appId").and_then(Value::as_str).unwrap_or(order.app_id());
    if app_id != order.app_id() {
        return Err(Refusal::bad(format!("{BAD_SIGNATURE}: appId is not the order's")));
    }
    // The JSSDK spells the name in lower case when it is called; it is signed as timeStamp all the same.
    let time = wanted(client, "timeStamp").or_else(|_| wanted(client, "timestamp"))?;
    if !is_timestamp(time) {
        return Err(Refusal::bad(format!("{BAD_SIGNATURE}: timeStamp must be ten digits")));
    }
    let sign_type = wanted(client, "signType")?;
    if sign_type != order_type.name() {
        return Err(Refusal::bad(format!("{BAD_SIGNATURE}: signType is not the order's")));
    }
    let fields = [
        ("appId", app_id),
        ("timeStamp", time),
        ("nonceStr", wanted(client, "nonceStr")?),
        ("package", wanted(client, "package")?),
        ("signType", sign_type),
    ];
    Ok(fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn app_fields(order: &Order, client: &Value) -> Result<Fields, Refusal> {
    let mut fields = Fields::new();
    for name in ["appid", "partnerid", "prepayid", "package", "noncestr", "timestamp"] {
        fields.insert(name.to_owned(), wanted(client, name)?.to_owned());
    }
    for (name, right) in [("appid", order.app_id()), ("partnerid", order.mch_id.as_str()), ("package", "Sign=WXPay")] {
        if fields.get(name).map(String::as_str) != Some(right) {
            return Err(Refusal::bad(format!("{BAD_SIGNATURE}: {name} must be {right}")));
        }
    }
    if !fields.get("timestamp").is_some_and(|time| is_timestamp(time)) {
        return Err(Refusal::bad(format!("{BAD_SIGNATURE}: timestamp must be ten digits")));
    }
    Ok(fields)
}
