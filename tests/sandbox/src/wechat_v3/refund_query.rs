//! Refunds looked at (查询单笔退款), and those the bank had refused paid out another way (发起异常退款).

use super::answer::Outcome;
use super::error::{Answered, ApiError};
use super::judge::Request;
use super::order_fields::unsealed;
use super::query::visible;
use super::reader::{self, Object};
use super::transaction;
use crate::ledger::{Book, Order, Refund, RefundStatus};
use crate::world::World;
use crate::{lock, notify};

fn unknown() -> ApiError {
    ApiError::new("RESOURCE_NOT_EXISTS", "退款单不存在")
}

/// A refund with its order, unless it is another sub-merchant's.
fn find<'a>(book: &'a Book, number: Option<&str>, sub_mch_id: Option<&str>) -> Answered<(&'a Order, &'a Refund)> {
    let refund = number.and_then(|number| book.refunds.get(number)).ok_or_else(unknown)?;
    let order = visible(book.orders.get(&refund.out_trade_no), sub_mch_id).ok_or_else(unknown)?;
    Ok((order, refund))
}

pub fn run(world: &World, request: &Request) -> Answered<Outcome> {
    let mut ledger = lock(&world.ledger);
    let book = ledger.book(request.mch_id());
    let (order, refund) = find(book, Some(&request.route.number), request.query("sub_mchid"))?;
    Ok(Outcome::Body(transaction::refund_as(order, refund, refund.status)))
}

pub fn apply_abnormal(world: &World, request: &Request) -> Answered<Outcome> {
    let body = reader::parse(&request.incoming.body)?;
    let root = Object::root(&body)?;
    let sub_mch_id = root.text("sub_mchid", 32)?;
    let out_refund_no = root.required_text("out_refund_no", 64)?;
    let kind = root.word("type", &["USER_BANK_CARD", "MERCHANT_BANK_CARD"])?;
    let kind = kind.ok_or_else(|| root.wrong("type", "必填"))?;
    let bank_type = root.text("bank_type", 16)?;
    let account = unsealed(world, request, &root, "bank_account")?;
    let name = unsealed(world, request, &root, "real_name")?;
    if kind == "USER_BANK_CARD" {
        bank_type.ok_or_else(|| root.wrong("bank_type", "必填"))?;
        account.ok_or_else(|| root.wrong("bank_account", "必填"))?;
        name.ok_or_else(|| root.wrong("real_name", "必填"))?;
    }
    root.end()?;

    let settled = world.policy().auto_settle;
    let now = world.clock.now();
    let mut ledger = lock(&world.ledger);
    let book = ledger.book(request.mch_id());
    let number = book.by_refund_id.get(&request.route.number).cloned();
    let (order, refund) = find(book, number.as_deref(), sub_mch_id)?;
    if refund.out_refund_no != out_refund_no {
        return Err(root_mismatch(out_refund_no));
    }
    if refund.status != RefundStatus::Change {
        return Err(ApiError::new("INVALID_REQUEST", "退款单不是异常状态"));
    }
    let order = order.clone();
    let number = refund.out_refund_no.clone();
    let refund = book.refunds.get_mut(&number).ok_or_else(unknown)?;
    refund.status = if settled { RefundStatus::Success } else { RefundStatus::Processing };
    refund.succeeded_at = settled.then_some(now);
    let answer = transaction::refund_as(&order, refund, RefundStatus::Processing);
    let message = settled.then(|| notify::refund(&order, refund)).flatten();
    drop(ledger);
    if let Some(message) = message {
        world.notifier.enqueue(world, message);
    }
    Ok(Outcome::Body(answer))
}

fn root_mismatch(out_refund_no: &str) -> ApiError {
    ApiError::located("/out_refund_no", Some(out_refund_no.into()), "与refund_id不是同一笔退款", "body")
}
