//! refund (申请退款). SUCCESS means accepted; the money is back when the refund's state says so.

use super::order::{amount, check_notify_url};
use super::{Outcome, Request};
use crate::clock::Millis;
use crate::ledger::{Order, Refund, RefundStatus, TradeState};
use crate::sign::Fields;
use crate::world::World;
use crate::{lock, notify};

pub const REFUND_WINDOW: Millis = 365 * 24 * 3600 * 1000;
pub const MAX_REFUNDS: usize = 50;
const DEFAULT_ACCOUNT: &str = "REFUND_SOURCE_UNSETTLED_FUNDS";

pub fn run(world: &World, request: &Request) -> Outcome {
    let policy = world.policy();
    let now = world.clock.now();
    let (total_fee, refund_fee) = match check(request) {
        Ok(amounts) => amounts,
        Err(outcome) => return outcome,
    };
    let out_refund_no = request.given("out_refund_no").unwrap_or_default();
    let mut ledger = lock(&world.ledger);
    let refund_id = ledger.refund_id(now);
    let book = ledger.book(request.mch_id());
    let Some(order) = book.find(&request.fields) else {
        return match request.given("transaction_id") {
            Some(_) => Outcome::fail("INVALID_TRANSACTIONID", "无效的transaction_id"),
            None => Outcome::fail("ORDERNOTEXIST", "订单不存在"),
        };
    };
    if let Some(earlier) = book.refunds.get(out_refund_no) {
        // The same number is the same refund.
        if earlier.out_trade_no != order.out_trade_no {
            return Outcome::fail("PARAM_ERROR", "商户退款单号已用于其他订单");
        }
        if earlier.refund_fee != refund_fee || earlier.total_fee != total_fee {
            return Outcome::fail("REFUND_FEE_MISMATCH", "订单金额或退款金额与之前请求不一致，请核实后再试");
        }
        return answer(order, earlier);
    }
    if !order.trade_state.is_paid() {
        return Outcome::fail("ERROR", "订单未支付");
    }
    if total_fee != order.total_fee {
        return Outcome::fail("PARAM_ERROR", "total_fee与订单金额不一致");
    }
    if now - order.paid_at.unwrap_or(now) > REFUND_WINDOW {
        return Outcome::fail("TRADE_OVERDUE", "订单已经超过退款期限");
    }
    if order.refunds.len() >= MAX_REFUNDS {
        return Outcome::fail("ERROR", "退款次数超过限制");
    }
    if refund_fee > order.total_fee - book.refunded(order) {
        return Outcome::fail("ERROR", "累计退款金额大于支付金额");
    }
    let settled = policy.auto_settle;
    let refund = Refund {
        out_refund_no: out_refund_no.to_owned(),
        refund_id,
        out_trade_no: order.out_trade_no.clone(),
        transaction_id: order.transaction_id.clone().unwrap_or_default(),
        status: if settled { RefundStatus::Success } else { RefundStatus::Processing },
        refund_fee,
        coupon_refund_fee: coupon_part(order, refund_fee),
        total_fee,
        created_at: now,
        succeeded_at: settled.then_some(now),
        notify_url: request.given("notify_url").map(str::to_owned),
        account: request.given("refund_account").unwrap_or(DEFAULT_ACCOUNT).to_owned(),
        v3: false,
    };
    let out_trade_no = order.out_trade_no.clone();
    book.by_refund_id.insert(refund.refund_id.clone(), refund.out_refund_no.clone());
    book.refunds.insert(refund.out_refund_no.clone(), refund.clone());
    let Some(order) = book.orders.get_mut(&out_trade_no) else {
        return Outcome::fail("SYSTEMERROR", "系统错误");
    };
    order.refunds.push(refund.out_refund_no.clone());
    order.trade_state = TradeState::Refund;
    let outcome = answer(order, &refund);
    let message = settled.then(|| notify::refund(order, &refund)).flatten();
    drop(ledger);
    if let Some(message) = message {
        world.notifier.enqueue(world, message);
    }
    outcome
}

/// The coupon's share of a refund, in proportion and rounded down.
pub fn coupon_part(order: &Order, refund_fee: i64) -> i64 {
    let part = i128::from(order.coupon_fee) * i128::from(refund_fee) / i128::from(order.total_fee.max(1));
    i64::try_from(part).unwrap_or(0)
}

fn check(request: &Request) -> Result<(i64, i64), Outcome> {
    let wrong = |text: &str| Outcome::fail("PARAM_ERROR", text);
    if request.given("transaction_id").is_none() && request.given("out_trade_no").is_none() {
        return Err(wrong("缺少参数transaction_id或out_trade_no"));
    }
    for name in ["out_refund_no", "total_fee", "refund_fee"] {
        if request.given(name).is_none() {
            return Err(wrong(&format!("缺少参数{name}")));
        }
    }
    let number = request.given("out_refund_no").unwrap_or_default();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-|*@".contains(&byte);
    if number.len() > 64 || !number.bytes().all(legal) {
        return Err(wrong("out_refund_no参数格式有误"));
    }
    if request.given("refund_fee_type").is_some_and(|currency| currency != "CNY") {
        return Err(wrong("refund_fee_type参数值无效"));
    }
    if request.given("refund_desc").is_some_and(|text| text.chars().count() > 80) {
        return Err(wrong("refund_desc参数长度有误"));
    }
    if let Some(url) = request.given("notify_url") {
        check_notify_url(url).map_err(|text| wrong(&text))?;
    }
    let total_fee = amount(request.given("total_fee")).ok_or_else(|| Outcome::return_fail("invalid total_fee"))?;
    let refund_fee = amount(request.given("refund_fee")).ok_or_else(|| Outcome::return_fail("invalid refund_fee"))?;
    Ok((total_fee, refund_fee))
}

fn answer(order: &Order, refund: &Refund) -> Outcome {
    let mut fields = Fields::new();
    let mut put = |name: &str, value: String| fields.insert(name.to_owned(), value);
    put("transaction_id", refund.transaction_id.clone());
    put("out_trade_no", refund.out_trade_no.clone());
    put("out_refund_no", refund.out_refund_no.clone());
    put("refund_id", refund.refund_id.clone());
    put("refund_fee", refund.refund_fee.to_string());
    put("total_fee", refund.total_fee.to_string());
    put("fee_type", "CNY".to_owned());
    put("cash_fee", (order.total_fee - order.coupon_fee).to_string());
    put("cash_refund_fee", (refund.refund_fee - refund.coupon_refund_fee).to_string());
    put("coupon_refund_fee", refund.coupon_refund_fee.to_string());
    put("coupon_refund_count", if refund.coupon_refund_fee > 0 { "1" } else { "0" }.to_owned());
    Outcome::Success(fields)
}
