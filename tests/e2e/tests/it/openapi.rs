//! A client is generated from the gateway's own description.

use dukou_e2e::World;
use serde_json::Value;

const CODES: [&str; 17] = [
    "invalid_request",
    "unauthorized",
    "forbidden",
    "rate_limited",
    "not_found",
    "out_trade_no_conflict",
    "out_refund_no_conflict",
    "idempotency_key_conflict",
    "idempotency_in_progress",
    "invalid_state",
    "body_too_large",
    "refund_exceeds_payment",
    "provider_refused",
    "provider_unavailable",
    "provider_timeout",
    "unavailable",
    "internal_error",
];

async fn document(world: &World, base: String) -> Value {
    let answer = world.client().get(format!("{base}/openapi.json")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn it_names_every_call_of_the_contract() {
    let world = World::start().await;
    let document = document(&world, world.gateway.url()).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    for (method, path, principals) in [
        ("post", "/v1/{tenant}/payments", &["api_key"][..]),
        ("get", "/v1/{tenant}/payments", &["api_key"]),
        ("get", "/v1/{tenant}/payments/{out_trade_no}", &["api_key", "session_token"]),
        ("post", "/v1/{tenant}/payments/{out_trade_no}/invoke", &["api_key", "session_token"]),
        ("post", "/v1/{tenant}/payments/{out_trade_no}/close", &["api_key"]),
        ("post", "/v1/{tenant}/payments/{out_trade_no}/refunds", &["api_key"]),
        ("get", "/v1/{tenant}/payments/{out_trade_no}/refunds", &["api_key"]),
        ("get", "/v1/{tenant}/refunds/{out_refund_no}", &["api_key"]),
        ("post", "/v1/{tenant}/payments/{out_trade_no}/refund-requests", &["session_token"]),
        ("get", "/v1/{tenant}/refund-requests", &["api_key"]),
        ("post", "/v1/{tenant}/refund-requests/{id}/approve", &["api_key"]),
        ("post", "/v1/{tenant}/refund-requests/{id}/reject", &["api_key"]),
        ("get", "/v1/{tenant}/events", &["api_key"]),
        ("post", "/v1/{tenant}/shares/douyin", &["api_key", "session_token"]),
        ("get", "/v1/{tenant}/shares/douyin/{id}", &["api_key"]),
        ("get", "/s/{share}", &[]),
        ("post", "/callback/{tenant}/{plugin}", &[]),
        ("get", "/callback/{tenant}/{plugin}", &[]),
        ("post", "/v1/{tenant}/sessions", &[]),
        ("post", "/notify/{tenant}/{provider}/payment", &[]),
        ("post", "/notify/{tenant}/{provider}/refund", &[]),
    ] {
        let operation = &document["paths"][path][method];
        assert!(operation.is_object(), "{method} {path} is missing");
        assert!(operation["operationId"].is_string(), "{method} {path} has no operationId");
        let schemes = operation["security"].as_array().into_iter().flatten();
        let named: Vec<&String> = schemes.flat_map(|scheme| scheme.as_object().unwrap().keys()).collect();
        assert_eq!(named, principals, "{method} {path}");
        // What a platform sends is known by what it says.
        let keyed = operation["parameters"].to_string().contains("Idempotency-Key");
        assert_eq!(keyed, method == "post" && path.starts_with("/v1/"), "{method} {path}");
    }
    let text = document.to_string();
    for code in CODES {
        assert!(text.contains(code), "{code} is not documented");
    }
}

#[tokio::test]
async fn both_listeners_serve_the_same_one() {
    let world = World::start().await;
    assert_eq!(document(&world, world.gateway.url()).await, document(&world, world.gateway.admin_url()).await);
}

#[tokio::test]
async fn every_field_of_a_real_answer_is_in_it() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let document = document(&world, world.gateway.url()).await;
    crate::paid(&world, "FIELDS1", 100).await;
    let refund = merchant.refund("FIELDS1", "R-1", 40).await.expect(201);
    let payment = merchant.payment("FIELDS1").await.expect(200);
    let problem = merchant.payment("NOBODY1").await.problem(404, "not_found");
    let event = merchant.all_events().await.remove(0);
    for (schema, answer) in [("Payment", payment), ("Refund", refund), ("Event", event), ("Problem", problem)] {
        let described = &document["components"]["schemas"][schema]["properties"];
        for field in answer.as_object().unwrap().keys() {
            assert!(described[field].is_object(), "{schema}.{field} is not described");
        }
        let required = document["components"]["schemas"][schema]["required"].as_array().unwrap();
        for field in required {
            assert!(answer.get(field.as_str().unwrap()).is_some(), "{schema}.{field} is not answered: {answer}");
        }
    }
}
