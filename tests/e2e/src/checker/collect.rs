//! Reading a world.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::document::Document;
use super::history::{Entry, History, Order, PlatformRefund, TenantHistory, is_paid, trade_nos};
use crate::merchant::Merchant;
use crate::world::World;
use crate::xml;

/// So much of a private key's text gives it away.
const KEY_LINE: usize = 2;

pub async fn history(world: &World, more_secrets: &[String], degraded: bool) -> History {
    let mut tenants = Vec::new();
    let mut seen = Vec::new();
    let mut secrets: BTreeSet<String> = more_secrets.iter().cloned().collect();
    let at_platform = world.control.orders().await;
    let orders: Vec<Order> = at_platform.iter().map(order).collect();
    for tenant in &world.tenants {
        let history = tenant_history(&world.merchant(&tenant.id), &orders).await;
        for (what, values) in
            [("payments", &history.payments), ("refunds", &history.refunds), ("events", &history.events)]
        {
            seen.push((format!("{what} of {}", tenant.id), serde_json::to_string(values).unwrap()));
        }
        tenants.push(history);
        secrets.extend(tenant.secrets());
        if let Ok(files) = world.sandbox.merchant(&tenant.mch_id) {
            secrets.extend(files.client_key_pem.lines().nth(KEY_LINE).map(str::to_owned));
        }
    }
    let journal = world.control.journal("").await;
    let journal_is_whole = journal.first().is_none_or(|entry| entry["seq"] == 1);
    let mut journal: Vec<Entry> = journal.iter().map(entry).collect();
    for tenant in &tenants {
        find_proofs(world, tenant, &at_platform, &mut journal).await;
    }
    let metrics = world.metrics().await;
    let readiness = world.gateway.readiness().await.ok();
    seen.push(("metrics".to_owned(), metrics.text.clone()));
    seen.push(("log".to_owned(), world.gateway.logs()));
    seen.extend(world.second.iter().map(|second| ("log of the second".to_owned(), second.logs())));
    seen.extend(store_files(world.directory()));
    History {
        tenants,
        journal,
        journal_is_whole,
        orders,
        metrics,
        readiness: readiness.map(|(status, body)| (status, text(&body, "status"))),
        degraded,
        secrets,
        seen,
    }
}

async fn tenant_history(merchant: &Merchant, at_platform: &[Order]) -> TenantHistory {
    let payments = merchant.all_payments().await;
    let events = merchant.all_events().await;
    // Every payment that anybody says has refunds: the log, the status, the platform.
    let told = events.iter().filter(|event| text(event, "type").starts_with("refund."));
    let mut with_refunds: BTreeSet<String> = told.map(|event| text(&event["data"], "out_trade_no")).collect();
    let there: BTreeSet<&str> = at_platform
        .iter()
        .filter(|order| order.mch_id == merchant.tenant.mch_id && !order.refunds.is_empty())
        .map(|order| order.trade_no.as_str())
        .collect();
    for payment in payments.iter().filter(|payment| is_paid(payment)) {
        let refunded = payment["status"] != "succeeded" || payment["refunded_amount"] != 0;
        if refunded || trade_nos(payment).any(|number| there.contains(number)) {
            with_refunds.insert(text(payment, "out_trade_no"));
        }
    }
    let mut refunds = Vec::new();
    for out_trade_no in &with_refunds {
        refunds.extend(merchant.refunds(out_trade_no).await);
    }
    TenantHistory { tenant: merchant.tenant.clone(), payments, refunds, events }
}

/// Signs accepted notifies of APIv2 again, one for each thing they say, to see whose word a success rests on. Of those
/// of APIv3, whose signature holds for a time only, the platform judged each as it went out.
async fn find_proofs(world: &World, history: &TenantHistory, orders: &[Value], journal: &mut [Entry]) {
    let tenant = &history.tenant;
    let paid: BTreeSet<&str> = history.payments.iter().filter(|payment| is_paid(payment)).flat_map(trade_nos).collect();
    let mut proven = BTreeSet::new();
    let of_v2 = |entry: &&mut Entry| matches!(entry.request, Document::V2(_)) && entry.mch_id == tenant.mch_id;
    for entry in journal.iter_mut().filter(of_v2).filter(|entry| entry.operation == "notify_payment") {
        // What contradicts the record is accepted too, and proves nothing for the genuine word after it.
        let said = ["transaction_id", "total_fee", "fee_type", "appid", "mch_id"].map(|name| entry.asked(name));
        let word = (entry.trade_no.clone(), said);
        if !paid.contains(entry.trade_no.as_str()) || proven.contains(&word) || !entry.is_accepted() {
            continue;
        }
        let fields = entry.request.fields().into_iter().filter(|(name, _)| name != "sign");
        let fields: Map<String, Value> = fields.map(|(name, value)| (name, Value::from(value))).collect();
        // The order's own, which a change of the tenant's leaves as it is.
        let made =
            orders.iter().find(|order| order["mch_id"] == entry.mch_id && order["out_trade_no"] == entry.trade_no);
        let sign_type = made.and_then(|order| order["parameters"]["sign_type"].as_str()).unwrap_or("MD5");
        let signed = world.control.sign(&tenant.mch_id, sign_type, &Value::Object(fields)).await;
        entry.genuine = xml::field(&signed, "sign") == entry.asked("sign");
        if entry.genuine {
            proven.insert(word);
        }
    }
}

pub(super) fn entry(value: &Value) -> Entry {
    let (outgoing, v3) = (value["direction"] == "out", &value["v3"]);
    let read = if v3.is_object() { Document::json } else { Document::xml };
    Entry {
        outgoing,
        operation: text(value, "operation"),
        url: text(value, "url"),
        mch_id: text(value, "mch_id"),
        trade_no: text(value, "out_trade_no"),
        out_refund_no: text(value, "out_refund_no"),
        request: read(&if outgoing && v3.is_object() { text(v3, "resource") } else { text(value, "request") }),
        status: value["status"].as_u64().and_then(|status| u16::try_from(status).ok()),
        response: read(&text(value, "response")),
        note: text(value, "note"),
        genuine: v3["genuine"] == true,
    }
}

fn order(value: &Value) -> Order {
    let refunds = value["refunds"].as_array().into_iter().flatten().map(|refund| PlatformRefund {
        out_refund_no: text(refund, "out_refund_no"),
        amount: refund["refund_fee"].as_i64().unwrap_or_default(),
        state: text(refund, "status"),
    });
    Order {
        mch_id: text(value, "mch_id"),
        app_id: text(&value["parameters"], "appid"),
        trade_no: text(value, "out_trade_no"),
        state: text(value, "trade_state"),
        total: value["total_fee"].as_i64().unwrap_or_default(),
        transaction_id: value["transaction_id"].as_str().map(str::to_owned),
        refunds: refunds.collect(),
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// The embedded store's files, as far as they are in the world's own folder.
fn store_files(directory: &Path) -> Vec<(String, String)> {
    let names = ["dukou.db", "dukou.db-wal"];
    let read = |name: &&str| std::fs::read(directory.join("data").join(name)).ok();
    let found = names.iter().filter_map(|name| Some(((*name).to_owned(), read(name)?)));
    found.map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned())).collect()
}
