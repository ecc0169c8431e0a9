//! Sums, and what is not known yet.

use serde_json::Value;

use super::{TenantView, View};
use crate::checker::history::{is_paid, trade_nos};

/// 4. Refunded and being refunded is at most what was paid, here and there, and the sums are those of their parts.
pub fn money_adds_up(history: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for tenant in &history.tenants {
        for payment in &tenant.payments {
            let number = &payment["out_trade_no"];
            let sum = |counts: fn(&Value) -> bool| -> i64 {
                let own = tenant.refunds_of(payment).iter().filter(|refund| counts(refund));
                own.filter_map(|refund| refund["amount"].as_i64()).sum()
            };
            let amount = payment["amount"].as_i64().unwrap_or_default();
            let claimed = sum(|refund| refund["status"] != "failed");
            let back = sum(|refund| refund["status"] == "succeeded");
            if claimed > amount {
                wrong.push(format!("{number}: {claimed} of {amount} are refunded or on their way"));
            }
            if payment["refunded_amount"] != back {
                let shown = &payment["refunded_amount"];
                wrong.push(format!("{number}: refunded_amount is {shown}, and succeeded refunds make {back}"));
            }
            let expected = match back {
                0 => "succeeded",
                back if back < amount => "partially_refunded",
                _ => "refunded",
            };
            if is_paid(payment) && payment["status"] != expected {
                wrong.push(format!("{number}: {back} of {amount} are back, and it is {}", payment["status"]));
            }
        }
    }
    for order in &history.orders {
        let back: i64 =
            order.refunds.iter().filter(|refund| refund.state != "REFUNDCLOSE").map(|refund| refund.amount).sum();
        if back > order.total {
            wrong.push(format!("{}: the platform gave back {back} of {}", order.trade_no, order.total));
        }
    }
    wrong
}

/// 5. Nothing stays unknown, and nothing is failed here that lives there.
pub fn unknown_is_not_failed(history: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for tenant in &history.tenants {
        for (name, object) in named(tenant) {
            if object["status"] == "unknown" {
                wrong.push(format!("{name} is still unknown"));
            }
        }
        for payment in tenant.payments.iter().filter(|payment| payment["status"] == "failed") {
            let orders = trade_nos(payment).filter_map(|trade_no| history.order(&tenant.tenant.mch_id, trade_no));
            for order in orders.filter(|order| order.state != "CLOSED") {
                wrong.push(format!("{} is failed here and {} at the platform", payment["out_trade_no"], order.state));
            }
        }
        for refund in tenant.refunds.iter().filter(|refund| refund["status"] == "failed") {
            let own = history.orders.iter().filter(|order| order.mch_id == tenant.tenant.mch_id);
            let number = tenant.tenant.trade_no(refund["out_refund_no"].as_str().unwrap_or_default());
            let there = own.flat_map(|order| &order.refunds).find(|other| number == other.out_refund_no);
            if let Some(there) = there.filter(|there| matches!(there.state.as_str(), "SUCCESS" | "PROCESSING")) {
                let number = &refund["out_refund_no"];
                wrong.push(format!("refund {number} is failed here and {} at the platform", there.state));
            }
        }
    }
    wrong
}

/// Payments and refunds with words to name them by.
fn named<'a>(tenant: &'a TenantView<'_>) -> impl Iterator<Item = (String, &'a Value)> {
    let payments = tenant.payments.iter().map(|payment| (format!("payment {}", payment["out_trade_no"]), payment));
    let refunds = tenant.refunds.iter().map(|refund| (format!("refund {}", refund["out_refund_no"]), refund));
    payments.chain(refunds)
}
