//! The frame of the calls at the platform's open interface (api.weixin.qq.com): JSON out, `errcode` where it went
//! wrong, faults, and a journal without secrets.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::answer::Reply;
use super::{pause, skew};
use crate::faults::{self, Fault};
use crate::journal::Entry;
use crate::world::World;

/// Members of answers that are nobody's business.
const SECRET_MEMBERS: [&str; 2] = ["session_key", "access_token"];

/// One call as it came, and what answers it.
pub struct Call<F> {
    pub operation: &'static str,
    pub method: &'static str,
    /// For the journal: without secrets.
    pub url: String,
    /// For the journal: without secrets.
    pub request: String,
    pub answer: F,
}

/// Runs a call to its end, also when the client hangs up.
pub async fn run<F>(world: Arc<World>, call: Call<F>) -> HttpResponse
where
    F: Fn(&World) -> Reply + 'static,
{
    let reply = actix_web::rt::spawn(handle(Arc::clone(&world), call)).await;
    let mut response = reply.unwrap_or(Reply::Close).into_response();
    skew::date(&world, &mut response);
    response
}

pub fn error(code: i64, text: &str) -> Reply {
    Reply::json(json!({ "errcode": code, "errmsg": text }).to_string())
}

async fn handle<F: Fn(&World) -> Reply>(world: Arc<World>, call: Call<F>) -> Reply {
    let Call { operation, method, url, request, answer } = call;
    let fault = world.faults.take(faults::Call { operation, ..faults::Call::default() });
    let note = fault.as_ref().map(|fault| format!("fault: {}", fault.name()));
    let (reply, hang) = match fault {
        None => (answer(&world), None),
        Some(Fault::Delay { ms }) => {
            pause(ms).await;
            (answer(&world), None)
        }
        Some(Fault::Drop) => (Reply::Close, None),
        Some(Fault::LoseAnswer) => {
            answer(&world);
            (Reply::Close, None)
        }
        Some(Fault::Hang { ms, after_effect }) => {
            if after_effect {
                answer(&world);
            }
            (Reply::Close, Some(ms))
        }
        Some(Fault::ErrCode { code, description, after_effect, .. }) => {
            if after_effect {
                answer(&world);
            }
            (error(code.parse().unwrap_or(-1), &description), None)
        }
        Some(Fault::Http { status, body, after_effect }) => {
            if after_effect {
                answer(&world);
            }
            (Reply::page(status, &body), None)
        }
        Some(Fault::ReturnFail { message }) => (error(-1, &message), None),
        Some(fault @ (Fault::SlowBody { .. } | Fault::CutBody)) => (answer(&world).dragged(Some(&fault)), None),
        Some(Fault::Truncate | Fault::BadSignature | Fault::Signature { .. } | Fault::DuplicateField) => {
            let mut text = answer(&world).text();
            text.truncate(text.len() / 2);
            (Reply::json(text), None)
        }
        Some(Fault::HugeAnswer { bytes }) => {
            let mut text = answer(&world).text();
            text.insert_str(1, &format!("\"sandbox_padding\":\"{}\",", "x".repeat(bytes)));
            (Reply::json(text), None)
        }
    };
    world.journal.push(Entry {
        at: world.clock.now(),
        operation,
        method: method.to_owned(),
        url,
        request,
        status: reply.status(),
        response: without_secrets(&reply.text()),
        note,
        ..Entry::default()
    });
    if let Some(ms) = hang {
        pause(ms).await;
    }
    reply
}

/// JSON with stars in the place of secrets; what is no JSON is left out, since nobody knows what is in it.
fn without_secrets(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return String::new() };
    for name in SECRET_MEMBERS {
        if let Some(member) = value.get_mut(name) {
            *member = json!("***");
        }
    }
    value.to_string()
}
