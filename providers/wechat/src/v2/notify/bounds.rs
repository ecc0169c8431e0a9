//! One string to sign, read in every way that it can be.

use dukou_spi::{NotifyKind, RawNotify};
use proptest::prelude::*;

use super::*;
use crate::v2::sign::SignType;
use crate::v2::testing::{self, APP_ID, MCH_ID, signed};

/// A message for one fen, whose order carried this `attach`.
fn genuine(attach: &str) -> Vec<(&str, &str)> {
    vec![
        ("return_code", "SUCCESS"),
        ("result_code", "SUCCESS"),
        ("appid", APP_ID),
        ("mch_id", MCH_ID),
        ("nonce_str", "n1"),
        ("attach", attach),
        ("bank_type", "CMB_CREDIT"),
        ("fee_type", "CNY"),
        ("out_trade_no", "A1"),
        ("total_fee", "1"),
        ("transaction_id", "42"),
    ]
}

fn read(document: &str, sign_type: &str) -> Result<dukou_spi::PaidFacts, NotifyError> {
    match payment(document.as_bytes(), &testing::settings(sign_type))? {
        Notice::Payment(notice) => match notice.into_inner().outcome {
            PaymentOutcome::Paid(facts) => Ok(facts),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// What was signed, cut at its `&` in every way that leaves names ascending, and each as a document with that `sign`.
fn readings(fields: &[(&str, &str)], sign: &str) -> Vec<String> {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let signed = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let pieces: Vec<&str> = signed.split('&').collect();
    let mut found = Vec::new();
    for cuts in 0..1_u32 << (pieces.len() - 1) {
        let mut texts = vec![pieces[0].to_owned()];
        for (at, piece) in pieces[1..].iter().enumerate() {
            if cuts >> at & 1 == 1 {
                texts.push((*piece).to_owned());
            } else {
                let last = texts.last_mut().unwrap();
                last.push('&');
                last.push_str(piece);
            }
        }
        let fields: Option<Vec<_>> = texts.iter().map(|text| text.split_once('=')).collect();
        if let Some(fields) = fields.filter(|fields| fields.is_sorted_by(|one, next| one.0 < next.0)) {
            found.push(xml::write(fields.into_iter().chain([("sign", sign)])));
        }
    }
    found
}

fn sign_of(fields: &[(&str, &str)], sign_type: SignType) -> String {
    let document = signed(sign_type, fields);
    xml::parse(document.as_bytes(), "xml").unwrap().get("sign").unwrap().to_owned()
}

#[test]
fn fields_in_an_orders_attach_make_no_message_about_another_order() {
    let attach = format!(
        "z&mch_id={MCH_ID}&out_trade_no=B1&result_code=SUCCESS&return_code=SUCCESS&total_fee=99999&transaction_id=7&z="
    );
    let fields = genuine(&attach);
    for (sign_type, word) in [(SignType::Md5, "MD5"), (SignType::HmacSha256, "HMAC-SHA256")] {
        let facts = read(&signed(sign_type, &fields), word).unwrap();
        assert_eq!((facts.trade_no.as_str(), facts.amount), ("A1", testing::fen(1)), "the genuine one counts");
        // What stood after attach hides in a last field.
        let sign = sign_of(&fields, sign_type);
        let rest = format!(
            "&bank_type=CMB_CREDIT&fee_type=CNY&mch_id={MCH_ID}&nonce_str=n1&out_trade_no=A1&result_code=SUCCESS\
             &return_code=SUCCESS&total_fee=1&transaction_id=42"
        );
        let mut forged = vec![("appid", APP_ID), ("attach", "z"), ("mch_id", MCH_ID), ("out_trade_no", "B1")];
        forged.extend([("result_code", "SUCCESS"), ("return_code", "SUCCESS"), ("total_fee", "99999")]);
        forged.extend([("transaction_id", "7"), ("z", &rest), ("sign", &sign)]);
        let refused = read(&xml::write(forged), word);
        assert!(matches!(refused, Err(NotifyError::Malformed(_))), "{refused:?}");
    }
}

#[test]
fn an_attach_may_hold_what_separates_fields() {
    for attach in
        ["&", "a=1&b=2", "shelf 7&", "R&D", "x&total_fee=5", "z&attach=y&out_trade_no=B1", "a&bank_type=X&sign=1"]
    {
        let facts = read(&signed(SignType::Md5, &genuine(attach)), "MD5");
        assert_eq!(facts.map(|facts| facts.amount), Ok(testing::fen(1)), "{attach}");
    }
}

#[tokio::test]
async fn nobody_but_attach_may_hold_it() {
    for name in ["bank_type", "device_info", "trade_type", "zz"] {
        let mut fields = genuine("a&b");
        fields.retain(|(known, _)| *known != name);
        fields.push((name, "1&2"));
        let (provider, _) = testing::provider(serde_json::json!({}));
        let body = signed(SignType::Md5, &fields).into();
        let got = provider.notify(&RawNotify { kind: NotifyKind::Payment, headers: Vec::new(), body }).await;
        assert!(matches!(got, Err(NotifyError::Malformed(_))), "{name}: {got:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in attach: of all documents with one signature, those that are believed say the same.
    #[test]
    fn all_believed_readings_of_one_signature_say_the_same(
        first in "[a-z]{0,2}",
        parts in prop::collection::vec(
            ("(appid|attach|az|b|fee_type|mch_id|openid|out_trade_no|time_end|total_fee|transaction_id|z|)", "[0-9A-Z]{0,2}"),
            0..6,
        ),
    ) {
        let attach = parts.iter().fold(first, |text, (name, value)| format!("{text}&{name}={value}"));
        let fields: Vec<(&str, &str)> = genuine(&attach).into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let sign = sign_of(&fields, SignType::Md5);
        for document in readings(&fields, &sign) {
            if let Ok(facts) = read(&document, "MD5") {
                let said = (facts.trade_no.as_str(), facts.amount, facts.transaction_id.as_str());
                prop_assert_eq!(said, ("A1", testing::fen(1), "42"), "{}", &document);
                prop_assert_eq!((facts.app_id.as_str(), facts.merchant_id.as_str()), (APP_ID, MCH_ID), "{}", &document);
                prop_assert_eq!((&facts.openid, facts.paid_at), (&None, None), "{}", &document);
            }
        }
    }
}
