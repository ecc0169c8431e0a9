//! What the platform's answers mean.

use super::*;

fn answer(status: u16, body: &str) -> HttpAnswer {
    let headers = vec![("x-tt-logid".to_owned(), "L-header".to_owned())];
    HttpAnswer { status, headers, body: Bytes::from(body.to_owned()) }
}

fn code(body: &str) -> Option<String> {
    read(&answer(200, body)).err().and_then(|error| error.code)
}

#[test]
fn the_code_is_found_in_every_envelope_as_number_and_as_text() {
    for (body, expected) in [
        (r#"{"data":{"error_code":0,"ticket":"t"},"extra":{"error_code":0}}"#, None),
        (r#"{"data":{"error_code":"0"},"extra":{"error_code":""}}"#, None),
        (r#"{"data":{},"message":"success"}"#, None),
        (r#"{"data":{"error_code":2190008,"description":"expired"},"extra":{"error_code":2190008}}"#, Some("2190008")),
        (r#"{"data":{"error_code":"10008"},"message":"error"}"#, Some("10008")),
        (r#"{"err_no":28001003,"err_msg":"bad token","log_id":"L"}"#, Some("28001003")),
        (r#"{"error_code":-1}"#, Some("-1")),
    ] {
        assert_eq!(code(body).as_deref(), expected, "{body}");
    }
}

#[test]
fn what_is_no_answer_is_not_taken_for_one() {
    let kind = |status, body: &str| read(&answer(status, body)).unwrap_err().kind;
    assert_eq!(kind(200, "<html>"), ErrorKind::Unknown);
    assert_eq!(kind(200, ""), ErrorKind::Unknown);
    assert_eq!(kind(502, "{}"), ErrorKind::NotSent);
    let error = read(&answer(200, r#"{"err_no":10013,"err_msg":"wrong\u0000 secret"}"#)).unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Refused, Reason::Configuration));
    assert_eq!(error.message, "wrong secret; douyin's log id is L-header");
    assert!(lent(&json!({ "access_token": "" }), "access_token").is_err());
    assert_eq!(
        lent(&json!({ "access_token": "a", "expires_in": "600" }), "access_token").unwrap().lasts.as_secs(),
        600
    );
}

#[test]
fn only_a_token_that_ended_is_worth_another() {
    for (code, gone, over) in [
        ("10008", true, true),
        ("2190008", true, true),
        ("28001008", true, true),
        ("28001003", true, true),
        ("10010", false, true),
        ("10013", false, false),
        ("2190004", false, false),
    ] {
        let error = ProviderError::new(ErrorKind::Refused, Reason::Other, "").with_code(code);
        assert_eq!((token_is_gone(&error), authorization_is_over(&error)), (gone, over), "{code}");
    }
}
