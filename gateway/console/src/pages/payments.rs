//! Payments: found by number, listed by state and day.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use dukou_domain::{OutTradeNo, PaymentState, TenantId};
use dukou_engine::records::{Payment, PaymentFilter};

use super::{Choice, PAGE, Query, chosen, states, unknown};
use crate::texts::Language;
use crate::visitor::{Visitor, let_in};
use crate::{Console, amounts, answer, moments};

struct Row {
    href: String,
    number: String,
    state: String,
    state_name: String,
    amount: String,
    description: String,
    created_at: String,
    provider: String,
}

impl Row {
    fn of(payment: &Payment, visitor: &Visitor) -> Self {
        let state = payment.state.to_string();
        Row {
            href: address(&payment.tenant, &payment.out_trade_no),
            number: payment.out_trade_no.to_string(),
            state_name: visitor.language.state(&state).to_owned(),
            state,
            amount: amounts::shown(payment.amount),
            description: payment.description.clone(),
            created_at: moments::shown(payment.created_at, visitor.language),
            provider: format!("{} {}", payment.attempt.provider, payment.attempt.method),
        }
    }
}

/// The address of a payment's page.
pub fn address(tenant: &TenantId, out_trade_no: &OutTradeNo) -> String {
    format!("/console/payments/{tenant}/{out_trade_no}")
}

#[derive(Template)]
#[template(path = "payments.html")]
struct List<'a> {
    v: &'a Visitor,
    tab: &'static str,
    tenants: Vec<Choice>,
    states: Vec<Choice>,
    unknown: Option<String>,
    number: &'a str,
    since: &'a str,
    not_found: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

pub async fn list(console: Data<Console>, request: HttpRequest) -> HttpResponse {
    let visitor = let_in!(console, request);
    let query = Query::of(request.query_string());
    let (tenant, tenants) = chosen(&console, &query);
    let words: Vec<&str> = PaymentState::ALL.into_iter().map(PaymentState::as_str).collect();
    let unknown = unknown(&visitor, &query, &tenants, &words);
    let (number, since) = (query.get("number"), query.get("since"));
    let (mut rows, mut next, mut not_found) = (Vec::new(), None, false);
    if let (Some(tenant), None) = (tenant, &unknown) {
        if !number.is_empty() {
            match console.engine.find_payment(&tenant, number).await {
                Ok(Some(payment)) => return answer::see(&address(&payment.tenant, &payment.out_trade_no)),
                Ok(None) => not_found = true,
                Err(error) => return visitor.failed(&error),
            }
        } else {
            let filter = PaymentFilter {
                tenant: tenant.id.clone(),
                state: PaymentState::parse(query.get("status")),
                created_after: moments::day(since, visitor.language),
                cursor: query.cursor(),
                limit: PAGE,
            };
            match console.engine.payments(filter).await {
                Ok(page) => {
                    rows = page.items.iter().map(|payment| Row::of(payment, &visitor)).collect();
                    next = page.next.map(|cursor| format!("/console/payments?{}", query.with_cursor(cursor)));
                }
                Err(error) => return visitor.failed(&error),
            }
        }
    }
    let states = states(&visitor, &words, query.get("status"), Language::state);
    let page = List { v: &visitor, tab: "payments", tenants, states, unknown, number, since, not_found, rows, next };
    answer::page(StatusCode::OK, &page)
}
