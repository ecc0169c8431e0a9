//! Calls that move money: run to their end whether or not the caller waits, and once per
//! `Idempotency-Key`.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use aws_lc_rs::digest;
use bytes::Bytes;
use dukou_domain::{OutTradeNo, TenantId};
use dukou_engine::SessionClaims;
use dukou_engine::records::{Begun, IdempotentCall, StoredAnswer};
use dukou_engine::tenant::Tenant;
use futures_util::FutureExt;
use tracing::Instrument;

use crate::answer::{Answer, replay};
use crate::errors::ErrorCode;
use crate::gateway::Gateway;
use crate::middleware::request_id;
use crate::problem::{PROBLEM_JSON, Problem};

const HEADER: &str = "Idempotency-Key";
const MAX_KEY: usize = 255;

/// How a call ended: well, or as it ended when it was made before.
pub enum Outcome {
    Fresh(Answer),
    Replayed(StoredAnswer),
}

/// Which answers are kept for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Those that will not be otherwise when the same is asked again.
    Final,
    /// Those that did something. Who has no API key would otherwise fill the store with refusals, each under another key.
    Success,
}

impl Outcome {
    fn response(self) -> HttpResponse {
        match self {
            Outcome::Fresh(answer) => answer.response(),
            Outcome::Replayed(answer) => replay(answer),
        }
    }
}

/// Runs `work` under a number made for it, and under the request's idempotency key where it has
/// one. `work` goes on when the caller hangs up.
///
/// # Errors
/// The work's own; `invalid_request` for a key that is none, `idempotency_key_conflict`,
/// `idempotency_in_progress`, `unavailable`, and `internal_error` when the work panicked.
pub async fn run<F, W>(
    gateway: &Data<Gateway>,
    request: &HttpRequest,
    tenant: &Arc<Tenant>,
    body: &Bytes,
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(OutTradeNo) -> W + Send + 'static,
    W: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    run_keeping(gateway, request, tenant, body, work).await.map(Outcome::response)
}

/// As [`run`], with what was kept and what was done told apart: the answer that is kept is the work's, not
/// the response that the route makes of it.
///
/// # Errors
/// As [`run`].
pub async fn run_keeping<F, W>(
    gateway: &Data<Gateway>,
    request: &HttpRequest,
    tenant: &Arc<Tenant>,
    body: &Bytes,
    work: F,
) -> Result<Outcome, Problem>
where
    F: FnOnce(OutTradeNo) -> W + Send + 'static,
    W: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    run_key(gateway, request, tenant, read_key(request)?, Kept::Final, body, work).await
}

/// As [`run`], for a buyer: nobody else's key, the backend's included, is the same. A refusal is not kept.
///
/// # Errors
/// As [`run`].
pub async fn run_for_buyer<F, W>(
    gateway: &Data<Gateway>,
    request: &HttpRequest,
    tenant: &Arc<Tenant>,
    buyer: &SessionClaims,
    body: &Bytes,
    work: F,
) -> Result<HttpResponse, Problem>
where
    F: FnOnce(OutTradeNo) -> W + Send + 'static,
    W: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    let key = read_key(request)?.map(|key| buyers_key(buyer, &key));
    run_key(gateway, request, tenant, key, Kept::Success, body, work).await.map(Outcome::response)
}

/// As [`run`], for a caller who is nobody yet. The answer that is kept is the work's, not the
/// response that the route makes of it; a refusal is not kept.
///
/// # Errors
/// As [`run`].
pub async fn run_for_visitor<F, W>(
    gateway: &Data<Gateway>,
    request: &HttpRequest,
    tenant: &Arc<Tenant>,
    body: &Bytes,
    work: F,
) -> Result<Outcome, Problem>
where
    F: FnOnce(OutTradeNo) -> W + Send + 'static,
    W: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    let key = read_key(request)?.map(|key| visitors_key(&key));
    run_key(gateway, request, tenant, key, Kept::Success, body, work).await
}

async fn run_key<F, W>(
    gateway: &Data<Gateway>,
    request: &HttpRequest,
    tenant: &Arc<Tenant>,
    key: Option<String>,
    kept: Kept,
    body: &Bytes,
    work: F,
) -> Result<Outcome, Problem>
where
    F: FnOnce(OutTradeNo) -> W + Send + 'static,
    W: Future<Output = Result<Answer, Problem>> + Send + 'static,
{
    let made_number = gateway.engine.make_out_trade_no(tenant);
    let call = key.map(|key| {
        let fingerprint = fingerprint(request.method().as_str(), request.path(), body);
        IdempotentCall {
            tenant: tenant.id.clone(),
            made_number: number_for(&key, &fingerprint, tenant.made_number_length()),
            key,
            fingerprint,
            owner: gateway.instance,
            now: gateway.engine.clock().now(),
        }
    });
    let shared = Data::clone(gateway);
    let id = request_id(request);
    let ended = gateway.spawn(
        async move {
            match call {
                None => guarded(work(made_number)).await.map(Outcome::Fresh),
                Some(call) => once(&shared, call, kept, &id, work).await,
            }
        }
        .in_current_span(),
    );
    ended.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a call did not come to its end");
        Err(Problem::internal())
    })
}

async fn once<F, W>(
    gateway: &Data<Gateway>,
    call: IdempotentCall,
    kept: Kept,
    request_id: &str,
    work: F,
) -> Result<Outcome, Problem>
where
    F: FnOnce(OutTradeNo) -> W,
    W: Future<Output = Result<Answer, Problem>>,
{
    let (tenant, key) = (call.tenant.clone(), call.key.clone());
    let made_number = match begin(gateway, call).await? {
        Begun::Run { made_number } => made_number,
        Begun::Answered(answer) => return Ok(Outcome::Replayed(answer)),
        Begun::InProgress => {
            let detail = "the first request with this key is still running; ask again for its answer";
            let problem = Problem::new(ErrorCode::IdempotencyInProgress, detail);
            return Err(Problem { retry_after: Some(1), ..problem });
        }
        Begun::Conflict => {
            let detail = "this Idempotency-Key was used for another request; use a new key for each request";
            return Err(Problem::new(ErrorCode::IdempotencyKeyConflict, detail));
        }
    };
    let answer = match OutTradeNo::new(&made_number) {
        Ok(made_number) => guarded(work(made_number)).await,
        Err(error) => {
            tracing::error!(%error, "a number kept with an idempotency key cannot be read back");
            Err(Problem::internal())
        }
    };
    keep(gateway, tenant, key, to_keep(&answer, kept, request_id)).await;
    answer.map(Outcome::Fresh)
}

/// Enters the call. One that is in progress for the store may have ended all the same, when the store
/// would not take its answer: then that is made up for now.
async fn begin(gateway: &Data<Gateway>, call: IdempotentCall) -> Result<Begun, Problem> {
    let store = gateway.engine.store();
    let begun = store.begin_call(call.clone()).await?;
    if begun != Begun::InProgress {
        return Ok(begun);
    }
    match gateway.unkept.settle(store.as_ref(), gateway.instance, &call.tenant, &call.key).await {
        Some((Some(answer), _)) => Ok(Begun::Answered(answer)),
        Some((None, true)) => Ok(store.begin_call(call).await?),
        Some((None, false)) | None => Ok(begun),
    }
}

/// Turns a panic into an answer; its message went to the log by the panic hook.
async fn guarded(work: impl Future<Output = Result<Answer, Problem>>) -> Result<Answer, Problem> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a call panicked");
        Err(Problem::internal())
    })
}

/// What is kept of an answer: what will not be otherwise when the same is asked again. A fault of
/// ours, the provider's or the moment's is forgotten, as is a state that did not allow it, so that the
/// call can be made again; the natural keys see to it that nothing is done twice.
fn to_keep(answer: &Result<Answer, Problem>, kept: Kept, request_id: &str) -> Option<StoredAnswer> {
    match answer {
        Ok(answer) => Some(StoredAnswer {
            status: answer.status,
            content_type: crate::answer::JSON.to_owned(),
            body: answer.body.clone(),
        }),
        Err(problem) if problem.passing || kept == Kept::Success => None,
        Err(problem) => Some(StoredAnswer {
            status: problem.code.status(),
            content_type: PROBLEM_JSON.to_owned(),
            body: Bytes::from(problem.body(request_id)),
        }),
    }
}

/// Keeps the answer before it is given. Where the store cannot take it now, the caller is not
/// made to wait, and it is written as soon as it can be; the effect itself is on record already.
async fn keep(gateway: &Data<Gateway>, tenant: TenantId, key: String, answer: Option<StoredAnswer>) {
    let store = gateway.engine.store();
    if let Err(error) = store.end_call(&tenant, &key, gateway.instance, answer.clone()).await {
        tracing::warn!(%error, %tenant, "the answer to an idempotent call could not be kept yet");
        gateway.unkept.remember(tenant, key, answer);
    }
}

fn read_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut values = request.headers().get_all(HEADER);
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    let legal = (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if legal && values.next().is_none() {
        Ok(Some(key.to_owned()))
    } else {
        Err(Problem::invalid_field(HEADER, format!("expected one key of 1 to {MAX_KEY} visible ASCII characters")))
    }
}

/// A key that begins with its buyer. No key on the wire holds a space.
fn buyers_key(buyer: &SessionClaims, key: &str) -> String {
    format!("{} {} {key}", buyer.provider, buyer.openid)
}

/// A key of someone who is not known yet: no backend's, and no buyer's, who has two spaces.
fn visitors_key(key: &str) -> String {
    format!("session {key}")
}

/// The number for a payment that its merchant gave none, the same whenever this call is made
/// again: also after the key was forgotten because the provider's answer was lost, when the
/// payment may exist.
fn number_for(key: &str, fingerprint: &str, length: usize) -> String {
    let mut number = hex::encode(digest::digest(&digest::SHA256, format!("{fingerprint}\n{key}").as_bytes()));
    number.truncate(length);
    number
}

/// SHA-256 over method, path and body, in hexadecimal. Neither method nor path holds a line break.
fn fingerprint(method: &str, path: &str, body: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(method.as_bytes());
    context.update(b"\n");
    context.update(path.as_bytes());
    context.update(b"\n");
    context.update(body);
    hex::encode(context.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use dukou_spi::{ErrorKind, ProviderError, Reason};

    #[test]
    fn a_key_is_one_short_visible_text() {
        let long = "k".repeat(MAX_KEY + 1);
        for (keys, good) in [
            (vec![], true),
            (vec!["7f9c"], true),
            (vec![""], false),
            (vec!["a b"], false),
            (vec![long.as_str()], false),
            (vec!["a", "a"], false),
        ] {
            let request = keys.iter().fold(TestRequest::post(), |request, key| request.append_header((HEADER, *key)));
            assert_eq!(read_key(&request.to_http_request()).is_ok(), good, "{keys:?}");
        }
    }

    #[test]
    fn the_fingerprint_tells_requests_apart() {
        let one = fingerprint("POST", "/v1/a/payments", b"{}");
        assert_eq!(one.len(), 64);
        for (method, path, body) in
            [("PUT", "/v1/a/payments", "{}"), ("POST", "/v1/b/payments", "{}"), ("POST", "/v1/a/payments", "{ }")]
        {
            assert_ne!(fingerprint(method, path, body.as_bytes()), one);
        }
    }

    #[test]
    fn a_call_made_again_goes_on_under_its_number() {
        let number = number_for("key", "print", 24);
        assert_eq!(number, number_for("key", "print", 24));
        assert!(number != number_for("key2", "print", 24) && number != number_for("key", "print2", 24));
        assert_eq!(OutTradeNo::new(&number).map(|number| number.as_str().len()), Ok(24));
    }

    #[test]
    fn only_final_answers_are_kept() {
        let kept = |code| to_keep(&Err(Problem::new(code, "")), Kept::Final, "id").is_some();
        for code in [ErrorCode::InvalidRequest, ErrorCode::ProviderRefused, ErrorCode::RefundExceedsPayment] {
            assert!(kept(code), "{code:?}");
        }
        for code in [
            ErrorCode::InternalError,
            ErrorCode::Unavailable,
            ErrorCode::ProviderTimeout,
            ErrorCode::ProviderUnavailable,
            ErrorCode::RateLimited,
            ErrorCode::InvalidState,
        ] {
            assert!(!kept(code), "{code:?}");
        }
        for (reason, final_) in [(Reason::Configuration, true), (Reason::InsufficientBalance, false)] {
            let refused = ProviderError::new(ErrorKind::Refused, reason, "the platform refuses");
            assert_eq!(to_keep(&Err(Problem::from(refused)), Kept::Final, "id").is_some(), final_, "{reason:?}");
        }
        assert!(to_keep(&Answer::json(201, &1), Kept::Final, "id").is_some());
    }

    #[test]
    fn of_who_has_no_api_key_only_successes_are_kept() {
        for code in [ErrorCode::InvalidRequest, ErrorCode::NotFound, ErrorCode::RefundExceedsPayment] {
            assert!(to_keep(&Err(Problem::new(code, "")), Kept::Success, "id").is_none(), "{code:?}");
        }
        assert!(to_keep(&Answer::json(201, &1), Kept::Success, "id").is_some());
    }

    #[actix_web::test]
    async fn a_panic_is_an_internal_error() {
        let ended = guarded(async { panic!("provider lost its mind") }).await;
        assert_eq!(ended.err().map(|problem| problem.code), Some(ErrorCode::InternalError));
    }
}
