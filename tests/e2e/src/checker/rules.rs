//! The ten rules. Each returns what is wrong, in words.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Violation;
use super::history::{Entry, History, Order, TenantHistory, is_paid, trade_nos};
use crate::xml;

impl History {
    /// Every rule that was broken, in the rules' order.
    pub fn violations(&self) -> Vec<Violation> {
        let rules: [fn(&History) -> Vec<String>; 10] = [
            nothing_acknowledged_is_lost,
            one_effect,
            no_success_without_proof,
            money_adds_up,
            unknown_is_not_failed,
            no_second_order,
            every_change_has_its_event,
            tenants_do_not_touch,
            no_secret_left,
            it_is_back,
        ];
        let numbered = (1_u8..).zip(rules);
        numbered.flat_map(|(rule, check)| check(self).into_iter().map(move |what| Violation { rule, what })).collect()
    }

    fn order(&self, mch_id: &str, trade_no: &str) -> Option<&Order> {
        self.orders.iter().find(|order| order.mch_id == mch_id && order.trade_no == trade_no)
    }
}

/// 1. An accepted notify has its effect in the record and in the event log.
fn nothing_acknowledged_is_lost(history: &History) -> Vec<String> {
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

fn payment_notice_lost(history: &History, entry: &Entry) -> Option<String> {
    let wanted = entry.addressee()?;
    let Some(tenant) = history.tenants.iter().find(|tenant| tenant.tenant.id == wanted) else {
        return Some(format!("accepted for {wanted}, which is no tenant"));
    };
    let said = |name: &str| entry.asked(name).unwrap_or_default();
    let Some(payment) = tenant.payment_of(&said("out_trade_no")) else {
        return Some("accepted, and there is no such payment".to_owned());
    };
    if said("result_code") != "SUCCESS" {
        return None;
    }
    let id = &payment["id"];
    let same_transaction =
        payment["provider_transaction_id"].as_str().is_none_or(|known| known == said("transaction_id"));
    if fits(tenant, payment, entry, &entry.request) && same_transaction {
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
fn fits(tenant: &TenantHistory, payment: &Value, entry: &Entry, document: &str) -> bool {
    let said = |name: &str| xml::field(document, name);
    let currency = said("fee_type").is_none_or(|currency| currency.is_empty() || payment["currency"] == *currency);
    entry.mch_id == tenant.tenant.mch_id
        && said("mch_id").is_some_and(|mch_id| mch_id == tenant.tenant.mch_id)
        && said("appid").is_some_and(|app_id| app_id == tenant.tenant.app_id)
        && said("total_fee").and_then(|fee| fee.parse::<i64>().ok()) == payment["amount"].as_i64()
        && currency
}

fn refund_notice_lost(history: &History, entry: &Entry) -> Option<String> {
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

/// 2. A success happens once, and so does each refund.
fn one_effect(history: &History) -> Vec<String> {
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

/// 3. What is paid here is paid there, and the gateway was told so with a valid signature.
fn no_success_without_proof(history: &History) -> Vec<String> {
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
            let told = history.journal.iter().any(|entry| is_proof(tenant, payment, entry));
            if history.journal_is_whole && !told {
                wrong.push(format!("{number} is paid, and neither a genuine notify nor an answer said so"));
            }
        }
    }
    wrong
}

fn is_proof(tenant: &TenantHistory, payment: &Value, entry: &Entry) -> bool {
    if !trade_nos(payment).any(|number| number == entry.trade_no) {
        return false;
    }
    match entry.operation.as_str() {
        "notify_payment" => {
            entry.genuine
                && entry.is_accepted()
                && entry.asked("result_code").as_deref() == Some("SUCCESS")
                && fits(tenant, payment, entry, &entry.request)
        }
        "orderquery" => {
            let spoiled = ["bad_signature", "truncate", "duplicate_field"];
            !spoiled.iter().any(|fault| entry.note.contains(fault))
                && matches!(entry.answered("trade_state").as_deref(), Some("SUCCESS" | "REFUND"))
                && fits(tenant, payment, entry, &entry.response)
        }
        _ => false,
    }
}

/// 4. Refunded and being refunded is at most what was paid, here and there, and the sums are those of their parts.
fn money_adds_up(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    for tenant in &history.tenants {
        for payment in &tenant.payments {
            let number = &payment["out_trade_no"];
            let sum = |counts: fn(&Value) -> bool| -> i64 {
                let own = tenant.refunds.iter().filter(|refund| refund["out_trade_no"] == *number && counts(refund));
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
fn unknown_is_not_failed(history: &History) -> Vec<String> {
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
            let there =
                own.flat_map(|order| &order.refunds).find(|other| refund["out_refund_no"] == *other.out_refund_no);
            if let Some(there) = there.filter(|there| matches!(there.state.as_str(), "SUCCESS" | "PROCESSING")) {
                let number = &refund["out_refund_no"];
                wrong.push(format!("refund {number} is failed here and {} at the platform", there.state));
            }
        }
    }
    wrong
}

/// Payments and refunds with words to name them by.
fn named(tenant: &TenantHistory) -> impl Iterator<Item = (String, &Value)> {
    let payments = tenant.payments.iter().map(|payment| (format!("payment {}", payment["out_trade_no"]), payment));
    let refunds = tenant.refunds.iter().map(|refund| (format!("refund {}", refund["out_refund_no"]), refund));
    payments.chain(refunds)
}

/// 6. One number is one order and one refund: nothing at the platform that is not here, nothing sent twice in two forms.
fn no_second_order(history: &History) -> Vec<String> {
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
        let own: Vec<&TenantHistory> =
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

fn sent_in_two_forms(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut first: HashMap<(&str, &str, &str), BTreeMap<String, String>> = HashMap::new();
    for entry in &history.journal {
        let number = match entry.operation.as_str() {
            "unifiedorder" => entry.trade_no.as_str(),
            "refund" => entry.out_refund_no.as_str(),
            _ => continue,
        };
        let changing = |name: &str| matches!(name, "nonce_str" | "sign");
        let sent: BTreeMap<String, String> =
            xml::fields(&entry.request).into_iter().filter(|(name, _)| !changing(name)).collect();
        let earlier =
            first.entry((entry.operation.as_str(), entry.mch_id.as_str(), number)).or_insert_with(|| sent.clone());
        if *earlier != sent {
            wrong.push(format!("{} of {number} was sent in two forms", entry.operation));
        }
    }
    wrong
}

/// 7. Every state that was entered is in the event log.
fn every_change_has_its_event(history: &History) -> Vec<String> {
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

/// 8. What a tenant sees is its own.
fn tenants_do_not_touch(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for tenant in &history.tenants {
        let id = tenant.tenant.id.as_str();
        for object in tenant.payments.iter().chain(&tenant.refunds).chain(&tenant.events) {
            if object["tenant"] != *id {
                wrong.push(format!("{id} sees {} of {}", object["id"], object["tenant"]));
            }
        }
        for object in tenant.payments.iter().chain(&tenant.refunds) {
            if let Some(other) = owners.insert(object["id"].as_str().unwrap_or_default(), id) {
                wrong.push(format!("{} is seen by {other} and {id}", object["id"]));
            }
        }
        for event in &tenant.events {
            let about = event["data"]["tenant"].as_str();
            if about.is_some_and(|about| about != id) {
                wrong.push(format!("{id} sees an event about {}", event["data"]["id"]));
            }
        }
    }
    wrong
}

/// 9. No secret is seen anywhere, as it is or encoded.
fn no_secret_left(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    for secret in &history.secrets {
        let forms = [
            ("as it is", secret.clone()),
            ("in base64", STANDARD.encode(secret)),
            ("in base64", STANDARD_NO_PAD.encode(secret)),
            ("in base64", URL_SAFE_NO_PAD.encode(secret)),
            ("in hex", hex::encode(secret)),
            ("in hex", hex::encode_upper(secret)),
            ("as in a URL", utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()),
        ];
        for (place, text) in &history.seen {
            if let Some((form, _)) = forms.iter().find(|(_, form)| text.contains(form)) {
                let start: String = secret.chars().take(6).collect();
                wrong.push(format!("the secret {start}… is {form} in the {place}"));
            }
        }
    }
    wrong
}

/// 10. The gateway is ready.
fn it_is_back(history: &History) -> Vec<String> {
    match &history.readiness {
        Some((200, word)) if word == "ready" || (history.degraded && word == "degraded") => Vec::new(),
        Some((status, word)) => vec![format!("readiness is {status} {word}")],
        None => vec!["the gateway does not answer".to_owned()],
    }
}
