use dukou_domain::Secret;

use super::*;
use crate::v3::testing::{
    API_V3_KEY, NEW_SERIAL, NOW, OLD_SERIAL, certificate_list, key_text, new_certificate, old_certificate, signed,
};

fn key() -> ApiV3Key {
    ApiV3Key::new(&Secret::new(API_V3_KEY)).unwrap()
}

fn answer(serial: &str, body: &str) -> Answer {
    let headers = signed(serial, 1_783_139_460, body.as_bytes());
    Answer::new(&Signature::read(&headers).unwrap(), body.as_bytes()).unwrap()
}

/// The chain: APIv3 key, number, signature. Each link missing by itself is disbelief.
#[test]
fn a_list_is_believed_only_whole() {
    let good = certificate_list(API_V3_KEY, &[old_certificate(), new_certificate()]);
    let serials = |keys: Vec<PlatformKey>| keys.into_iter().map(|key| key.serial).collect::<Vec<_>>();
    let believed = answer(OLD_SERIAL, &good).believe(&key(), NOW, |_| None).unwrap();
    assert_eq!(serials(believed), [OLD_SERIAL, NEW_SERIAL]);

    let (_, old_pem) = old_certificate();
    let (_, new_pem) = new_certificate();
    let other_key = certificate_list("another key that has 32 bytes,  ", &[old_certificate()]);
    let cases = [
        (answer(OLD_SERIAL, &other_key), Disbelief::WrongKey),
        // Listed under another's number, and one that is no certificate.
        (
            answer(OLD_SERIAL, &certificate_list(API_V3_KEY, &[(OLD_SERIAL, new_pem)])),
            Disbelief::NotItself(OLD_SERIAL.to_owned()),
        ),
        (
            answer(OLD_SERIAL, &certificate_list(API_V3_KEY, &[(OLD_SERIAL, "no certificate")])),
            Disbelief::NotItself(OLD_SERIAL.to_owned()),
        ),
        // Signed by a key that is not in it, or by another than it names.
        (answer(NEW_SERIAL, &certificate_list(API_V3_KEY, &[(OLD_SERIAL, old_pem)])), Disbelief::BadSignature),
        (answer("merchant", &good), Disbelief::BadSignature),
        (answer(OLD_SERIAL, "{}"), Disbelief::Unreadable),
        (answer(OLD_SERIAL, "<html>"), Disbelief::Unreadable),
        (answer(OLD_SERIAL, r#"{"data":[]}"#), Disbelief::BadSignature),
    ];
    for (answer, disbelief) in cases {
        assert_eq!(answer.believe(&key(), NOW, |_| None).unwrap_err(), disbelief);
    }
    let mut tampered = answer(OLD_SERIAL, &good);
    tampered.body.push(' ');
    assert_eq!(tampered.believe(&key(), NOW, |_| None).unwrap_err(), Disbelief::BadSignature);
}

/// A key that was believed before vouches for what comes, and is not replaced by one of its number.
#[test]
fn a_known_key_vouches_for_the_next_list() {
    let list = certificate_list(API_V3_KEY, &[old_certificate(), new_certificate()]);
    let known = answer(OLD_SERIAL, &list).believe(&key(), NOW, |_| None).unwrap();
    let of = |serial: &str| known.iter().find(|key| key.serial == serial);
    let next = answer(OLD_SERIAL, &certificate_list(API_V3_KEY, &[new_certificate()]));
    assert_eq!(next.believe(&key(), NOW, of).unwrap().len(), 1);
    let during_both = Timestamp::from_millis(1_924_387_200_000);
    assert_eq!(next.believe(&key(), during_both, of).unwrap().len(), 1);
    assert_eq!(next.believe(&key(), during_both, |_| of(NEW_SERIAL)).unwrap_err(), Disbelief::BadSignature);
}

#[test]
fn only_a_key_in_force_vouches_for_a_list() {
    let list = certificate_list(API_V3_KEY, &[old_certificate(), new_certificate()]);
    let (begin, end) = (1_767_225_600, 1_924_992_000);
    let signed = answer(OLD_SERIAL, &list);
    let known = signed.believe(&key(), NOW, |_| None).unwrap();
    let of = |serial: &str| known.iter().find(|key| key.serial == serial);
    for (seconds, vouches) in [(begin - 1, false), (begin, true), (end - 1, true), (end, false)] {
        let at = Timestamp::from_millis(seconds * 1000);
        assert_eq!(signed.believe(&key(), at, |_| None).is_ok(), vouches, "{seconds}, by one in the list");
        assert_eq!(signed.believe(&key(), at, of).is_ok(), vouches, "{seconds}, by a known one");
    }
}

#[test]
fn a_certificate_counts_from_its_beginning_to_its_end() {
    let list = certificate_list(API_V3_KEY, &[old_certificate()]);
    let keys = answer(OLD_SERIAL, &list).believe(&key(), NOW, |_| None).unwrap();
    let at = |seconds: i64| keys[0].is_valid(Timestamp::from_millis(seconds * 1000));
    let (begin, end) = (1_767_225_600, 1_924_992_000);
    assert_eq!([at(begin - 1), at(begin), at(end - 1), at(end)], [false, true, true, false]);
    assert!(!key_text("keys.merchant.serial_no").is_empty());
}
