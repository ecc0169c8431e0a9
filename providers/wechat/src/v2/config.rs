//! The keys of a `wechat-v2` section, and their check.

use std::fmt;

use dukou_domain::Secret;
use dukou_spi::Context;
use dukou_spi::settings::Section;
use serde_json::Value;

use super::sign::{SignType, Signer};
use crate::account::{self, Account};
use crate::identity::{self, Identity};

const SIGN_TYPES: [(&str, SignType); 2] = [("MD5", SignType::Md5), ("HMAC-SHA256", SignType::HmacSha256)];

/// One merchant account, read and checked.
pub struct Settings {
    pub account: Account,
    /// Holds `api_key` and `sign_type`.
    pub signer: Signer,
    /// The other type, while payments' messages are believed under it too: of orders made before `sign_type` was
    /// changed, or about to be.
    pub accepted_sign_type: Option<SignType>,
    /// The client certificate and key; without it refunds are refused.
    pub identity: Option<Identity>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("app_id", &self.account.app_id)
            .field("mch_id", &self.account.mch_id)
            .field("signer", &self.signer)
            .field("base_url", &self.account.base_url)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the whole section, noting every problem. `None` when there is no account to make.
    pub fn read(section: &mut Section<'_>, context: &Context) -> Option<Settings> {
        let account = Account::read(section, context);
        let api_key: Option<Secret> = account::api_key(section, "api_key", "the APIv2 key");
        let sign_type = section.choice("sign_type", &SIGN_TYPES);
        let accepted_sign_type = sign_type.and_then(|sign_type| accepted(section, sign_type));
        // Not the account's: a mistake in another of its keys says nothing about the certificate.
        let mch_id = section.take("mch_id").and_then(Value::as_str).filter(|text| account::is_merchant_id(text));
        let identity = identity::read(section, mch_id, context.clock.now());
        if section.has_errors() {
            return None;
        }
        Some(Settings { account: account?, signer: Signer::new(sign_type?, api_key?), accepted_sign_type, identity })
    }
}

/// Left out, there is none. The type that is `sign_type` already would leave the other one refused, which is what
/// somebody who writes the key wants to avoid.
fn accepted(section: &mut Section<'_>, sign_type: SignType) -> Option<SignType> {
    const KEY: &str = "accepted_sign_type";
    if !section.has(KEY) {
        return None;
    }
    let accepted = section.choice(KEY, &SIGN_TYPES)?;
    if accepted == sign_type {
        return section.wrong(
            KEY,
            "is what sign_type says already",
            &format!("{:?}, the type of orders that are still open, or nothing", sign_type.other().as_str()),
        );
    }
    Some(accepted)
}

#[cfg(test)]
mod tests;
