//! Orders and refunds: looking at them, paying, failing, closing, settling.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::paying::{check_client, unknown};
use super::{Answer, Pay, Refusal, pay, read};
use crate::ledger::{Order, RefundStatus, TradeState};
use crate::world::World;
use crate::{lock, notify};

/// Orders in one answer unless the query says otherwise.
const DEFAULT_LIMIT: usize = 1000;

type OrderPath = web::Path<(String, String)>;

/// An order with its refunds spelt out.
pub fn shown(world: &World, order: &Order) -> Value {
    let ledger = lock(&world.ledger);
    let refunds: Vec<_> = match ledger.books.get(&order.mch_id) {
        Some(book) => order.refunds.iter().filter_map(|number| book.refunds.get(number)).collect(),
        None => Vec::new(),
    };
    let mut value = json!(order);
    value["refunds"] = json!(refunds);
    value
}

#[derive(Deserialize)]
pub struct OrderFilter {
    mch_id: Option<String>,
    limit: Option<usize>,
}

/// All orders, the newest first.
pub async fn orders(world: web::Data<World>, filter: web::Query<OrderFilter>) -> Answer {
    let mut found: Vec<Order> = {
        let ledger = lock(&world.ledger);
        let books =
            ledger.books.iter().filter(|(mch_id, _)| filter.mch_id.as_ref().is_none_or(|wanted| wanted == *mch_id));
        books.flat_map(|(_, book)| book.orders.values()).cloned().collect()
    };
    let total = found.len();
    found.sort_by(|a, b| (b.created_at, &b.out_trade_no).cmp(&(a.created_at, &a.out_trade_no)));
    found.truncate(filter.limit.unwrap_or(DEFAULT_LIMIT));
    let orders: Vec<Value> = found.iter().map(|order| shown(&world, order)).collect();
    Ok(HttpResponse::Ok().json(json!({ "total": total, "orders": orders })))
}

pub async fn order(world: web::Data<World>, path: OrderPath) -> Answer {
    let (mch_id, out_trade_no) = path.into_inner();
    let order = lock(&world.ledger).order(&mch_id, &out_trade_no).cloned();
    let order = order.ok_or_else(|| unknown(&mch_id, &out_trade_no))?;
    Ok(HttpResponse::Ok().json(shown(&world, &order)))
}

pub async fn pay_order(world: web::Data<World>, path: OrderPath, body: web::Bytes) -> Answer {
    let (mch_id, out_trade_no) = path.into_inner();
    let order = pay(&world, &mch_id, &out_trade_no, &read::<Pay>(&body)?)?;
    Ok(HttpResponse::Ok().json(shown(&world, &order)))
}

/// Pays the order that the client's own data names.
pub async fn client_pay(world: web::Data<World>, body: web::Bytes) -> Answer {
    let how: Pay = read(&body)?;
    let client = how.client.as_ref().ok_or_else(|| Refusal::bad("client is missing"))?;
    let (mch_id, out_trade_no) = check_client(&world, &lock(&world.ledger), client)?;
    let order = pay(&world, &mch_id, &out_trade_no, &how)?;
    Ok(HttpResponse::Ok().json(shown(&world, &order)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fail {
    err_code: Option<String>,
    #[serde(default)]
    notify: bool,
}

/// A payment that fails at the bank; the order stays payable.
pub async fn fail(world: web::Data<World>, path: OrderPath, body: web::Bytes) -> Answer {
    let (mch_id, out_trade_no) = path.into_inner();
    let how: Fail = read(&body)?;
    let order = unpaid(&world, &mch_id, &out_trade_no, |order| {
        order.trade_state = TradeState::PayError;
        order.err_code = Some(how.err_code.unwrap_or_else(|| "NOTENOUGH".to_owned()));
    })?;
    if how.notify {
        world.notifier.enqueue(&world, notify::payment_failure(&order));
    }
    Ok(HttpResponse::Ok().json(shown(&world, &order)))
}

/// Closes an order as if somebody had done so on the merchant platform.
pub async fn close(world: web::Data<World>, path: OrderPath) -> Answer {
    let (mch_id, out_trade_no) = path.into_inner();
    let order = unpaid(&world, &mch_id, &out_trade_no, |order| order.trade_state = TradeState::Closed)?;
    Ok(HttpResponse::Ok().json(shown(&world, &order)))
}

fn unpaid(world: &World, mch_id: &str, out_trade_no: &str, change: impl FnOnce(&mut Order)) -> Result<Order, Refusal> {
    let mut ledger = lock(&world.ledger);
    let order = ledger.order_mut(mch_id, out_trade_no).ok_or_else(|| unknown(mch_id, out_trade_no))?;
    if !matches!(order.trade_state, TradeState::NotPay | TradeState::PayError) {
        return Err(Refusal::conflict(format!("the order is {}", order.trade_state.name())));
    }
    change(order);
    Ok(order.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settle {
    status: RefundStatus,
    notify: Option<bool>,
}

/// Ends a refund that is being processed, or one that the bank had refused.
pub async fn settle(world: web::Data<World>, path: web::Path<(String, String, String)>, body: web::Bytes) -> Answer {
    let (mch_id, out_trade_no, out_refund_no) = path.into_inner();
    let how: Settle = read(&body)?;
    if how.status == RefundStatus::Processing {
        return Err(Refusal::bad("status must be SUCCESS, CHANGE or REFUNDCLOSE"));
    }
    let now = world.clock.now();
    let (order, refund) = {
        let mut ledger = lock(&world.ledger);
        let book = ledger.book(&mch_id);
        let order = book.orders.get(&out_trade_no).ok_or_else(|| unknown(&mch_id, &out_trade_no))?.clone();
        let refund = book.refunds.get_mut(&out_refund_no).filter(|refund| refund.out_trade_no == out_trade_no);
        let refund =
            refund.ok_or_else(|| Refusal::unknown(format!("no refund {out_refund_no} of order {out_trade_no}")))?;
        if !matches!(refund.status, RefundStatus::Processing | RefundStatus::Change) {
            return Err(Refusal::conflict(format!("the refund is {}", refund.status.name())));
        }
        refund.status = how.status;
        refund.succeeded_at = (how.status == RefundStatus::Success).then_some(now);
        (order, refund.clone())
    };
    if how.notify.unwrap_or(true)
        && let Some(message) = notify::refund(&order, &refund)
    {
        world.notifier.enqueue(&world, message);
    }
    Ok(HttpResponse::Ok().json(refund))
}
