//! Who shares this gateway.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use dukou_engine::EngineError;

use super::{all_tenants, tenant};
use crate::visitor::{Visitor, let_in};
use crate::{Console, answer, moments};

struct Account {
    name: String,
    kind: &'static str,
    app: String,
    merchant: String,
    methods: String,
}

struct Shop {
    id: String,
    name: String,
    accounts: Vec<Account>,
    plugins: String,
    webhook: &'static str,
    webhook_class: &'static str,
    since: String,
    /// Where it is switched on again.
    enable: Option<String>,
}

#[derive(Template)]
#[template(path = "tenants.html")]
struct Page<'a> {
    v: &'a Visitor,
    tab: &'static str,
    shops: Vec<Shop>,
}

pub async fn show(console: Data<Console>, request: HttpRequest) -> HttpResponse {
    let visitor = let_in!(console, request);
    let mut shops = Vec::new();
    for tenant in all_tenants(&console) {
        let endpoint = match console.engine.store().deliveries().endpoint(&tenant.id).await {
            Ok(endpoint) => endpoint,
            Err(error) => return visitor.failed(&error.into()),
        };
        let (webhook, webhook_class) = match (&tenant.webhook, endpoint.disabled_at) {
            (None, _) => (visitor.texts.webhook_none, "plain"),
            (Some(_), None) => (visitor.texts.webhook_on, "good"),
            (Some(_), Some(_)) => (visitor.texts.webhook_off, "bad"),
        };
        let account = |(name, provider): (&dukou_domain::ProviderName, &std::sync::Arc<dyn dukou_spi::Provider>)| {
            let (info, can) = (provider.info(), provider.capabilities());
            let methods: Vec<String> = can.methods.iter().map(ToString::to_string).collect();
            Account {
                name: name.to_string(),
                kind: info.kind,
                app: info.app_id.clone(),
                merchant: info.merchant_id.clone(),
                methods: methods.join(" "),
            }
        };
        let off = tenant.webhook.is_some() && endpoint.disabled_at.is_some();
        shops.push(Shop {
            id: tenant.id.to_string(),
            name: tenant.name.clone(),
            accounts: tenant.providers.iter().map(account).collect(),
            plugins: tenant.plugins.keys().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            webhook,
            webhook_class,
            since: endpoint.failing_since.map(|at| moments::shown(at, visitor.language)).unwrap_or_default(),
            enable: off.then(|| format!("/console/tenants/{}/webhook/enable", tenant.id)),
        });
    }
    answer::page(StatusCode::OK, &Page { v: &visitor, tab: "tenants", shops })
}

pub async fn enable(console: Data<Console>, request: HttpRequest, form: Form<HashMap<String, String>>) -> HttpResponse {
    let visitor = let_in!(console, request, form);
    let Some(tenant) = tenant(&console, request.match_info().get("tenant").unwrap_or_default()) else {
        return visitor.failed(&EngineError::NotFound);
    };
    let texts = visitor.texts;
    match console.engine.enable_webhook(&tenant).await {
        Ok(_) => answer::see("/console/tenants"),
        Err(EngineError::InvalidState(_)) => visitor.refused(&format!("{} {}", texts.webhook, texts.webhook_none)),
        Err(error) => visitor.failed(&error),
    }
}
