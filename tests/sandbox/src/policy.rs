//! How the platform behaves unless a fault says otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Switches a test may turn; `POST /_sandbox/policy` changes those it names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Paying sends a notification.
    pub auto_notify: bool,
    /// A refund succeeds as soon as it is accepted, and notifies.
    pub auto_settle: bool,
    /// Milliseconds of the sandbox's clock before the first attempt.
    pub notify_delay_ms: u32,
    /// Extra copies sent at the same moment with every attempt.
    pub notify_duplicates: u32,
    /// 1 or more: so many of the next attempts are lost. Below 1: the share of attempts that are lost.
    pub drop_notifies: f64,
    /// The share of answers and notifications with a field no document lists.
    pub unknown_field_share: f64,
    /// closeorder is refused in the first five minutes of an order.
    pub five_minute_close_rule: bool,
    /// A day's bill is there from 09:00 (UTC+8) of the next day only; otherwise at any time, as far as the day has gone.
    pub bill_schedule: bool,
    /// How far the `Date` header of the platform's answers is ahead of the real time.
    pub date_skew_seconds: i32,
    /// An order for an openid of another app is refused in v2 by an unsigned `return_code=FAIL`, not by PARAM_ERROR.
    pub v2_unsigned_payer_mismatch: bool,
    /// The share of v3 answers and notifications that are probes (签名探测流量): signed with nothing.
    pub v3_probe_share: f64,
    /// A v3 request whose nonce was seen within the timestamp's window is refused.
    pub v3_nonces_once: bool,
    /// A v3 request with the serial number of another merchant's certificate is answered with 500 SYSTEM_ERROR, not 401.
    pub v3_foreign_serial_busy: bool,
    /// v3 error codes are spelt as older systems do, such as ORDERPAID.
    pub v3_legacy_codes: bool,
    /// Fields of orders, by dotted path, as v3 tells of them in answers to queries and in notifications, whatever the
    /// order says; null takes one away. WeChat names a `sub_appid` that nobody gave it, for example.
    pub v3_order_fields: BTreeMap<String, Value>,
    /// What the `download_url` of a v3 bill begins with; empty: the address that the request came to.
    pub v3_download_base: String,
    /// Where notifications go when their address starts with `from`: then `to` stands in its place.
    pub notify_rewrite: Vec<Rewrite>,
}

/// One replacement of the start of a notify address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    pub from: String,
    pub to: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            auto_notify: true,
            auto_settle: true,
            notify_delay_ms: 0,
            notify_duplicates: 0,
            drop_notifies: 0.0,
            unknown_field_share: 0.1,
            five_minute_close_rule: false,
            bill_schedule: false,
            date_skew_seconds: 0,
            v2_unsigned_payer_mismatch: false,
            v3_probe_share: 0.0,
            v3_nonces_once: true,
            v3_foreign_serial_busy: false,
            v3_legacy_codes: false,
            v3_order_fields: BTreeMap::new(),
            v3_download_base: String::new(),
            notify_rewrite: Vec::new(),
        }
    }
}

impl Policy {
    /// This policy with the named switches changed.
    ///
    /// # Errors
    /// What is wrong with the change, in words.
    pub fn changed(&self, change: &serde_json::Value) -> Result<Self, String> {
        let change = change.as_object().ok_or("the body must be a JSON object")?;
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let Some(map) = all.as_object_mut() else { return Err("the policy is not an object".to_owned()) };
        for (name, value) in change {
            map.insert(name.clone(), value.clone());
        }
        let policy: Self = serde_json::from_value(all).map_err(|error| error.to_string())?;
        for (name, share) in
            [("unknown_field_share", policy.unknown_field_share), ("v3_probe_share", policy.v3_probe_share)]
        {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} must be from 0 to 1"));
            }
        }
        if policy.drop_notifies < 0.0 {
            return Err("drop_notifies must not be negative".to_owned());
        }
        Ok(policy)
    }

    /// The address after the first rewrite that fits.
    pub fn address(&self, url: &str) -> String {
        let fitting = self.notify_rewrite.iter().find_map(|rewrite| {
            let rest = url.strip_prefix(rewrite.from.as_str())?;
            Some(format!("{}{rest}", rewrite.to))
        });
        fitting.unwrap_or_else(|| url.to_owned())
    }
}
