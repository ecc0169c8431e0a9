//! What others see of it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::View;

/// 8. What a tenant sees is its own.
pub fn tenants_do_not_touch(history: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for tenant in &history.tenants {
        let id = tenant.tenant.id.as_str();
        for object in tenant.payments.iter().chain(&tenant.refunds).chain(&tenant.events) {
            if object["tenant"] != *id {
                wrong.push(format!("{id} sees {} of {}", object["id"], object["tenant"]));
            }
        }
        for object in tenant.payments.iter().chain(&tenant.refunds) {
            if let Some(other) = owners.insert(object["id"].as_str().unwrap_or_default(), id) {
                wrong.push(format!("{} is seen by {other} and {id}", object["id"]));
            }
        }
        for event in &tenant.events {
            let about = event["data"]["tenant"].as_str();
            if about.is_some_and(|about| about != id) {
                wrong.push(format!("{id} sees an event about {}", event["data"]["id"]));
            }
        }
    }
    wrong
}

/// 9. No secret is seen anywhere, as it is or encoded.
pub fn no_secret_left(history: &View<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for secret in &history.secrets {
        let forms = [
            ("as it is", secret.clone()),
            ("in base64", STANDARD.encode(secret)),
            ("in base64", STANDARD_NO_PAD.encode(secret)),
            ("in base64", URL_SAFE_NO_PAD.encode(secret)),
            ("in hex", hex::encode(secret)),
            ("in hex", hex::encode_upper(secret)),
            ("as in a URL", utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()),
        ];
        for (place, text) in &history.seen {
            if let Some((form, _)) = forms.iter().find(|(_, form)| text.contains(form)) {
                let start: String = secret.chars().take(6).collect();
                wrong.push(format!("the secret {start}… is {form} in the {place}"));
            }
        }
    }
    wrong
}

/// 10. The gateway is ready.
pub fn it_is_back(history: &View<'_>) -> Vec<String> {
    match &history.readiness {
        Some((200, word)) if word == "ready" || (history.degraded && word == "degraded") => Vec::new(),
        Some((status, word)) => vec![format!("readiness is {status} {word}")],
        None => vec!["the gateway does not answer".to_owned()],
    }
}
