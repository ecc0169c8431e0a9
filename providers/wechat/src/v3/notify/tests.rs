use dukou_domain::{Currency, Money};
use dukou_spi::{NotifyKind, PaidFacts, RefundWord};
use serde_json::{Value, json};

use super::*;
use crate::v3::testing::{API_V3_KEY, APP_ID, MCH_ID, NOW, PUBLIC_KEY_ID, World, fen, partner_mode, sealed, signed};

fn transaction() -> Value {
    json!({
        "appid": APP_ID, "mchid": MCH_ID, "out_trade_no": "T20260704000017",
        "transaction_id": "4200002345202607041234567890", "trade_type": "JSAPI", "trade_state": "SUCCESS",
        "success_time": "2026-07-04T12:30:45+08:00", "payer": { "openid": "oUpF8u" }, "new_member": [1],
        "amount": { "total": 5990, "payer_total": 5890, "currency": "CNY", "payer_currency": "CNY" },
    })
}

fn refund() -> Value {
    json!({
        "mchid": MCH_ID, "out_trade_no": "T20260704000017", "transaction_id": "42", "out_refund_no": "RF-1",
        "refund_id": "50300", "refund_status": "SUCCESS", "success_time": "2026-07-04T12:30:45+08:00",
        "user_received_account": "支付用户零钱", "amount": { "total": 5990, "refund": 1990, "payer_refund": 1957 },
    })
}

fn message(world: &World, original_type: &str, resource: &Value) -> RawNotify {
    let resource = sealed(API_V3_KEY, original_type, resource.to_string().as_bytes());
    let body = json!({
        "id": "EV-2026", "create_time": "2026-07-04T12:30:45+08:00", "resource_type": "encrypt-resource",
        "event_type": "TRANSACTION.SUCCESS", "summary": "支付成功", "resource": resource,
    })
    .to_string();
    let headers = signed(PUBLIC_KEY_ID, world.now(), body.as_bytes());
    RawNotify { kind: NotifyKind::Payment, headers, body: body.into() }
}

async fn read(changes: Value, original_type: &str, resource: &Value) -> Result<Notice, NotifyError> {
    let world = World::default();
    world.provider(changes).notify(&message(&world, original_type, resource)).await
}

#[test]
fn what_a_person_sees_of_a_message_is_what_was_sealed_in_it() {
    let world = World::default();
    let shown = world.provider(json!({})).show(&message(&world, "transaction", &transaction()).body);
    for (name, value) in [
        ("event_type", "TRANSACTION.SUCCESS"),
        ("out_trade_no", "T20260704000017"),
        ("amount.total", "5990"),
        ("payer.openid", "***"),
        ("resource.ciphertext", "***"),
    ] {
        assert!(shown.contains(&(name.to_owned(), value.to_owned())), "{name}: {shown:?}");
    }
    assert_eq!(world.provider(json!({})).show(b"{"), []);
}

type Headers = Vec<(String, String)>;

async fn outcome(resource: &Value) -> Result<PaymentOutcome, NotifyError> {
    match read(json!({}), "transaction", resource).await? {
        Notice::Payment(notice) => Ok(notice.into_inner().outcome),
        other => panic!("{other:?}"),
    }
}

fn with(mut value: Value, pointer: &str, change: Value) -> Value {
    match (value.pointer_mut(pointer), change) {
        (Some(at), change) => *at = change,
        (None, change) => value[pointer.trim_start_matches('/')] = change,
    }
    value
}

#[tokio::test]
async fn a_paid_notify_says_the_orders_total_and_whose_it_is() {
    let PaymentOutcome::Paid(facts) = outcome(&transaction()).await.unwrap() else { panic!("not paid") };
    assert_eq!(facts.amount, fen(5990));
    assert_eq!((facts.app_id.as_str(), facts.merchant_id.as_str()), (APP_ID, MCH_ID));
    assert_eq!(facts.openid.as_deref(), Some("oUpF8u"));
    assert_eq!(facts.paid_at, Some(NOW));
}

/// The engine compares; the provider reports what stands there.
#[tokio::test]
async fn another_app_merchant_or_currency_is_reported_not_judged() {
    let mut resource = with(transaction(), "/appid", json!("wx7777777777777777"));
    resource = with(resource, "/mchid", json!("1900000110"));
    resource = with(resource, "/amount/currency", json!("USD"));
    let PaymentOutcome::Paid(facts) = outcome(&resource).await.unwrap() else { panic!("not paid") };
    assert_eq!((facts.app_id.as_str(), facts.merchant_id.as_str()), ("wx7777777777777777", "1900000110"));
    assert_eq!(facts.amount, Money::new(5990, Currency::named("USD")).unwrap());
}

/// What the key that it is encrypted under says by itself.
#[tokio::test]
async fn a_message_that_names_neither_app_nor_merchant_is_the_keys_owners() {
    for name in ["appid", "mchid"] {
        let resource = with(transaction(), &format!("/{name}"), json!(null));
        let PaymentOutcome::Paid(facts) = outcome(&resource).await.unwrap() else { panic!("not paid") };
        assert_eq!((facts.app_id.as_str(), facts.merchant_id.as_str()), (APP_ID, MCH_ID));
    }
    // What went back is known by its amount alone.
    for missing in ["/amount", "/amount/refund", "/out_trade_no", "/out_refund_no"] {
        let resource = with(refund(), missing, json!(null));
        let refused = read(json!({}), "refund", &resource).await;
        assert!(matches!(refused, Err(NotifyError::Malformed(_))), "{missing}: {refused:?}");
    }
    let resource = with(refund(), "/mchid", json!(null));
    let Notice::Refund(notice) = read(json!({}), "refund", &resource).await.unwrap() else { panic!("no refund") };
    assert_eq!(notice.get().merchant_id, MCH_ID);
    assert_eq!(notice.get().total, Some(fen(5990)));
    assert_eq!(notice.get().transaction_id.as_ref().map(|number| number.as_str()), Some("42"));
}

const SUB_APP: &str = "wx7777777777777777";

/// A message about a partner's order, with changes.
fn of_partner(changes: &[(&str, Value)]) -> Value {
    let mut resource = transaction();
    for name in ["appid", "mchid"] {
        resource.as_object_mut().unwrap().remove(name);
    }
    for (name, id) in [("sp_appid", APP_ID), ("sp_mchid", MCH_ID), ("sub_appid", SUB_APP), ("sub_mchid", "1900000100")]
    {
        resource[name] = json!(id);
    }
    resource["payer"] = json!({ "sp_openid": "oSp", "sub_openid": "oSub" });
    for (name, change) in changes {
        resource[name] = change.clone();
    }
    resource
}

async fn partners_facts(mode: Value, resource: &Value) -> PaidFacts {
    let Notice::Payment(notice) = read(mode, "transaction", resource).await.unwrap() else { panic!("no payment") };
    let PaymentOutcome::Paid(facts) = notice.into_inner().outcome else { panic!("not paid") };
    facts
}

#[tokio::test]
async fn in_partner_mode_all_four_ids_are_reported() {
    let facts = partners_facts(partner_mode(), &of_partner(&[])).await;
    let info = World::default().provider(partner_mode()).info().clone();
    assert_eq!((&facts.app_id, &facts.merchant_id), (&info.app_id, &info.merchant_id));
    assert_eq!(info.merchant_id, "1900000109/1900000100");
    assert_eq!(info.calling_merchant(), "1900000109");
    assert_eq!(facts.openid.as_deref(), Some("oSub"));
}

/// What is named is reported as it stands, whatever the section says today: comparing it with the order is the engine's.
#[tokio::test]
async fn of_a_partners_ids_only_the_merchants_app_is_optional() {
    let (without, with) = (json!({ "sub_mch_id": "1900000100" }), partner_mode());
    let (both, alone) = (format!("{APP_ID}/{SUB_APP}"), APP_ID.to_owned());
    let ours = format!("{MCH_ID}/1900000100");
    let cases = [
        (of_partner(&[]), (both.clone(), ours.clone())),
        (of_partner(&[("sub_appid", json!(null))]), (alone.clone(), ours.clone())),
        (of_partner(&[("sub_appid", json!(""))]), (alone, ours.clone())),
        (
            of_partner(&[("sub_appid", json!("wx6666666666666666"))]),
            (format!("{APP_ID}/wx6666666666666666"), ours.clone()),
        ),
        (of_partner(&[("sp_appid", json!(SUB_APP))]), (format!("{SUB_APP}/{SUB_APP}"), ours)),
        (of_partner(&[("sp_mchid", json!("1900000110"))]), (both.clone(), "1900000110/1900000100".to_owned())),
        (of_partner(&[("sub_mchid", json!("1900000111"))]), (both.clone(), format!("{MCH_ID}/1900000111"))),
    ];
    for mode in [&without, &with] {
        for (resource, reported) in &cases {
            let facts = partners_facts(mode.clone(), resource).await;
            assert_eq!((&facts.app_id, &facts.merchant_id), (&reported.0, &reported.1), "{mode}: {resource}");
        }
    }
    // Of a merchant that acts for itself, nothing of the kind is to be expected.
    let facts = partners_facts(json!({}), &of_partner(&[])).await;
    assert_eq!((facts.app_id, facts.merchant_id), (both, format!("{MCH_ID}/1900000100")));
    // The key is the partner's: whom it acted for is said by the message alone.
    let nobodys = of_partner(&[("sub_mchid", json!(null))]);
    let refused = read(without, "transaction", &nobodys).await;
    assert!(matches!(refused, Err(NotifyError::Malformed(_))), "{refused:?}");
}

#[tokio::test]
async fn a_state_that_is_not_paid_is_never_paid() {
    for state in ["NOTPAY", "CLOSED", "PAYERROR", "success", "PAID"] {
        let outcome = outcome(&with(transaction(), "/trade_state", json!(state))).await.unwrap();
        assert!(matches!(&outcome, PaymentOutcome::NotPaid { code: Some(code), .. } if code == state), "{state}");
    }
}

#[tokio::test]
async fn a_notify_without_a_needed_member_is_malformed() {
    let changes = [
        ("/out_trade_no", json!("")),
        ("/out_trade_no", json!(null)),
        ("/transaction_id", json!(null)),
        ("/amount", json!(null)),
        ("/amount/total", json!(null)),
        ("/amount/total", json!("5990")),
        ("/amount/total", json!(59.9)),
        ("/amount/total", json!(-1)),
        ("/trade_state", json!(null)),
    ];
    for (pointer, change) in changes {
        let resource = with(transaction(), pointer, change);
        let error = outcome(&resource).await.unwrap_err();
        assert!(matches!(error, NotifyError::Malformed(_)), "{resource}: {error}");
    }
}

#[tokio::test]
async fn a_refunds_message_is_signed_and_counts_by_itself() {
    for (word, meaning) in [
        ("SUCCESS", RefundWord::Succeeded),
        ("CLOSED", RefundWord::Closed),
        ("ABNORMAL", RefundWord::Abnormal),
        ("NEW", RefundWord::Unrecognised),
    ] {
        let resource = with(refund(), "/refund_status", json!(word));
        let Notice::Refund(notice) = read(json!({}), "refund", &resource).await.unwrap() else { panic!("{word}") };
        let notice = notice.into_inner();
        assert_eq!((notice.status.word, &*notice.status.platform_word), (meaning, word));
        assert_eq!(notice.status.amount, Some(fen(1990)));
        assert_eq!((notice.trade_no.as_str(), &*notice.merchant_id), ("T20260704000017", MCH_ID));
    }
}

#[tokio::test]
async fn what_is_neither_payment_nor_refund_is_malformed() {
    for kind in ["profitsharing", "mch_payment", ""] {
        assert!(matches!(read(json!({}), kind, &transaction()).await, Err(NotifyError::Malformed(_))), "{kind}");
    }
    // Signed by WeChat, and not for this key: the configured one is wrong, and is named.
    let world = World::default();
    let resource = sealed("another key that has 32 bytes,  ", "transaction", b"{}");
    let body = json!({ "resource": resource }).to_string();
    let headers = signed(PUBLIC_KEY_ID, world.now(), body.as_bytes());
    let raw = RawNotify { kind: NotifyKind::Payment, headers, body: body.into() };
    let error = world.provider(json!({})).notify(&raw).await.unwrap_err();
    assert!(matches!(&error, NotifyError::Malformed(message) if message.contains("api_v3_key")), "{error}");
}

/// Five minutes either way; the platform's time is told whatever it is.
#[tokio::test]
async fn a_signature_of_another_time_is_refused() {
    for (apart, counts) in [(-301, false), (-300, false), (-299, true), (299, true), (300, false), (301, false)] {
        let world = World::default();
        let provider = world.provider(json!({}));
        let now = world.now();
        world.set_seconds(now + apart);
        let raw = message(&world, "transaction", &transaction());
        world.set_seconds(now);
        let result = provider.notify(&raw).await;
        if counts {
            result.unwrap();
        } else {
            assert_eq!(result, Err(NotifyError::OtherTime { seconds: apart }));
        }
        assert_eq!(*world.heard.0.lock().unwrap(), [now + apart]);
    }
}

#[tokio::test]
async fn every_header_counts_and_no_byte_may_change() {
    let world = World::default();
    let provider = world.provider(json!({}));
    let good = message(&world, "transaction", &transaction());
    provider.notify(&good).await.unwrap();
    let refused = async |raw: &RawNotify, shown: &str| {
        let error = provider.notify(raw).await.unwrap_err();
        assert!(
            matches!(error, NotifyError::BadSignature | NotifyError::UnknownKey { .. } | NotifyError::Malformed(_)),
            "{shown}: {error}"
        );
    };
    for at in 0..4 {
        let name = good.headers[at].0.clone();
        let changed = |change: &dyn Fn(&mut Headers)| {
            let mut raw = good.clone();
            change(&mut raw.headers);
            raw
        };
        refused(&changed(&|headers| drop(headers.remove(at))), &format!("{name} missing")).await;
        refused(&changed(&|headers| headers[at].1.clear()), &format!("{name} empty")).await;
        refused(&changed(&|headers| headers.push(headers[at].clone())), &format!("{name} doubled")).await;
        refused(&changed(&|headers| headers[at].1 = "A".repeat(1 << 20)), &format!("{name} long")).await;
        refused(&changed(&|headers| headers[at].1.insert(0, '0')), &format!("{name} changed")).await;
    }
    let mut raw = good.clone();
    raw.headers[4].1 = "WECHATPAY2-SM2-WITH-SM3".to_owned();
    refused(&raw, "another algorithm").await;
    for at in (0..good.body.len()).step_by(7) {
        let mut body = good.body.to_vec();
        body[at] ^= 1;
        let raw = RawNotify { body: body.into(), ..good.clone() };
        assert_eq!(provider.notify(&raw).await, Err(NotifyError::BadSignature), "byte {at}");
    }
}

#[tokio::test]
async fn a_probe_is_told_from_a_forgery() {
    let world = World::default();
    let mut raw = message(&world, "transaction", &transaction());
    let signature = raw.headers.iter_mut().find(|(name, _)| name == "wechatpay-signature").unwrap();
    signature.1 = format!("WECHATPAY/SIGNTEST/{}", &signature.1[19..]);
    assert_eq!(world.provider(json!({})).notify(&raw).await, Err(NotifyError::Probe));
}

#[test]
fn each_verdict_has_wechats_form() {
    for (verdict, status, code) in
        [(Verdict::Accepted, 200, "SUCCESS"), (Verdict::TryAgain, 500, "FAIL"), (Verdict::Rejected, 401, "FAIL")]
    {
        let reply = acknowledge(verdict);
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, &body["code"]), (status, &json!(code)));
    }
}
