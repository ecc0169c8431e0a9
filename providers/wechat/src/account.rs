//! The keys that every kind's section has.

use std::ops::RangeInclusive;
use std::time::Duration;

use dukou_domain::Secret;
use dukou_spi::Context;
use dukou_spi::settings::Section;

use crate::hosts::Route;
use crate::text;

const BASE_URL: &str = "https://api.mch.weixin.qq.com";
const BACKUP_URL: &str = "https://api2.mch.weixin.qq.com";
/// WeChat Pay's hosts, by every name they have.
const OWN_HOSTS: [&str; 5] = [
    "api.mch.weixin.qq.com",
    "api2.mch.weixin.qq.com",
    "api.wechatpay.cn",
    "api2.wechatpay.cn",
    "apihk.mch.weixin.qq.com",
];
const PLATFORM_URL: &str = "https://api.weixin.qq.com";
const PLATFORM_BACKUP_URL: &str = "https://api2.weixin.qq.com";
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// An API key, of either version, in bytes.
const API_KEY_BYTES: usize = 32;

/// Who a merchant is, and where WeChat is reached for them.
pub struct Account {
    pub app_id: String,
    pub mch_id: String,
    /// For logins and access tokens; without it there are none.
    pub app_secret: Option<Secret>,
    /// Whether the tenant's backend may have the app's access token.
    pub share_access_token: bool,
    pub base_url: String,
    pub backup_url: Option<String>,
    pub platform_url: String,
    /// PEM of one more root to trust.
    pub extra_root: Option<String>,
    pub timeout: Duration,
    /// The page that H5 orders name; left out, the origin of the notify address.
    pub h5_url: Option<String>,
    /// The site's name in H5 orders; left out, the host of its page.
    pub h5_name: Option<String>,
}

impl Account {
    /// Reads the keys, noting every problem. `None` when one leaves no account to make.
    pub fn read(section: &mut Section<'_>, context: &Context) -> Option<Account> {
        let app_id = app_id(section, "app_id");
        let mch_id = merchant_id(section, "mch_id");
        let app_secret = section.optional_secret("app_secret");
        let share_access_token = section.flag("share_access_token", false);
        if share_access_token && !section.has("app_secret") {
            let expected = "the app's secret, as \"env:NAME\" or \"file:PATH\"";
            section.wrong::<()>("app_secret", "is missing, and share_access_token needs it", expected);
        }
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
        let h5_url = h5_url.and_then(|url| h5_text(section, "h5_url", url, text::H5_URL_BYTES));
        let h5_name = section.optional_text("h5_name");
        let h5_name = h5_name.and_then(|name| h5_text(section, "h5_name", name, text::H5_NAME_BYTES));
        Some(Account {
            app_id: app_id?,
            mch_id: mch_id?,
            app_secret,
            share_access_token,
            base_url: base_url?,
            backup_url,
            platform_url: platform_url?,
            extra_root,
            timeout,
            h5_url,
            h5_name,
        })
    }

    /// The payment host, with its port where one is named.
    pub fn host(&self) -> &str {
        host_of(&self.base_url)
    }

    /// How every call goes.
    pub fn route(&self) -> Route<'_> {
        Route { first: &self.base_url, backup: self.backup_url.as_deref(), timeout: self.timeout }
    }

    /// How a call goes to one of the hosts alone.
    pub const fn only<'a>(&self, host: &'a str) -> Route<'a> {
        Route { first: host, backup: None, timeout: self.timeout }
    }

    /// Whether the account is at one of WeChat's own hosts, not at a sandbox's.
    pub fn is_production(&self) -> bool {
        let host = self.host().to_ascii_lowercase();
        OWN_HOSTS.contains(&host.strip_suffix(":443").unwrap_or(&host))
    }
}

/// The host of an address, with its port where one is named.
pub fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// The host beside WeChat's own for logins; none beside any other.
pub fn backup_of(platform_url: &str) -> Option<&'static str> {
    (platform_url == PLATFORM_URL).then_some(PLATFORM_BACKUP_URL)
}

/// A key of exactly 32 bytes; `what` says which.
pub fn api_key(section: &mut Section<'_>, key: &str, what: &str) -> Option<Secret> {
    let found = section.secret(key, what)?;
    if found.expose().len() == API_KEY_BYTES {
        return Some(found);
    }
    section.wrong(key, "is not 32 bytes long", &format!("{what}, exactly 32 bytes"))
}

/// An app's id that must be there.
pub fn app_id(section: &mut Section<'_>, key: &str) -> Option<String> {
    let app_id = section.checked_text(key, "wx and 16 letters and digits", is_app_id);
    warn_length(section, key, app_id.as_deref(), 18..=18, "wx and 16 letters and digits");
    app_id
}

/// A merchant's number that must be there.
pub fn merchant_id(section: &mut Section<'_>, key: &str) -> Option<String> {
    let mch_id = section.checked_text(key, "the merchant's number, 8 to 10 digits", is_merchant_id);
    warn_length(section, key, mch_id.as_deref(), 8..=10, "8 to 10 digits");
    mch_id
}

fn is_app_id(text: &str) -> bool {
    text.len() <= 32
        && text
            .strip_prefix("wx")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

pub fn is_merchant_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Every identifier seen so far has one of these lengths; the field's limit is 32.
fn warn_length(section: &mut Section<'_>, key: &str, text: Option<&str>, usual: RangeInclusive<usize>, expected: &str) {
    if text.is_some_and(|text| !usual.contains(&text.len())) {
        section.warn(key, "has an unusual length", expected);
    }
}

/// What H5 orders carry: WeChat would refuse every one of them for it.
fn h5_text(section: &mut Section<'_>, key: &str, text: String, bytes: usize) -> Option<String> {
    let expected = format!("at most {bytes} bytes of UTF-8, without quotes, backslashes and emoji");
    if text.len() > bytes {
        return section.wrong(key, &format!("is {} bytes long", text.len()), &expected);
    }
    if !text.chars().all(text::is_carried_in_h5) {
        return section.wrong(key, "has characters that WeChat Pay does not take", &expected);
    }
    Some(text)
}

fn read_root(section: &mut Section<'_>) -> Option<String> {
    let bytes = section.optional_file("ca_cert")?;
    match String::from_utf8(bytes) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Some(pem),
        _ => section.wrong("ca_cert", "holds no PEM certificate", "a root certificate in PEM"),
    }
}
