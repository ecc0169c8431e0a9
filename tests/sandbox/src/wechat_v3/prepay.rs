//! Prepay (下单): JSAPI and mini-program, APP, Native, H5; direct or for a sub-merchant.

use serde_json::{Value, json};

use super::answer::Outcome;
use super::error::{Answered, ApiError};
use super::judge::Request;
use super::order_fields::{self, Wanted};
use super::reader;
use super::route::TradeType;
use crate::clock::Millis;
use crate::ledger::{Api, Order, TradeState};
use crate::lock;
use crate::sign::Fields;
use crate::world::World;

/// A `time_expire` closer than this is moved away to it.
const MIN_LIFETIME: Millis = 60 * 1000;

pub fn run(world: &World, request: &Request, trade_type: TradeType) -> Answered<Outcome> {
    let now = world.clock.now();
    let body = reader::parse(&request.incoming.body)?;
    let wanted = order_fields::read(world, request, &body, trade_type)?;
    bound(world, request, &wanted.parameters)?;

    let Wanted { out_trade_no, total, expires_at, request: said, parameters } = wanted;
    let mut ledger = lock(&world.ledger);
    if let Some(order) = ledger.order(request.mch_id(), &out_trade_no) {
        enter_again(order, &said, &parameters, now)?;
    } else {
        ledger.insert(Order {
            mch_id: request.mch_id().to_owned(),
            out_trade_no: out_trade_no.clone(),
            trade_state: TradeState::NotPay,
            api: Api::V3 { request: said },
            total_fee: total,
            parameters,
            created_at: now,
            expires_at: expires_at.map(|at| at.max(now + MIN_LIFETIME)),
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
    ledger.prepay(request.mch_id(), &out_trade_no, now);
    let order =
        ledger.order(request.mch_id(), &out_trade_no).ok_or_else(|| ApiError::new("SYSTEM_ERROR", "系统错误"))?;
    Ok(Outcome::Body(match trade_type {
        TradeType::Jsapi | TradeType::App => json!({ "prepay_id": order.prepay_id }),
        TradeType::Native => json!({ "code_url": order.code_url }),
        TradeType::H5 => json!({ "h5_url": order.mweb_url }),
    }))
}

/// Whether apps belong to merchants and the payer to the app.
fn bound(world: &World, request: &Request, parameters: &Fields) -> Answered<()> {
    let text = |name: &str| parameters.get(name).map(String::as_str);
    let not_bound = |text: &str| ApiError::new("APPID_MCHID_NOT_MATCH", text);
    let app_id = text("appid").unwrap_or_default();
    if !request.merchant.has_app(app_id) {
        return Err(not_bound("appid与mchid不匹配"));
    }
    if let Some(sub_mch_id) = text("sub_mch_id") {
        let sub = request.merchant.sub_merchant(sub_mch_id);
        let sub = sub.ok_or_else(|| ApiError::new("MCH_NOT_EXISTS", "sub_mchid不存在或不是此服务商的特约商户"))?;
        if text("sub_appid").is_some_and(|app| !sub.apps.iter().any(|own| own.app_id == app)) {
            return Err(not_bound("sub_appid与sub_mchid不匹配"));
        }
    }
    for (openid, app) in [("openid", "appid"), ("sub_openid", "sub_appid")] {
        if let (Some(person), Some(app)) = (text(openid), text(app))
            && !world.people.bind(person, app)
        {
            return Err(ApiError::new("OPENID_MISMATCH", "openid与appid不匹配"));
        }
    }
    Ok(())
}

/// The re-entry rule (订单重入): an unpaid order may be entered again with exactly the same parameters.
fn enter_again(order: &Order, said: &Value, parameters: &Fields, now: Millis) -> Answered<()> {
    match order.trade_state {
        TradeState::Success | TradeState::Refund => return Err(ApiError::new("ORDER_PAID", "该订单已支付")),
        TradeState::Closed => return Err(ApiError::new("ORDER_CLOSED", "该订单已关闭")),
        TradeState::NotPay | TradeState::PayError => {}
    }
    let Api::V3 { request } = &order.api else {
        return Err(ApiError::new("OUT_TRADE_NO_USED", "商户订单号已被使用"));
    };
    for name in ["trade_type", "appid", "sub_mch_id"] {
        if order.parameters.get(name) != parameters.get(name) {
            return Err(ApiError::new("OUT_TRADE_NO_USED", "商户订单号已被使用"));
        }
    }
    if request != said {
        return Err(ApiError::new("INVALID_REQUEST", "201 商户订单号重复"));
    }
    match order.is_expired(now) {
        true => Err(ApiError::new("INVALID_REQUEST", "订单已过期，请更换商户订单号")),
        false => Ok(()),
    }
}
