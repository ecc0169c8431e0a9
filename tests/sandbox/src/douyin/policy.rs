//! How Douyin's side behaves unless a fault says otherwise.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::webhook::MAX_RETRIES;

/// Switches a test may turn; `POST /_sandbox/douyin/policy` changes those it names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Publishing, authorizing and withdrawing send their webhooks.
    pub auto_webhook: bool,
    /// Milliseconds of the sandbox's clock before the first attempt.
    pub webhook_delay_ms: u32,
    /// Extra copies sent at the same moment with every attempt.
    pub webhook_duplicates: u32,
    /// 1 or more: so many of the next attempts are lost. Below 1: the share of attempts that are lost.
    pub drop_webhooks: f64,
    /// Seconds from one failed attempt to the next. The documents say "3 times" and name no pause.
    pub webhook_pauses_seconds: Vec<u32>,
    /// The share of webhooks whose `content` is a JSON text instead of an object.
    pub text_content_share: f64,
    /// The share of answers whose numbers are decimal texts.
    pub text_numbers_share: f64,
    /// The share of answers and webhooks with a field no document lists.
    pub unknown_field_share: f64,
    /// How old a schema's timestamp may be when it is opened; 0 does not look at it.
    pub timestamp_window_seconds: u32,
    /// A nonce opens one time only. The documents ask for a random one and do not say so.
    pub nonce_once: bool,
    /// Calls of client_token by one app in five minutes.
    pub client_token_limit: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            auto_webhook: true,
            webhook_delay_ms: 0,
            webhook_duplicates: 0,
            drop_webhooks: 0.0,
            webhook_pauses_seconds: vec![10, 60],
            text_content_share: 0.1,
            text_numbers_share: 0.1,
            unknown_field_share: 0.1,
            timestamp_window_seconds: 7200,
            nonce_once: false,
            client_token_limit: 500,
        }
    }
}

impl Policy {
    /// This policy with the named switches changed.
    ///
    /// # Errors
    /// What is wrong with the change, in words.
    pub fn changed(&self, change: &Value) -> Result<Self, String> {
        let change = change.as_object().ok_or("the body must be a JSON object")?;
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for (name, value) in change {
            all[name] = value.clone();
        }
        let policy: Self = serde_json::from_value(all).map_err(|error| error.to_string())?;
        for (name, share) in [
            ("text_content_share", policy.text_content_share),
            ("text_numbers_share", policy.text_numbers_share),
            ("unknown_field_share", policy.unknown_field_share),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} must be from 0 to 1"));
            }
        }
        if policy.drop_webhooks < 0.0 {
            return Err("drop_webhooks must not be negative".to_owned());
        }
        if policy.webhook_pauses_seconds.len() > MAX_RETRIES {
            return Err(format!("webhook_pauses_seconds must name at most {MAX_RETRIES} pauses"));
        }
        Ok(policy)
    }
}
