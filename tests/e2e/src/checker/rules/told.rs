//! What was told is known, what is known was told, and both are in the event log.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{TenantView, View};
use crate::checker::document::Document;
use crate::checker::history::{Entry, Order, is_paid, trade_nos};

/// 1. An accepted notify has its effect in the record and in the event log.
pub fn nothing_acknowledged_is_lost(history: &View<'_>) -> Vec<String> {
    let accepted = history.journal.iter().filter(|entry| entry.is_accepted());
    let lost = accepted.filter_map(|entry| {
        let what = match entry.operation.as_str() {
            "notify_payment" => payment_notice_lost(history, entry),
            "notify_refund" => refund_notice_lost(history, entry),
            _ => None,
        };
        what.map(|what| format!("{} of {}{}: {what}", entry.operation, entry.trade_no, entry.out_refund_no))
    });
    lost.collect::<BTreeSet<_>>().into_iter().collect()
}

fn payment_notice_lost(history: &View<'_>, entry: &Entry) -> Option<String> {
    let wanted = entry.addressee()?;
    let Some(tenant) = history.tenants.iter().find(|tenant| tenant.tenant.id == wanted) else {
        return Some(format!("accepted for {wanted}, which is no tenant"));
    };
    let said = |name: &str| entry.asked(name).unwrap_or_default();
    let Some(payment) = tenant.payment_of(&said("out_trade_no")) else {
        return Some("accepted, and there is no such payment".to_owned());
    };
    if !entry.says_paid() {
        return None;
    }
    let id = &payment["id"];
    let same_transaction =
        payment["provider_transaction_id"].as_str().is_none_or(|known| known == said("transaction_id"));
    if fits(tenant, payment, entry) && same_transaction {
        let raised = tenant.count("payment.succeeded", id) + tenant.count("payment.late", id) > 0;
        return match (is_paid(payment), raised) {
            (true, true) => None,
            (false, _) => Some(format!("accepted, and the payment is {}", payment["status"])),
            (true, false) => Some("accepted, and there is no event of it".to_owned()),
        };
    }
    (tenant.count("payment.mismatch", id) == 0)
        .then(|| "contradicts the record, and no payment.mismatch says so".to_owned())
}

/// Whether what the platform said is about this payment's money.
fn fits(tenant: &TenantView<'_>, payment: &Value, entry: &Entry) -> bool {
    let said = |name: &str| entry.told().field(name);
    let currency = said("fee_type").is_none_or(|currency| currency.is_empty() || payment["currency"] == *currency);
    // A partner's messages have other names for the same, and say whom it acts for.
    let partner = tenant.tenant.acts_for.is_some();
    let (mch_id, app_id) = if partner { ("sp_mchid", "sp_appid") } else { ("mch_id", "appid") };
    entry.mch_id == tenant.tenant.mch_id
        && said(mch_id).is_some_and(|mch_id| mch_id == tenant.tenant.mch_id)
        && said(app_id).is_some_and(|app_id| app_id == tenant.tenant.app_id)
        && (!partner || said("sub_mchid") == tenant.tenant.acts_for)
        && said("total_fee").and_then(|fee| fee.parse::<i64>().ok()) == payment["amount"].as_i64()
        && currency
}

fn refund_notice_lost(history: &View<'_>, entry: &Entry) -> Option<String> {
    let wanted = entry.addressee()?;
    let tenant = history.tenants.iter().find(|tenant| tenant.tenant.id == wanted)?;
    let Some(refund) = tenant.refund(&entry.out_refund_no) else {
        return Some("accepted, and there is no such refund".to_owned());
    };
    let order = history.order(&entry.mch_id, &entry.trade_no)?;
    let truth = order.refunds.iter().find(|refund| refund.out_refund_no == entry.out_refund_no)?;
    let (status, event) = match truth.state.as_str() {
        "SUCCESS" => ("succeeded", "refund.succeeded"),
        "REFUNDCLOSE" => ("failed", "refund.failed"),
        _ => return None,
    };
    if refund["status"] != status {
        return Some(format!("accepted, and the refund is {} instead of {status}", refund["status"]));
    }
    (tenant.count(event, &refund["id"]) == 0).then(|| format!("accepted, and there is no {event}"))
}

/// 3. What is paid here is paid there, and the gateway was told so with a valid signature.
pub fn no_success_without_proof(history: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for tenant in &history.tenants {
        for payment in tenant.payments.iter().filter(|payment| is_paid(payment)) {
            let number = &payment["out_trade_no"];
            let orders = trade_nos(payment).filter_map(|trade_no| history.order(&tenant.tenant.mch_id, trade_no));
            let paid: Vec<&Order> = orders.filter(|order| order.is_paid()).collect();
            let Some(order) = paid.first() else {
                wrong.push(format!("{number} is paid here and not at the platform"));
                continue;
            };
            for (what, here, there) in [
                ("amount", payment["amount"].to_string(), order.total.to_string()),
                ("app", tenant.tenant.app_id.clone(), order.app_id.clone()),
                (
                    "transaction",
                    payment["provider_transaction_id"].as_str().unwrap_or_default().to_owned(),
                    order.transaction_id.clone().unwrap_or_default(),
                ),
            ] {
                if here != there {
                    wrong.push(format!("the {what} of {number} is {here} here and {there} at the platform"));
                }
            }
            let mut words = trade_nos(payment).filter_map(|number| history.words.get(number)).flatten();
            let told = words.any(|entry| is_proof(tenant, payment, entry));
            if history.journal_is_whole && !told {
                wrong.push(format!("{number} is paid, and neither a genuine notify nor an answer said so"));
            }
        }
    }
    wrong
}

fn is_proof(tenant: &TenantView<'_>, payment: &Value, entry: &Entry) -> bool {
    let vouched = if entry.is_query() {
        let spoiled = ["bad_signature", "truncate", "duplicate_field"];
        // In APIv2 only these faults spoil an answer; in APIv3 the platform judged each.
        let signed = matches!(entry.response, Document::V2(_)) || entry.genuine;
        signed && !spoiled.iter().any(|fault| entry.note.contains(fault))
    } else {
        entry.operation == "notify_payment" && entry.genuine && entry.is_accepted()
    };
    vouched && entry.says_paid() && fits(tenant, payment, entry)
}

/// 7. Every state that was entered is in the event log.
pub fn every_change_has_its_event(history: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for tenant in &history.tenants {
        let missing = |object: &Value, kinds: &[&str]| kinds.iter().all(|kind| tenant.count(kind, &object["id"]) == 0);
        for payment in &tenant.payments {
            let kinds: &[&str] = match payment["status"].as_str() {
                Some("succeeded" | "partially_refunded" | "refunded") if payment["late"] == true => &["payment.late"],
                Some("succeeded" | "partially_refunded" | "refunded") => &["payment.succeeded"],
                Some("closed") => &["payment.closed"],
                Some("failed") => &["payment.failed"],
                _ => continue,
            };
            if missing(payment, kinds) {
                let (number, status) = (&payment["out_trade_no"], &payment["status"]);
                wrong.push(format!("{number} is {status} without an event"));
            }
        }
        for refund in &tenant.refunds {
            let kinds: &[&str] = match refund["status"].as_str() {
                Some("succeeded") => &["refund.succeeded"],
                Some("failed") => &["refund.failed"],
                _ => continue,
            };
            if missing(refund, kinds) {
                let (number, status) = (&refund["out_refund_no"], &refund["status"]);
                wrong.push(format!("refund {number} is {status} without an event"));
            }
        }
    }
    wrong
}
