//! Query (查询订单) by either number.

use super::answer::Outcome;
use super::error::{Answered, ApiError};
use super::judge::Request;
use super::route::Operation;
use super::transaction;
use crate::ledger::{Book, Order};
use crate::lock;
use crate::world::World;

pub fn run(world: &World, request: &Request) -> Answered<Outcome> {
    let sub_mch_id = asked_as(request)?;
    let number = request.route.number.as_str();
    let mut ledger = lock(&world.ledger);
    let book = ledger.book(request.mch_id());
    let order = match request.route.operation {
        Operation::QueryById => book.by_transaction.get(number).and_then(|number| book.orders.get(number)),
        _ => book.orders.get(number),
    };
    let order = visible(order, sub_mch_id).ok_or_else(ApiError::no_such_order)?;
    let mut found = transaction::queried(order);
    super::put_all(&mut found, &world.policy().v3_order_fields);
    Ok(Outcome::Body(found))
}

/// Checks who asks; gives the sub-merchant asked for.
fn asked_as(request: &Request) -> Answered<Option<&str>> {
    let own = if request.route.partner { "sp_mchid" } else { "mchid" };
    let wrong = |name: &str, issue: &str| ApiError::located(name, None, issue, "query");
    match request.query(own) {
        None => return Err(wrong(own, "必填")),
        Some(number) if number != request.mch_id() => return Err(wrong(own, "与Authorization中的mchid不一致")),
        Some(_) => {}
    }
    if !request.route.partner {
        return Ok(None);
    }
    request.query("sub_mchid").map(Some).ok_or_else(|| wrong("sub_mchid", "必填"))
}

/// The order, unless it belongs to another sub-merchant or to the other mode.
pub fn visible<'a>(order: Option<&'a Order>, sub_mch_id: Option<&str>) -> Option<&'a Order> {
    order.filter(|order| order.sub_mch_id() == sub_mch_id)
}

/// The order that a refund is asked for: `transaction_id` wins.
pub fn named<'a>(
    book: &'a Book,
    transaction_id: Option<&str>,
    out_trade_no: Option<&str>,
    sub_mch_id: Option<&str>,
) -> Option<&'a Order> {
    let number = match transaction_id {
        Some(id) => book.by_transaction.get(id)?,
        None => out_trade_no?,
    };
    visible(book.orders.get(number), sub_mch_id)
}
