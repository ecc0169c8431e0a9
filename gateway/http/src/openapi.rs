//! The OpenAPI document, made from the handlers, the bodies and the routing table.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Data;
use dukou_engine::records::EventKind;
use dukou_spi::plugin::PluginInfo;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, ObjectBuilder, Ref, RefOr, Required, Schema, Type};
use utoipa::{Modify, OpenApi};

use crate::dto;
use crate::endpoints::{ADMIN, Access, Endpoint, PUBLIC};
use crate::errors::ErrorCode;
use crate::openapi_plugins;
use crate::problem::{FieldError, PROBLEM_JSON, ProblemDocument};
use crate::routes::{
    access_tokens, admin, deliveries, events, notify, payments, plugins, refund_requests, refunds, sessions,
};

const API_KEY: &str = "api_key";
const SESSION_TOKEN: &str = "session_token";
const ADMIN_TOKEN: &str = "admin_token";
/// Bodies that are read strictly: a field that is not documented is refused.
const REQUESTS: &[&str] = &[
    "CreatePayment",
    "Payer",
    "InvokePayment",
    "CreateRefund",
    "CreateSession",
    "CreateRefundRequest",
    "CreateAccessToken",
];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "dukou",
        description = "The payment gateway that many mini-programs share. Amounts are integers in minor units (fen); \
                       times are RFC 3339 in UTC; every error is a problem document (RFC 9457). \
                       What answers GET answers HEAD too, except for callbacks."
    ),
    paths(
        payments::create,
        payments::list,
        payments::read,
        payments::invoke,
        payments::close,
        refunds::create,
        refunds::list,
        refunds::read,
        sessions::create,
        access_tokens::create,
        refund_requests::create,
        refund_requests::list,
        refund_requests::approve,
        refund_requests::reject,
        deliveries::list,
        deliveries::retry,
        deliveries::enable,
        events::list,
        notify::payment,
        notify::refund,
        plugins::get_callback,
        plugins::post_callback,
        plugins::get_callback_rest,
        plugins::post_callback_rest,
        admin::metrics,
        admin::health,
        admin::ready,
        admin::timeline,
        admin::access_tokens,
        serve,
    ),
    components(schemas(ProblemDocument<'static>, FieldError, dto::EventData)),
    modifiers(&Table),
    tags(
        (name = "payments"),
        (name = "refunds"),
        (name = "refund requests", description = "What buyers asked for; no money moves until the merchant approves."),
        (name = "sessions", description = "For the mini-program itself."),
        (name = "access-tokens", description = "One for each app, shared by all that call its platform."),
        (name = "webhooks", description = "Events delivered to the tenant's endpoint, as Standard Webhooks describes."),
        (name = "events"),
        (name = "notify", description = "For the platforms."),
        (name = "plugins", description = "What plugins add; a tenant has those that its file names."),
        (name = "admin", description = "On the admin listener only; metrics and probes without a token."),
    )
)]
struct Interface;

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "getOpenApi", tag = "admin",
    responses((status = 200, description = "OpenAPI 3.1; on both listeners.", content_type = "application/json", body = Object))
)]
pub async fn serve(document: Data<Document>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.json().to_owned())
}

/// The document as it is served.
#[derive(Debug, Clone)]
pub struct Document(Arc<str>);

impl Document {
    /// The gateway's own interface with what these plugins add to it.
    pub fn new(plugins: &[&'static PluginInfo]) -> Self {
        let mut document = Interface::openapi();
        openapi_plugins::add(&mut document, plugins);
        Document(document.to_pretty_json().unwrap_or_default().into())
    }

    pub fn json(&self) -> &str {
        &self.0
    }
}

/// Adds what the routing table and the error table say about every operation.
struct Table;

impl Modify for Table {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        // What both listeners serve is one operation.
        let admin = ADMIN.iter().filter(|a| !PUBLIC.iter().any(|p| (p.method, p.path) == (a.method, a.path)));
        for endpoint in PUBLIC.iter().chain(admin) {
            if let Some(operation) =
                document.paths.paths.get_mut(endpoint.path).and_then(|item| operation(item, endpoint.method))
            {
                describe(operation, endpoint);
            }
        }
        // The derive fills in an empty licence, which is not a valid one.
        document.info.license = None;
        if let Some(components) = &mut document.components {
            let scheme = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("An API key of the tenant in the address."))
                .build();
            components.add_security_scheme(API_KEY, SecurityScheme::Http(scheme));
            let scheme = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("The session token of a user of the tenant's mini-program; see `createSession`."))
                .build();
            components.add_security_scheme(SESSION_TOKEN, SecurityScheme::Http(scheme));
            let scheme = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("The token of `admin.token`; on the admin listener only."))
                .build();
            components.add_security_scheme(ADMIN_TOKEN, SecurityScheme::Http(scheme));
            // A mismatch is a payment as well, so exactly one of them would be wrong.
            if let Some(RefOr::T(data)) = components.schemas.get_mut("EventData")
                && let Schema::OneOf(kinds) = data
            {
                let any = AnyOfBuilder::new().description(kinds.description.take());
                let any = kinds.items.drain(..).fold(any, AnyOfBuilder::item);
                *data = Schema::AnyOf(any.build());
            }
            if let Some(RefOr::T(Schema::Object(event))) = components.schemas.get_mut("Event")
                && let Some(RefOr::T(Schema::Object(kind))) = event.properties.get_mut("type")
            {
                kind.description = Some(event_kinds());
            }
            for name in REQUESTS {
                if let Some(RefOr::T(Schema::Object(body))) = components.schemas.get_mut(*name) {
                    body.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
                }
            }
        }
    }
}

/// What can happen, in words: the list grows, so that it is no closed set of values.
fn event_kinds() -> String {
    let words: Vec<String> = EventKind::ALL.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
    format!("What happened, one of {}; more may come.", words.join(", "))
}

/// The operation of a path for one of the methods that the routing table uses.
fn operation<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Operation> {
    match method {
        "GET" => item.get.as_mut(),
        "POST" => item.post.as_mut(),
        _ => None,
    }
}

pub(crate) fn describe(operation: &mut Operation, endpoint: &Endpoint) {
    let parameters = operation.parameters.get_or_insert_default();
    for name in placeholders(endpoint.path) {
        parameters.retain(|known| !matches!(known, RefOr::T(known) if known.name == name));
        parameters.push(RefOr::T(text_parameter(name, ParameterIn::Path, Required::True, path_words(name))));
    }
    let words = "Names the request in the gateway's log; made by the gateway when left out.";
    parameters.push(RefOr::T(text_parameter("X-Request-Id", ParameterIn::Header, Required::False, words)));
    if endpoint.idempotent {
        let words = "1 to 255 visible ASCII characters. The answer to a key is kept at least 24 h and given again \
                     for the same request; what may pass (5xx, 409 `invalid_state`, a balance that was too low) is not \
                     kept.";
        parameters.push(RefOr::T(text_parameter("Idempotency-Key", ParameterIn::Header, Required::False, words)));
    }
    let schemes = [
        (API_KEY, endpoint.access.key()),
        (SESSION_TOKEN, endpoint.access.session()),
        (ADMIN_TOKEN, endpoint.access == Access::Admin),
    ];
    let security: Vec<SecurityRequirement> = schemes
        .into_iter()
        .filter(|(_, opens)| *opens)
        .map(|(name, _)| SecurityRequirement::new(name, Vec::<String>::new()))
        .collect();
    if !security.is_empty() {
        operation.security = Some(security);
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let words = "The id of the request.";
            response.headers.insert("X-Request-Id".to_owned(), text_header(words));
            if endpoint.idempotent {
                let words = "`true` where this answer was kept under the Idempotency-Key. It is as it was then: the \
                             `request_id` of a kept problem names the first request, which the log tells about.";
                response.headers.insert("Idempotent-Replayed".to_owned(), text_header(words));
            }
        }
    }
    let mut codes = endpoint.all_errors();
    codes.sort_by_key(|code| code.status());
    for same in codes.chunk_by(|a, b| a.status() == b.status()) {
        let status = same[0].status().to_string();
        operation.responses.responses.insert(status, RefOr::T(error_response(same)));
    }
}

fn error_response(codes: &[ErrorCode]) -> Response {
    let words = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect::<Vec<_>>();
    let mut response = ResponseBuilder::new()
        .description(words.join(" "))
        .content(PROBLEM_JSON, Content::new(Some(Ref::from_schema_name("Problem"))))
        .build();
    response.headers.insert("X-Request-Id".to_owned(), text_header("The id of the request."));
    let waits = [
        ErrorCode::IdempotencyInProgress,
        ErrorCode::RateLimited,
        ErrorCode::ProviderUnavailable,
        ErrorCode::Unavailable,
    ];
    if codes.iter().any(|code| waits.contains(code)) {
        response.headers.insert("Retry-After".to_owned(), text_header("Seconds until another try makes sense."));
    }
    if codes.contains(&ErrorCode::Unauthorized) {
        response.headers.insert("WWW-Authenticate".to_owned(), text_header("`Bearer`."));
    }
    response
}

fn text_parameter(name: &str, place: ParameterIn, required: Required, words: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(words))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn text_header(words: &str) -> RefOr<Header> {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String));
    header.description = Some(words.to_owned());
    RefOr::T(header)
}

/// The names between braces.
fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn path_words(name: &str) -> &'static str {
    match name {
        "tenant" => "The tenant's id.",
        "provider" => "The tenant's own name for one of its providers.",
        "out_trade_no" => "The tenant's number of the payment.",
        "out_refund_no" => "The tenant's number of the refund.",
        "id" => "Its id.",
        "plugin" => "The plugin's name.",
        "rest" => "One of the plugin's further addresses.",
        "open_id" => "The user's open_id at the platform.",
        "share" => "The tenant's id, a dot, and the share's id.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing_engine::offered;
    use std::collections::BTreeSet;

    fn document() -> Document {
        Document::new(&offered())
    }

    fn table() -> Vec<Endpoint> {
        let mut table = crate::endpoints::public(&offered());
        table.extend_from_slice(ADMIN);
        table
    }

    #[test]
    fn the_document_changes_only_in_plain_sight() {
        insta::assert_snapshot!("openapi", document().json());
    }

    #[test]
    fn the_document_and_the_routing_table_agree() {
        let document: serde_json::Value = serde_json::from_str(document().json()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut documented = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                documented.insert((method.to_uppercase(), path.clone()));
            }
        }
        let routed: BTreeSet<(String, String)> =
            table().iter().map(|endpoint| (endpoint.method.to_owned(), endpoint.path.to_owned())).collect();
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_operation_names_its_errors_parameters_and_key() {
        let document: serde_json::Value = serde_json::from_str(document().json()).unwrap();
        for endpoint in table().iter() {
            let operation = &document["paths"][endpoint.path][endpoint.method.to_lowercase()];
            for code in endpoint.all_errors() {
                let words = operation["responses"][code.status().to_string()]["description"].as_str().unwrap();
                assert!(words.contains(code.as_str()), "{} {} {}", endpoint.method, endpoint.path, code.as_str());
            }
            let parameters = operation["parameters"].as_array().unwrap();
            let named: BTreeSet<&str> = parameters.iter().filter_map(|p| p["name"].as_str()).collect();
            assert_eq!(named.len(), parameters.len(), "{} names a parameter twice", endpoint.path);
            assert!(placeholders(endpoint.path).all(|name| named.contains(name)), "{}", endpoint.path);
            assert_eq!(named.contains("Idempotency-Key"), endpoint.idempotent, "{}", endpoint.path);
            let admin = usize::from(endpoint.access == Access::Admin);
            let opens = usize::from(endpoint.access.key()) + usize::from(endpoint.access.session()) + admin;
            let security = operation.get("security").and_then(|schemes| schemes.as_array());
            assert_eq!(security.map_or(0, Vec::len), opens, "{}", endpoint.path);
        }
    }

    /// What is written for a caller links to no Rust.
    #[test]
    fn no_summary_and_no_description_is_rusts_own() {
        let mut rest = vec![serde_json::from_str::<serde_json::Value>(document().json()).unwrap()];
        while let Some(value) = rest.pop() {
            match value {
                serde_json::Value::String(text) => assert!(!text.contains("[`"), "{text}"),
                serde_json::Value::Object(object) => rest.extend(object.into_iter().map(|(_, value)| value)),
                serde_json::Value::Array(values) => rest.extend(values),
                _ => {}
            }
        }
    }

    /// A caller copies them: they are what the gateway reads and writes.
    #[test]
    fn create_invoke_and_refund_have_an_example_that_is_right() {
        let document: serde_json::Value = serde_json::from_str(document().json()).unwrap();
        let example = |schema: &str| document["components"]["schemas"][schema]["example"].clone();
        let number = dukou_domain::OutTradeNo::new("MADE-0001").unwrap();
        let now = dukou_domain::Timestamp::from_millis(1_795_420_800_000);
        dto::read_create(example("CreatePayment"), number, None, now, |_| None).unwrap();
        dto::read_invoke(example("InvokePayment")).unwrap();
        dto::read_refund(example("CreateRefund")).unwrap();
        for answer in ["Payment", "Refund"] {
            let schema = &document["components"]["schemas"][answer];
            let shown: BTreeSet<&String> = schema["example"].as_object().unwrap().keys().collect();
            let known: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
            assert_eq!(shown, known, "{answer}");
        }
        let words = &document["components"]["schemas"]["CreatePayment"]["properties"]["out_trade_no"]["description"];
        assert!(words.as_str().unwrap().contains("WeChat Pay takes 6 to 32"), "{words}");
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document: serde_json::Value = serde_json::from_str(document().json()).unwrap();
        let mut names = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                assert!(names.insert(operation["operationId"].as_str().unwrap()), "{}", operation["operationId"]);
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: serde_json::Value = serde_json::from_str(document().json()).unwrap();
        let mut rest = vec![&document];
        while let Some(value) = rest.pop() {
            if let Some(reference) = value.get("$ref").and_then(|reference| reference.as_str()) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            match value {
                serde_json::Value::Object(object) => rest.extend(object.values()),
                serde_json::Value::Array(values) => rest.extend(values),
                _ => {}
            }
        }
    }
}
