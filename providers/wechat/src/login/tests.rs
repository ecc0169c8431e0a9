use super::*;

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
        (40226, Refused, Reason::InvalidCode),
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
