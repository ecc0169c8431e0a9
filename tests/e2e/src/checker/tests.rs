//! Every rule turns red over a history that breaks it, and over no other.

mod v3;

use serde_json::{Value, json};

use super::*;
use crate::metrics::Metrics;
use crate::tenant::Tenant;

const TRANSACTION: &str = "4200001";

fn notice(total: i64, sign: &str) -> String {
    format!(
        "<xml><appid>wx8888888888888888</appid><mch_id>1900000109</mch_id><out_trade_no>B-1</out_trade_no>\
         <result_code><![CDATA[SUCCESS]]></result_code><total_fee>{total}</total_fee>\
         <transaction_id>{TRANSACTION}</transaction_id><sign>{sign}</sign></xml>"
    )
}

/// An answer to a query that says what the notice says.
fn answer() -> Document {
    Document::xml(&notice(100, "good").replace("</xml>", "<trade_state>SUCCESS</trade_state></xml>"))
}

fn event(id: &str, kind: &str, data: &Value) -> Value {
    json!({ "id": id, "type": kind, "tenant": "bookshop", "data": data })
}

fn accepted(operation: &str, request: &str) -> Entry {
    Entry {
        outgoing: true,
        operation: operation.to_owned(),
        url: "http://127.0.0.1:1/notify/bookshop/wechat/payment".to_owned(),
        mch_id: "1900000109".to_owned(),
        trade_no: "B-1".to_owned(),
        out_refund_no: if operation == "notify_refund" { "R-1".to_owned() } else { String::new() },
        request: Document::xml(request),
        response: Document::xml("<xml><return_code><![CDATA[SUCCESS]]></return_code></xml>"),
        genuine: true,
        ..Entry::default()
    }
}

/// A payment of 100, paid, with 40 refunded: nothing is wrong.
fn sound() -> History {
    let payment = json!({
        "id": "pay_1", "tenant": "bookshop", "out_trade_no": "B-1", "amount": 100, "currency": "CNY", "late": false,
        "status": "partially_refunded", "provider_transaction_id": TRANSACTION, "refunded_amount": 40,
        "attempts": [{ "provider": "wechat", "method": "jsapi", "trade_no": "B-1" }],
    });
    let refund = json!({
        "id": "ref_1", "tenant": "bookshop", "out_refund_no": "R-1", "out_trade_no": "B-1", "amount": 40,
        "status": "succeeded",
    });
    let events = vec![event("evt_1", "payment.succeeded", &payment), event("evt_2", "refund.succeeded", &refund)];
    let ordered = Entry {
        operation: "unifiedorder".to_owned(),
        mch_id: "1900000109".to_owned(),
        trade_no: "B-1".to_owned(),
        request: Document::xml("<xml><total_fee>100</total_fee><nonce_str>a</nonce_str></xml>"),
        ..Entry::default()
    };
    let tenant = Tenant::bookshop();
    History {
        secrets: tenant.secrets().into_iter().collect(),
        tenants: vec![TenantHistory { tenant, payments: vec![payment], refunds: vec![refund], events }],
        journal: vec![ordered, accepted("notify_payment", &notice(100, "good")), accepted("notify_refund", "")],
        journal_is_whole: true,
        orders: vec![Order {
            mch_id: "1900000109".to_owned(),
            app_id: "wx8888888888888888".to_owned(),
            trade_no: "B-1".to_owned(),
            state: "REFUND".to_owned(),
            total: 100,
            transaction_id: Some(TRANSACTION.to_owned()),
            refunds: vec![PlatformRefund { out_refund_no: "R-1".to_owned(), amount: 40, state: "SUCCESS".to_owned() }],
        }],
        metrics: Metrics::parse("dukou_notify_total{tenant=\"bookshop\",kind=\"payment\",outcome=\"applied\"} 1"),
        readiness: Some((200, "ready".to_owned())),
        degraded: false,
        seen: vec![("log".to_owned(), "{\"message\":\"started\"}".to_owned())],
    }
}

/// Breaks the sound history and gives the rules that notice.
#[track_caller]
fn check(breaks: impl FnOnce(&mut History), rules: &[u8]) {
    let mut history = sound();
    breaks(&mut history);
    let violations = history.violations();
    let mut found: Vec<u8> = violations.iter().map(|violation| violation.rule).collect();
    found.dedup();
    assert_eq!(found, rules, "{violations:?}");
}

#[test]
fn a_sound_history_breaks_nothing() {
    check(|_| {}, &[]);
}

/// The notifies were acknowledged, and their effect was lost with a crash.
fn lose_the_effect(history: &mut History) {
    let tenant = &mut history.tenants[0];
    tenant.payments[0]["status"] = json!("pending");
    tenant.payments[0]["refunded_amount"] = json!(0);
    tenant.events.clear();
    tenant.refunds.clear();
    history.orders[0].refunds.clear();
    history.journal.pop();
    history.metrics = Metrics::default();
}

#[test]
fn rule_1_an_accepted_notify_without_an_effect() {
    check(lose_the_effect, &[1]);
    check(|history| history.tenants[0].payments.clear(), &[1, 2, 6]);
    check(|history| history.journal[1].request = Document::xml(&notice(99, "good")), &[1, 3]);
    check(|history| history.tenants[0].refunds[0]["id"] = json!("ref_2"), &[1, 7]);
    check(|history| history.journal[2].out_refund_no = "R-2".to_owned(), &[1]);
    check(|history| history.journal[1].url = "http://x/notify/teahouse/wechat/payment".to_owned(), &[1]);
}

#[test]
fn rule_2_an_effect_that_happened_twice() {
    let again = |history: &mut History, at: usize, id: &str| {
        let mut event = history.tenants[0].events[at].clone();
        event["id"] = json!(id);
        history.tenants[0].events.push(event);
    };
    check(|history| again(history, 0, "evt_3"), &[2]);
    check(|history| again(history, 1, "evt_3"), &[2]);
    check(
        |history| {
            let twice = history.tenants[0].events[0].clone();
            history.tenants[0]
                .events
                .push(json!({ "id": twice["id"], "tenant": "bookshop", "type": "payment.mismatch" }));
        },
        &[2],
    );
    let twice = "dukou_notify_total{tenant=\"bookshop\",kind=\"payment\",outcome=\"applied\"} 2";
    check(|history| history.metrics = Metrics::parse(twice), &[2]);
}

#[test]
fn rule_3_a_success_that_nobody_vouched_for() {
    // A forged notify for an order that is paid, but about which nothing genuine was said.
    check(|history| history.journal[1].genuine = false, &[3]);
    check(|history| history.orders[0].transaction_id = Some("4200002".to_owned()), &[3]);
    check(|history| history.orders[0].app_id = "wx7777777777777777".to_owned(), &[3]);
    check(|history| history.orders[0].total = 99, &[3]);
    check(
        |history| {
            history.orders[0].state = "NOTPAY".to_owned();
        },
        &[3],
    );
    // An answer to a query is as good as a notify, unless its signature was spoiled.
    let asked = |note: &str| Entry {
        operation: "orderquery".to_owned(),
        mch_id: "1900000109".to_owned(),
        trade_no: "B-1".to_owned(),
        response: answer(),
        note: note.to_owned(),
        ..Entry::default()
    };
    check(|history| history.journal[1] = asked(""), &[]);
    check(|history| history.journal[1] = asked("bad_signature"), &[3]);
    // A journal that lost its beginning proves nothing either way.
    let forget = |history: &mut History| {
        history.journal.clear();
        history.journal_is_whole = false;
    };
    check(forget, &[]);
}

#[test]
fn rule_4_more_money_back_than_was_paid() {
    let second = |status: &str| {
        json!({
            "id": "ref_2", "tenant": "bookshop", "out_refund_no": "R-2", "out_trade_no": "B-1", "amount": 61,
            "status": status,
        })
    };
    check(|history| history.tenants[0].refunds.push(second("processing")), &[4]);
    check(|history| history.tenants[0].payments[0]["refunded_amount"] = json!(41), &[4]);
    check(|history| history.tenants[0].payments[0]["status"] = json!("refunded"), &[4]);
    check(|history| history.orders[0].refunds[0].amount = 101, &[4]);
    // A refund that failed gives nothing back.
    let failed = |history: &mut History| {
        history.tenants[0].refunds.push(second("failed"));
        history.tenants[0].events.push(event("evt_3", "refund.failed", &second("failed")));
    };
    check(failed, &[]);
}

#[test]
fn rule_5_unknown_for_ever_or_failed_too_soon() {
    let other = |status: &str| {
        json!({
            "id": "pay_2", "tenant": "bookshop", "out_trade_no": "B-2", "amount": 5, "status": status,
            "refunded_amount": 0, "attempts": [{ "trade_no": "B-2" }],
        })
    };
    check(|history| history.tenants[0].payments.push(other("unknown")), &[5]);
    let failed = |history: &mut History| {
        history.tenants[0].payments.push(other("failed"));
        history.tenants[0].events.push(event("evt_3", "payment.failed", &other("failed")));
        history.orders.push(Order {
            mch_id: "1900000109".to_owned(),
            trade_no: "B-2".to_owned(),
            state: "NOTPAY".to_owned(),
            total: 5,
            ..Order::default()
        });
    };
    check(failed, &[5]);
    let refund_failed = |history: &mut History| {
        let tenant = &mut history.tenants[0];
        tenant.refunds[0]["status"] = json!("failed");
        tenant.payments[0]["status"] = json!("succeeded");
        tenant.payments[0]["refunded_amount"] = json!(0);
        tenant.events[1] = event("evt_2", "refund.failed", &tenant.refunds[0].clone());
        history.journal.pop();
    };
    check(refund_failed, &[5]);
}

#[test]
fn rule_6_a_second_order() {
    let stray = |number: &str| Order {
        mch_id: "1900000109".to_owned(),
        trade_no: number.to_owned(),
        state: "NOTPAY".to_owned(),
        ..Order::default()
    };
    check(|history| history.orders.push(stray("B-1x")), &[6]);
    let two_live = |history: &mut History| {
        history.orders.push(stray("B-1-2"));
        history.tenants[0].payments[0]["attempts"] = json!([{ "trade_no": "B-1" }, { "trade_no": "B-1-2" }]);
    };
    check(two_live, &[6]);
    let again = |request: &str| {
        let request = Document::xml(request);
        move |history: &mut History| {
            let entry = Entry { request, ..history.journal[0].clone() };
            history.journal.push(entry);
        }
    };
    check(again("<xml><total_fee>100</total_fee><nonce_str>b</nonce_str></xml>"), &[]);
    check(again("<xml><total_fee>101</total_fee><nonce_str>b</nonce_str></xml>"), &[6]);
    let refunded_unseen = |history: &mut History| {
        let refund = PlatformRefund { out_refund_no: "R-9".to_owned(), amount: 1, state: "SUCCESS".to_owned() };
        history.orders[0].refunds.push(refund);
    };
    check(refunded_unseen, &[6]);
}

#[test]
fn rule_7_a_change_without_an_event() {
    // No notify told of it: a query did.
    let silent = |history: &mut History| {
        history.tenants[0].events.remove(0);
        let entry = &mut history.journal[1];
        entry.outgoing = false;
        entry.operation = "orderquery".to_owned();
        entry.response = answer();
    };
    check(silent, &[7]);
    let closed = json!({
        "id": "pay_2", "tenant": "bookshop", "out_trade_no": "B-2", "amount": 5, "status": "closed",
        "refunded_amount": 0, "attempts": [{ "trade_no": "B-2" }],
    });
    check(|history| history.tenants[0].payments.push(closed), &[7]);
}

#[test]
fn rule_8_a_tenant_that_sees_another() {
    let neighbour = |history: &mut History| {
        let other = TenantHistory {
            tenant: Tenant::teahouse(),
            payments: vec![],
            refunds: vec![],
            events: vec![history.tenants[0].events[0].clone()],
        };
        history.tenants[0].events.remove(0);
        history.tenants.push(other);
        history.journal.clear();
        history.journal_is_whole = false;
    };
    check(neighbour, &[7, 8]);
    check(|history| history.tenants[0].payments[0]["tenant"] = json!("teahouse"), &[8]);
}

#[test]
fn rule_9_a_secret_that_was_seen() {
    let secret = Tenant::bookshop().api_key;
    for form in [
        secret.clone(),
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &secret),
        hex::encode(&secret),
        percent_encoding::utf8_percent_encode(&secret, percent_encoding::NON_ALPHANUMERIC).to_string(),
    ] {
        check(|history| history.seen.push(("log".to_owned(), format!("a line with {form} in it"))), &[9]);
    }
}

#[test]
fn rule_10_a_gateway_that_is_not_back() {
    check(|history| history.readiness = None, &[10]);
    check(|history| history.readiness = Some((503, "unready".to_owned())), &[10]);
    check(|history| history.readiness = Some((200, "degraded".to_owned())), &[10]);
    let allowed = |history: &mut History| {
        history.readiness = Some((200, "degraded".to_owned()));
        history.degraded = true;
    };
    check(allowed, &[]);
}
