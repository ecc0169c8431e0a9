//! Close (关闭订单).

use super::answer::Outcome;
use super::error::{Answered, ApiError};
use super::judge::Request;
use super::order_fields::own_number;
use super::query::visible;
use super::reader::{self, Object};
use crate::ledger::TradeState;
use crate::lock;
use crate::world::World;

pub fn run(world: &World, request: &Request) -> Answered<Outcome> {
    let body = reader::parse(&request.incoming.body)?;
    let root = Object::root(&body)?;
    let sub_mch_id = if request.route.partner {
        own_number(request, &root, "sp_mchid")?;
        Some(root.required_text("sub_mchid", 32)?)
    } else {
        own_number(request, &root, "mchid")?;
        None
    };
    root.end()?;
    let mut ledger = lock(&world.ledger);
    let number = request.route.number.as_str();
    let known = visible(ledger.order(request.mch_id(), number), sub_mch_id).is_some();
    let order = ledger.order_mut(request.mch_id(), number).filter(|_| known).ok_or_else(ApiError::no_such_order)?;
    match order.trade_state {
        TradeState::Success | TradeState::Refund => Err(ApiError::new("ORDER_PAID", "该订单已支付")),
        TradeState::Closed => Err(ApiError::new("ORDER_CLOSED", "该订单已关闭")),
        TradeState::NotPay | TradeState::PayError => {
            order.trade_state = TradeState::Closed;
            Ok(Outcome::Empty)
        }
    }
}
