//! Messages that WeChat posts: signed, with an encrypted resource inside.

use bytes::Bytes;
use dukou_spi::{Notice, NotifyError, NotifyReply, PaymentNotice, PaymentOutcome, RawNotify, Verdict, Verified};
use serde::Deserialize;

use super::answer::{Refund, Source, Transaction};
use super::cipher::Sealed;
use super::client::{Client, Doubt, place};
use super::map;
use super::wire::Caller;
use crate::shown;

/// A message around what it carries.
#[derive(Deserialize)]
struct Envelope {
    resource: Sealed,
}

/// Verifies over the bytes as they came, then decrypts and reads. Which app and merchant the resource
/// names is reported as it stands; comparing them is the engine's.
pub async fn read(client: &Client, caller: Caller<'_>, raw: &RawNotify) -> Result<Notice, NotifyError> {
    let proof = client.believe(&raw.headers, &raw.body).await.map_err(|doubt| match doubt {
        Doubt::Absent => NotifyError::Malformed("there are no signature headers".to_owned()),
        Doubt::Malformed(message) => NotifyError::Malformed(message),
        Doubt::OtherTime(seconds) => NotifyError::OtherTime { seconds },
        Doubt::Probe => NotifyError::Probe,
        Doubt::UnknownKey(serial) => {
            NotifyError::UnknownKey { setting: client.trust.setting_for(&serial), again: client.trust.told(), serial }
        }
        Doubt::Wrong => NotifyError::BadSignature,
    })?;
    let Envelope { resource } = json(&raw.body, "body")?;
    let plain = client.trust.api_v3_key().open(&resource).ok_or_else(|| {
        // WeChat signed it, so it is the key that is wrong.
        malformed("the resource does not decrypt: api_v3_key is not this merchant's APIv3 key")
    })?;
    // The event's name says less: sharing profits is told as TRANSACTION.SUCCESS too.
    match resource.original_type.as_deref() {
        Some("transaction") => {
            let transaction: Transaction = json(&plain, "resource")?;
            Ok(Notice::Payment(Verified::new(payment(&transaction, caller).map_err(NotifyError::Malformed)?, proof)))
        }
        Some("refund") => {
            let refund: Refund = json(&plain, "resource")?;
            Ok(Notice::Refund(Verified::new(refund.notice(caller).map_err(NotifyError::Malformed)?, proof)))
        }
        _ => Err(malformed("its resource.original_type is neither transaction nor refund")),
    }
}

/// What a person may see of a kept message: its envelope, and what was encrypted in it.
pub fn show(client: &Client, body: &[u8]) -> Vec<(String, String)> {
    let Ok(envelope) = serde_json::from_slice::<serde_json::Value>(body) else { return Vec::new() };
    let mut fields = Vec::new();
    shown::json("", &envelope, &mut fields);
    if let Ok(Envelope { resource }) = serde_json::from_slice(body)
        && let Some(plain) = client.trust.api_v3_key().open(&resource)
        && let Ok(plain) = serde_json::from_slice(&plain)
    {
        shown::json("", &plain, &mut fields);
    }
    fields
}

fn payment(transaction: &Transaction, caller: Caller<'_>) -> Result<PaymentNotice, String> {
    let outcome = match map::unpaid_state(&transaction.trade_state) {
        None => PaymentOutcome::Paid(transaction.paid_facts(caller, Source::Message)?),
        Some(_) => PaymentOutcome::NotPaid {
            code: Some(transaction.trade_state.clone()),
            app_id: transaction.who.app_id(caller),
            merchant_id: transaction.who.merchant_id(caller, Source::Message)?,
        },
    };
    Ok(PaymentNotice { trade_no: transaction.trade_no()?, outcome })
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, NotifyError> {
    serde_json::from_slice(bytes)
        .map_err(|error| NotifyError::Malformed(format!("the {what} is not the expected json: {}", place(&error))))
}

fn malformed(message: &str) -> NotifyError {
    NotifyError::Malformed(message.to_owned())
}

/// WeChat's form of a verdict. Here the HTTP status decides: a 200 ends its attempts whatever the
/// body says.
pub const fn acknowledge(verdict: Verdict) -> NotifyReply {
    let (status, body) = match verdict {
        Verdict::Accepted => (200, "{\"code\":\"SUCCESS\",\"message\":\"成功\"}"),
        Verdict::TryAgain => (500, "{\"code\":\"FAIL\",\"message\":\"try again\"}"),
        Verdict::Rejected => (401, "{\"code\":\"FAIL\",\"message\":\"not verified\"}"),
    };
    NotifyReply { status, content_type: "application/json; charset=utf-8", body: Bytes::from_static(body.as_bytes()) }
}

#[cfg(test)]
mod tests;
