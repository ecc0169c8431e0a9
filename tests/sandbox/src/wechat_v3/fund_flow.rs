//! The fund-flow bill (申请资金账单): every movement of the merchant's basic account in the order it happened.

use super::answer::Outcome;
use super::bill::{day, none, offer};
use super::error::{Answered, ApiError};
use super::judge::Request;
use crate::clock::{self, Millis};
use crate::ledger::{Book, RefundStatus};
use crate::lock;
use crate::platform::bill::{line, rate, yuan};
use crate::world::World;

const HEAD: &str = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号";
const SUMMARY: &str = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额";

/// One movement.
struct Movement {
    at: Millis,
    /// The platform's number of the payment or the refund.
    number: String,
    name: &'static str,
    kind: &'static str,
    /// Fen; negative: going out.
    fen: i64,
    remark: String,
    voucher: String,
}

pub fn run(world: &World, request: &Request) -> Answered<Outcome> {
    let account = request.query("account_type").unwrap_or("BASIC");
    if !["BASIC", "OPERATION", "FEES"].contains(&account) {
        return Err(ApiError::located("account_type", None, "应为BASIC、OPERATION或FEES", "query"));
    }
    let day = day(world, request)?;
    if account != "BASIC" {
        // Nothing moves in the other accounts.
        return Err(none());
    }
    let movements = match lock(&world.ledger).books.get(request.mch_id()) {
        Some(book) => movements(book),
        None => Vec::new(),
    };
    offer(world, request, write(&movements, &day).ok_or_else(none)?)
}

/// All movements there ever were, the oldest first: the balance runs through them. A fee is taken with its payment and
/// given back with its refund.
fn movements(book: &Book) -> Vec<Movement> {
    let mut all = Vec::new();
    let paid = book.orders.values().filter_map(|order| Some((order, order.paid_at?)));
    for (order, at) in paid.filter(|(order, _)| order.sub_mch_id().is_none()) {
        let number = order.transaction_id.clone().unwrap_or_default();
        let mut add = |name, kind, fen, number: &str, at| {
            all.push(Movement {
                at,
                number: number.to_owned(),
                name,
                kind,
                fen,
                remark: String::new(),
                voucher: order.out_trade_no.clone(),
            });
        };
        add("交易", "交易", order.total_fee, &number, at);
        add("扣除交易手续费", "手续费", -rate(order.total_fee), &number, at);
        let refunds = order.refunds.iter().filter_map(|number| book.refunds.get(number));
        for refund in refunds.filter(|refund| refund.status == RefundStatus::Success) {
            let at = refund.succeeded_at.unwrap_or(refund.created_at);
            add("退款", "退款", -refund.refund_fee, &refund.refund_id, at);
            add("退款", "手续费", rate(refund.refund_fee), &refund.refund_id, at);
        }
    }
    all.retain(|movement| movement.fen != 0);
    all.sort_by(|a, b| (a.at, &a.number, a.kind).cmp(&(b.at, &b.number, b.kind)));
    all
}

/// The file; `None` if nothing moved that day.
fn write(movements: &[Movement], day: &str) -> Option<String> {
    let mut text = format!("{HEAD}\r\n");
    let mut balance = 0;
    let (mut income, mut expense) = ((0, 0), (0, 0));
    for (n, movement) in movements.iter().enumerate() {
        balance += movement.fen;
        if clock::day(movement.at) != day {
            continue;
        }
        let (side, total) = if movement.fen > 0 { ("收入", &mut income) } else { ("支出", &mut expense) };
        total.0 += 1;
        total.1 += movement.fen.abs();
        text.push_str(&line(&[
            clock::dashed(movement.at),
            movement.number.clone(),
            format!("{day}{n:010}"),
            movement.name.to_owned(),
            movement.kind.to_owned(),
            side.to_owned(),
            yuan(movement.fen.abs()),
            yuan(balance),
            "system".to_owned(),
            movement.remark.clone(),
            movement.voucher.clone(),
        ]));
    }
    if income.0 + expense.0 == 0 {
        return None;
    }
    let summary = [
        (income.0 + expense.0).to_string(),
        income.0.to_string(),
        yuan(income.1),
        expense.0.to_string(),
        yuan(expense.1),
    ];
    Some(format!("{text}{SUMMARY}\r\n{}", line(&summary)))
}
