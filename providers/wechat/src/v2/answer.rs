//! Judges an answer in the protocol's order: HTTP, `return_code`, signature, whose it is,
//! `result_code`. Every step has its own meaning for the money.

use dukou_domain::{Currency, Money, TradeNo, TransactionId};
use dukou_spi::transport::HttpAnswer;
use dukou_spi::{ErrorKind, PaidFacts, Proof, ProviderError, Reason};

use super::config::Settings;
use super::map::{self, Call};
use super::xml::{self, Fields};
use crate::beijing;
use crate::hosts::{Answered, honest, unreadable};
use crate::text::{FOREIGN_PAYER, quote};

/// What WeChat's web server answers on `/secapi/*` to a connection without the right client
/// certificate. Nothing behind it saw the call.
const CERTIFICATE_PAGES: [&str; 2] = ["No required SSL certificate was sent", "The SSL certificate error"];

/// An answer that is WeChat's word, whether yes or no.
#[derive(Debug)]
pub struct Signed<'a> {
    pub fields: Fields<'a>,
    pub proof: Proof,
    call: Call,
    maybe_done: bool,
}

/// Takes an answer as far as its signature.
pub fn verify<'a>(call: Call, answered: &'a Answered, settings: &Settings) -> Result<Signed<'a>, ProviderError> {
    let signed = judge(call, &answered.http, settings).map_err(|error| answered.honest(call.effect(), error))?;
    Ok(Signed { maybe_done: answered.maybe_done, ..signed })
}

fn judge<'a>(call: Call, answer: &'a HttpAnswer, settings: &Settings) -> Result<Signed<'a>, ProviderError> {
    if answer.status != 200 {
        return Err(not_ok(answer));
    }
    let fields = xml::parse(&answer.body, "xml")
        .map_err(|error| unreadable(format!("the answer cannot be read: {error}")).with_source(error))?;
    match fields.get("return_code") {
        Some("SUCCESS") => {}
        Some("FAIL") => return Err(unsigned_failure(call, &fields)),
        _ => return Err(unreadable("the answer has no return_code")),
    }
    let proof = settings.signer.verify(&fields).ok_or_else(|| {
        let message = "the answer's signature does not hold: expected one by api_key and sign_type";
        ProviderError::new(ErrorKind::Unknown, Reason::BadSignature, message)
    })?;
    for (name, ours) in [("appid", &settings.account.app_id), ("mch_id", &settings.account.mch_id)] {
        if fields.get(name).is_some_and(|theirs| theirs != ours) {
            return Err(unreadable(format!("the answer's {name} is another's")));
        }
    }
    Ok(Signed { fields, proof, call, maybe_done: false })
}

impl Signed<'_> {
    /// The `err_code` of a business failure.
    pub fn err_code(&self) -> Option<&str> {
        if self.fields.get("result_code") == Some("FAIL") { self.fields.get("err_code") } else { None }
    }

    /// Whether WeChat did what was asked.
    pub fn accepted(&self) -> Result<(), ProviderError> {
        match self.fields.get("result_code") {
            Some("SUCCESS") => Ok(()),
            Some("FAIL") => Err(self.refusal()),
            _ => Err(unreadable("the answer has no result_code")),
        }
    }

    /// A field that an accepted answer must have.
    pub fn require(&self, name: &str) -> Result<&str, ProviderError> {
        require(&self.fields, name).map_err(unreadable)
    }

    fn refusal(&self) -> ProviderError {
        let code = self.fields.get("err_code").unwrap_or_default();
        let description = self.fields.get("err_code_des").unwrap_or_default();
        let (kind, reason) = map::error_code(self.call, code, description);
        let message = if reason == Reason::PayerMismatch {
            FOREIGN_PAYER.to_owned()
        } else if description.is_empty() {
            "refused without a description".to_owned()
        } else {
            quote(description)
        };
        let error = ProviderError::new(kind, reason, message);
        let error = honest(self.maybe_done, self.call.effect(), error);
        if code.is_empty() { error } else { error.with_code(quote(code)) }
    }
}

fn not_ok(answer: &HttpAnswer) -> ProviderError {
    if answer.status == 400 {
        let page = String::from_utf8_lossy(&answer.body);
        if CERTIFICATE_PAGES.iter().any(|sentence| page.contains(sentence)) {
            let message = "the client certificate was not accepted: expected the merchant's own, unexpired";
            return ProviderError::new(ErrorKind::NotSent, Reason::Configuration, message);
        }
    }
    let message = format!("the answer's http status is {}, expected 200", answer.status);
    ProviderError::new(ErrorKind::Unknown, Reason::Platform, message)
}

fn unsigned_failure(call: Call, fields: &Fields<'_>) -> ProviderError {
    let message = failure_message(fields);
    let (kind, reason) = map::unsigned_failure(call, &message);
    let message = if reason == Reason::PayerMismatch { FOREIGN_PAYER.to_owned() } else { message };
    ProviderError::new(kind, reason, message).with_code("FAIL")
}

/// The reason of a `return_code` FAIL. Old environments name the field `retmsg`.
pub fn failure_message(fields: &Fields<'_>) -> String {
    let message = fields.get("return_msg").or_else(|| fields.get("retmsg"));
    message.map_or_else(|| "refused without a reason".to_owned(), quote)
}

fn require<'f>(fields: &'f Fields<'_>, name: &str) -> Result<&'f str, String> {
    fields.get(name).ok_or_else(|| format!("the message has no {name}"))
}

/// The facts of a paid order, from a query's answer or a notify. The message names the app and the
/// merchant itself: comparing them is the engine's.
///
/// # Errors
/// Which needed field is missing or not what it should be.
pub fn paid_facts(fields: &Fields<'_>) -> Result<PaidFacts, String> {
    let invalid = |name: &str| format!("the message's {name} is not valid");
    Ok(PaidFacts {
        trade_no: TradeNo::new(require(fields, "out_trade_no")?).map_err(|_| invalid("out_trade_no"))?,
        transaction_id: TransactionId::new(require(fields, "transaction_id")?)
            .map_err(|_| invalid("transaction_id"))?,
        amount: amount(fields, "total_fee", "fee_type")?,
        app_id: require(fields, "appid")?.to_owned(),
        merchant_id: require(fields, "mch_id")?.to_owned(),
        openid: fields.get("openid").map(str::to_owned),
        paid_at: fields.get("time_end").and_then(beijing::parse_compact),
    })
}

/// Like [`amount`], where WeChat may leave it out.
pub fn optional_amount(fields: &Fields<'_>, fee: &str, fee_type: &str) -> Result<Option<Money>, String> {
    fields.get(fee).map(|_| amount(fields, fee, fee_type)).transpose()
}

/// An amount in fen and its currency, which is CNY where the message does not say.
pub fn amount(fields: &Fields<'_>, fee: &str, fee_type: &str) -> Result<Money, String> {
    let digits = require(fields, fee)?;
    let currency = match fields.get(fee_type) {
        None => Currency::Cny,
        Some(code) => Currency::named(code),
    };
    // Digits alone: a sign, a point or a space is not an amount.
    let minor = if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None };
    minor
        .and_then(|minor| Money::new(minor, currency).ok())
        .ok_or_else(|| format!("the message's {fee} is not an amount"))
}
