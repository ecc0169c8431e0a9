//! The keys of a `wechat-v2` section, and their check.

use std::fmt;

use dukou_domain::Secret;
use dukou_spi::Context;
use dukou_spi::settings::Section;

use super::sign::{SignType, Signer};
use crate::account::{self, Account};
use crate::identity::{self, Identity};

/// One merchant account, read and checked.
pub struct Settings {
    pub account: Account,
    /// Holds `api_key` and `sign_type`.
    pub signer: Signer,
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
        let sign_type = section.choice("sign_type", &[("MD5", SignType::Md5), ("HMAC-SHA256", SignType::HmacSha256)]);
        let mch_id = account.as_ref().map_or("", |account| &account.mch_id);
        let identity = identity::read(section, mch_id, context.clock.now());
        if section.has_errors() {
            return None;
        }
        Some(Settings { account: account?, signer: Signer::new(sign_type?, api_key?), identity })
    }
}

#[cfg(test)]
mod tests;
