//! What happens, happens once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::{TenantView, View};
use crate::checker::history::{is_paid, trade_nos};

/// 2. A success happens once, and so does each refund.
pub fn one_effect(history: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut event_ids = BTreeSet::new();
    for tenant in &history.tenants {
        for event in &tenant.events {
            if !event_ids.insert(event["id"].as_str().unwrap_or_default()) {
                wrong.push(format!("the event {} is there twice", event["id"]));
            }
        }
        for (objects, kinds) in [
            (&tenant.payments, &["payment.succeeded", "payment.late"][..]),
            (&tenant.refunds, &["refund.succeeded", "refund.failed"][..]),
        ] {
            for (object, kind) in objects.iter().flat_map(|object| kinds.iter().map(move |kind| (object, kind))) {
                let count = tenant.count(kind, &object["id"]);
                if count > 1 {
                    wrong.push(format!("{count} events {kind} of {}", object["id"]));
                }
            }
        }
        for refund in tenant.refunds.iter().filter(|refund| refund["status"] == "succeeded") {
            if tenant.count("refund.failed", &refund["id"]) > 0 {
                wrong.push(format!("{} is succeeded and was raised as failed", refund["id"]));
            }
        }
        let id = tenant.tenant.id.as_str();
        let paid = tenant.payments.iter().filter(|payment| is_paid(payment)).count() as u64;
        let applied = history.metrics.notifies(id, "payment", "applied");
        if applied > paid {
            wrong.push(format!("{applied} notifies of {id} were applied to {paid} paid payments"));
        }
    }
    wrong
}

/// 6. One number is one order and one refund: nothing at the platform that is not here, nothing sent twice in two forms.
pub fn no_second_order(history: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for tenant in &history.tenants {
        let mut owners: BTreeMap<&str, &Value> = BTreeMap::new();
        for payment in &tenant.payments {
            let mch_id = &tenant.tenant.mch_id;
            let live = trade_nos(payment).filter_map(|trade_no| history.order(mch_id, trade_no));
            let live = live.filter(|order| order.state != "CLOSED").count();
            if live > 1 {
                wrong.push(format!("{} has {live} live orders at the platform", payment["out_trade_no"]));
            }
            for trade_no in trade_nos(payment) {
                if owners.insert(trade_no, payment).is_some() {
                    wrong.push(format!("two payments share the number {trade_no} at the platform"));
                }
            }
        }
    }
    for order in &history.orders {
        let own: Vec<&TenantView<'_>> =
            history.tenants.iter().filter(|tenant| tenant.tenant.mch_id == order.mch_id).collect();
        if !own.iter().any(|tenant| tenant.payment_of(&order.trade_no).is_some()) {
            wrong.push(format!("the platform has an order {} that is not here", order.trade_no));
        }
        for refund in &order.refunds {
            if !own.iter().any(|tenant| tenant.refund(&refund.out_refund_no).is_some()) {
                wrong.push(format!("the platform has a refund {} that is not here", refund.out_refund_no));
            }
        }
    }
    wrong.extend(sent_in_two_forms(history));
    wrong
}

fn sent_in_two_forms(history: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut first: HashMap<(&str, &str, &str), BTreeMap<String, String>> = HashMap::new();
    for entry in &history.journal {
        let number = match entry.operation.as_str() {
            "unifiedorder" | "v3_prepay" => entry.trade_no.as_str(),
            "refund" | "v3_refund" => entry.out_refund_no.as_str(),
            _ => continue,
        };
        let changing = |name: &str| matches!(name, "nonce_str" | "sign");
        let mut sent = entry.request.fields();
        sent.retain(|name, _| !changing(name));
        // In APIv3 the address says how an order is paid.
        sent.insert("url".to_owned(), entry.url.clone());
        let earlier =
            first.entry((entry.operation.as_str(), entry.mch_id.as_str(), number)).or_insert_with(|| sent.clone());
        if *earlier != sent {
            wrong.push(format!("{} of {number} was sent in two forms", entry.operation));
        }
    }
    wrong
}
