//! The keys of `[plugins.douyin-share]`, and their check.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use dukou_domain::Secret;
use dukou_spi::plugin::PluginContext;
use dukou_spi::settings::Section;
use dukou_spi::transport::{Transport, TransportOptions};
use serde_json::Value;

use crate::convert::{App, is_douyin_app, is_wechat_app};

const BASE_URL: &str = "https://open.douyin.com";
const TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10);
/// The platform's answers are small.
const ANSWER_LIMIT: usize = 256 * 1024;

/// One website or mobile application at Douyin, read and checked.
pub struct Settings {
    pub client_key: String,
    pub client_secret: Secret,
    /// Signs the webhooks; left out: the client secret.
    pub webhook_secret: Secret,
    pub base_url: String,
    /// By the WeChat mini-program's id.
    pub apps: BTreeMap<String, App>,
    /// Ask the media's servers what they are before they are shared.
    pub probe_media: bool,
    pub transport: Arc<dyn Transport>,
}

impl Settings {
    /// Reads the whole section, noting every problem.
    pub fn read(section: &mut Section<'_>, context: &PluginContext) -> Option<Settings> {
        let expected = "the client_key of the website or mobile application, aw and letters and digits";
        let client_key = section.checked_text("client_key", expected, is_client_key);
        if client_key.as_deref().is_some_and(|key| key.starts_with("tt")) {
            section.warn("client_key", "looks like a mini-program's id", expected);
        }
        let client_secret = section.secret("client_secret", "the application's secret");
        let webhook_secret = section.optional_secret("webhook_secret");
        let base_url = section.base_url("base_url", context.outside.insecure, BASE_URL);
        let extra_roots_pem = root(section);
        let timeout = section.duration("timeout", TIMEOUTS, TIMEOUT);
        let probe_media = section.flag("probe_media", true);
        let apps = apps(section);
        let options = TransportOptions { identity_pem: None, extra_roots_pem, timeout, answer_limit: ANSWER_LIMIT };
        let transport = match context.outside.transports.build(options) {
            Ok(transport) => Some(transport),
            Err(error) => section.wrong("ca_cert", &error.to_string(), "PEM of one or more root certificates"),
        };
        let client_secret = client_secret?;
        Some(Settings {
            client_key: client_key?,
            webhook_secret: webhook_secret.unwrap_or_else(|| client_secret.clone()),
            client_secret,
            base_url: base_url?,
            apps,
            probe_media,
            transport: transport?,
        })
    }

    /// Names what is held for this application: only who knows its secret can form it.
    pub fn holder_key(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [self.base_url.as_str(), &self.client_key, self.client_secret.expose()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        hex::encode(context.finish())
    }
}

fn is_client_key(text: &str) -> bool {
    (4..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn root(section: &mut Section<'_>) -> Option<String> {
    let bytes = section.optional_file("ca_cert")?;
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(_) => section.wrong("ca_cert", "is not PEM", "PEM of one or more root certificates"),
    }
}

/// `{ "wx…" = "tt…" }`, or a table for each with more about it.
fn apps(section: &mut Section<'_>) -> BTreeMap<String, App> {
    let expected = "{ \"wx…\" = \"tt…\" }, or { app_id = \"tt…\", title, description, pages } for each";
    let tables = match section.take("apps") {
        None => return BTreeMap::new(),
        Some(Value::Object(tables)) => tables,
        Some(_) => return section.wrong("apps", "is not a table", expected).unwrap_or_default(),
    };
    let mut apps = BTreeMap::new();
    for (wechat, value) in tables {
        let key = format!("apps.{wechat}");
        if !is_wechat_app(wechat) {
            section.wrong::<()>(&key, "is not a WeChat mini-program's id", "wx and 16 of 0-9 a-f");
        }
        let app = match value {
            Value::String(app_id) => App { app_id: app_id.clone(), ..App::default() },
            Value::Object(table) => app(section, &key, table),
            _ => section.wrong(&key, "is neither a text nor a table", expected).unwrap_or_default(),
        };
        if !is_douyin_app(&app.app_id) {
            section.wrong::<()>(&key, "names no Douyin mini-program", "tt and 16 to 20 of 0-9 a-f");
        }
        apps.insert(wechat.clone(), app);
    }
    apps
}

fn app(section: &mut Section<'_>, key: &str, table: &serde_json::Map<String, Value>) -> App {
    let mut app = App::default();
    for (name, value) in table {
        let key = format!("{key}.{name}");
        let text = value.as_str().map(str::to_owned);
        match (name.as_str(), text, value) {
            ("app_id", Some(text), _) => app.app_id = text,
            ("title", Some(text), _) => app.title = text,
            ("description", Some(text), _) => app.description = text,
            ("pages", _, Value::Object(pages)) => {
                for (from, to) in pages {
                    match to.as_str() {
                        Some(to) => app.pages.insert(from.clone(), to.to_owned()),
                        None => section.wrong(&format!("{key}.{from}"), "is not a text", "a page in Douyin"),
                    };
                }
            }
            ("app_id" | "title" | "description", None, _) => {
                section.wrong::<()>(&key, "is not a text", "a text");
            }
            ("pages", ..) => {
                section.wrong::<()>(&key, "is not a table", "{ \"page in WeChat\" = \"page in Douyin\" }");
            }
            _ => {
                section.wrong::<()>(&key, "is not a known key", "one of app_id, title, description, pages");
            }
        }
    }
    app
}

#[cfg(test)]
mod tests;
