//! Events on their way to merchants' webhooks.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use dukou_domain::{DeliveryId, DeliveryState};
use dukou_engine::EngineError;
use dukou_engine::delivery::{Delivery, DeliveryFilter};
use dukou_http::dto::try_failure;

use super::{Choice, PAGE, Query, chosen, states, tenant, unknown};
use crate::texts::Language;
use crate::visitor::{Visitor, let_in};
use crate::{Console, answer, moments};

struct Row {
    event: String,
    id: String,
    state: String,
    state_name: String,
    created_at: String,
    made: u32,
    next_at: String,
    error: String,
    /// Where it is tried again.
    retry: String,
    retry_name: &'static str,
}

impl Row {
    fn of(delivery: &Delivery, visitor: &Visitor) -> Self {
        let state = delivery.state.to_string();
        let error = delivery.tries.last().and_then(try_failure);
        Row {
            event: delivery.kind.as_str().to_owned(),
            id: delivery.event.to_string(),
            state_name: visitor.language.state_of_work(&state).to_owned(),
            state,
            created_at: moments::shown(delivery.created_at, visitor.language),
            made: delivery.made,
            next_at: delivery.next_at.map(|at| moments::shown(at, visitor.language)).unwrap_or_default(),
            error: error.map(|words| visitor.language.said(&words).to_owned()).unwrap_or_default(),
            retry: format!("/console/deliveries/{}/{}/retry", delivery.tenant, delivery.id),
            retry_name: match delivery.state {
                DeliveryState::Pending | DeliveryState::Exhausted => visitor.texts.retry,
                DeliveryState::Delivered => visitor.texts.send_again,
            },
        }
    }
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct List<'a> {
    v: &'a Visitor,
    tab: &'static str,
    tenants: Vec<Choice>,
    states: Vec<Choice>,
    unknown: Option<String>,
    rows: Vec<Row>,
    next: Option<String>,
}

pub async fn list(console: Data<Console>, request: HttpRequest) -> HttpResponse {
    let visitor = let_in!(console, request);
    let query = Query::of(request.query_string());
    let (tenant, tenants) = chosen(&console, &query);
    let words: Vec<&str> = DeliveryState::ALL.into_iter().map(DeliveryState::as_str).collect();
    let unknown = unknown(&visitor, &query, &tenants, &words);
    let (mut rows, mut next) = (Vec::new(), None);
    if let (Some(tenant), None) = (tenant, &unknown) {
        let state = DeliveryState::parse(query.get("status"));
        let filter = DeliveryFilter { tenant: tenant.id.clone(), state, cursor: query.cursor(), limit: PAGE };
        match console.engine.deliveries(filter).await {
            Ok(page) => {
                rows = page.items.iter().map(|one| Row::of(one, &visitor)).collect();
                next = page.next.map(|cursor| format!("/console/deliveries?{}", query.with_cursor(cursor)));
            }
            Err(error) => return visitor.failed(&error),
        }
    }
    let states = states(&visitor, &words, query.get("status"), Language::state_of_work);
    answer::page(StatusCode::OK, &List { v: &visitor, tab: "deliveries", tenants, states, unknown, rows, next })
}

pub async fn retry(console: Data<Console>, request: HttpRequest, form: Form<HashMap<String, String>>) -> HttpResponse {
    let visitor = let_in!(console, request, form);
    let part = |name| request.match_info().get(name).unwrap_or_default();
    let (Some(tenant), Ok(id)) = (tenant(&console, part("tenant")), DeliveryId::parse(part("id"))) else {
        return visitor.failed(&EngineError::NotFound);
    };
    match console.engine.retry_delivery(&tenant, id).await {
        Ok(_) => answer::see(&format!("/console/deliveries?tenant={}", tenant.id)),
        Err(error) => visitor.failed(&error),
    }
}
