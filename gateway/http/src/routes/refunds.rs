//! Refunds: create, read, list.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use dukou_engine::{EngineError, ForeignRefund};
use futures_util::future::try_join_all;

use super::{out_refund_no, out_trade_no};
use crate::answer::Answer;
use crate::auth::Authenticated;
use crate::dto::{CreateRefundBody, RefundBody, RefundList, read_refund};
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::query::Parameters;
use crate::{body, idempotency, json};

/// Questions to a provider under way for one list.
const ASKED_AT_ONCE: usize = 8;

/// Refund all or part of a payment.
///
/// The same `out_refund_no` is refunded once, however often it is sent. One that the provider could not be given now
/// is `processing` all the same: it is recorded and will be made, so give the money back under no other number.
#[utoipa::path(
    post, path = "/v1/{tenant}/payments/{out_trade_no}/refunds", operation_id = "createRefund", tag = "refunds", request_body = CreateRefundBody,
    responses(
        (status = 201, description = "It is recorded, and will be made.", body = RefundBody),
        (status = 200, description = "It was there, with the same content.", body = RefundBody),
    )
)]
pub async fn create(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let number = out_trade_no(&request)?;
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read_json(&request, payload, &gateway.config).await?;
    let tenant = caller.tenant;
    let engine = Arc::clone(&gateway.engine);
    let (shop, content) = (Arc::clone(&tenant), bytes.clone());
    idempotency::run(&gateway, &request, &tenant, &bytes, move |_| async move {
        let content = json::parse(&content).map_err(|fault| Problem::invalid(vec![fault]))?;
        let command = read_refund(content).map_err(Problem::invalid)?;
        let answer = match engine.create_refund(&shop, &number, command).await {
            Err(EngineError::Provider(error)) => {
                // A reader of the refusal is helped by them; without them it stands all the same.
                let foreign = engine.foreign_refunds(&shop, &number).await.unwrap_or_default();
                return Err(with_foreign(error.into(), &foreign));
            }
            other => other?,
        };
        let status = if answer.created { 201 } else { 200 };
        Answer::json(status, &RefundBody::from(&answer.refund))
    })
    .await
}

/// List a payment's refunds, oldest first.
#[utoipa::path(
    get, path = "/v1/{tenant}/payments/{out_trade_no}/refunds", operation_id = "listRefunds", tag = "refunds",
    params(("refresh" = Option<bool>, Query, description = "Ask the provider first, about each that is under way.")),
    responses((status = 200, description = "All of them.", body = RefundList))
)]
pub async fn list(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let number = out_trade_no(&request)?;
    let mut parameters = Parameters::read(request.query_string(), &["refresh"])?;
    let refresh = parameters.flag("refresh");
    parameters.finish()?;
    let refunds = gateway.engine.refunds(&caller.tenant, &number).await?;
    let mut data = Vec::with_capacity(refunds.len());
    let (engine, tenant) = (&gateway.engine, &caller.tenant);
    for some in refunds.chunks(ASKED_AT_ONCE) {
        let shown = some.iter().map(|refund| async move {
            if refresh && refund.state.is_open() {
                let asked = engine.refund(tenant, &refund.out_refund_no, true).await?;
                return Ok(RefundBody::from(&asked));
            }
            Ok::<_, EngineError>(RefundBody::from(refund))
        });
        data.extend(try_join_all(shown).await?);
    }
    Ok(Answer::json(200, &RefundList { data, next_cursor: None })?.response())
}

/// Read a refund.
#[utoipa::path(
    get, path = "/v1/{tenant}/refunds/{out_refund_no}", operation_id = "getRefund", tag = "refunds",
    params(("refresh" = Option<bool>, Query, description = "Ask the provider first.")),
    responses((status = 200, description = "The refund.", body = RefundBody))
)]
pub async fn read(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let number = out_refund_no(&request)?;
    let mut parameters = Parameters::read(request.query_string(), &["refresh"])?;
    let refresh = parameters.flag("refresh");
    parameters.finish()?;
    let refund = gateway.engine.refund(&caller.tenant, &number, refresh).await?;
    Ok(Answer::json(200, &RefundBody::from(&refund))?.response())
}

/// A refusal, with the refunds that the platform counts and this gateway does not.
fn with_foreign(problem: Problem, foreign: &[ForeignRefund]) -> Problem {
    if foreign.is_empty() {
        return problem;
    }
    let named = foreign.iter().map(|one| match &one.amount {
        Some(amount) => format!("{} ({amount})", one.out_refund_no),
        None => one.out_refund_no.clone(),
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let detail = format!("{}; refunds that were not made here count at the provider too: {named}", problem.detail);
    Problem { detail, ..problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dukou_spi::{ErrorKind, ProviderError, Reason};

    #[test]
    fn a_refusal_names_what_the_provider_counts_and_the_record_does_not() {
        let refused = || -> Problem {
            let error = ProviderError::new(ErrorKind::Refused, Reason::Other, "more than is left").with_code("ERROR");
            error.into()
        };
        assert_eq!(with_foreign(refused(), &[]).detail, "more than is left");
        let foreign = |number: &str, amount: Option<&str>| ForeignRefund {
            out_refund_no: number.to_owned(),
            amount: amount.map(str::to_owned),
        };
        let problem = with_foreign(refused(), &[foreign("X-9", Some("0.50 CNY")), foreign("X-10", None)]);
        let why = "more than is left; refunds that were not made here count at the provider too: X-9 (0.50 CNY), X-10";
        assert_eq!((problem.code, problem.detail.as_str()), (refused().code, why));
        assert_eq!(problem.provider.unwrap().message, "more than is left", "the provider's own words stay its own");
    }
}
