//! One payment, and everything that happened to it.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use dukou_domain::OutTradeNo;
use dukou_engine::EngineError;
use dukou_engine::timeline::Timeline;
use dukou_http::dto::{EntryDetails, TimelineBody, Words};

use super::tenant;
use crate::visitor::{Visitor, let_in};
use crate::{Console, amounts, answer, moments};

struct Fact {
    name: &'static str,
    value: String,
}

struct Line {
    at: String,
    kind: &'static str,
    words: String,
    details: Vec<(String, String)>,
}

struct Part {
    number: String,
    amount: String,
    state: String,
    state_name: String,
    more: String,
}

#[derive(Template)]
#[template(path = "payment.html")]
struct Page<'a> {
    v: &'a Visitor,
    tab: &'static str,
    number: String,
    state: String,
    state_name: String,
    amount: String,
    waiting: Vec<String>,
    facts: Vec<Fact>,
    attempts: Vec<Part>,
    refunds: Vec<Part>,
    lines: Vec<Line>,
}

pub async fn show(console: Data<Console>, request: HttpRequest) -> HttpResponse {
    let visitor = let_in!(console, request);
    let part = |name| request.match_info().get(name).unwrap_or_default();
    let (Some(tenant), Ok(number)) = (tenant(&console, part("tenant")), OutTradeNo::new(part("out_trade_no"))) else {
        return visitor.failed(&EngineError::NotFound);
    };
    match console.engine.timeline(&tenant, &number).await {
        Ok(timeline) => answer::page(StatusCode::OK, &page(&visitor, &timeline)),
        Err(error) => visitor.failed(&error),
    }
}

fn page<'a>(v: &'a Visitor, timeline: &Timeline) -> Page<'a> {
    let (payment, told) = (&timeline.payment, TimelineBody::from(timeline));
    let said = |words: &Words| moments::localized(v.language.said(words), v.language);
    let state = payment.state.to_string();
    let attempts = payment.attempts().into_iter().map(|attempt| {
        let state = attempt.state.to_string();
        Part {
            number: attempt.trade_no.to_string(),
            amount: format!("{} {}", attempt.provider, attempt.method),
            state_name: v.language.state(&state).to_owned(),
            state,
            more: attempt.transaction_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    });
    let refunds = timeline.refunds.iter().map(|refund| {
        let state = refund.state.to_string();
        Part {
            number: refund.out_refund_no.to_string(),
            amount: amounts::shown(refund.amount),
            state_name: v.language.state(&state).to_owned(),
            state,
            more: refund.reason.clone().unwrap_or_default(),
        }
    });
    let lines = told.entries.iter().zip(&timeline.entries).map(|(entry, of)| Line {
        at: moments::shown(of.at, v.language),
        kind: kind(&entry.details),
        words: said(&entry.words),
        details: details(&entry.details),
    });
    Page {
        v,
        tab: "payments",
        number: payment.out_trade_no.to_string(),
        state_name: v.language.state(&state).to_owned(),
        state,
        amount: amounts::shown(payment.amount),
        waiting: told.waiting.iter().map(|one| said(&one.words)).collect(),
        facts: facts(v, timeline),
        attempts: attempts.collect(),
        refunds: refunds.collect(),
        lines: lines.collect(),
    }
}

/// Nothing about who pays.
fn facts(v: &Visitor, timeline: &Timeline) -> Vec<Fact> {
    let (payment, texts) = (&timeline.payment, v.texts);
    let at = |at| moments::shown(at, v.language);
    let mut facts = vec![
        Fact { name: texts.description, value: payment.description.clone() },
        Fact { name: texts.tenant, value: payment.tenant.to_string() },
        Fact { name: texts.created_at, value: at(payment.created_at) },
        Fact { name: texts.expires_at, value: at(payment.expires_at) },
    ];
    facts.extend(payment.paid_at.map(|paid| Fact { name: texts.paid_at, value: at(paid) }));
    if !payment.refunded.is_zero() {
        facts.push(Fact { name: texts.refunded, value: amounts::shown(payment.refunded) });
    }
    let transaction = payment.transaction_id.as_ref();
    facts.extend(transaction.map(|id| Fact { name: texts.transaction, value: id.to_string() }));
    facts
}

const fn kind(details: &EntryDetails) -> &'static str {
    match details {
        EntryDetails::Event { .. } => "event",
        EntryDetails::Call(_) => "call",
        EntryDetails::Notify(_) => "notify",
        EntryDetails::Delivery { .. } => "delivery",
    }
}

fn details(details: &EntryDetails) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut all = match details {
        EntryDetails::Event { event_id, event_type } => {
            vec![pair("event_type", event_type), pair("event_id", event_id)]
        }
        EntryDetails::Call(call) => {
            let mut all = vec![
                pair("operation", &call.operation),
                pair("outcome", &call.outcome),
                pair("duration_ms", &call.duration_ms.to_string()),
            ];
            for (name, value) in [
                ("out_refund_no", &call.out_refund_no),
                ("provider_request_id", &call.provider_request_id),
                ("provider_code", &call.provider_code),
                ("provider_message", &call.provider_message),
            ] {
                all.extend(value.as_ref().map(|value| pair(name, value)));
            }
            all
        }
        EntryDetails::Notify(message) => message.fields.iter().map(|(name, value)| pair(name, value)).collect(),
        EntryDetails::Delivery { delivery_id, attempt, .. } => {
            vec![pair("delivery_id", delivery_id), pair("duration_ms", &attempt.duration_ms.to_string())]
        }
    };
    all.retain(|(_, value)| !value.is_empty());
    all
}
