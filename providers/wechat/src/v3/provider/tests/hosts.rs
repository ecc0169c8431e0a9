//! Which calls the backup host gets, and what its answer means after the first host's.

use super::*;

fn error(code: &str) -> String {
    json!({ "code": code, "message": "m" }).to_string()
}

/// Every call is known by its number: the same bytes go to the backup host, signed anew.
#[tokio::test]
async fn the_backup_host_gets_what_the_first_one_did_not_answer() {
    let trouble = World::default();
    let trouble = || trouble.signed_by(PUBLIC_KEY_ID, 500, &error("SYSTEM_ERROR"));
    let definite = World::default();
    let definite = || definite.signed_by(PUBLIC_KEY_ID, 500, &error("OPENID_MISMATCH"));
    let firsts: [(&dyn Fn() -> _, bool); 7] = [
        (&not_sent, true),
        (&timeout, true),
        (&broken, true),
        (&|| unsigned(502, "<html>bad gateway</html>"), true),
        (&trouble, true),
        (&definite, false),
        (&|| unsigned(400, ""), false),
    ];
    for (first, repeats) in firsts {
        for (call, status, answer) in [
            ("pay", 200, r#"{"prepay_id":"wx01"}"#.to_owned()),
            ("query", 200, r#"{"out_trade_no":"T20260704000017","trade_state":"NOTPAY"}"#.to_owned()),
            ("close", 204, String::new()),
            ("refund", 200, refunded("PROCESSING").to_string()),
        ] {
            let (world, provider) = world(json!({}));
            world.replay.push(first());
            world.answers(status, &answer);
            let is_ok = match call {
                "pay" => provider.pay(&order(Method::Jsapi)).await.is_ok(),
                "query" => provider.query(&order(Method::Jsapi)).await.is_ok(),
                "close" => provider.close(&order(Method::Jsapi)).await.is_ok(),
                _ => provider.refund(&refund()).await.is_ok(),
            };
            assert_eq!(is_ok, repeats, "{:?}, {call}", first());
            let sent = world.replay.sent();
            assert_eq!(sent.len(), 1 + usize::from(repeats), "{:?}, {call}", first());
            if repeats {
                assert_eq!(sent[1].url, sent[0].url.replace("https://api.", "https://api2."));
                assert_eq!(sent[0].body, sent[1].body);
            }
        }
    }
}

/// What the first host may have done is not unmade by a backup host that did not do it.
#[tokio::test]
async fn after_a_host_that_may_have_done_it_nothing_counts_as_not_sent() {
    use ErrorKind::{NotSent, Refused, Unknown};
    let now = World::default();
    let by_us = |status, code: &str| now.signed_by(PUBLIC_KEY_ID, status, &error(code));
    for (first, kind) in [(not_sent as fn() -> _, NotSent), (timeout, Unknown), (|| unsigned(503, ""), Unknown)] {
        for (backup, kind) in [
            (not_sent(), kind),
            (timeout(), Unknown),
            (unsigned(401, &error("SIGN_ERROR")), kind),
            (by_us(429, "FREQUENCY_LIMITED"), kind),
            (by_us(400, "ORDER_PAID"), Refused),
            (by_us(500, "SYSTEM_ERROR"), Unknown),
        ] {
            let shown = format!("{:?}, then {backup:?}", first());
            let (world, provider) = world(json!({}));
            world.replay.push(first());
            world.replay.push(backup);
            assert_eq!(provider.pay(&order(Method::Jsapi)).await.unwrap_err().kind, kind, "{shown}");
        }
    }
}

/// The first host may be at work while the backup host refuses: money that is told as not given back is given back
/// again, under another number.
#[tokio::test]
async fn a_refusal_says_nothing_of_what_the_first_host_may_have_done() {
    use ErrorKind::{Refused, Unknown};
    for (first, refused) in [(not_sent as fn() -> _, Refused), (timeout, Unknown), (|| unsigned(503, ""), Unknown)] {
        for (call, status, code, kind) in [
            ("refund", 400, "INVALID_REQUEST", refused),
            ("refund", 403, "NOT_ENOUGH", refused),
            ("refund", 400, "PARAM_ERROR", refused),
            ("refund", 400, "ORDER_PAID", refused),
            ("close", 403, "NO_AUTH", refused),
            ("close", 400, "ORDER_PAID", Refused),
            ("pay", 403, "NO_AUTH", refused),
            ("pay", 403, "OUT_TRADE_NO_USED", refused),
            ("pay", 400, "ORDER_PAID", Refused),
            ("pay", 400, "ORDER_CLOSED", Refused),
            ("query", 403, "NO_AUTH", Refused),
        ] {
            let (world, provider) = world(json!({}));
            world.replay.push(first());
            world.answers(status, &error(code));
            let failed = match call {
                "pay" => provider.pay(&order(Method::Jsapi)).await.unwrap_err(),
                "query" => provider.query(&order(Method::Jsapi)).await.unwrap_err(),
                "close" => provider.close(&order(Method::Jsapi)).await.unwrap_err(),
                _ => provider.refund(&refund()).await.unwrap_err(),
            };
            assert_eq!(failed.kind, kind, "{:?}, then {code} to a {call}", first());
            assert_eq!(failed.code.as_deref(), Some(code), "what it said is told");
        }
    }
}

/// It may have been done at the probe: that the same call did not arrive the second time does not unmake it.
#[tokio::test]
async fn after_a_probe_nothing_counts_as_not_sent() {
    let refusal = World::default().signed_by(PUBLIC_KEY_ID, 400, &error("PARAM_ERROR"));
    for after in [not_sent(), unsigned(400, &error("PARAM_ERROR")), refusal] {
        let (world, provider) = world(json!({ "base_url": "https://pay.example.com" }));
        let mut probe = world.signed_by(PUBLIC_KEY_ID, 200, r#"{"prepay_id":"wx00"}"#).unwrap();
        probe.headers[3].1 = format!("WECHATPAY/SIGNTEST/{}", &probe.headers[3].1[19..]);
        world.replay.push(Ok(probe));
        world.replay.push(after);
        assert_eq!(provider.pay(&order(Method::Jsapi)).await.unwrap_err().kind, ErrorKind::Unknown);
    }
}
