//! The tenant's event log.

use actix_web::http::header::ACCEPT;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use dukou_domain::EventId;

use crate::answer::Answer;
use crate::auth::Authenticated;
use crate::dto::{EventBody, EventList};
use crate::errors::ErrorCode;
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::query::Parameters;

const PAGE: u32 = 100;
const LONGEST_PAGE: u32 = 500;

/// Read the tenant's event log, oldest first.
///
/// `next_cursor` is the last event's id where the page is full, else `null`. To follow the log,
/// ask again with the last id you have as `after`.
#[utoipa::path(
    get, path = "/v1/{tenant}/events", operation_id = "listEvents", tag = "events",
    params(
        ("after" = Option<String>, Query, description = "Begin after this event (`evt_…`); left out: at the first."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Length of the page; left out: 100."),
    ),
    responses((status = 200, description = "A page of events.", body = EventList))
)]
pub async fn list(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    refuse_stream(&request)?;
    let mut parameters = Parameters::read(request.query_string(), &["after", "limit"])?;
    let after = parameters.get("after", "the id of an event, evt_…", |text| EventId::parse(text).ok());
    let limit = parameters.limit(PAGE, LONGEST_PAGE);
    parameters.finish()?;
    let events = gateway.engine.events(&caller.tenant, after, limit).await?;
    let full = u32::try_from(events.len()).is_ok_and(|length| length >= limit);
    let next_cursor = events.last().filter(|_| full).map(|last| last.event.id.to_string());
    let data = events.iter().map(EventBody::from).collect();
    Ok(Answer::json(200, &EventList { data, next_cursor })?.response())
}

/// A stream is not served (yet); saying so is better than a page that a stream reader cannot read.
fn refuse_stream(request: &HttpRequest) -> Result<(), Problem> {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let accepts =
        |kind: &str| accept.split(',').any(|part| part.split(';').next().is_some_and(|part| part.trim() == kind));
    if accepts("text/event-stream") && !accepts("application/json") && !accepts("*/*") {
        let detail = "the event log is served as pages; send Accept: application/json";
        return Err(Problem::new(ErrorCode::NotAcceptable, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_a_wish_for_nothing_but_a_stream_is_refused() {
        for (accept, served) in [
            ("application/json", true),
            ("*/*", true),
            ("text/event-stream", false),
            ("text/event-stream;q=0.9", false),
            ("application/json, text/event-stream", true),
        ] {
            let request = TestRequest::get().insert_header((ACCEPT, accept)).to_http_request();
            assert_eq!(refuse_stream(&request).is_ok(), served, "{accept}");
        }
        assert!(refuse_stream(&TestRequest::get().to_http_request()).is_ok());
    }
}
