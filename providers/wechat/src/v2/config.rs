//! The keys of a `wechat-v2` section, and their check.

use std::fmt;
use std::time::Duration;

use dukou_domain::Secret;
use dukou_spi::Context;
use dukou_spi::settings::Section;

use super::sign::{SignType, Signer};
use crate::identity;

const BASE_URL: &str = "https://api.mch.weixin.qq.com";
const BACKUP_URL: &str = "https://api2.mch.weixin.qq.com";
const PLATFORM_URL: &str = "https://api.weixin.qq.com";
const API_KEY_BYTES: usize = 32;
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);

/// One merchant account, read and checked.
pub struct Settings {
    pub app_id: String,
    pub mch_id: String,
    /// For logins; without it they are refused.
    pub app_secret: Option<Secret>,
    /// Holds `api_key` and `sign_type`.
    pub signer: Signer,
    /// PEM of the client certificate and key; without it refunds are refused.
    pub identity: Option<Secret>,
    pub base_url: String,
    pub backup_url: Option<String>,
    pub platform_url: String,
    /// PEM of one more root to trust.
    pub extra_root: Option<String>,
    pub timeout: Duration,
    /// The page that H5 orders name (`wap_url`); left out, the origin of the notify address.
    pub h5_url: Option<String>,
    /// The site's name in H5 orders (`wap_name`); left out, the host of its page.
    pub h5_name: Option<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("app_id", &self.app_id)
            .field("mch_id", &self.mch_id)
            .field("signer", &self.signer)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the whole section, noting every problem. `None` when there is no account to make.
    pub fn read(section: &mut Section<'_>, context: &Context) -> Option<Settings> {
        let app_id = section.checked_text("app_id", "wx and 16 letters and digits", is_app_id);
        warn_length(section, "app_id", app_id.as_deref(), 18..=18, "wx and 16 letters and digits");
        let mch_id = section.checked_text("mch_id", "the merchant's number, 8 to 10 digits", is_merchant_id);
        warn_length(section, "mch_id", mch_id.as_deref(), 8..=10, "8 to 10 digits");
        let app_secret = section.optional_secret("app_secret");
        let api_key = section.secret("api_key", "the APIv2 key");
        let api_key = api_key.and_then(|key| {
            if key.expose().len() == API_KEY_BYTES {
                Some(key)
            } else {
                section.wrong("api_key", "is not 32 bytes long", "the APIv2 key, exactly 32 bytes")
            }
        });
        let sign_type = section.choice("sign_type", &[("MD5", SignType::Md5), ("HMAC-SHA256", SignType::HmacSha256)]);
        let identity = identity::read(section, mch_id.as_deref().unwrap_or_default(), context.clock.now());
        let base_url = section.base_url("base_url", context.insecure, BASE_URL);
        let backup_url = if section.has("backup_url") {
            section.base_url("backup_url", context.insecure, BACKUP_URL)
        } else {
            (base_url.as_deref() == Some(BASE_URL)).then(|| BACKUP_URL.to_owned())
        };
        let platform_url = section.base_url("platform_url", context.insecure, PLATFORM_URL);
        let extra_root = read_root(section);
        let timeout = section.duration("timeout", TIMEOUTS, TIMEOUT);
        let h5_url = if section.has("h5_url") { section.base_url("h5_url", context.insecure, "") } else { None };
        let h5_name = section.optional_text("h5_name");
        if section.has_errors() {
            return None;
        }
        Some(Settings {
            app_id: app_id?,
            mch_id: mch_id?,
            app_secret,
            signer: Signer::new(sign_type?, api_key?),
            identity,
            base_url: base_url?,
            backup_url,
            platform_url: platform_url?,
            extra_root,
            timeout,
            h5_url,
            h5_name,
        })
    }
}

fn is_app_id(text: &str) -> bool {
    text.len() <= 32
        && text
            .strip_prefix("wx")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_merchant_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Every identifier seen so far has one of these lengths; the field's limit is 32.
fn warn_length(
    section: &mut Section<'_>,
    key: &str,
    text: Option<&str>,
    usual: std::ops::RangeInclusive<usize>,
    expected: &str,
) {
    if text.is_some_and(|text| !usual.contains(&text.len())) {
        section.warn(key, "has an unusual length", expected);
    }
}

fn read_root(section: &mut Section<'_>) -> Option<String> {
    let bytes = section.optional_file("ca_cert")?;
    match String::from_utf8(bytes) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Some(pem),
        _ => section.wrong("ca_cert", "holds no PEM certificate", "a root certificate in PEM"),
    }
}

#[cfg(test)]
mod tests;
