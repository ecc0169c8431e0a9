//! What buyers ask for, to be decided.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use dukou_domain::{RefundRequestId, RefundRequestState};
use dukou_engine::records::{RefundRequest, RefundRequestFilter};
use dukou_engine::tenant::Tenant;
use dukou_engine::{Decision, EngineError};

use super::{Choice, PAGE, Query, chosen, payments, states, tenant, unknown};
use crate::texts::Language;
use crate::visitor::{Visitor, let_in};
use crate::{Console, amounts, answer, moments};

/// Who decided, as the record names it.
const DECIDED_BY: &str = "console";

struct Row {
    payment: String,
    number: String,
    amount: String,
    reason: String,
    state: String,
    state_name: String,
    requested_at: String,
    decided: String,
    /// Where it is decided; `None` when it was.
    decide: Option<String>,
}

impl Row {
    fn of(request: &RefundRequest, visitor: &Visitor) -> Self {
        let state = request.state.to_string();
        let at = |at| moments::shown(at, visitor.language);
        let decided = request
            .decided_at
            .map(|moment| format!("{} {}", at(moment), request.decided_by.as_deref().unwrap_or_default()));
        let open = request.state == RefundRequestState::Pending;
        Row {
            payment: payments::address(&request.tenant, &request.out_trade_no),
            number: request.out_trade_no.to_string(),
            amount: amounts::shown(request.amount),
            reason: request.reason.clone().unwrap_or_default(),
            state_name: visitor.language.state_of_work(&state).to_owned(),
            state,
            requested_at: at(request.requested_at),
            decided: decided.unwrap_or_default(),
            decide: open.then(|| format!("/console/requests/{}/{}", request.tenant, request.id)),
        }
    }
}

#[derive(Template)]
#[template(path = "requests.html")]
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
    let words: Vec<&str> = RefundRequestState::ALL.into_iter().map(RefundRequestState::as_str).collect();
    let unknown = unknown(&visitor, &query, &tenants, &words);
    let (mut rows, mut next) = (Vec::new(), None);
    if let (Some(tenant), None) = (tenant, &unknown) {
        let state = RefundRequestState::parse(query.get("status"));
        let filter = RefundRequestFilter { tenant: tenant.id.clone(), state, cursor: query.cursor(), limit: PAGE };
        match console.engine.refund_requests(filter).await {
            Ok(page) => {
                rows = page.items.iter().map(|one| Row::of(one, &visitor)).collect();
                next = page.next.map(|cursor| format!("/console/requests?{}", query.with_cursor(cursor)));
            }
            Err(error) => return visitor.failed(&error),
        }
    }
    let states = states(&visitor, &words, query.get("status"), Language::state_of_work);
    answer::page(StatusCode::OK, &List { v: &visitor, tab: "requests", tenants, states, unknown, rows, next })
}

#[derive(Template)]
#[template(path = "decide.html")]
struct Ask<'a> {
    v: &'a Visitor,
    tab: &'static str,
    row: Row,
    words: &'static str,
    button: &'static str,
    action: String,
    gives_money: bool,
}

fn decision(request: &HttpRequest) -> Option<(RefundRequestId, Decision)> {
    let part = |name| request.match_info().get(name).unwrap_or_default();
    let decision = match part("decision") {
        "approve" => Decision::Approve,
        "reject" => Decision::Reject,
        _ => return None,
    };
    Some((RefundRequestId::parse(part("id")).ok()?, decision))
}

/// Money moves only after a page of its own.
pub async fn ask(console: Data<Console>, request: HttpRequest) -> HttpResponse {
    let visitor = let_in!(console, request);
    let tenant = tenant(&console, request.match_info().get("tenant").unwrap_or_default());
    let (Some(tenant), Some((id, decision))) = (tenant, decision(&request)) else {
        return visitor.failed(&EngineError::NotFound);
    };
    let found = match console.engine.store().refund_request(&tenant.id, id).await {
        Ok(Some(found)) => found,
        Ok(None) => return visitor.failed(&EngineError::NotFound),
        Err(error) => return visitor.failed(&error.into()),
    };
    if let Some(words) = decided(&found, &visitor) {
        return visitor.note(StatusCode::OK, &words);
    }
    let (words, button) = match decision {
        Decision::Approve => (visitor.texts.confirm_approve, visitor.texts.approve),
        Decision::Reject => (visitor.texts.confirm_reject, visitor.texts.reject),
    };
    let (row, action) = (Row::of(&found, &visitor), request.path().to_owned());
    let gives_money = matches!(decision, Decision::Approve);
    answer::page(StatusCode::OK, &Ask { v: &visitor, tab: "requests", row, words, button, action, gives_money })
}

pub async fn decide(console: Data<Console>, request: HttpRequest, form: Form<HashMap<String, String>>) -> HttpResponse {
    let visitor = let_in!(console, request, form);
    let tenant = tenant(&console, request.match_info().get("tenant").unwrap_or_default());
    let (Some(tenant), Some((id, decision))) = (tenant, decision(&request)) else {
        return visitor.failed(&EngineError::NotFound);
    };
    // On a task of its own: a browser that leaves must not break off a refund half way.
    let (engine, shop) = (console.engine.clone(), tenant.clone());
    let decided = tokio::spawn(async move { engine.decide_refund_request(&shop, id, decision, DECIDED_BY).await });
    match decided.await {
        Ok(Ok(request)) => {
            tracing::info!(tenant = %tenant.id, %id, state = %request.state, "a refund request was decided in the console");
            answer::see(&format!("/console/requests?tenant={}", tenant.id))
        }
        Ok(Err(EngineError::InvalidState(_))) => not_now(&console, &tenant, id, &visitor).await,
        Ok(Err(error)) => visitor.failed(&error),
        Err(_) => visitor.note(StatusCode::INTERNAL_SERVER_ERROR, visitor.texts.not_now),
    }
}

/// Why a decision does not count.
async fn not_now(console: &Console, tenant: &Tenant, id: RefundRequestId, visitor: &Visitor) -> HttpResponse {
    let found = match console.engine.store().refund_request(&tenant.id, id).await {
        Ok(found) => found,
        Err(error) => return visitor.failed(&error.into()),
    };
    match found.and_then(|request| decided(&request, visitor)) {
        Some(words) => visitor.note(StatusCode::CONFLICT, &words),
        None => visitor.refused(visitor.texts.provider_gone),
    }
}

/// How a request was decided; `None` while it waits.
fn decided(request: &RefundRequest, visitor: &Visitor) -> Option<String> {
    let row = Row::of(request, visitor);
    let words = format!("{} {} {}", visitor.texts.decided_already, row.state_name, row.decided);
    row.decide.is_none().then_some(words)
}
