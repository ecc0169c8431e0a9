//! The answers' envelopes (protocol 0), and what of them is kept in the journal.

use rand::Rng;
use serde_json::{Map, Value, json};

use super::Outcome;
use crate::clock::{Millis, compact};
use crate::ledger::token;
use crate::world::World;

/// Fields whose values nobody reads out of the journal.
const SECRETS: [&str; 6] = ["client_secret", "access_token", "refresh_token", "ticket", "client_ticket", "code"];
/// Numbers that official samples show as numbers and as texts.
const NUMBERS: [&str; 5] = ["expires_in", "refresh_expires_in", "error_code", "now", "sub_error_code"];

/// How an answer is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// `data` and `extra`, both with an error_code.
    E1,
    /// `data` with the error_code, and `message`.
    E2,
    /// `err_no`, `err_msg` and `data`.
    E3,
}

/// An id as the platform gives each call: the time and something random.
pub fn log_id(now: Millis) -> String {
    format!("{}{}", compact(now), token(20).to_ascii_uppercase())
}

impl Envelope {
    pub fn write(self, world: &World, outcome: &Outcome, log_id: &str) -> String {
        let (code, description) = match outcome {
            Ok(_) => (0, ""),
            Err(failure) => (failure.code, failure.description.as_str()),
        };
        let mut data = outcome.as_ref().cloned().unwrap_or_default();
        let policy = world.douyin.policy();
        if rand::rng().random_bool(policy.unknown_field_share) {
            data.insert("sandbox_extra".to_owned(), token(8).into());
        }
        if matches!(self, Self::E1 | Self::E2) {
            data.insert("error_code".to_owned(), code.into());
            data.insert("description".to_owned(), description.into());
        }
        let mut answer = match self {
            Self::E1 => json!({
                "data": data,
                "extra": {
                    "error_code": code, "description": description, "sub_error_code": 0, "sub_description": "",
                    "logid": log_id, "now": world.clock.now(),
                },
            }),
            Self::E2 => {
                data.entry("captcha").or_insert_with(|| "".into());
                data.entry("desc_url").or_insert_with(|| "".into());
                json!({ "data": data, "message": if code == 0 { "success" } else { "error" } })
            }
            Self::E3 => json!({ "err_no": code, "err_msg": description, "log_id": log_id, "data": data }),
        };
        if rand::rng().random_bool(policy.text_numbers_share) {
            numbers_to_texts(&mut answer);
        }
        answer.to_string()
    }
}

fn numbers_to_texts(value: &mut Value) {
    let Some(object) = value.as_object_mut() else { return };
    for (name, value) in object {
        if NUMBERS.contains(&name.as_str()) && value.is_number() {
            *value = value.to_string().into();
        } else {
            numbers_to_texts(value);
        }
    }
}

/// A JSON document or a form without the values of secrets.
pub fn without_secrets(text: &str) -> String {
    if let Ok(mut value) = serde_json::from_str::<Map<String, Value>>(text).map(Value::Object) {
        mask(&mut value);
        return value.to_string();
    }
    let pairs = text.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if SECRETS.contains(&name) => format!("{name}=***"),
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if SECRETS.contains(&name.as_str()) && value.is_string() {
                    *value = "***".into();
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(mask),
        _ => {}
    }
}
