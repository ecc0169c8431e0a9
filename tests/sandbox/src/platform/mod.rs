//! The platform's side of the v2 API: the frame every call goes through. What a call does is in the modules below.

mod access_token;
pub mod answer;
pub mod api;
pub mod bill;
mod close;
mod login;
pub mod order;
mod query;
pub mod refund;
pub mod skew;

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, web};

use crate::faults::{Call, Fault};
use crate::journal::{Direction, Entry};
use crate::ledger::given;
use crate::merchants::Registered;
use crate::server::PeerCertificate;
use crate::sign::{Fields, SignType, verify};
use crate::world::World;
use crate::xml;
use answer::{Reply, Signed};

/// What a call comes to.
#[derive(Debug)]
pub enum Outcome {
    /// Both codes are SUCCESS.
    Success(Fields),
    /// `result_code=FAIL`.
    Fail { code: String, description: String },
    /// `return_code=FAIL`, with `error_code` for bills.
    ReturnFail { message: String, error_code: Option<String> },
    /// A file.
    File(Vec<u8>),
}

impl Outcome {
    fn fail(code: &str, description: &str) -> Self {
        Self::Fail { code: code.to_owned(), description: description.to_owned() }
    }

    fn return_fail(message: &str) -> Self {
        Self::ReturnFail { message: message.to_owned(), error_code: None }
    }
}

/// A call whose signature was accepted.
pub struct Request {
    pub merchant: Arc<Registered>,
    pub fields: Fields,
    pub sign_type: SignType,
}

impl Request {
    fn given(&self, name: &str) -> Option<&str> {
        given(&self.fields, name)
    }

    fn mch_id(&self) -> &str {
        &self.merchant.merchant.mch_id
    }
}

/// The v2 operations by path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    UnifiedOrder,
    OrderQuery,
    CloseOrder,
    Refund,
    RefundQuery,
    DownloadBill,
}

impl Operation {
    const ALL: [(&str, Self); 6] = [
        ("/pay/unifiedorder", Self::UnifiedOrder),
        ("/pay/orderquery", Self::OrderQuery),
        ("/pay/closeorder", Self::CloseOrder),
        ("/secapi/pay/refund", Self::Refund),
        ("/pay/refundquery", Self::RefundQuery),
        ("/pay/downloadbill", Self::DownloadBill),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::UnifiedOrder => "unifiedorder",
            Self::OrderQuery => "orderquery",
            Self::CloseOrder => "closeorder",
            Self::Refund => "refund",
            Self::RefundQuery => "refundquery",
            Self::DownloadBill => "downloadbill",
        }
    }

    /// Bills say a refusal in a form of their own.
    fn phrase(self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Fail { code, description } if self == Self::DownloadBill => {
                Outcome::ReturnFail { message: description, error_code: Some(code) }
            }
            other => other,
        }
    }

    fn run(self, world: &World, request: &Request) -> Outcome {
        match self {
            Self::UnifiedOrder => order::run(world, request),
            Self::OrderQuery => query::order(world, request),
            Self::CloseOrder => close::run(world, request),
            Self::Refund => refund::run(world, request),
            Self::RefundQuery => query::refunds(world, request),
            Self::DownloadBill => bill::run(world, request),
        }
    }
}

/// Every operation of v2, and those beside the payments, by which faults find them.
pub fn operations() -> impl Iterator<Item = &'static str> {
    let beside = access_token::OPERATIONS.into_iter().chain([login::OPERATION]);
    Operation::ALL.into_iter().map(|(_, operation)| operation.name()).chain(beside)
}

pub fn routes(config: &mut web::ServiceConfig) {
    for (path, operation) in Operation::ALL {
        let handler = move |world: web::Data<World>, request: HttpRequest, body: web::Bytes| async move {
            let world = world.into_inner();
            let call = Incoming {
                operation,
                method: request.method().to_string(),
                path: request.path().to_owned(),
                certificate: request.conn_data::<PeerCertificate>().map(|peer| peer.0.clone()),
                body,
            };
            // On its own task: a client that hangs up does not undo a call.
            let reply = actix_web::rt::spawn(handle(Arc::clone(&world), call)).await;
            let mut response = reply.unwrap_or(Reply::Close).into_response();
            skew::date(&world, &mut response);
            response
        };
        config.service(web::resource(path).route(web::route().to(handler)));
    }
    config.route("/sns/jscode2session", web::get().to(login::jscode2session));
    config.configure(access_token::routes);
}

struct Incoming {
    operation: Operation,
    method: String,
    path: String,
    certificate: Option<Vec<u8>>,
    body: web::Bytes,
}

/// The entry of a call, written before any answer leaves, so that a checker never misses an effect.
fn journal(world: &World, incoming: &Incoming, fields: &Fields, reply: &Reply, note: Option<String>) {
    let text = |name: &str| given(fields, name).map(str::to_owned);
    world.journal.push(Entry {
        at: world.clock.now(),
        direction: Direction::In,
        operation: incoming.operation.name(),
        method: incoming.method.clone(),
        url: incoming.path.clone(),
        mch_id: text("mch_id"),
        out_trade_no: text("out_trade_no"),
        out_refund_no: text("out_refund_no"),
        request: String::from_utf8_lossy(&incoming.body).into_owned(),
        status: reply.status(),
        response: reply.text(),
        note,
        ..Entry::default()
    });
}

async fn handle(world: Arc<World>, incoming: Incoming) -> Reply {
    let parsed = if incoming.method == "POST" {
        xml::read(&incoming.body).map_err(|unreadable| unreadable.code())
    } else {
        Err("REQUIRE_POST_METHOD")
    };
    let none = Fields::new();
    let fields = parsed.as_ref().unwrap_or(&none);
    let fault = world.faults.take(Call {
        operation: incoming.operation.name(),
        mch_id: given(fields, "mch_id"),
        out_trade_no: given(fields, "out_trade_no"),
        out_refund_no: given(fields, "out_refund_no"),
    });
    let note = fault.as_ref().map(|fault| format!("fault: {}", fault.name()));

    // Faults that strike before anything happens.
    let early = match &fault {
        Some(Fault::Drop) => Some(Reply::Close),
        Some(Fault::Hang { ms, after_effect: false }) => {
            journal(&world, &incoming, fields, &Reply::Close, note);
            pause(*ms).await;
            return Reply::Close;
        }
        Some(Fault::Http { status, body, after_effect: false }) => Some(Reply::page(*status, body)),
        Some(Fault::ReturnFail { message }) => Some(Reply::unsigned(&Outcome::return_fail(message))),
        Some(Fault::Delay { ms }) => {
            pause(*ms).await;
            None
        }
        _ => None,
    };
    if let Some(reply) = early {
        journal(&world, &incoming, fields, &reply, note);
        return reply;
    }

    let reply = match judge(&world, &incoming, parsed.clone()) {
        Err(reply) => reply,
        Ok(request) => {
            let outcome = match &fault {
                Some(Fault::ErrCode { code, description, after_effect: false, .. }) => Outcome::fail(code, description),
                _ => incoming.operation.run(&world, &request),
            };
            let outcome = match &fault {
                Some(Fault::ErrCode { code, description, after_effect: true, .. }) => Outcome::fail(code, description),
                _ => outcome,
            };
            Signed { world: &world, request: &request, fault: fault.as_ref() }.reply(incoming.operation.phrase(outcome))
        }
    };
    match fault {
        Some(Fault::LoseAnswer) => {
            journal(&world, &incoming, fields, &reply, note);
            Reply::Close
        }
        Some(Fault::Hang { ms, .. }) => {
            journal(&world, &incoming, fields, &reply, note);
            pause(ms).await;
            Reply::Close
        }
        Some(Fault::Http { status, body, .. }) => {
            let page = Reply::page(status, &body);
            journal(&world, &incoming, fields, &page, note);
            page
        }
        other => {
            let reply = reply.dragged(other.as_ref());
            journal(&world, &incoming, fields, &reply, note);
            reply
        }
    }
}

pub async fn pause(ms: u64) {
    actix_web::rt::time::sleep(Duration::from_millis(ms)).await;
}

/// Certificate, parsing, merchant, signature, app: everything that is judged before the operation itself.
fn judge(world: &World, incoming: &Incoming, parsed: Result<Fields, &'static str>) -> Result<Request, Reply> {
    let refuse = |message: &str| Err(Reply::unsigned(&Outcome::return_fail(message)));
    let mut owner = None;
    if incoming.path.starts_with("/secapi/") {
        let Some(certificate) = &incoming.certificate else {
            return Err(Reply::certificate_page("No required SSL certificate was sent"));
        };
        owner = world.authority.owner(certificate);
        if owner.is_none() {
            return Err(Reply::certificate_page("The SSL certificate error"));
        }
    }
    let fields = match parsed {
        Ok(fields) => fields,
        Err(code) => return refuse(code),
    };
    for name in ["mch_id", "appid", "nonce_str", "sign"] {
        if given(&fields, name).is_none() {
            return refuse(&format!("缺少参数{name}"));
        }
    }
    let mch_id = given(&fields, "mch_id").unwrap_or_default();
    let Some(merchant) = world.merchants.get(mch_id) else {
        return refuse("商户号mch_id或sub_mch_id不存在");
    };
    if owner.is_some_and(|owner| owner != mch_id) {
        return refuse("证书与商户号不匹配");
    }
    let Some(sign_type) = SignType::from_field(given(&fields, "sign_type")) else {
        return refuse("sign_type参数值无效");
    };
    if !verify(&fields, merchant.key(), sign_type) {
        return match incoming.operation {
            Operation::DownloadBill => Err(Reply::unsigned(&bill::error("SIGN ERROR", "20001"))),
            _ => refuse("签名错误"),
        };
    }
    let app_id = given(&fields, "appid").unwrap_or_default();
    let bound = merchant.has_app(app_id);
    let known = bound || world.merchants.knows_app(app_id);
    let request = Request { merchant, sign_type, fields };
    if bound {
        return Ok(request);
    }
    let outcome = if known {
        Outcome::fail("APPID_MCHID_NOT_MATCH", "商户号mch_id与appid不匹配")
    } else {
        Outcome::fail("APPID_NOT_EXIST", "appid不存在")
    };
    Err(Signed { world, request: &request, fault: None }.reply(incoming.operation.phrase(outcome)))
}
