//! The frame every v3 call goes through: fault, signature, operation, signed answer, journal.

use std::sync::Arc;

use actix_web::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, USER_AGENT};
use actix_web::{HttpRequest, web};
use serde_json::Value;

use super::answer::{Answer, Outcome};
use super::authorization::Authorization;
use super::error::{Answered, ApiError};
use super::judge::{Incoming, Request, admissible, caller};
use super::route::{Missing, Operation, Route};
use super::{bill, certificates, close, fund_flow, prepay, query, refund, refund_query};
use crate::faults::{Call, Fault};
use crate::journal::{Direction, Entry};
use crate::platform::answer::Reply;
use crate::platform::{pause, skew};
use crate::world::World;

pub fn routes(config: &mut web::ServiceConfig) {
    let handler = |world: web::Data<World>, request: HttpRequest, body: web::Bytes| async move {
        let world = world.into_inner();
        let incoming = Arc::new(read(&request, body));
        // On its own task: a client that hangs up does not undo a call.
        let answer = actix_web::rt::spawn(handle(Arc::clone(&world), incoming)).await;
        let mut response = answer.unwrap_or_else(|_| Answer::close()).into_response();
        skew::date(&world, &mut response);
        response
    };
    config.service(web::resource("/v3/{tail:.*}").route(web::route().to(handler)));
}

fn read(request: &HttpRequest, body: web::Bytes) -> Incoming {
    let headers = request.headers();
    let text = |name: HeaderName| header(headers, &name);
    let connection = request.connection_info();
    Incoming {
        method: request.method().to_string(),
        target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        query: url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect(),
        body,
        authorization: text(AUTHORIZATION),
        serial: text(HeaderName::from_static("wechatpay-serial")),
        accept: text(ACCEPT),
        user_agent: text(USER_AGENT),
        content_type: text(CONTENT_TYPE),
        origin: format!("{}://{}", connection.scheme(), connection.host()),
    }
}

/// A header that came once.
fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut all = headers.get_all(name);
    let first = all.next()?;
    match all.next() {
        Some(_) => None,
        None => first.to_str().ok().map(str::to_owned),
    }
}

/// What a call is about, as far as it says so before anything was judged.
#[derive(Default)]
struct Subject {
    mch_id: Option<String>,
    out_trade_no: Option<String>,
    out_refund_no: Option<String>,
}

fn subject(route: Option<&Route>, incoming: &Incoming) -> Subject {
    let body: Value = serde_json::from_slice(&incoming.body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = || route.map(|route| route.number.clone());
    let operation = route.map(|route| route.operation);
    Subject {
        mch_id: incoming.authorization.as_deref().and_then(Authorization::parse).map(|given| given.mchid),
        out_trade_no: match operation {
            Some(Operation::QueryByNumber | Operation::Close) => number(),
            _ => text("out_trade_no"),
        },
        out_refund_no: match operation {
            Some(Operation::RefundQuery) => number(),
            _ => text("out_refund_no"),
        },
    }
}

/// One call on its way through the frame.
struct Pass {
    world: Arc<World>,
    incoming: Arc<Incoming>,
    operation: &'static str,
    subject: Subject,
    note: Option<String>,
}

impl Pass {
    /// The entry of the call, written before any answer leaves.
    fn journal(&self, answer: &Answer) {
        self.world.journal.push(Entry {
            at: self.world.clock.now(),
            direction: Direction::In,
            operation: self.operation,
            method: self.incoming.method.clone(),
            url: self.incoming.target.clone(),
            mch_id: self.subject.mch_id.clone(),
            out_trade_no: self.subject.out_trade_no.clone(),
            out_refund_no: self.subject.out_refund_no.clone(),
            request: String::from_utf8_lossy(&self.incoming.body).into_owned(),
            status: answer.reply.status(),
            response: answer.reply.text(),
            serial: answer.serial.clone(),
            v3: Some(answer.word(&self.world, self.subject.mch_id.as_deref().unwrap_or_default())),
            note: self.note.clone(),
            ..Entry::default()
        });
    }
}

async fn handle(world: Arc<World>, incoming: Arc<Incoming>) -> Answer {
    let route = Route::find(&incoming.method, incoming.path());
    let subject = subject(route.as_ref().ok(), &incoming);
    let operation = route.as_ref().map_or("v3_unknown", |route| route.operation.name());
    let fault = world.faults.take(Call {
        operation,
        mch_id: subject.mch_id.as_deref(),
        out_trade_no: subject.out_trade_no.as_deref(),
        out_refund_no: subject.out_refund_no.as_deref(),
    });
    let note = fault.as_ref().map(|fault| format!("fault: {}", fault.name()));
    let pass = Pass { world: Arc::clone(&world), incoming: Arc::clone(&incoming), operation, subject, note };

    // Faults that strike before anything happens.
    let early = match &fault {
        Some(Fault::Drop) => Some(Answer::close()),
        Some(Fault::Hang { ms, after_effect: false }) => {
            pass.journal(&Answer::close());
            pause(*ms).await;
            return Answer::close();
        }
        Some(Fault::Http { status, body, after_effect: false }) => Some(Answer::bare(Reply::page(*status, body))),
        Some(Fault::ReturnFail { message }) => {
            Some(Answer::unsigned(&world, &ApiError::new("SIGN_ERROR", message.as_str())))
        }
        Some(Fault::Delay { ms }) => {
            pause(*ms).await;
            None
        }
        _ => None,
    };
    if let Some(answer) = early {
        pass.journal(&answer);
        return answer;
    }

    let answer = answer(&world, &incoming, route, fault.as_ref());
    match fault {
        Some(Fault::LoseAnswer) => {
            pass.journal(&answer.kept_back());
            Answer::close()
        }
        Some(Fault::Hang { ms, .. }) => {
            pass.journal(&answer.kept_back());
            pause(ms).await;
            Answer::close()
        }
        Some(Fault::Http { status, body, .. }) => {
            let page = Answer::bare(Reply::page(status, &body));
            pass.journal(&page);
            page
        }
        other => {
            let answer = Answer { reply: answer.reply.dragged(other.as_ref()), ..answer };
            pass.journal(&answer);
            answer
        }
    }
}

/// Signature, route, headers, operation; and the fault's own refusal in place of what it says.
fn answer(world: &World, incoming: &Arc<Incoming>, route: Result<Route, Missing>, fault: Option<&Fault>) -> Answer {
    let merchant = match caller(world, incoming) {
        Ok(merchant) => merchant,
        Err(error) => return Answer::unsigned(world, &error),
    };
    let injected = |after: bool| match fault {
        Some(Fault::ErrCode { code, description, status, after_effect }) if *after_effect == after => {
            let error = ApiError::new(code, description.as_str());
            Some(ApiError { status: status.unwrap_or(error.status), ..error })
        }
        _ => None,
    };
    let judged = route
        .map_err(|missing| match missing {
            Missing::Path => ApiError::new("NOT_FOUND", "请求的接口不存在"),
            Missing::Method => ApiError::new("METHOD_NOT_ALLOWED", "请求方法不支持"),
        })
        .and_then(|route| admissible(&merchant, incoming).map(|()| route));
    let outcome = match (judged, injected(false)) {
        (Err(error), _) | (Ok(_), Some(error)) => Err(error),
        (Ok(route), None) => {
            let request = Request { merchant: Arc::clone(&merchant), route, incoming: Arc::clone(incoming) };
            let done = run(world, &request);
            injected(true).map_or(done, Err)
        }
    };
    Answer::signed(world, &merchant, incoming.serial.as_deref(), outcome, fault)
}

fn run(world: &World, request: &Request) -> Answered<Outcome> {
    match request.route.operation {
        Operation::Prepay(trade_type) => prepay::run(world, request, trade_type),
        Operation::QueryById | Operation::QueryByNumber => query::run(world, request),
        Operation::Close => close::run(world, request),
        Operation::Refund => refund::run(world, request),
        Operation::RefundQuery => refund_query::run(world, request),
        Operation::AbnormalRefund => refund_query::apply_abnormal(world, request),
        Operation::TradeBill => bill::trade(world, request),
        Operation::FundFlowBill => fund_flow::run(world, request),
        Operation::Download => bill::download(world, request),
        Operation::Certificates => certificates::run(world, request),
    }
}
