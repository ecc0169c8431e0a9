//! unifiedorder (统一下单).

use super::{Outcome, Request};
use crate::clock::{self, Millis};
use crate::ledger::{Api, Order, TradeState};
use crate::lock;
use crate::sign::Fields;
use crate::world::World;

const TRADE_TYPES: [&str; 4] = ["JSAPI", "NATIVE", "APP", "MWEB"];
const MAX_TOTAL_FEE: i64 = 10_000_000_000;
/// A `time_expire` closer than this is moved away to it.
const MIN_LIFETIME: Millis = 60 * 1000;

/// Fields that may differ when an order is entered again.
const UNCOMPARED: [&str; 2] = ["nonce_str", "sign"];

/// The longest value of each field, in characters.
const LIMITS: [(&str, usize); 15] = [
    ("appid", 32),
    ("device_info", 32),
    ("nonce_str", 32),
    ("body", 128),
    ("detail", 6144),
    ("attach", 127),
    ("fee_type", 16),
    ("spbill_create_ip", 64),
    ("goods_tag", 32),
    ("notify_url", 256),
    ("product_id", 32),
    ("limit_pay", 32),
    ("openid", 128),
    ("receipt", 8),
    ("scene_info", 256),
];

pub fn run(world: &World, request: &Request) -> Outcome {
    let now = world.clock.now();
    let (total_fee, asked_expiry) = match check(request) {
        Ok(checked) => checked,
        Err(outcome) => return outcome,
    };
    if let Some(openid) = request.given("openid")
        && !world.people.bind(openid, request.given("appid").unwrap_or_default())
    {
        return if world.policy().v2_unsigned_payer_mismatch {
            Outcome::return_fail("appid and openid not match")
        } else {
            Outcome::fail("PARAM_ERROR", "appid和openid不匹配")
        };
    }
    let out_trade_no = request.given("out_trade_no").unwrap_or_default();
    let compared = |(name, value): &(&String, &String)| !UNCOMPARED.contains(&name.as_str()) && !value.is_empty();
    let parameters: Fields =
        request.fields.iter().filter(compared).map(|(name, value)| (name.clone(), value.clone())).collect();

    let mut ledger = lock(&world.ledger);
    if let Some(order) = ledger.order(request.mch_id(), out_trade_no) {
        if let Some(refusal) = refuse_again(order, &parameters, now) {
            return refusal;
        }
    } else {
        let expires_at = asked_expiry.map(|at| at.max(now + MIN_LIFETIME));
        ledger.insert(Order {
            mch_id: request.mch_id().to_owned(),
            out_trade_no: out_trade_no.to_owned(),
            trade_state: TradeState::NotPay,
            api: Api::V2 { sign_type: request.sign_type },
            total_fee,
            parameters,
            created_at: now,
            expires_at,
            prepay_id: String::new(),
            prepaid_at: now,
            code_url: None,
            mweb_url: None,
            transaction_id: None,
            paid_at: None,
            payer: None,
            bank_type: None,
            coupon_fee: 0,
            err_code: None,
            refunds: Vec::new(),
        });
    }
    ledger.prepay(request.mch_id(), out_trade_no, now);
    match ledger.order(request.mch_id(), out_trade_no) {
        Some(order) => answer(order),
        None => Outcome::fail("SYSTEMERROR", "系统错误"),
    }
}

/// The re-entry rule (订单重入): an unpaid order may be entered again with exactly the same parameters.
fn refuse_again(order: &Order, parameters: &Fields, now: Millis) -> Option<Outcome> {
    if order.trade_state.is_paid() {
        return Some(Outcome::fail("ORDERPAID", "该订单已支付"));
    }
    if order.trade_state == TradeState::Closed {
        return Some(Outcome::fail("ORDERCLOSED", "该订单已关闭"));
    }
    for name in ["trade_type", "appid"] {
        if order.parameter(name) != parameters.get(name).map(String::as_str) {
            return Some(Outcome::fail("OUT_TRADE_NO_USED", "商户订单号已被使用"));
        }
    }
    if order.is_v3() {
        return Some(Outcome::fail("OUT_TRADE_NO_USED", "商户订单号已被使用"));
    }
    if &order.parameters != parameters {
        return Some(Outcome::fail("INVALID_REQUEST", "201 商户订单号重复"));
    }
    order.is_expired(now).then(|| Outcome::fail("INVALID_REQUEST", "订单已过期，请更换商户订单号"))
}

fn answer(order: &Order) -> Outcome {
    let mut fields = Fields::new();
    fields.insert("trade_type".to_owned(), order.trade_type().to_owned());
    fields.insert("prepay_id".to_owned(), order.prepay_id.clone());
    for (name, value) in [("code_url", &order.code_url), ("mweb_url", &order.mweb_url)] {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(device) = order.parameter("device_info") {
        fields.insert("device_info".to_owned(), device.to_owned());
    }
    Outcome::Success(fields)
}

/// Checks every field; gives the amount and the expiry.
fn check(request: &Request) -> Result<(i64, Option<Millis>), Outcome> {
    let wrong = |text: &str| Outcome::fail("PARAM_ERROR", text);
    let missing = |name: &str| Outcome::fail("LACK_PARAMS", &format!("缺少参数{name}"));
    for name in ["body", "out_trade_no", "total_fee", "spbill_create_ip", "notify_url", "trade_type"] {
        if request.given(name).is_none() {
            return Err(missing(name));
        }
    }
    for (name, limit) in LIMITS {
        if request.given(name).is_some_and(|value| value.chars().count() > limit) {
            return Err(wrong(&format!("{name}参数长度有误")));
        }
    }
    let out_trade_no = request.given("out_trade_no").unwrap_or_default();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-|*".contains(&byte);
    if !(6..=32).contains(&out_trade_no.len()) || !out_trade_no.bytes().all(legal) {
        return Err(wrong("out_trade_no参数格式有误"));
    }
    let total_fee = amount(request.given("total_fee")).ok_or_else(|| wrong("total_fee参数格式有误"))?;
    if request.given("fee_type").is_some_and(|currency| currency != "CNY") {
        return Err(wrong("fee_type参数值无效"));
    }
    check_notify_url(request.given("notify_url").unwrap_or_default()).map_err(|text| wrong(&text))?;
    let trade_type = request.given("trade_type").unwrap_or_default();
    if !TRADE_TYPES.contains(&trade_type) {
        return Err(wrong("trade_type参数值无效"));
    }
    match trade_type {
        "JSAPI" if request.given("openid").is_none() => return Err(missing("openid")),
        "NATIVE" if request.given("product_id").is_none() => return Err(missing("product_id")),
        "MWEB" => {
            let scene = request.given("scene_info").ok_or_else(|| missing("scene_info"))?;
            let scene: serde_json::Value = serde_json::from_str(scene).map_err(|_| wrong("scene_info参数格式有误"))?;
            let text = |name: &str| scene["h5_info"][name].as_str().is_some_and(|text| !text.is_empty());
            // The variants for applications have other fields.
            let is_web = scene["h5_info"]["type"] == "Wap";
            if !text("type") || (is_web && !(text("wap_url") && text("wap_name"))) {
                return Err(wrong("scene_info参数格式有误"));
            }
        }
        _ => {}
    }
    if request.given("profit_sharing").is_some_and(|value| !["Y", "N"].contains(&value)) {
        return Err(wrong("profit_sharing参数值无效"));
    }
    let mut times = [None, None];
    for (slot, name) in times.iter_mut().zip(["time_start", "time_expire"]) {
        if let Some(text) = request.given(name) {
            *slot = Some(clock::parse_compact(text).ok_or_else(|| wrong(&format!("{name}参数格式有误")))?);
        }
    }
    Ok((total_fee, times[1]))
}

/// A whole number of fen from 1 up, without sign, point or leading zero.
pub fn amount(text: Option<&str>) -> Option<i64> {
    let text = text?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let amount: i64 = text.parse().ok()?;
    (plain && (1..=MAX_TOTAL_FEE).contains(&amount)).then_some(amount)
}

/// The rules for callback addresses, except that http and loopback are allowed: this is a sandbox.
pub fn check_notify_url(text: &str) -> Result<(), String> {
    let bad = |reason: &str| Err(format!("notify_url参数格式有误：{reason}"));
    let Ok(url) = url::Url::parse(text) else { return bad("不是绝对地址") };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return bad("不是绝对地址");
    }
    if text.contains(['?', '#']) {
        return bad("不能携带参数");
    }
    if url.path() == "/" && !text.ends_with('/') {
        return bad("缺少路径");
    }
    if text.chars().count() > 256 || text.trim() != text {
        return bad("长度或空格");
    }
    Ok(())
}
