//! The tenant's event log.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use dukou_domain::EventId;

use super::event_stream;
use crate::accept;
use crate::answer::Answer;
use crate::auth::Authenticated;
use crate::dto::{EventBody, EventList};
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::query::Parameters;

const PAGE: u32 = 100;
const LONGEST_PAGE: u32 = 500;

/// Read the tenant's event log, oldest first.
///
/// `next_cursor` is the last event's id where the page is full, else `null`. To follow the log,
/// ask again with the last id you have as `after`. Where `Accept` wants
/// `text/event-stream` more than JSON, a live stream: first what is in the log after that event, then what
/// happens, each event with `id`, `event` and `data`.
#[utoipa::path(
    get, path = "/v1/{tenant}/events", operation_id = "listEvents", tag = "events",
    params(
        ("after" = Option<String>, Query, description = "Begin after this event (`evt_…`); left out: at the first."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Length of the page; left out: 100. A stream has none, and goes on."),
        ("Last-Event-ID" = Option<String>, Header, description = "Of a stream that goes on: the last event that was read."),
    ),
    responses((
        status = 200, description = "A page of events, or a stream of them.",
        content((EventList = "application/json"), (String = "text/event-stream")),
    ))
)]
pub async fn list(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut parameters = Parameters::read(request.query_string(), &["after", "limit"])?;
    let after = parameters.get("after", "the id of an event, evt_…", |text| EventId::parse(text).ok());
    let limit = parameters.limit(PAGE, LONGEST_PAGE);
    parameters.finish()?;
    if accept::prefers(request.headers(), ("text", "event-stream"), ("application", "json")) {
        return event_stream::open(gateway, caller, &request, after).await;
    }
    let events = gateway.engine.events(&caller.tenant, after, limit).await?;
    let full = u32::try_from(events.len()).is_ok_and(|length| length >= limit);
    let next_cursor = events.last().filter(|_| full).map(|last| last.event.id.to_string());
    let data = events.iter().map(EventBody::from).collect();
    Ok(Answer::json(200, &EventList { data, next_cursor })?.response())
}
