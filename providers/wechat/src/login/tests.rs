use super::*;
use crate::v3::testing::Replay;

fn answered(json: &str) -> Result<Login, ProviderError> {
    read(&HttpAnswer { status: 200, headers: Vec::new(), body: json.to_owned().into() }).and_then(judge)
}

#[test]
fn an_identity_is_read_and_the_session_key_is_not() {
    let login = answered(r#"{"openid":"o1","session_key":"hush==","unionid":"u1","errcode":0}"#).unwrap();
    assert_eq!((login.openid.as_str(), login.unionid.as_deref()), ("o1", Some("u1")));
    assert_eq!(answered(r#"{"openid":"o1","session_key":"hush=="}"#).unwrap().unionid, None);
}

#[test]
fn each_errcode_has_its_meaning() {
    let cases = [
        (-1, NotSent, Reason::Platform),
        (40029, Refused, Reason::InvalidCode),
        (40163, Refused, Reason::InvalidCode),
        (41008, Refused, Reason::InvalidCode),
        (45011, NotSent, Reason::RateLimited),
        (45009, NotSent, Reason::RateLimited),
        (40226, Refused, Reason::UserBlocked),
        (40013, Refused, Reason::Configuration),
        (40125, Refused, Reason::Configuration),
        (41002, Refused, Reason::Configuration),
        (41004, Refused, Reason::Configuration),
        (50004, Refused, Reason::Configuration),
        (61003, Refused, Reason::Configuration),
        (89503, NotSent, Reason::Configuration),
        (40003, Refused, Reason::InvalidCode),
        (99999, Refused, Reason::InvalidCode),
    ];
    for (code, kind, reason) in cases {
        let error = answered(&format!(r#"{{"errcode":{code},"errmsg":"no, rid: 1"}}"#)).unwrap_err();
        assert_eq!((error.kind, error.reason, error.code), (kind, reason, Some(code.to_string())));
    }
}

#[test]
fn what_is_no_answer_is_unknown_and_is_not_quoted() {
    for json in ["", "{}", r#"{"openid":""}"#, r#"{"session_key":"hush","openid":1}"#, "<html>hush</html>"] {
        let error = answered(json).unwrap_err();
        assert_eq!(error.kind, Unknown, "{json}");
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}

type Answered = Result<HttpAnswer, TransportError>;

fn not_sent() -> Answered {
    Err(TransportError::NotSent { host: "h".into(), reason: "refused".into() })
}

/// A code works once: what may have arrived is not sent again.
#[tokio::test]
async fn the_backup_host_gets_what_was_not_sent_and_nothing_else() {
    let good = || Ok(HttpAnswer { status: 200, headers: Vec::new(), body: r#"{"openid":"o1"}"#.into() });
    let hosts = ["api.weixin.qq.com", "api2.weixin.qq.com"];
    let cases: [(&str, Answered, bool, &[&str]); 5] = [
        ("https://api.weixin.qq.com", good(), true, &hosts[..1]),
        ("https://api.weixin.qq.com", not_sent(), true, &hosts),
        ("https://api.weixin.qq.com", Err(TransportError::Timeout { host: "h".into() }), false, &hosts[..1]),
        (
            "https://api.weixin.qq.com",
            Ok(HttpAnswer { status: 502, headers: Vec::new(), body: Default::default() }),
            false,
            &hosts[..1],
        ),
        // Another's host has no backup that we know of.
        ("https://proxy.example.com", not_sent(), false, &["proxy.example.com"]),
    ];
    for (url, first, works, called) in cases {
        let shown = format!("{url}: {first:?}");
        let replay = Replay::default();
        replay.push(first);
        replay.push(good());
        let (secret, code) = (Secret::new("s"), Secret::new("c"));
        let login = exchange(&replay, url, "wx1", &secret, &code, crate::hosts::from_transport).await;
        assert_eq!(login.is_ok(), works, "{shown}");
        let sent: Vec<String> =
            replay.sent().iter().map(|request| request.url.split('/').nth(2).unwrap().to_owned()).collect();
        assert_eq!(sent, called, "{shown}");
    }
}
