//! orderquery (查询订单) and refundquery (查询退款).

use super::{Outcome, Request};
use crate::clock;
use crate::ledger::{Order, Refund, RefundStatus, given};
use crate::lock;
use crate::notify::paid_fields;
use crate::sign::Fields;
use crate::world::World;

/// Refunds in one answer when they are asked for by order.
const REFUNDS_PER_ANSWER: usize = 10;

pub fn order(world: &World, request: &Request) -> Outcome {
    if request.given("transaction_id").is_none() && request.given("out_trade_no").is_none() {
        return Outcome::fail("LACK_PARAMS", "缺少参数transaction_id或out_trade_no");
    }
    let mut ledger = lock(&world.ledger);
    let Some(order) = ledger.book(request.mch_id()).find(&request.fields) else {
        return Outcome::fail("ORDERNOTEXIST", "订单不存在");
    };
    let mut fields = if order.trade_state.is_paid() { paid_fields(order) } else { unpaid_fields(order) };
    fields.insert("trade_state".to_owned(), order.trade_state.name().to_owned());
    fields.insert("trade_state_desc".to_owned(), order.trade_state.description().to_owned());
    Outcome::Success(fields)
}

/// Less is said about an order nobody paid.
fn unpaid_fields(order: &Order) -> Fields {
    let mut fields = Fields::new();
    fields.insert("out_trade_no".to_owned(), order.out_trade_no.clone());
    for name in ["attach", "device_info"] {
        if let Some(value) = order.parameter(name) {
            fields.insert(name.to_owned(), value.to_owned());
        }
    }
    fields
}

pub fn refunds(world: &World, request: &Request) -> Outcome {
    let offset = match request.given("offset") {
        None => 0,
        Some(text) => match text.parse::<usize>() {
            Ok(offset) => offset,
            Err(_) => return Outcome::fail("PARAM_ERROR", "offset参数格式有误"),
        },
    };
    let none = || Outcome::fail("REFUNDNOTEXIST", "退款不存在");
    let mut ledger = lock(&world.ledger);
    let book = ledger.book(request.mch_id());
    let number = match (request.given("refund_id"), request.given("out_refund_no")) {
        (Some(id), _) => Some(book.by_refund_id.get(id)),
        (None, Some(number)) => Some(book.refunds.get_key_value(number).map(|(number, _)| number)),
        (None, None) => None,
    };
    match number {
        Some(Some(number)) => {
            let found =
                book.refunds.get(number).and_then(|refund| Some((book.orders.get(&refund.out_trade_no)?, refund)));
            match found {
                Some((order, refund)) => answer(order, &[refund], order.refunds.len()),
                None => none(),
            }
        }
        Some(None) => none(),
        None => {
            if given(&request.fields, "transaction_id").is_none() && given(&request.fields, "out_trade_no").is_none() {
                return Outcome::fail("LACK_PARAMS", "缺少参数out_refund_no");
            }
            let Some(order) = book.find(&request.fields) else { return none() };
            if order.refunds.is_empty() {
                return none();
            }
            if offset >= order.refunds.len() {
                return Outcome::fail("PARAM_ERROR", "offset超出退款总数");
            }
            let page: Vec<&Refund> = order
                .refunds
                .iter()
                .skip(offset)
                .take(REFUNDS_PER_ANSWER)
                .filter_map(|number| book.refunds.get(number))
                .collect();
            answer(order, &page, order.refunds.len())
        }
    }
}

fn answer(order: &Order, refunds: &[&Refund], total: usize) -> Outcome {
    let mut fields = Fields::new();
    let mut put = |name: String, value: String| fields.insert(name, value);
    put("transaction_id".into(), order.transaction_id.clone().unwrap_or_default());
    put("out_trade_no".into(), order.out_trade_no.clone());
    put("total_fee".into(), order.total_fee.to_string());
    put("fee_type".into(), "CNY".into());
    put("cash_fee".into(), (order.total_fee - order.coupon_fee).to_string());
    put("refund_count".into(), refunds.len().to_string());
    put("total_refund_count".into(), total.to_string());
    for (n, refund) in refunds.iter().enumerate() {
        put(format!("out_refund_no_{n}"), refund.out_refund_no.clone());
        put(format!("refund_id_{n}"), refund.refund_id.clone());
        put(format!("refund_channel_{n}"), "ORIGINAL".into());
        put(format!("refund_fee_{n}"), refund.refund_fee.to_string());
        put(format!("settlement_refund_fee_{n}"), refund.refund_fee.to_string());
        put(format!("refund_status_{n}"), refund.status.name().into());
        put(format!("refund_account_{n}"), refund.account.clone());
        // The platform spells this name so.
        put(format!("refund_recv_accout_{n}"), "支付用户零钱".into());
        if refund.coupon_refund_fee > 0 {
            put(format!("coupon_refund_fee_{n}"), refund.coupon_refund_fee.to_string());
            put(format!("coupon_refund_count_{n}"), "1".into());
            put(format!("coupon_refund_fee_{n}_0"), refund.coupon_refund_fee.to_string());
        }
        if refund.status == RefundStatus::Success {
            put(format!("refund_success_time_{n}"), clock::dashed(refund.succeeded_at.unwrap_or_default()));
        }
    }
    Outcome::Success(fields)
}
