//! The rules that read the wire, over APIv3: entries as the sandbox's journal writes them.

use super::*;
use crate::checker::collect::entry;
use crate::tenant::V3Trust;

/// A change of a journal entry before it is read.
type Change = (&'static str, Value);

fn put(value: &mut Value, (path, to): Change) {
    *value.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = to;
}

fn order() -> Value {
    json!({
        "mchid": "1900000109", "appid": "wx8888888888888888", "out_trade_no": "B-1", "transaction_id": TRANSACTION,
        "trade_state": "SUCCESS", "amount": { "total": 100, "payer_total": 69, "currency": "CNY" },
    })
}

/// A notify, its resource and its entry changed.
fn notify(resource: &[Change], whole: &[Change]) -> Entry {
    let mut said = order();
    resource.iter().for_each(|change| put(&mut said, change.clone()));
    let mut raw = json!({
        "direction": "out", "operation": "notify_payment", "url": "http://127.0.0.1:1/notify/bookshop/wechat/payment",
        "mch_id": "1900000109", "out_trade_no": "B-1", "out_refund_no": null, "status": 200,
        "request": r#"{"event_type":"TRANSACTION.SUCCESS","resource":{"ciphertext":"AAAA"}}"#,
        "response": r#"{"code":"SUCCESS","message":"成功"}"#, "serial": "PUB_KEY_ID_1", "note": null,
        "v3": { "genuine": true, "resource": said.to_string() },
    });
    whole.iter().for_each(|change| put(&mut raw, change.clone()));
    entry(&raw)
}

fn refund_notify(whole: &[Change]) -> Entry {
    let said = json!({ "out_trade_no": "B-1", "out_refund_no": "R-1", "refund_status": "SUCCESS" }).to_string();
    let changes =
        [("/operation", json!("notify_refund")), ("/out_refund_no", json!("R-1")), ("/v3/resource", json!(said))];
    notify(&[], &[&changes[..], whole].concat())
}

fn query(answer: &[Change], whole: &[Change]) -> Entry {
    let mut said = order();
    answer.iter().for_each(|change| put(&mut said, change.clone()));
    let mut raw = json!({
        "direction": "in", "operation": "v3_query", "url": "/v3/pay/transactions/out-trade-no/B-1?mchid=1900000109",
        "mch_id": "1900000109", "out_trade_no": "B-1", "out_refund_no": null, "status": 200, "request": "",
        "response": said.to_string(), "note": null, "v3": { "genuine": true, "resource": null },
    });
    whole.iter().for_each(|change| put(&mut raw, change.clone()));
    entry(&raw)
}

fn sent(operation: &str, url: &str, body: &Value) -> Entry {
    entry(&json!({
        "direction": "in", "operation": operation, "url": url, "mch_id": "1900000109", "out_trade_no": "B-1",
        "out_refund_no": body["out_refund_no"], "status": 200, "request": body.to_string(), "response": "{}",
        "note": null, "v3": { "genuine": true, "resource": null },
    }))
}

fn prepay(url: &str, total: i64) -> Entry {
    let body = json!({ "mchid": "1900000109", "out_trade_no": "B-1", "amount": { "total": total, "currency": "CNY" } });
    sent("v3_prepay", url, &body)
}

fn refund(amount: i64) -> Entry {
    let amount = json!({ "refund": amount, "total": 100, "currency": "CNY" });
    let body = json!({ "out_trade_no": "B-1", "out_refund_no": "R-1", "amount": amount });
    sent("v3_refund", "/v3/refund/domestic/refunds", &body)
}

const JSAPI: &str = "/v3/pay/transactions/jsapi";

/// The sound history over APIv3: broken, and the rules that notice.
#[track_caller]
fn check_v3(breaks: impl FnOnce(&mut History), rules: &[u8]) {
    check(
        |history| {
            history.tenants[0].tenant = Tenant::bookshop().over_v3(V3Trust::PublicKey);
            history.journal = vec![prepay(JSAPI, 100), notify(&[], &[]), refund_notify(&[])];
            breaks(history);
        },
        rules,
    );
}

#[test]
fn a_sound_history_over_v3_breaks_nothing() {
    check_v3(|_| {}, &[]);
    check_v3(|history| history.journal[1] = notify(&[], &[("/status", json!(204)), ("/response", json!(""))]), &[]);
    // What the notify says of an order that some of went back.
    check_v3(|history| history.journal[1] = notify(&[("/trade_state", json!("REFUND"))], &[]), &[]);
}

#[test]
fn rule_1_an_accepted_notify_over_v3_without_an_effect() {
    check_v3(lose_the_effect, &[1]);
    // The status decides, whatever the body says.
    let refused = |history: &mut History| {
        lose_the_effect(history);
        history.journal[1] = notify(&[], &[("/status", json!(500))]);
    };
    check_v3(refused, &[]);
    check_v3(|history| history.tenants[0].payments.clear(), &[1, 2, 6]);
    check_v3(|history| history.journal[2] = refund_notify(&[("/out_refund_no", json!("R-2"))]), &[1]);
    check_v3(|history| history.tenants[0].refunds[0]["id"] = json!("ref_2"), &[1, 7]);
    let elsewhere = || [("/url", json!("http://x/notify/teahouse/wechat/payment"))];
    check_v3(|history| history.journal[1] = notify(&[], &elsewhere()), &[1]);
}

#[test]
fn rule_3_a_success_over_v3_that_nobody_vouched_for() {
    check_v3(|history| history.journal[1] = notify(&[], &[("/v3/genuine", json!(false))]), &[3]);
    // A later genuine one makes it good, a refused one does not.
    let then = |later: Entry| {
        move |history: &mut History| {
            history.journal[1] = notify(&[], &[("/v3/genuine", json!(false))]);
            history.journal.push(later);
        }
    };
    check_v3(then(notify(&[], &[])), &[]);
    check_v3(then(notify(&[], &[("/status", json!(401))])), &[3]);
    check_v3(then(notify(&[], &[("/status", Value::Null)])), &[3]);
    check_v3(|history| history.journal[1] = notify(&[("/trade_state", json!("NOTPAY"))], &[]), &[3]);
    for contradiction in [
        ("/amount/total", json!(99)),
        ("/amount/currency", json!("USD")),
        ("/mchid", json!("1900000110")),
        ("/appid", json!("wx7777777777777777")),
        // What the payer paid is not the order's total.
        ("/amount", json!({ "payer_total": 100, "currency": "CNY" })),
    ] {
        check_v3(|history| history.journal[1] = notify(&[contradiction], &[]), &[1, 3]);
    }
    // Nobody could read what was acknowledged.
    check_v3(|history| history.journal[1] = notify(&[], &[("/v3/resource", Value::Null)]), &[1, 3]);
}

#[test]
fn rule_3_an_answer_over_v3_is_a_word_if_it_was_signed() {
    check_v3(|history| history.journal[1] = query(&[], &[]), &[]);
    check_v3(|history| history.journal[1] = query(&[], &[("/v3/genuine", json!(false))]), &[3]);
    check_v3(|history| history.journal[1] = query(&[], &[("/note", json!("fault: duplicate_field"))]), &[3]);
    check_v3(|history| history.journal[1] = query(&[("/trade_state", json!("NOTPAY"))], &[]), &[3]);
    for contradiction in [("/amount/total", json!(101)), ("/mchid", json!("1900000110")), ("/appid", json!("wx77"))] {
        check_v3(|history| history.journal[1] = query(&[contradiction], &[]), &[3]);
    }
}

#[test]
fn rule_6_a_second_form_over_v3() {
    check_v3(|history| history.journal.push(prepay(JSAPI, 100)), &[]);
    check_v3(|history| history.journal.push(prepay(JSAPI, 101)), &[6]);
    check_v3(|history| history.journal.push(prepay("/v3/pay/transactions/h5", 100)), &[6]);
    check_v3(|history| history.journal.extend([refund(40), refund(40)]), &[]);
    check_v3(|history| history.journal.extend([refund(40), refund(41)]), &[6]);
}

#[test]
fn rule_9_a_secret_of_v3_that_was_seen() {
    let tenant = Tenant::bookshop().over_v3(V3Trust::Certificates);
    for form in [tenant.mch_key.clone(), hex::encode(&tenant.mch_key)] {
        check_v3(|history| history.seen.push(("log".to_owned(), format!("opened with {form}"))), &[9]);
    }
}
