use proptest::prelude::*;

use super::*;
use crate::v2::xml;

fn signer(sign_type: SignType) -> Signer {
    Signer::new(sign_type, Secret::new("3f7c9d0ab1e24c6f8a5d7e9012b3c4d5"))
}

fn signed_document(signer: &Signer, fields: &[(&str, &str)]) -> String {
    let sign = signer.sign(fields);
    xml::write(fields.iter().copied().chain([("sign", sign.as_str())]))
}

fn verifies(signer: &Signer, document: &[u8]) -> bool {
    xml::parse(document, "xml").is_ok_and(|fields| signer.verify(&fields).is_some())
}

#[test]
fn the_algorithm_is_ours_whatever_the_message_says() {
    let fields = [("appid", "wx8888888888888888"), ("total_fee", "101")];
    let (md5, hmac) = (signer(SignType::Md5), signer(SignType::HmacSha256));
    for (signing, checking, holds) in
        [(&md5, &md5, true), (&hmac, &hmac, true), (&md5, &hmac, false), (&hmac, &md5, false)]
    {
        assert_eq!(verifies(checking, signed_document(signing, &fields).as_bytes()), holds);
    }
}

#[test]
fn a_missing_short_long_or_foreign_signature_does_not_hold() {
    let ours = signer(SignType::Md5);
    let fields = [("appid", "wx8888888888888888"), ("total_fee", "101")];
    let sign = ours.sign(&fields);
    let foreign = Signer::new(SignType::Md5, Secret::new("00000000000000000000000000000000")).sign(&fields);
    let cases = [
        (sign.clone(), true),
        (sign.to_lowercase(), true),
        (String::new(), false),
        (sign[..31].to_owned(), false),
        (format!("{sign}0"), false),
        (format!("{sign}{sign}"), false),
        (format!(" {}", &sign[1..]), false),
        (foreign, false),
    ];
    for (sign, holds) in cases {
        let document = xml::write(fields.into_iter().chain([("sign", sign.as_str())]));
        assert_eq!(verifies(&ours, document.as_bytes()), holds, "{sign:?}");
    }
    assert!(!verifies(&ours, xml::write(fields).as_bytes()));
}

#[test]
fn every_byte_of_a_signed_notify_counts() {
    let fields = [
        ("appid", "wx8888888888888888"),
        ("mch_id", "1900000109"),
        ("nonce_str", "1783140645001"),
        ("result_code", "SUCCESS"),
        ("return_code", "SUCCESS"),
        ("total_fee", "101"),
        ("attach", "深圳 分店"),
    ];
    for sign_type in [SignType::Md5, SignType::HmacSha256] {
        let signer = signer(sign_type);
        let document = signed_document(&signer, &fields).into_bytes();
        let original = xml::parse(&document, "xml").unwrap();
        assert!(signer.verify(&original).is_some());
        for at in 0..document.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = document.clone();
                changed[at] ^= flip;
                let Ok(read) = xml::parse(&changed, "xml") else { continue };
                // A flip of case in the signature itself leaves the same signature.
                let same = read
                    .iter()
                    .zip(original.iter())
                    .all(|(a, b)| a == b || (a.0 == "sign" && a.1.eq_ignore_ascii_case(b.1)));
                assert_eq!(
                    signer.verify(&read).is_some(),
                    same,
                    "byte {at} of {:?}",
                    String::from_utf8_lossy(&changed)
                );
            }
        }
    }
}

#[test]
fn a_signer_prints_no_key() {
    assert!(!format!("{:?}", signer(SignType::Md5)).contains("3f7c"));
}

proptest! {
    #[test]
    fn what_is_signed_verifies_in_any_order(
        fields in prop::collection::btree_map("[a-z_]{1,12}", "[ -~\u{4e00}-\u{4e20}]{0,20}", 1..12),
        hmac in any::<bool>(),
    ) {
        let fields: Vec<(&str, &str)> =
            fields.iter().filter(|(name, _)| *name != "sign").map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signer = signer(if hmac { SignType::HmacSha256 } else { SignType::Md5 });
        let reversed: Vec<(&str, &str)> = fields.iter().rev().copied().collect();
        prop_assert_eq!(signer.sign(&fields), signer.sign(&reversed));
        prop_assert!(verifies(&signer, signed_document(&signer, &reversed).as_bytes()));
    }
}
