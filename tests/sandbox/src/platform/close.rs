//! closeorder (关闭订单).

use super::{Outcome, Request};
use crate::clock::Millis;
use crate::ledger::TradeState;
use crate::lock;
use crate::sign::Fields;
use crate::world::World;

const FIVE_MINUTES: Millis = 5 * 60 * 1000;

pub fn run(world: &World, request: &Request) -> Outcome {
    let Some(out_trade_no) = request.given("out_trade_no") else {
        return Outcome::fail("LACK_PARAMS", "缺少参数out_trade_no");
    };
    let early_refused = world.policy().five_minute_close_rule;
    let now = world.clock.now();
    let mut ledger = lock(&world.ledger);
    let Some(order) = ledger.order_mut(request.mch_id(), out_trade_no) else {
        return Outcome::fail("ORDERNOTEXIST", "订单不存在");
    };
    match order.trade_state {
        TradeState::Success | TradeState::Refund => return Outcome::fail("ORDERPAID", "订单已支付"),
        TradeState::Closed => return Outcome::fail("ORDERCLOSED", "订单已关闭"),
        TradeState::NotPay | TradeState::PayError => {}
    }
    if early_refused && now - order.created_at < FIVE_MINUTES {
        return Outcome::fail("TRADE_STATE_ERROR", "订单生成后不能马上调用关单接口，最短调用时间间隔为5分钟");
    }
    order.trade_state = TradeState::Closed;
    Outcome::Success(Fields::from([("result_msg".to_owned(), "OK".to_owned())]))
}
