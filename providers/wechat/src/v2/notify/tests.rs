use dukou_spi::{NotifyKind, RawNotify};

use dukou_domain::{Currency, Money};

use super::*;
use crate::v2::sign::SignType;
use crate::v2::testing::{self, APP_ID, MCH_ID, signed};

const PAID: [(&str, &str); 8] = [
    ("result_code", "SUCCESS"),
    ("openid", "oUpF8u"),
    ("total_fee", "5990"),
    ("cash_fee", "5890"),
    ("transaction_id", "4200002345202607041234567890"),
    ("out_trade_no", "T20260704000017"),
    ("time_end", "20260704123045"),
    ("trade_type", "JSAPI"),
];

fn with(changes: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut fields = PAID.to_vec();
    fields.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    fields.extend_from_slice(changes);
    fields
}

async fn outcome(document: String) -> Result<PaymentOutcome, NotifyError> {
    outcome_under(serde_json::json!({}), document).await
}

async fn outcome_under(changes: serde_json::Value, document: String) -> Result<PaymentOutcome, NotifyError> {
    let (provider, _) = testing::provider(changes);
    let raw = RawNotify { kind: NotifyKind::Payment, headers: Vec::new(), body: document.into() };
    match provider.notify(&raw).await? {
        Notice::Payment(notice) => Ok(notice.into_inner().outcome),
        other @ (Notice::Refund(_) | Notice::RefundHint(_)) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_paid_notify_says_the_orders_total_and_whose_it_is() {
    let PaymentOutcome::Paid(facts) = outcome(signed(SignType::Md5, &PAID)).await.unwrap() else { panic!("not paid") };
    assert_eq!(facts.amount, testing::fen(5990));
    assert_eq!((facts.app_id.as_str(), facts.merchant_id.as_str()), (APP_ID, MCH_ID));
    assert_eq!(facts.openid.as_deref(), Some("oUpF8u"));
    assert_eq!(facts.paid_at, Some(testing::NOW));
}

/// The engine compares; the provider reports what stands there.
#[tokio::test]
async fn another_app_merchant_or_currency_is_reported_not_judged() {
    let fields = with(&[("appid", "wx7777777777777777"), ("mch_id", "1900000110"), ("fee_type", "USD")]);
    let PaymentOutcome::Paid(facts) = outcome(signed(SignType::Md5, &fields)).await.unwrap() else {
        panic!("not paid")
    };
    assert_eq!((facts.app_id.as_str(), facts.merchant_id.as_str()), ("wx7777777777777777", "1900000110"));
    assert_eq!(facts.amount, Money::new(5990, Currency::named("USD")).unwrap());
}

#[tokio::test]
async fn a_failed_try_is_never_paid() {
    let fields = with(&[("result_code", "FAIL"), ("err_code", "NOTENOUGH")]);
    let outcome = outcome(signed(SignType::Md5, &fields)).await.unwrap();
    assert_eq!(
        outcome,
        PaymentOutcome::NotPaid {
            code: Some("NOTENOUGH".to_owned()),
            app_id: APP_ID.to_owned(),
            merchant_id: MCH_ID.to_owned()
        }
    );
}

#[tokio::test]
async fn a_notify_without_a_needed_field_is_malformed() {
    for name in ["out_trade_no", "transaction_id", "total_fee", "appid", "mch_id", "result_code", "return_code"] {
        let changed: &'static [(&'static str, &'static str)] = match name {
            "out_trade_no" => &[("out_trade_no", "")],
            "transaction_id" => &[("transaction_id", "")],
            "total_fee" => &[("total_fee", "")],
            "appid" => &[("appid", "")],
            "mch_id" => &[("mch_id", "")],
            "result_code" => &[("result_code", "")],
            _ => &[("return_code", "FAIL")],
        };
        let error = outcome(signed(SignType::Md5, &with(changed))).await.unwrap_err();
        assert!(matches!(&error, NotifyError::Malformed(message) if message.contains(name)), "{name}: {error}");
    }
    for fee in ["-1", "+1", "1.0", "1e2", " 1", "99999999999999999999", "１"] {
        let document =
            signed(SignType::Md5, &PAID.map(|(name, value)| (name, if name == "total_fee" { fee } else { value })));
        assert!(matches!(outcome(document).await, Err(NotifyError::Malformed(_))), "{fee}");
    }
}

#[tokio::test]
async fn what_is_not_signed_as_configured_is_refused() {
    let unsigned = xml::write(PAID);
    let failure = "<xml><return_code>FAIL</return_code></xml>".to_owned();
    for document in [signed(SignType::HmacSha256, &PAID), unsigned, failure] {
        assert_eq!(outcome(document).await, Err(NotifyError::BadSignature));
    }
    for document in ["", "{}", "<xml>", "<!DOCTYPE xml><xml/>"] {
        assert!(matches!(outcome(document.to_owned()).await, Err(NotifyError::Malformed(_))), "{document}");
    }
}

#[tokio::test]
async fn the_other_sign_type_is_believed_only_while_it_is_accepted() {
    use SignType::{HmacSha256, Md5};
    for (sign_type, accepted, signed_as, holds) in [
        ("MD5", None, HmacSha256, false),
        ("MD5", Some("HMAC-SHA256"), HmacSha256, true),
        ("MD5", Some("HMAC-SHA256"), Md5, true),
        ("HMAC-SHA256", None, Md5, false),
        ("HMAC-SHA256", Some("MD5"), Md5, true),
    ] {
        let mut changes = serde_json::json!({ "sign_type": sign_type });
        if let Some(accepted) = accepted {
            changes["accepted_sign_type"] = accepted.into();
        }
        let document = signed(signed_as, &PAID);
        let forged = document.replace("<total_fee>5990<", "<total_fee>599<");
        assert_ne!(document, forged);
        let got = outcome_under(changes.clone(), document).await;
        assert_eq!(got.is_ok(), holds, "{changes} {signed_as:?}: {got:?}");
        assert_eq!(outcome_under(changes, forged).await, Err(NotifyError::BadSignature));
    }
}

#[test]
fn a_refund_notify_that_does_not_decrypt_is_refused() {
    let settings = testing::settings("MD5");
    let document = |req_info: &str| xml::write([("return_code", "SUCCESS"), ("req_info", req_info)]);
    for req_info in ["!", "AAAA", &BASE64_STANDARD.encode([0; 64]), &BASE64_STANDARD.encode([])] {
        let got = refund(document(req_info).as_bytes(), &settings);
        assert!(matches!(got, Err(NotifyError::BadSignature | NotifyError::Malformed(_))), "{req_info}: {got:?}");
    }
    assert!(matches!(
        refund(b"<xml><return_code>SUCCESS</return_code></xml>", &settings),
        Err(NotifyError::Malformed(_))
    ));
}

#[test]
fn what_a_person_sees_of_a_message_is_what_was_in_it() {
    let shown = show(signed(SignType::Md5, &PAID).as_bytes(), &testing::settings("MD5"));
    for (name, value) in
        [("total_fee", "5990"), ("out_trade_no", "T20260704000017"), ("openid", "***"), ("sign", "***")]
    {
        assert!(shown.contains(&(name.to_owned(), value.to_owned())), "{name}: {shown:?}");
    }
    assert_eq!(show(b"<xml>", &testing::settings("MD5")), []);
}

#[test]
fn each_verdict_has_wechats_form() {
    for (verdict, code) in [(Verdict::Accepted, "SUCCESS"), (Verdict::TryAgain, "FAIL"), (Verdict::Rejected, "FAIL")] {
        let reply = acknowledge(verdict);
        assert_eq!(reply.status, 200);
        assert_eq!(xml::parse(&reply.body, "xml").unwrap().get("return_code"), Some(code));
    }
}
