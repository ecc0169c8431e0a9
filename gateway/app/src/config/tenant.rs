//! `tenants/<id>.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dukou_domain::{PluginName, ProviderName, Secret, TenantId};
use dukou_engine::plugin::TenantPlugin;
use dukou_engine::tenant::{ApiKey, LatePayment, Tenant, Webhook};
use dukou_spi::public_address::check_host;
use dukou_spi::settings::{Problem, Section};
use dukou_spi::{Provider, ProviderFactory};
use serde_json::{Map, Value};

use super::Setup;
use super::gateway::SECRET_LENGTH;
use super::sources::{Merged, Sources};

/// Leaves room in a platform's 32 characters for the merchant's own number.
const TRADE_NO_PREFIX_LIMIT: usize = 8;

/// One tenant, as its file says.
pub struct TenantSettings {
    pub tenant: Arc<Tenant>,
    /// The file, for messages.
    pub file: String,
}

/// Reads one file. `None`, or an error among the problems, when the tenant cannot be served; what is read all the same
/// can be compared with the others.
pub fn read(path: &Path, sources: &Sources, setup: &Setup, problems: &mut Vec<Problem>) -> Option<TenantSettings> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let merged = sources.tenant(path, problems)?;
    let mut reader = Reader { merged: &merged, sources, setup, problems: Vec::new() };
    let tenant = reader.whole(stem);
    problems.extend(merged.attribute(reader.problems));
    tenant
}

struct Reader<'a> {
    merged: &'a Merged,
    sources: &'a Sources,
    setup: &'a Setup,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn section(&self, path: &str, table: &'a Map<String, Value>) -> Section<'a> {
        Section::new(&self.merged.file, path, table, &self.sources.environment)
    }

    fn whole(&mut self, stem: &str) -> Option<TenantSettings> {
        let merged = self.merged;
        let mut top = self.section("", &merged.table);
        let expected = "1 to 32 of a-z 0-9 - _, beginning with a letter or digit";
        let id = top.checked_text("id", expected, |text| TenantId::new(text).is_ok());
        if let Some(id) = id.as_deref().filter(|id| *id != stem) {
            let message = format!("is {id:?}, but the file is named {stem}.toml");
            top.wrong::<()>("id", &message, "the file's own name without .toml");
        }
        let name = top.optional_text("name");
        let late_payment =
            top.choice("late_payment", &[("accept", LatePayment::Accept), ("refund", LatePayment::Refund)]);
        let prefix = self.trade_no_prefix(&mut top);
        let api_keys = self.api_keys(&mut top);
        let webhook = match top.take("webhook") {
            None => None,
            Some(Value::Object(table)) => self.webhook(table),
            Some(_) => top.wrong("webhook", "is not a section", "[webhook] with url and secret"),
        };
        let providers = self.providers(&mut top);
        let plugins = self.plugins(&mut top);
        self.problems.extend(top.finish());

        let id = TenantId::new(&id?).ok()?;
        let name = name.unwrap_or_else(|| id.to_string());
        Some(TenantSettings {
            tenant: Arc::new(Tenant {
                id,
                name,
                api_keys,
                late_payment: late_payment?,
                trade_no_prefix: prefix?,
                providers,
                plugins,
                webhook,
            }),
            file: merged.file.clone(),
        })
    }

    fn trade_no_prefix(&self, top: &mut Section<'a>) -> Option<String> {
        if !top.has("trade_no_prefix") {
            return Some(String::new());
        }
        top.checked_text("trade_no_prefix", "1 to 8 of A-Z a-z 0-9 _ -", |text| {
            text.len() <= TRADE_NO_PREFIX_LIMIT
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        })
    }

    fn api_keys(&mut self, top: &mut Section<'a>) -> Vec<ApiKey> {
        let expected = "a list such as [{ id = \"backend\", secret = \"env:NAME\" }]";
        let entries = match top.take("api_keys") {
            Some(Value::Array(entries)) if !entries.is_empty() => entries,
            Some(Value::Array(_)) => return top.wrong("api_keys", "is empty", expected).unwrap_or_default(),
            Some(_) => return top.wrong("api_keys", "is not a list", expected).unwrap_or_default(),
            None => return top.wrong("api_keys", "is missing", expected).unwrap_or_default(),
        };
        let mut keys: Vec<ApiKey> = Vec::new();
        let mut ids = BTreeSet::new();
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("api_keys[{index}]");
            let Value::Object(table) = entry else {
                top.wrong::<()>(&path, "is not a table", "{ id = \"…\", secret = \"env:NAME\" }");
                continue;
            };
            let mut section = self.section(&path, table);
            let id = section.text("id", "the key's name, for logs");
            let secret = section.secret("secret", "the key");
            if id.as_ref().is_some_and(|id| !ids.insert(id.clone())) {
                section.wrong::<()>("id", "is used by another key of this tenant", "a name of its own");
            }
            if let Some(secret) = &secret {
                if secret.expose().chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
                    section.wrong::<()>("secret", "holds what no header may", "printable ASCII without spaces");
                } else if secret.expose().len() < SECRET_LENGTH {
                    section.warn(
                        "secret",
                        "is short enough to be guessed",
                        &format!("at least {SECRET_LENGTH} characters from a random source"),
                    );
                }
            }
            if let (Some(id), Some(secret)) = (id, secret) {
                keys.push(ApiKey { id, secret });
            }
            self.problems.extend(section.finish());
        }
        keys
    }

    fn webhook(&mut self, table: &'a Map<String, Value>) -> Option<Webhook> {
        let mut section = self.section("webhook", table);
        let url = section.text("url", "the address that events are sent to");
        let url = url.and_then(|_| section.base_url("url", self.setup.context.outside.insecure, ""));
        let hidden = |url: &String| url::Url::parse(url).is_ok_and(|url| check_host(&url).is_err());
        if !self.setup.allow_private_networks && url.as_ref().is_some_and(hidden) {
            section.wrong::<()>(
                "url",
                "leads to no public address",
                "a host on the public Internet, or webhooks.allow_private_networks = true in a sandbox",
            );
        }
        let expected = "whsec_ and the base64 of 24 to 64 bytes, or a list of two while one is being replaced";
        let named: Vec<(String, &Value)> = match section.take("secret") {
            Some(text @ Value::String(_)) => vec![("secret".to_owned(), text)],
            Some(Value::Array(values)) if (1..=2).contains(&values.len()) => {
                values.iter().enumerate().map(|(index, value)| (format!("secret[{index}]"), value)).collect()
            }
            Some(_) => {
                section.wrong("secret", "is neither a text nor a list of one or two", expected).unwrap_or_default()
            }
            None => section.wrong("secret", "is missing", expected).unwrap_or_default(),
        };
        let mut secrets = Vec::new();
        for (key, value) in named {
            let Some(text) = value.as_str().filter(|text| !text.is_empty()) else {
                section.wrong::<()>(&key, "is no text, or an empty one", expected);
                continue;
            };
            let Some(secret) = section.resolve(&key, text) else { continue };
            let bytes = secret.expose().strip_prefix("whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
            if bytes.is_some_and(|bytes| (24..=64).contains(&bytes.len())) {
                secrets.push(secret);
            } else {
                section.wrong::<()>(&key, "is not a webhook secret", expected);
            }
        }
        self.problems.extend(section.finish());
        Some(Webhook { url: url?, secrets })
    }

    fn providers(&mut self, top: &mut Section<'a>) -> BTreeMap<ProviderName, Arc<dyn Provider>> {
        let mut providers = BTreeMap::new();
        let tables = match top.take("providers") {
            Some(Value::Object(tables)) => tables,
            Some(_) => {
                return top.wrong("providers", "is not a section", "[providers.NAME] for each").unwrap_or_default();
            }
            None => {
                top.warn("providers", "is missing, so that nothing can be paid", "a [providers.NAME] section");
                return providers;
            }
        };
        let mut secrets = Vec::new();
        for (name, value) in tables {
            let path = format!("providers.{name}");
            let Value::Object(table) = value else {
                top.wrong::<()>(&path, "is not a section", "[providers.NAME] and its keys");
                continue;
            };
            let mut section = self.section(&path, table);
            let legal = ProviderName::new(name);
            if let Err(error) = &legal {
                section.wrong::<()>("", "is not a provider name", error.expected);
            }
            if let Some(provider) = self.provider(&mut section)
                && let Ok(name) = legal
            {
                providers.insert(name, provider);
            }
            one_for_two(&mut section, &path, &mut secrets);
            let known = section.has("kind") && self.factory(table).is_some();
            // Of a kind that nobody knows, no key can be judged.
            let found = section.finish();
            self.problems.extend(found.into_iter().filter(|problem| known || problem.message != "is not a known key"));
        }
        providers
    }

    fn plugins(&mut self, top: &mut Section<'a>) -> BTreeMap<PluginName, Arc<TenantPlugin>> {
        let mut plugins = BTreeMap::new();
        let tables = match top.take("plugins") {
            None => return plugins,
            Some(Value::Object(tables)) => tables,
            Some(_) => return top.wrong("plugins", "is not a section", "[plugins.NAME] for each").unwrap_or_default(),
        };
        let setup = self.setup;
        let known = setup.factories.plugins.iter().map(|factory| factory.info().name).collect::<Vec<_>>().join(" or ");
        for (name, value) in tables {
            let path = format!("plugins.{name}");
            let factory = setup.factories.plugins.iter().find(|factory| factory.info().name == name);
            let (Value::Object(table), Some(factory)) = (value, factory) else {
                let message =
                    if factory.is_some() { "is not a section" } else { "is not a plugin that this program has" };
                top.wrong::<()>(&path, message, &format!("[plugins.NAME] and its keys, where NAME is {known}"));
                continue;
            };
            let mut section = self.section(&path, table);
            if let Some(plugin) = factory.build(&mut section, &setup.context)
                && let Ok(plugin) = TenantPlugin::new(factory.info(), plugin)
            {
                plugins.insert(plugin.name.clone(), Arc::new(plugin));
            }
            self.problems.extend(section.finish());
        }
        plugins
    }

    fn factory(&self, table: &Map<String, Value>) -> Option<&'a dyn ProviderFactory> {
        let kind = table.get("kind")?.as_str()?;
        self.setup.factories.providers.iter().find(|factory| factory.kind() == kind).map(AsRef::as_ref)
    }

    fn provider(&self, section: &mut Section<'a>) -> Option<Arc<dyn Provider>> {
        let kinds = self
            .setup
            .factories
            .providers
            .iter()
            .map(|factory| format!("{:?}", factory.kind()))
            .collect::<Vec<_>>()
            .join(" or ");
        let kind = section.text("kind", &kinds)?;
        match self.setup.factories.providers.iter().find(|factory| factory.kind() == kind) {
            Some(factory) => factory.build(section, &self.setup.context.outside),
            None => section.wrong("kind", &format!("is {kind:?}, which is not a known kind"), &kinds),
        }
    }
}

/// How the note of such a secret begins, for `dukou doctor`.
pub const SAME_SECRET: &str = "is the same secret as ";

/// Notes a secret that stands under two names: one of them is not where it belongs (an APIv2 key in the
/// place of the APIv3 key, an app's secret in that of a key). A platform that was really given one for both
/// works with it, so that the tenant is served.
fn one_for_two(section: &mut Section<'_>, path: &str, seen: &mut Vec<(String, String, Secret)>) {
    for (key, secret) in section.secrets().to_vec() {
        let other = seen.iter().find(|(_, other, known)| *other != key && known.matches(secret.expose().as_bytes()));
        if let Some((other_path, other, _)) = other {
            let message = format!("{SAME_SECRET}{other_path}.{other}, and each of the two has one of its own");
            let expected = "the secret that the platform shows for this very key; if it really was given one for both, \
                            another there and here";
            section.warn(&key, &message, expected);
        }
        seen.push((path.to_owned(), key, secret));
    }
}
