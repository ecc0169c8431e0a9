//! The key ring through a provider, as notifies and calls meet it.

use std::sync::Arc;

use dukou_domain::Method;
use dukou_spi::transport::{HttpAnswer, TransportError};
use dukou_spi::{ErrorKind, Notice, NotifyError, NotifyKind, Provider, RawNotify, Reason};
use serde_json::json;

use crate::v3::testing::{
    API_V3_KEY, NEW_SERIAL, OLD_SERIAL, PUBLIC_KEY_ID, World, certificate_list, certificate_mode, key_text,
    new_certificate, old_certificate, order, sealed, signed,
};

/// 2030-12-25, when the old certificate is still in force and the new one is already.
pub const ROTATING: i64 = 1_924_387_200;
/// 2031-02-01, when the old one has ended.
const ROTATED: i64 = 1_927_670_400;

pub fn notify(world: &World, serial: &str) -> RawNotify {
    let resource = json!({
        "appid": "wx8888888888888888", "mchid": "1900000109", "out_trade_no": "T20260704000017",
        "transaction_id": "42", "trade_state": "SUCCESS", "amount": { "total": 5990 },
    });
    let body = json!({ "id": "EV-1", "resource": sealed(API_V3_KEY, "transaction", resource.to_string().as_bytes()) });
    let body = body.to_string();
    let headers = signed(serial, world.now(), body.as_bytes());
    RawNotify { kind: NotifyKind::Payment, headers, body: body.into() }
}

pub async fn believed(world: &World, provider: &Arc<dyn Provider>, serial: &str) -> bool {
    match provider.notify(&notify(world, serial)).await {
        Ok(Notice::Payment(_)) => true,
        Err(NotifyError::UnknownKey { .. }) => false,
        other => panic!("{other:?}"),
    }
}

pub fn lists(world: &World, signer: &str, certificates: &[(&str, &str)]) {
    let list = certificate_list(API_V3_KEY, certificates);
    world.replay.push(world.signed_by(signer, 200, &list));
}

pub fn fetches(world: &World) -> usize {
    world.replay.sent().iter().filter(|request| request.url.ends_with("/v3/certificates")).count()
}

/// A stranger's serials are told of once a minute; a genuine one comes with what would bring its key.
#[tokio::test]
async fn a_serial_that_is_not_here_is_told_with_the_setting_that_would_bring_it() {
    let of_certificates = World::default();
    for _ in 0..2 {
        lists(&of_certificates, OLD_SERIAL, &[old_certificate()]);
    }
    let (of_key, other_id) = (World::default(), format!("{PUBLIC_KEY_ID}2"));
    for (world, mode, serial, setting) in [
        (&of_certificates, certificate_mode(), PUBLIC_KEY_ID, "set platform_public_key and"),
        (&of_certificates, certificate_mode(), NEW_SERIAL, "lists no such certificate"),
        (&of_key, json!({}), OLD_SERIAL, "set platform_certificates = true"),
        (&of_key, json!({}), other_id.as_str(), "compare platform_public_key_id"),
        (&of_key, json!({}), "nonsense", "no serial of WeChat Pay's"),
    ] {
        let provider = world.provider(mode);
        let refused = |at: i64, expected: bool| {
            let provider = &provider;
            async move {
                world.set_seconds(ROTATING + at);
                let error = provider.notify(&notify(world, serial)).await.unwrap_err();
                let NotifyError::UnknownKey { serial: named, setting: found, again } = error else { panic!("{error}") };
                assert!(named == serial && found.contains(setting), "{named}: {found}");
                assert_eq!(again, expected, "after {at} s");
            }
        };
        refused(0, false).await;
        refused(59, true).await;
        refused(61, false).await;
        refused(62, true).await;
    }
}

#[tokio::test]
async fn unknown_serials_fetch_at_most_once_a_minute() {
    let world = World::default();
    world.set_seconds(ROTATING);
    let provider = world.provider(certificate_mode());
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    for at in 0..1000 {
        assert!(!believed(&world, &provider, &format!("{at:040X}")).await);
    }
    assert_eq!(fetches(&world), 1);
    // What is known goes on; the next minute looks once more, and finds the new one.
    assert!(believed(&world, &provider, OLD_SERIAL).await);
    assert!(!believed(&world, &provider, NEW_SERIAL).await);
    world.set_seconds(ROTATING + 59);
    assert!(!believed(&world, &provider, NEW_SERIAL).await);
    assert_eq!(fetches(&world), 1);
    world.set_seconds(ROTATING + 60);
    lists(&world, OLD_SERIAL, &[old_certificate(), new_certificate()]);
    assert!(believed(&world, &provider, NEW_SERIAL).await);
    assert_eq!(fetches(&world), 2);
}

pub fn unavailable(world: &World) {
    for _host in 0..2 {
        world.replay.push(Ok(HttpAnswer { status: 503, headers: Vec::new(), body: Default::default() }));
    }
}

/// Strangers' messages begin the series once a minute at most, and cannot hurry it.
#[tokio::test]
async fn a_fetch_that_failed_is_made_again_soon_and_by_no_message() {
    let world = World::default();
    world.set_seconds(ROTATING);
    let provider = world.provider(certificate_mode());
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    provider.renew_trust().await.unwrap();

    let looked = fetches(&world);
    for second in 0..200 {
        world.set_seconds(ROTATING + 60 + second);
        let before = fetches(&world);
        let is_tried = [0, 5, 15, 35, 75, 135, 195].contains(&second);
        if is_tried {
            unavailable(&world);
        }
        // At the first of them a message is what asks.
        if second == 0 || !is_tried {
            assert!(!believed(&world, &provider, NEW_SERIAL).await);
        }
        let told = provider.renew_trust().await.is_err();
        assert_eq!(told, is_tried && second != 0, "{second}: a failure is told once");
        assert!(!believed(&world, &provider, NEW_SERIAL).await);
        assert_eq!(fetches(&world) - before, if is_tried { 2 } else { 0 }, "{second}");
        // What is known goes on.
        assert!(believed(&world, &provider, OLD_SERIAL).await);
    }

    world.set_seconds(ROTATING + 60 + 255);
    lists(&world, OLD_SERIAL, &[old_certificate(), new_certificate()]);
    provider.renew_trust().await.unwrap();
    assert!(believed(&world, &provider, NEW_SERIAL).await);
    assert_eq!(fetches(&world), looked + 2 * 7 + 1);
    // It works again, so that the next failure is short.
    for at in [316, 321] {
        world.set_seconds(ROTATING + at);
        if at == 316 {
            unavailable(&world);
            assert!(!believed(&world, &provider, "00").await);
        } else {
            lists(&world, OLD_SERIAL, &[old_certificate(), new_certificate()]);
            provider.renew_trust().await.unwrap();
        }
    }
    assert_eq!(fetches(&world), looked + 2 * 7 + 1 + 2 + 1);
}

/// What WeChat says of a merchant that has no certificates any more.
const NONE: &str = r#"{"code":"RESOURCE_NOT_EXISTS","message":"无可用的平台证书"}"#;

fn moved_to_the_public_key() -> (World, Arc<dyn Provider>) {
    let world = World::default();
    world.set_seconds(ROTATING);
    let provider = world.provider(json!({ "platform_certificates": true }));
    (world, provider)
}

/// "None" is a definite word beside a public key: the move is over, and asking every minute brings nothing.
#[tokio::test]
async fn certificates_that_are_no_more_are_told_of_once_and_asked_for_twice_a_day() {
    let (world, provider) = moved_to_the_public_key();
    world.answers(404, NONE);
    let told = provider.renew_trust().await.unwrap_err();
    assert!(told.message.contains("take platform_certificates out"), "{told}");

    const HALF_DAY: i64 = 12 * 60 * 60;
    for after in [1, 60, 3600, HALF_DAY - 1] {
        world.set_seconds(ROTATING + after);
        provider.renew_trust().await.unwrap();
        assert!(believed(&world, &provider, PUBLIC_KEY_ID).await, "after {after} s");
    }
    assert_eq!(fetches(&world), 1);
    // Asked again, it is the same, and was said.
    world.set_seconds(ROTATING + HALF_DAY);
    world.answers(404, NONE);
    provider.renew_trust().await.unwrap();
    assert_eq!(fetches(&world), 2);
    // Trouble is another thing: it is told, and tried again soon.
    world.set_seconds(ROTATING + 2 * HALF_DAY);
    unavailable(&world);
    provider.renew_trust().await.unwrap_err();
    world.set_seconds(ROTATING + 2 * HALF_DAY + 60);
    lists(&world, PUBLIC_KEY_ID, &[old_certificate(), new_certificate()]);
    provider.renew_trust().await.unwrap();
    assert!(believed(&world, &provider, OLD_SERIAL).await);
}

/// A move that is taken back: the plan rests for half a day, and a genuine notify is not refused for so long.
#[tokio::test]
async fn where_there_were_none_a_message_that_names_one_fetches_all_the_same() {
    let (world, provider) = moved_to_the_public_key();
    world.answers(404, NONE);
    provider.renew_trust().await.unwrap_err();
    // Once a minute, as always; that there are none still is no news, and no failure that would bring more.
    for (after, expected) in [(1, 2), (59, 2), (60, 2), (61, 3), (66, 3), (121, 4)] {
        world.set_seconds(ROTATING + after);
        if fetches(&world) < expected {
            world.answers(404, NONE);
        }
        assert!(!believed(&world, &provider, OLD_SERIAL).await, "after {after} s");
        provider.renew_trust().await.unwrap();
        assert_eq!(fetches(&world), expected, "after {after} s");
    }
    world.set_seconds(ROTATING + 181);
    lists(&world, PUBLIC_KEY_ID, &[old_certificate()]);
    assert!(believed(&world, &provider, OLD_SERIAL).await);
    assert_eq!(fetches(&world), 5);
}

#[tokio::test]
async fn a_list_that_is_a_probe_is_asked_for_again() {
    let world = World::default();
    world.set_seconds(ROTATING);
    let provider = world.provider(certificate_mode());
    let list = certificate_list(API_V3_KEY, &[old_certificate()]);
    let mut probe = world.signed_by(OLD_SERIAL, 200, &list).unwrap();
    probe.headers.iter_mut().find(|(name, _)| name == "wechatpay-signature").unwrap().1 =
        "WECHATPAY/SIGNTEST/AAAA".to_owned();
    world.replay.push(Ok(probe));
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    world.replay.push(world.signed_by(OLD_SERIAL, 200, r#"{"prepay_id":"wx01"}"#));
    provider.pay(&order(Method::Jsapi)).await.unwrap();
    assert_eq!(fetches(&world), 2);
}

#[tokio::test]
async fn a_new_serial_in_many_notifies_at_once_is_fetched_once_and_none_of_them_fails() {
    let world = World::default();
    world.set_seconds(ROTATING);
    let provider = world.provider(certificate_mode());
    lists(&world, OLD_SERIAL, &[old_certificate(), new_certificate()]);
    let notices = (0..50).map(|at| {
        let (world, provider) = (world.clone(), provider.clone());
        tokio::spawn(async move { believed(&world, &provider, [OLD_SERIAL, NEW_SERIAL][at % 2]).await })
    });
    for notice in notices.collect::<Vec<_>>() {
        assert!(notice.await.unwrap());
    }
    assert_eq!(fetches(&world), 1);
}

/// From a tenth of a percent to all: the serial alone decides.
#[tokio::test]
async fn keys_of_both_kinds_stand_side_by_side_and_the_serial_decides() {
    let world = World::default();
    world.set_seconds(ROTATING);
    let provider = world.provider(json!({ "platform_certificates": true }));
    lists(&world, PUBLIC_KEY_ID, &[old_certificate(), new_certificate()]);
    provider.renew_trust().await.unwrap();
    for serial in [OLD_SERIAL, PUBLIC_KEY_ID, NEW_SERIAL, OLD_SERIAL] {
        assert!(believed(&world, &provider, serial).await, "{serial}");
    }
    // A signature of one key under the other's name is none.
    let mut crossed = notify(&world, OLD_SERIAL);
    crossed.headers.iter_mut().find(|(name, _)| name == "wechatpay-serial").unwrap().1 = NEW_SERIAL.to_owned();
    assert_eq!(provider.notify(&crossed).await, Err(NotifyError::BadSignature));
    let serials: Vec<String> = provider.trust().into_iter().map(|key| key.serial).collect();
    assert_eq!(serials.len(), 3, "{serials:?}");
}

#[tokio::test]
async fn what_has_expired_or_not_begun_is_not_used() {
    let world = World::default();
    let provider = world.provider(certificate_mode());
    lists(&world, OLD_SERIAL, &[old_certificate(), new_certificate()]);
    provider.renew_trust().await.unwrap();
    assert!(believed(&world, &provider, OLD_SERIAL).await);
    assert!(!believed(&world, &provider, NEW_SERIAL).await, "it begins in 2030");
    world.set_seconds(ROTATED);
    lists(&world, NEW_SERIAL, &[new_certificate()]);
    provider.renew_trust().await.unwrap();
    // It ended long ago and was forgotten: one more look, which finds no other of its number.
    lists(&world, NEW_SERIAL, &[new_certificate()]);
    assert!(!believed(&world, &provider, OLD_SERIAL).await, "it ended in 2031");
    assert!(believed(&world, &provider, NEW_SERIAL).await);
    assert_eq!(fetches(&world), 3);
    assert!(provider.trust().iter().all(|key| key.serial == NEW_SERIAL));
}

#[tokio::test]
async fn a_public_key_alone_never_asks_for_certificates() {
    let world = World::default();
    let provider = world.provider(json!({}));
    provider.renew_trust().await.unwrap();
    assert!(!believed(&world, &provider, OLD_SERIAL).await);
    assert!(!believed(&world, &provider, "PUB_KEY_ID_0000").await);
    assert!(believed(&world, &provider, PUBLIC_KEY_ID).await);
    assert_eq!(world.replay.sent().len(), 0);
    assert_eq!(provider.trust()[0].expires_at, None);
}

#[tokio::test]
async fn another_instance_finds_on_the_shelf_what_the_first_fetched() {
    let first = World::default();
    lists(&first, OLD_SERIAL, &[old_certificate()]);
    first.provider(certificate_mode()).renew_trust().await.unwrap();
    let second = World { shelf: first.shelf.elsewhere(), ..World::default() };
    let provider = second.provider(certificate_mode());
    assert!(believed(&second, &provider, OLD_SERIAL).await);
    provider.renew_trust().await.unwrap();
    assert_eq!((fetches(&first), fetches(&second)), (1, 0));

    // Somebody who can write to the shelf cannot make us believe a key.
    let forged = certificate_list("a key of somebody else's, 32 byt", &[old_certificate()]);
    let headers = signed(OLD_SERIAL, second.now(), forged.as_bytes());
    let signature = crate::v3::sign::Signature::read(&headers).unwrap();
    let answer = super::Answer::new(&signature, forged.as_bytes()).unwrap();
    let kept = super::Kept { fetched_at: super::Timestamp::from_millis(i64::MAX), content: answer.to_bytes() };
    *second.shelf.0.lock().unwrap() = Some(kept);
    let third = World { shelf: second.shelf.elsewhere(), ..World::default() };
    lists(&third, OLD_SERIAL, &[old_certificate()]);
    assert!(believed(&third, &third.provider(certificate_mode()), OLD_SERIAL).await);
    assert_eq!(fetches(&third), 1);
}

#[tokio::test]
async fn certificates_are_looked_at_before_they_end_and_more_often_towards_it() {
    let world = World::default();
    let provider = world.provider(certificate_mode());
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    provider.renew_trust().await.unwrap();
    let hours = |hours: i64| hours * 3600;
    let start = world.now();
    for (after, expected) in [(hours(12) - 1, 1), (hours(12), 2)] {
        world.set_seconds(start + after);
        if fetches(&world) < expected {
            lists(&world, OLD_SERIAL, &[old_certificate()]);
        }
        provider.renew_trust().await.unwrap();
        assert_eq!(fetches(&world), expected, "after {after} s");
    }
    // A clock that was set back does not stop it, nor let it loose.
    world.set_seconds(start - hours(1));
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    for _ in 0..3 {
        provider.renew_trust().await.unwrap();
    }
    assert_eq!(fetches(&world), 3);

    // Eight hours before the end, within two hours.
    let end = 1_924_992_000;
    let late = World::default();
    late.set_seconds(end - hours(8));
    let provider = late.provider(certificate_mode());
    for (after, expected) in [(0, 1), (hours(1), 1), (hours(2), 2)] {
        late.set_seconds(end - hours(8) + after);
        if fetches(&late) < expected {
            lists(&late, OLD_SERIAL, &[old_certificate()]);
        }
        provider.renew_trust().await.unwrap();
        assert_eq!(fetches(&late), expected, "after {after} s");
    }
}

/// Without a key no answer could be verified, so that nothing is sent whose answer would be lost.
#[tokio::test]
async fn nothing_is_sent_before_there_is_a_key() {
    let world = World::default();
    let provider = world.provider(certificate_mode());
    world.replay.push(Err(TransportError::NotSent { host: "h".into(), reason: "refused".into() }));
    world.replay.push(Err(TransportError::NotSent { host: "h".into(), reason: "refused".into() }));
    for _ in 0..3 {
        let error = provider.pay(&order(Method::Jsapi)).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (ErrorKind::NotSent, Reason::Transport), "{error}");
    }
    // At both hosts, once; then WeChat is left alone for a moment.
    assert_eq!(fetches(&world), 2);
    assert!(world.replay.sent().iter().all(|request| request.url.ends_with("/v3/certificates")));

    world.set_seconds(world.now() + 5);
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    world.replay.push(world.signed_by(OLD_SERIAL, 200, r#"{"prepay_id":"wx01"}"#));
    provider.pay(&order(Method::Jsapi)).await.unwrap();
    let sent = world.replay.sent();
    let paid = sent.last().unwrap();
    assert!(paid.headers.iter().any(|(name, value)| *name == "wechatpay-serial" && value == OLD_SERIAL));
}

/// The platform said no: nobody who tries again in a moment gets another answer.
#[tokio::test]
async fn where_wechat_refuses_our_signature_its_code_is_told_also_while_it_is_left_alone() {
    let world = World::default();
    let provider = world.provider(certificate_mode());
    world.replay.push(crate::v2::testing::status(401, r#"{"code":"SIGN_ERROR","message":"签名错误"}"#));
    for _ in 0..2 {
        let error = provider.pay(&order(Method::Jsapi)).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (ErrorKind::NotSent, Reason::Configuration), "{error}");
        assert_eq!(error.code.as_deref(), Some("SIGN_ERROR"), "{error}");
    }
    assert_eq!(fetches(&world), 1);
}

#[tokio::test]
async fn a_merchant_without_certificates_is_told_so() {
    let world = World::default();
    let provider = world.provider(certificate_mode());
    let body =
        r#"{"code":"RESOURCE_NOT_EXISTS","message":"无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥。"}"#;
    world.replay.push(world.signed_by(key_text("keys.merchant.serial_no"), 404, body));
    let error = provider.pay(&order(Method::Jsapi)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSent);
    assert!(error.message.contains("微信支付公钥"), "{error}");
}
