//! Refund (退款申请). 200 means accepted; the money is back when the refund's state says so.

use super::answer::Outcome;
use super::error::{Answered, ApiError};
use super::judge::Request;
use super::query::named;
use super::reader::{self, Object};
use super::transaction;
use crate::clock::Millis;
use crate::ledger::{Order, Refund, RefundStatus, TradeState};
use crate::platform::order::check_notify_url;
use crate::platform::refund::{MAX_REFUNDS, REFUND_WINDOW, coupon_part};
use crate::world::World;
use crate::{lock, notify};

/// What a refund call asks for.
struct Wanted {
    sub_mch_id: Option<String>,
    transaction_id: Option<String>,
    out_trade_no: Option<String>,
    out_refund_no: String,
    notify_url: Option<String>,
    account: String,
    /// Fen.
    refund: i64,
    total: i64,
}

pub fn run(world: &World, request: &Request) -> Answered<Outcome> {
    let body = reader::parse(&request.incoming.body)?;
    let root = Object::root(&body)?;
    let wanted = read(request, &root)?;
    root.end()?;
    let settled = world.policy().auto_settle;
    let now = world.clock.now();
    let mut ledger = lock(&world.ledger);
    let refund_id = ledger.refund_id(now);
    let book = ledger.book(request.mch_id());
    let found =
        named(book, wanted.transaction_id.as_deref(), wanted.out_trade_no.as_deref(), wanted.sub_mch_id.as_deref());
    let Some(order) = found else {
        return Err(match wanted.transaction_id {
            Some(_) => ApiError::new("INVALID_TRANSACTIONID", "无效的transaction_id"),
            None => ApiError::new("RESOURCE_NOT_EXISTS", "订单不存在"),
        });
    };
    if let Some(earlier) = book.refunds.get(&wanted.out_refund_no) {
        let same = earlier.out_trade_no == order.out_trade_no
            && earlier.refund_fee == wanted.refund
            && earlier.total_fee == wanted.total;
        // The same number is the same refund.
        return match same {
            true => Ok(Outcome::Body(transaction::refund_as(order, earlier, earlier.status))),
            false => Err(invalid("订单金额或退款金额与之前请求不一致，请核实后再试")),
        };
    }
    refundable(order, &wanted, book.refunded(order), now)?;
    let refund = Refund {
        out_refund_no: wanted.out_refund_no,
        refund_id,
        out_trade_no: order.out_trade_no.clone(),
        transaction_id: order.transaction_id.clone().unwrap_or_default(),
        status: if settled { RefundStatus::Success } else { RefundStatus::Processing },
        refund_fee: wanted.refund,
        coupon_refund_fee: coupon_part(order, wanted.refund),
        total_fee: wanted.total,
        created_at: now,
        succeeded_at: settled.then_some(now),
        notify_url: wanted.notify_url,
        account: wanted.account,
        v3: true,
    };
    let out_trade_no = order.out_trade_no.clone();
    book.by_refund_id.insert(refund.refund_id.clone(), refund.out_refund_no.clone());
    book.refunds.insert(refund.out_refund_no.clone(), refund.clone());
    let order = book.orders.get_mut(&out_trade_no).ok_or_else(|| ApiError::new("SYSTEM_ERROR", "系统错误"))?;
    order.refunds.push(refund.out_refund_no.clone());
    order.trade_state = TradeState::Refund;
    // Even one that is done at once was only accepted when the answer was written.
    let answer = transaction::refund_as(order, &refund, RefundStatus::Processing);
    let message = settled.then(|| notify::refund(order, &refund)).flatten();
    drop(ledger);
    if let Some(message) = message {
        world.notifier.enqueue(world, message);
    }
    Ok(Outcome::Body(answer))
}

fn invalid(message: &str) -> ApiError {
    ApiError::new("INVALID_REQUEST", message)
}

fn refundable(order: &Order, wanted: &Wanted, refunded: i64, now: Millis) -> Answered<()> {
    if !order.trade_state.is_paid() {
        return Err(ApiError::new("RESOURCE_NOT_EXISTS", "订单未支付"));
    }
    if wanted.total != order.total_fee {
        return Err(invalid("订单金额与原订单不一致"));
    }
    if now - order.paid_at.unwrap_or(now) > REFUND_WINDOW {
        return Err(invalid("订单已经超过可退款的最大期限"));
    }
    if order.refunds.len() >= MAX_REFUNDS {
        return Err(invalid("退款次数超过限制"));
    }
    if wanted.refund > order.total_fee - refunded {
        return Err(invalid("申请退款金额大于可退金额"));
    }
    Ok(())
}

/// 1 to 64 bytes of letters, digits and five signs.
pub fn is_out_refund_no(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-|*@".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(legal)
}

fn read(request: &Request, root: &Object<'_>) -> Answered<Wanted> {
    let sub_mch_id = root.text("sub_mchid", 32)?;
    if sub_mch_id.is_some_and(|sub| request.merchant.sub_merchant(sub).is_none()) {
        return Err(ApiError::new("MCH_NOT_EXISTS", "sub_mchid不存在或不是此服务商的特约商户"));
    }
    let (transaction_id, out_trade_no) = (root.text("transaction_id", 32)?, root.text("out_trade_no", 32)?);
    if transaction_id.is_none() && out_trade_no.is_none() {
        return Err(root.wrong("out_trade_no", "与transaction_id二选一"));
    }
    let out_refund_no = root.required_text("out_refund_no", 64)?;
    if !is_out_refund_no(out_refund_no) {
        return Err(root.wrong("out_refund_no", "应为1至64个字母、数字或_-|*@"));
    }
    root.text("reason", 80)?;
    let notify_url = root.text("notify_url", 256)?;
    if let Some(url) = notify_url {
        check_notify_url(url).map_err(|issue| root.wrong("notify_url", &issue))?;
    }
    let account = root.word("funds_account", &["AVAILABLE", "UNSETTLED"])?.unwrap_or("UNSETTLED");
    let amount = root.required_object("amount")?;
    let (refund, total) = (amount.fen("refund")?, amount.fen("total")?);
    amount.word("currency", &["CNY"])?.ok_or_else(|| amount.wrong("currency", "必填"))?;
    let sources = amount.list("from")?;
    let mut from = 0;
    for source in &sources {
        source.word("account", &["AVAILABLE", "UNAVAILABLE"])?.ok_or_else(|| source.wrong("account", "必填"))?;
        from += source.fen("amount")?;
    }
    if !sources.is_empty() && from != refund {
        return Err(amount.wrong("from", "出资金额之和应等于退款金额"));
    }
    for source in sources {
        source.end()?;
    }
    amount.end()?;
    for goods in root.list("goods_detail")? {
        goods.required_text("merchant_goods_id", 32)?;
        goods.text("wechatpay_goods_id", 32)?;
        goods.text("goods_name", 256)?;
        for name in ["unit_price", "refund_amount"] {
            goods.whole(name, 0)?.ok_or_else(|| goods.wrong(name, "必填"))?;
        }
        goods.fen("refund_quantity")?;
        goods.end()?;
    }
    Ok(Wanted {
        sub_mch_id: sub_mch_id.map(str::to_owned),
        transaction_id: transaction_id.map(str::to_owned),
        out_trade_no: out_trade_no.map(str::to_owned),
        out_refund_no: out_refund_no.to_owned(),
        notify_url: notify_url.map(str::to_owned),
        account: account.to_owned(),
        refund,
        total,
    })
}
