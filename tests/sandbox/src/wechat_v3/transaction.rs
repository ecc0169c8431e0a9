//! Orders and refunds as the v3 API shows them, in answers and in notifications.

use serde_json::{Value, json};
use sha1_smol::Sha1;

use crate::clock;
use crate::ledger::{Order, Refund, RefundStatus};

const RECEIVED_ACCOUNT: &str = "支付用户零钱";

/// The merchants and apps of an order: direct, or service provider and sub-merchant.
fn identity(order: &Order, with_apps: bool) -> Value {
    let mut value = json!({});
    let names: &[(&str, Option<&str>)] = match order.sub_mch_id() {
        None => &[("mchid", Some(order.mch_id.as_str())), ("appid", Some(order.app_id()))],
        Some(sub) => &[
            ("sp_mchid", Some(order.mch_id.as_str())),
            ("sub_mchid", Some(sub)),
            ("sp_appid", Some(order.app_id())),
            ("sub_appid", order.parameter("sub_appid")),
        ],
    };
    for (name, text) in names {
        if let Some(text) = text.filter(|_| with_apps || !name.ends_with("appid")) {
            value[*name] = json!(text);
        }
    }
    value
}

fn payer(order: &Order) -> Value {
    let openid = order.payer.clone().unwrap_or_default();
    match (order.sub_mch_id(), order.parameter("sub_openid")) {
        (None, _) => json!({ "openid": openid }),
        (Some(_), None) => json!({ "sp_openid": openid }),
        (Some(_), Some(sub_openid)) => {
            json!({ "sp_openid": openid_at(order.app_id(), sub_openid), "sub_openid": sub_openid })
        }
    }
}

/// The same person's openid at another app: always the same one.
fn openid_at(app_id: &str, person: &str) -> String {
    let digest = Sha1::from(format!("{app_id}{person}")).digest().to_string();
    format!("oSP{}", &digest[..25])
}

fn amount(order: &Order) -> Value {
    json!({
        "total": order.total_fee,
        "payer_total": order.total_fee - order.coupon_fee,
        "currency": "CNY",
        "payer_currency": "CNY",
    })
}

fn promotion(order: &Order) -> Value {
    if order.coupon_fee == 0 {
        return json!([]);
    }
    json!([{
        "coupon_id": format!("2000000{:013}", order.paid_at.unwrap_or_default()),
        "name": "沙箱代金券",
        "scope": "GLOBAL",
        "type": "CASH",
        "amount": order.coupon_fee,
        "stock_id": "931386",
        "wechatpay_contribute": order.coupon_fee,
        "merchant_contribute": 0,
        "other_contribute": 0,
        "currency": "CNY",
    }])
}

/// What a query says about an order; little of one that nobody paid.
pub fn queried(order: &Order) -> Value {
    let mut value = identity(order, true);
    value["out_trade_no"] = json!(order.out_trade_no);
    value["trade_state"] = json!(order.trade_state.name());
    value["trade_state_desc"] = json!(order.trade_state.description());
    value["promotion_detail"] = promotion(order);
    if !order.trade_state.is_paid() {
        value["amount"] = json!({ "payer_currency": "CNY", "total": order.total_fee });
        value["scene_info"] = json!({ "device_id": order.parameter("device_info").unwrap_or_default() });
        return value;
    }
    value["transaction_id"] = json!(order.transaction_id);
    value["trade_type"] = json!(order.trade_type());
    value["bank_type"] = json!(order.bank_type);
    value["attach"] = json!(order.parameter("attach").unwrap_or_default());
    value["success_time"] = json!(clock::rfc3339(order.paid_at.unwrap_or_default()));
    value["payer"] = payer(order);
    value["amount"] = amount(order);
    if let Some(device) = order.parameter("device_info") {
        value["scene_info"] = json!({ "device_id": device });
    }
    value
}

/// What the notification says: the query's object, without the empty lists it has there.
pub fn notified(order: &Order) -> Value {
    let mut value = queried(order);
    if order.coupon_fee == 0
        && let Some(fields) = value.as_object_mut()
    {
        fields.remove("promotion_detail");
    }
    value
}

/// `status` of the refund API, and `refund_status` of its notification.
pub fn refund_status(status: RefundStatus) -> &'static str {
    match status {
        RefundStatus::Processing => "PROCESSING",
        RefundStatus::Success => "SUCCESS",
        RefundStatus::Change => "ABNORMAL",
        RefundStatus::RefundClose => "CLOSED",
    }
}

/// `funds_account` by the account's name in either API.
fn funds_account(account: &str) -> &str {
    match account {
        "REFUND_SOURCE_RECHARGE_FUNDS" | "AVAILABLE" => "AVAILABLE",
        _ => "UNSETTLED",
    }
}

/// A refund as the refund call and its query show it, in this state.
pub fn refund_as(order: &Order, refund: &Refund, status: RefundStatus) -> Value {
    let payer_refund = refund.refund_fee - refund.coupon_refund_fee;
    let mut value = json!({
        "refund_id": refund.refund_id,
        "out_refund_no": refund.out_refund_no,
        "transaction_id": refund.transaction_id,
        "out_trade_no": refund.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": RECEIVED_ACCOUNT,
        "create_time": clock::rfc3339(refund.created_at),
        "status": refund_status(status),
        "funds_account": funds_account(&refund.account),
        "amount": {
            "total": refund.total_fee,
            "refund": refund.refund_fee,
            "from": [],
            "payer_total": order.total_fee - order.coupon_fee,
            "payer_refund": payer_refund,
            "settlement_refund": refund.refund_fee,
            "settlement_total": refund.total_fee,
            "discount_refund": refund.coupon_refund_fee,
            "currency": "CNY",
            "refund_fee": 0,
        },
        "promotion_detail": [],
    });
    if refund.coupon_refund_fee > 0 {
        value["promotion_detail"] = json!([{
            "promotion_id": format!("2000000{:013}", order.paid_at.unwrap_or_default()),
            "scope": "GLOBAL",
            "type": "COUPON",
            "amount": order.coupon_fee,
            "refund_amount": refund.coupon_refund_fee,
        }]);
    }
    if status == RefundStatus::Success {
        value["success_time"] = json!(clock::rfc3339(refund.succeeded_at.unwrap_or_default()));
    }
    value
}

/// What the notification of a refund says.
pub fn notified_refund(order: &Order, refund: &Refund) -> Value {
    let mut value = identity(order, false);
    value["transaction_id"] = json!(refund.transaction_id);
    value["out_trade_no"] = json!(refund.out_trade_no);
    value["refund_id"] = json!(refund.refund_id);
    value["out_refund_no"] = json!(refund.out_refund_no);
    value["refund_status"] = json!(refund_status(refund.status));
    value["user_received_account"] = json!(RECEIVED_ACCOUNT);
    value["amount"] = json!({
        "total": refund.total_fee,
        "refund": refund.refund_fee,
        "payer_total": order.total_fee - order.coupon_fee,
        "payer_refund": refund.refund_fee - refund.coupon_refund_fee,
    });
    if refund.status == RefundStatus::Success {
        value["success_time"] = json!(clock::rfc3339(refund.succeeded_at.unwrap_or_default()));
    }
    value
}
