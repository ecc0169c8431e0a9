//! The generated document against the public contract: what a merchant's backend and a mini-program
//! were promised, call by call.

use dukou_engine::records::EventKind;
use serde_json::Value;

use crate::errors::ErrorCode;
use crate::testing_engine::offered;

fn document() -> Value {
    serde_json::from_str(crate::Document::new(&offered()).json()).unwrap()
}

/// Method, path below the tenant, its query parameters, the schema it answers with.
type Call = (&'static str, &'static str, &'static [&'static str], &'static str);

const BACKEND: &[Call] = &[
    ("post", "/payments", &[], "Payment"),
    ("get", "/payments/{out_trade_no}", &["refresh"], "Payment"),
    ("get", "/payments", &["status", "created_after", "cursor", "limit"], "PaymentList"),
    ("post", "/payments/{out_trade_no}/invoke", &[], "Payment"),
    ("post", "/payments/{out_trade_no}/close", &[], "Payment"),
    ("post", "/payments/{out_trade_no}/refunds", &[], "Refund"),
    ("get", "/payments/{out_trade_no}/refunds", &["refresh"], "RefundList"),
    ("get", "/refunds/{out_refund_no}", &["refresh"], "Refund"),
    ("get", "/refund-requests", &["status"], "RefundRequestList"),
    ("post", "/refund-requests/{id}/approve", &[], "RefundRequest"),
    ("post", "/refund-requests/{id}/reject", &[], "RefundRequest"),
    ("get", "/events", &["after", "limit", "Last-Event-ID"], "EventList"),
    ("get", "/deliveries", &["status"], "DeliveryList"),
    ("post", "/deliveries/{id}/retry", &[], "Delivery"),
    ("post", "/shares/douyin", &[], "DouyinShare"),
];

const MINI_PROGRAM: &[Call] = &[
    ("post", "/sessions", &[], "Session"),
    ("post", "/payments/{out_trade_no}/invoke", &[], "Payment"),
    ("get", "/payments/{out_trade_no}", &[], "Payment"),
    ("post", "/payments/{out_trade_no}/refund-requests", &[], "RefundRequest"),
    ("post", "/shares/douyin", &[], "DouyinShare"),
];

/// Calls below the tenant that the contract does not name: extensions, each with its reason.
const BEYOND: &[(&str, &str, &str)] = &[
    ("post", "/access-tokens", "one token for each app: software that fetches its own ends the gateway's"),
    ("post", "/webhook/enable", "a webhook that was switched off after five dead days is switched on again"),
    ("get", "/shares/douyin/{id}", "what became of a share, where the platform's message was lost"),
    ("post", "/authorizations/douyin", "the state that OAuth's redirect comes back with is made by the gateway"),
    ("get", "/authorizations/douyin/{open_id}", "how a user's authorization stands"),
];

fn operation<'d>(document: &'d Value, (method, path, ..): &Call) -> &'d Value {
    let operation = &document["paths"][format!("/v1/{{tenant}}{path}")][method];
    assert!(operation.is_object(), "{method} {path} is missing");
    operation
}

fn opens(operation: &Value, scheme: &str) -> bool {
    operation["security"].as_array().is_some_and(|schemes| schemes.iter().any(|named| named.get(scheme).is_some()))
}

#[test]
fn every_call_is_there_with_its_parameters_and_its_answer() {
    let document = document();
    for call @ (method, path, parameters, schema) in BACKEND.iter().chain(MINI_PROGRAM) {
        let operation = operation(&document, call);
        let known: Vec<&str> =
            operation["parameters"].as_array().unwrap().iter().filter_map(|known| known["name"].as_str()).collect();
        for name in *parameters {
            assert!(known.contains(name), "{method} {path}: {name}");
        }
        let answers = operation["responses"].as_object().unwrap();
        let good = answers.iter().find(|(status, _)| status.starts_with('2')).expect("a success").1;
        let answered = good["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
        assert_eq!(answered.rsplit('/').next(), Some(*schema), "{method} {path}");
    }
    for call in BACKEND {
        assert!(opens(operation(&document, call), "api_key"), "{call:?}");
    }
    for call in &MINI_PROGRAM[1..] {
        assert!(opens(operation(&document, call), "session_token"), "{call:?}");
    }
    let stream = &operation(&document, &BACKEND[11])["responses"]["200"]["content"]["text/event-stream"];
    assert!(stream.is_object(), "events can be followed");
}

/// A call that is in neither list was not thought of as part of the contract.
#[test]
fn no_call_is_there_that_nobody_listed() {
    let document = document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(below) = path.strip_prefix("/v1/{tenant}") else { continue };
        for method in methods.as_object().unwrap().keys() {
            let promised = BACKEND.iter().chain(MINI_PROGRAM).any(|call| (call.0, call.1) == (method.as_str(), below));
            let beyond = BEYOND.iter().any(|call| (call.0, call.1) == (method.as_str(), below));
            assert!(promised != beyond, "{method} {path}");
        }
    }
}

#[test]
fn every_post_takes_an_idempotency_key_and_every_error_is_a_problem_document() {
    let document = document();
    for call @ (method, path, ..) in BACKEND.iter().chain(MINI_PROGRAM) {
        let operation = operation(&document, call);
        let parameters = operation["parameters"].as_array().unwrap();
        let key = parameters.iter().find(|known| known["name"] == "Idempotency-Key");
        assert_eq!(key.is_some(), *method == "post", "{method} {path}");
        assert!(key.is_none_or(|key| key["in"] == "header" && key["required"] != true), "{method} {path}");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            if status.starts_with(['4', '5']) {
                let problem = &answer["content"]["application/problem+json"]["schema"]["$ref"];
                assert!(problem.as_str().is_some_and(|name| name.ends_with("/Problem")), "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn the_objects_have_their_fields() {
    let document = document();
    for (schema, fields) in [
        (
            "CreatePayment",
            "provider method out_trade_no amount currency description payer client_ip attach expires_at metadata",
        ),
        (
            "Payment",
            "id tenant provider method out_trade_no amount currency description attach openid status \
             provider_transaction_id refunded_amount created_at paid_at expires_at invoke late attempts metadata",
        ),
        ("InvokePayment", "provider method payer"),
        ("CreateRefund", "out_refund_no amount reason"),
        ("Refund", "id out_refund_no out_trade_no amount status provider_refund_id"),
        ("RefundRequest", "id out_trade_no amount reason status out_refund_no requested_at decided_at decided_by"),
        ("CreateSession", "provider code"),
        ("Session", "openid unionid session_token expires_at"),
        ("CreateRefundRequest", "amount reason"),
        ("CreateDouyinShare", "title path image_url video_url hashtags app_id scene"),
        ("DouyinShare", "share_id state schema landing_url warnings"),
        ("Event", "id type tenant timestamp data"),
        ("PaymentList", "data next_cursor"),
        ("RefundList", "data next_cursor"),
        ("RefundRequestList", "data next_cursor"),
        ("EventList", "data next_cursor"),
        ("Delivery", "id event_id event_type status attempt_count next_attempt_at created_at delivered_at attempts"),
        ("DeliveryList", "data next_cursor"),
        ("Problem", "type title status detail code request_id errors provider_code provider_message"),
        ("FieldError", "field message"),
    ] {
        for field in fields.split_whitespace() {
            let described = &document["components"]["schemas"][schema]["properties"][field];
            assert!(described.is_object(), "{schema}.{field}");
        }
    }
}

#[test]
fn every_error_has_its_code_and_status() {
    for (code, status) in [
        ("invalid_request", 400),
        ("unauthorized", 401),
        ("provider_refused", 402),
        ("forbidden", 403),
        ("not_found", 404),
        ("out_trade_no_conflict", 409),
        ("out_refund_no_conflict", 409),
        ("idempotency_key_conflict", 409),
        ("idempotency_in_progress", 409),
        ("invalid_state", 409),
        ("body_too_large", 413),
        ("refund_exceeds_payment", 422),
        ("rate_limited", 429),
        ("provider_unavailable", 502),
        ("unavailable", 503),
        ("provider_timeout", 504),
    ] {
        let found = ErrorCode::ALL.iter().find(|known| known.as_str() == code);
        assert_eq!(found.map(|known| known.status()), Some(status), "{code}");
        let document = crate::Document::new(&offered());
        let text = document.json();
        assert!(text.contains(&format!("`{code}`: ")), "{code} is not documented");
    }
}

#[test]
fn every_kind_of_event_is_named() {
    let document = document();
    let words = document["components"]["schemas"]["Event"]["properties"]["type"]["description"].as_str().unwrap();
    for kind in [
        "payment.succeeded",
        "payment.closed",
        "payment.failed",
        "payment.mismatch",
        "refund.succeeded",
        "refund.failed",
        "refund.requested",
        "payment.late",
        "payment.duplicate",
        "payment.unknown_order",
        "share.created",
        "share.published",
    ] {
        assert!(EventKind::parse(kind).is_some() && words.contains(&format!("`{kind}`")), "{kind}");
    }
    for kind in EventKind::ALL {
        assert!(words.contains(&format!("`{}`", kind.as_str())), "{kind:?}");
    }
}

#[test]
fn the_plugins_addresses_are_those_of_the_contract() {
    let document = document();
    for (method, path) in
        [("get", "/s/{share}"), ("post", "/callback/{tenant}/{plugin}"), ("get", "/callback/{tenant}/{plugin}")]
    {
        let operation = &document["paths"][path][method];
        assert!(operation["operationId"].is_string(), "{method} {path}");
        assert!(operation["security"].is_null(), "{method} {path} needs no key");
    }
}
