//! What plugins add to the OpenAPI document.

use dukou_spi::plugin::{CallMethod, CallSpec, PageSpec, PluginInfo, Schema};
use serde_json::{Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, RefOr, Schema as Form};

use crate::endpoints::{self, Endpoint};
use crate::openapi::describe;

/// Adds the plugins' operations and the forms of their bodies.
pub fn add(document: &mut OpenApi, plugins: &[&'static PluginInfo]) {
    let table = endpoints::public(plugins);
    for info in plugins {
        for spec in info.calls {
            for schema in spec.request.into_iter().chain([spec.answer]) {
                add_schema(document, schema);
            }
            let method = match spec.method {
                CallMethod::Get => "GET",
                CallMethod::Post => "POST",
            };
            put(document, &table, method, spec.path, call(spec));
        }
        for spec in info.pages {
            put(document, &table, "GET", spec.path, page(spec));
        }
    }
}

fn add_schema(document: &mut OpenApi, schema: &Schema) {
    match serde_json::from_str::<RefOr<Form>>(schema.json) {
        Ok(form) => {
            let components = document.components.get_or_insert_default();
            components.schemas.insert(schema.name.to_owned(), form);
        }
        Err(error) => tracing::error!(name = schema.name, %error, "a plugin's schema cannot be read"),
    }
}

fn put(document: &mut OpenApi, table: &[Endpoint], method: &str, path: &str, operation: Value) {
    let mut operation: Operation = match serde_json::from_value(operation) {
        Ok(operation) => operation,
        Err(error) => return tracing::error!(path, %error, "a plugin's operation cannot be described"),
    };
    if let Some(endpoint) = table.iter().find(|endpoint| endpoint.path == path && endpoint.method == method) {
        describe(&mut operation, endpoint);
    }
    let item = document.paths.paths.entry(path.to_owned()).or_default();
    match method {
        "GET" => item.get = Some(operation),
        _ => item.post = Some(operation),
    }
}

fn call(spec: &CallSpec) -> Value {
    let mut operation = json!({
        "tags": ["plugins"], "operationId": spec.operation, "summary": spec.summary,
        "responses": { spec.status.to_string(): {
            "description": spec.answers,
            "content": { "application/json": { "schema": reference(spec.answer) } },
        } },
    });
    if !spec.description.is_empty() {
        operation["description"] = spec.description.into();
    }
    if let Some(request) = spec.request {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": reference(request) } } });
    }
    operation
}

fn page(spec: &PageSpec) -> Value {
    json!({
        "tags": ["plugins"], "operationId": spec.operation, "summary": spec.summary,
        "responses": { "200": {
            "description": spec.answers, "content": { "text/html": { "schema": { "type": "string" } } },
        } },
    })
}

fn reference(schema: &Schema) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", schema.name) })
}
