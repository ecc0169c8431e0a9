//! `gateway.toml`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use dukou_domain::Secret;
use dukou_engine::{Schedule, Steps};
use dukou_http::{LimitConfig, Rate, TrustedProxies};
use dukou_spi::settings::{Problem, Section, Severity, parse_duration};
use dukou_store::{PostgresOptions, RedisOptions};
use serde_json::{Map, Value};

use super::retention::RetentionSettings;
use super::sources::{Merged, Sources};
use crate::traces::{self, TraceSettings};

/// Every key with its default, as the repository shows it.
pub const DEFAULTS: &str = include_str!("../../../../config/gateway.toml");

/// Shorter secrets can be guessed; they are taken with a warning.
pub const SECRET_LENGTH: usize = 16;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone)]
pub struct GatewaySettings {
    pub listen: SocketAddr,
    /// Without a trailing slash.
    pub public_url: String,
    pub insecure: bool,
    pub body_limit: usize,
    pub admin_listen: SocketAddr,
    pub admin_token: Option<Secret>,
    pub storage: StorageSettings,
    pub redis: Option<RedisSettings>,
    pub allow_private_networks: bool,
    /// How long an endpoint of a tenant may take to answer.
    pub webhook_timeout: Duration,
    pub expires_after: Duration,
    pub session_expires_after: Duration,
    pub schedule: Schedule,
    pub retention: RetentionSettings,
    pub trusted_proxies: TrustedProxies,
    pub limits: LimitConfig,
}

#[derive(Debug, Clone)]
pub struct StorageSettings {
    pub place: StoragePlace,
    pub max_batch: usize,
    /// To PostgreSQL, of this instance.
    pub connections: u32,
}

/// Where payments live.
#[derive(Debug, Clone)]
pub enum StoragePlace {
    /// The file of the embedded store.
    Sqlite(PathBuf),
    /// The address of a database; it holds a password, often.
    Postgres(Secret),
}

#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Holds a password, often.
    pub url: Secret,
    pub prefix: String,
}

/// What could be read.
pub struct Reading {
    pub settings: Option<GatewaySettings>,
    /// Known even when something else is broken.
    pub insecure: bool,
    /// Likewise.
    pub allow_private_networks: bool,
}

pub fn read(sources: &Sources, problems: &mut Vec<Problem>) -> Reading {
    let Some(merged) = sources.gateway(DEFAULTS, problems) else {
        // Nobody knows what it allows, so that no tenant is blamed for needing it.
        return Reading { settings: None, insecure: true, allow_private_networks: true };
    };
    let mut reader = Reader::new(&merged, sources);
    let (settings, insecure) = reader.whole();
    let settings = settings.filter(|_| !reader.broken);
    problems.extend(merged.attribute(reader.problems));
    Reading { settings, insecure, allow_private_networks: reader.allow_private_networks }
}

/// Where the store is, from `[storage]` alone: whoever copies it need not know the gateway's secrets.
pub fn read_storage(sources: &Sources, problems: &mut Vec<Problem>) -> Option<StorageSettings> {
    let merged = sources.gateway(DEFAULTS, problems)?;
    let mut reader = Reader::new(&merged, sources);
    let storage = merged.table.get("storage").and_then(Value::as_object).and_then(|table| reader.storage(table));
    problems.extend(merged.attribute(reader.problems));
    storage
}

/// Where traces go, from `[telemetry]` alone.
pub fn read_telemetry(sources: &Sources) -> Option<TraceSettings> {
    let merged = sources.gateway(DEFAULTS, &mut Vec::new())?;
    let mut reader = Reader::new(&merged, sources);
    let table = merged.table.get("telemetry").and_then(Value::as_object)?;
    reader.telemetry(table).filter(|_| !reader.broken)
}

/// Listen address, public address, insecure, body limit, proxies.
type ServerSettings = (Option<SocketAddr>, Option<String>, bool, usize, Option<TrustedProxies>);

struct Reader<'a> {
    merged: &'a Merged,
    sources: &'a Sources,
    problems: Vec<Problem>,
    broken: bool,
    allow_private_networks: bool,
}

impl<'a> Reader<'a> {
    fn new(merged: &'a Merged, sources: &'a Sources) -> Self {
        Reader { merged, sources, problems: Vec::new(), broken: false, allow_private_networks: false }
    }

    fn section(&self, path: &str, table: &'a Map<String, Value>) -> Section<'a> {
        Section::new(&self.merged.file, path, table, &self.sources.environment)
    }

    fn finish(&mut self, section: Section<'_>) {
        self.broken |= section.has_errors();
        let problems = section.finish();
        // A key that nobody knows shows only now.
        self.broken |= problems.iter().any(|problem| problem.severity == Severity::Error);
        self.problems.extend(problems);
    }

    fn whole(&mut self) -> (Option<GatewaySettings>, bool) {
        let merged = self.merged;
        let mut top = self.section("", &merged.table);
        let mut sections = Vec::new();
        for name in [
            "server",
            "admin",
            "storage",
            "redis",
            "webhooks",
            "payments",
            "sessions",
            "limits",
            "queries",
            "retention",
            "telemetry",
        ] {
            let table = match top.take(name) {
                Some(Value::Object(table)) => Some(table),
                Some(_) => top.wrong(name, "is not a section", &format!("[{name}] and its keys")),
                None => None,
            };
            sections.push(table);
        }
        self.finish(top);
        let [server, admin, storage, redis, webhooks, payments, sessions, limits, queries, retention, telemetry] =
            sections[..]
        else {
            return (None, false);
        };
        // Every section but [redis] is there: the compiled-in file has it. One that is not a table
        // was noted above.
        let (listen, public_url, insecure, body_limit, trusted_proxies) = match server {
            Some(table) => self.server(table),
            None => (None, None, false, 0, None),
        };
        let (admin_listen, admin_token) = match admin {
            Some(table) => self.admin(table, listen),
            None => (None, None),
        };
        let storage = storage.and_then(|table| self.storage(table));
        let redis = redis.map(|table| self.redis(table));
        let webhook_timeout = webhooks.map(|table| self.webhooks(table, insecure));
        let expires_after = payments.map(|table| {
            let mut section = self.section("payments", table);
            let value = section.duration("expires_after", MINUTE..=DAY * 30, Duration::from_secs(7200));
            self.finish(section);
            value
        });
        let session_expires_after = sessions.map(|table| {
            let mut section = self.section("sessions", table);
            let value = section.duration("expires_after", MINUTE * 5..=DAY * 30, Duration::from_secs(7200));
            self.finish(section);
            value
        });
        let limits = limits.map(|table| self.limits(table));
        let schedule = queries.map(|table| self.queries(table));
        let retention = retention.map(|table| self.retention(table));
        if let Some(table) = telemetry {
            // Read again before anything is logged; here only what is wrong with it counts.
            let _ = self.telemetry(table);
        }

        let settings = (|| {
            Some(GatewaySettings {
                listen: listen?,
                public_url: public_url?,
                insecure,
                body_limit,
                admin_listen: admin_listen?,
                admin_token,
                storage: storage?,
                redis: match redis {
                    None => None,
                    Some(settings) => Some(settings?),
                },
                allow_private_networks: self.allow_private_networks,
                webhook_timeout: webhook_timeout?,
                expires_after: expires_after?,
                session_expires_after: session_expires_after?,
                schedule: schedule?,
                retention: retention?,
                trusted_proxies: trusted_proxies?,
                limits: limits?,
            })
        })();
        (settings, insecure)
    }

    fn server(&mut self, table: &'a Map<String, Value>) -> ServerSettings {
        let mut section = self.section("server", table);
        let insecure = section.flag("insecure", false);
        if insecure {
            section.warn("insecure", "is true: keys and money may travel in the clear", "false outside a sandbox");
        }
        let listen = address(&mut section, "listen");
        let public_url = public_url(&mut section, insecure);
        let body_limit = section.size("body_limit", 1024..=16 * 1024 * 1024, 256 * 1024);
        let trusted_proxies = trusted_proxies(&mut section);
        self.finish(section);
        (listen, public_url, insecure, body_limit, trusted_proxies)
    }

    fn admin(
        &mut self,
        table: &'a Map<String, Value>,
        public: Option<SocketAddr>,
    ) -> (Option<SocketAddr>, Option<Secret>) {
        let mut section = self.section("admin", table);
        let listen = address(&mut section, "listen");
        if let (Some(admin), Some(public)) = (listen, public)
            && exclude_each_other(admin, public)
        {
            let problem = if admin == public {
                "is the public listener's own address"
            } else {
                "has the public listener's port, and one of the two takes it on every address"
            };
            section.wrong::<()>("listen", problem, "an address of its own");
        }
        let token = section.optional_secret("token");
        if token.as_ref().is_some_and(|token| token.expose().chars().count() < SECRET_LENGTH) {
            section.warn("token", "is short enough to be guessed", &format!("at least {SECRET_LENGTH} characters"));
        }
        self.finish(section);
        (listen, token)
    }

    fn storage(&mut self, table: &'a Map<String, Value>) -> Option<StorageSettings> {
        let mut section = self.section("storage", table);
        let expected = "sqlite:// and a path, or postgres://, a host and a database";
        let url = secret_address(&mut section, expected);
        let place = url.and_then(|url| {
            if let Some(path) = url.expose().strip_prefix("sqlite://") {
                let usable = !path.is_empty() && !path.ends_with('/') && !path.contains(['?', '#', '\0']);
                return if usable {
                    Some(StoragePlace::Sqlite(PathBuf::from(path)))
                } else {
                    section.wrong("url", "names no file", "sqlite:// and the path of a file, without a query")
                };
            }
            if url.expose().starts_with("postgres://") || url.expose().starts_with("postgresql://") {
                return match PostgresOptions::at(url.clone()).check() {
                    Ok(()) => Some(StoragePlace::Postgres(url)),
                    Err(error) => unusable(&mut section, &error.to_string(), expected),
                };
            }
            section.wrong("url", "is not the address of a store", expected)
        });
        let max_batch = section.integer("max_batch", 1..=10_000, 512);
        let connections = section.integer("connections", 4..=200, 10);
        self.finish(section);
        Some(StorageSettings {
            place: place?,
            max_batch: usize::try_from(max_batch).ok()?,
            connections: u32::try_from(connections).ok()?,
        })
    }

    fn redis(&mut self, table: &'a Map<String, Value>) -> Option<RedisSettings> {
        let mut section = self.section("redis", table);
        let expected = "redis://host:port/database, redis+cluster://host:port,host:port or \
                        redis+sentinel://host:port,host:port/primary/database, each with rediss for TLS";
        let url = secret_address(&mut section, expected);
        let url = url.and_then(|url| {
            let options = RedisOptions { url: url.clone(), prefix: String::new() };
            match options.check() {
                Ok(()) => Some(url),
                Err(error) => unusable(&mut section, &error.to_string(), expected),
            }
        });
        let prefix = if section.has("prefix") {
            section.checked_text("prefix", "1 to 32 of A-Z a-z 0-9 _ -", |text| {
                text.len() <= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            })
        } else {
            Some("dukou".to_owned())
        };
        self.finish(section);
        Some(RedisSettings { url: url?, prefix: prefix? })
    }

    fn webhooks(&mut self, table: &'a Map<String, Value>, insecure: bool) -> Duration {
        let mut section = self.section("webhooks", table);
        self.allow_private_networks = section.flag("allow_private_networks", false);
        if self.allow_private_networks && !insecure {
            section.warn(
                "allow_private_networks",
                "is true: a webhook can reach whatever this machine can",
                "false outside a sandbox",
            );
        }
        let timeout = section.duration("timeout", SECOND..=MINUTE, SECOND * 15);
        self.finish(section);
        timeout
    }

    fn limits(&mut self, table: &'a Map<String, Value>) -> LimitConfig {
        let mut section = self.section("limits", table);
        let defaults = LimitConfig::default();
        let limits = LimitConfig {
            sessions_per_client: rate(&mut section, "sessions_per_client", defaults.sessions_per_client),
            sessions_per_tenant: rate(&mut section, "sessions_per_tenant", defaults.sessions_per_tenant),
            calls_per_client: rate(&mut section, "calls_per_client", defaults.calls_per_client),
            calls_per_tenant: rate(&mut section, "calls_per_tenant", defaults.calls_per_tenant),
        };
        self.finish(section);
        limits
    }

    fn queries(&mut self, table: &'a Map<String, Value>) -> Schedule {
        let mut section = self.section("queries", table);
        let defaults = Schedule::default();
        let schedule = Schedule {
            unknown: steps(&mut section, "unknown", defaults.unknown),
            pending: steps(&mut section, "pending", defaults.pending),
            refund: steps(&mut section, "refund", defaults.refund),
        };
        self.finish(section);
        schedule
    }

    fn telemetry(&mut self, table: &'a Map<String, Value>) -> Option<TraceSettings> {
        let mut section = self.section("telemetry", table);
        let percent = section.integer("sample_percent", 0..=100, 100);
        let expected = "the collector's address, such as \"http://127.0.0.1:4318\"";
        let endpoint = section.optional_text("otlp_endpoint").and_then(|text| {
            let known =
                url::Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            match known {
                false => section.wrong("otlp_endpoint", "is not an http address", expected),
                true if !traces::BUILT_IN => section.wrong(
                    "otlp_endpoint",
                    "is set, but this program was built without traces",
                    "a program built with --features otlp, or the key left out",
                ),
                true => Some(text),
            }
        });
        self.finish(section);
        Some(TraceSettings { endpoint: endpoint?, sample_percent: u32::try_from(percent).ok()? })
    }

    fn retention(&mut self, table: &'a Map<String, Value>) -> RetentionSettings {
        let mut section = self.section("retention", table);
        let settings = RetentionSettings {
            idempotency_keys: section.duration("idempotency_keys", DAY..=DAY * 30, DAY * 2),
            deliveries: section.duration("deliveries", DAY * 7..=DAY * 3650, DAY * 30),
            platform_calls: section.duration("platform_calls", DAY * 7..=DAY * 3650, DAY * 180),
            notifications: section.duration("notifications", DAY * 7..=DAY * 3650, DAY * 180),
        };
        self.finish(section);
        settings
    }
}

/// Where a server is: an address as it stands there, or a secret that holds one, since one with a password is better kept
/// elsewhere.
fn secret_address(section: &mut Section<'_>, expected: &str) -> Option<Secret> {
    let text = section.text("url", expected)?;
    if text.starts_with("env:") || text.starts_with("file:") {
        return section.resolve("url", &text);
    }
    if holds_password(&text) {
        section.warn("url", "holds a password written in the file itself", "\"env:NAME\" or \"file:PATH\"");
    }
    Some(Secret::new(text))
}

/// Notes an address that cannot be used. `error` holds nothing of the address, and says itself, mostly, what is expected.
fn unusable<T>(section: &mut Section<'_>, error: &str, expected: &str) -> Option<T> {
    let (why, expected) = error.split_once(": expected ").unwrap_or((error, expected));
    section.wrong("url", &format!("cannot be used: {why}"), expected)
}

/// Whether an address has a password in it; one that names several servers is no URL.
fn holds_password(address: &str) -> bool {
    let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
    login.contains(':') || address.contains("_password=")
}

/// Whether two listeners cannot be open together: one on every address takes its port on each of them, and one on every
/// address of IPv6 on those of IPv4 as well.
fn exclude_each_other(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |all: SocketAddr, one: SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

fn address(section: &mut Section<'_>, key: &str) -> Option<SocketAddr> {
    let expected = "an address and a port, such as \"127.0.0.1:8080\"";
    let text = section.text(key, expected)?;
    let address = text.parse().ok().or_else(|| {
        // Only this name: any other would need a resolver, and could mean many addresses.
        text.starts_with("localhost:").then(|| text.to_socket_addrs().ok()?.find(SocketAddr::is_ipv4)).flatten()
    });
    match address {
        Some(address) => Some(address),
        None => section.wrong(key, "is not an address and a port", expected),
    }
}

fn public_url(section: &mut Section<'_>, insecure: bool) -> Option<String> {
    let expected = "the https address, without port and query, at which the platforms reach this gateway";
    section.text("public_url", expected)?;
    let text = section.base_url("public_url", insecure, "")?;
    let url = url::Url::parse(&text).ok()?;
    if url.port().is_some() && !insecure {
        return section.wrong("public_url", "has a port", expected);
    }
    // Spelled in one way, whatever the operator wrote (a default port, capitals).
    Some(format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/')))
}

fn rate(section: &mut Section<'_>, key: &str, default: Rate) -> Rate {
    let expected = "so many in a second, a minute or an hour, such as \"5/s burst 20\" or \"100/m\"";
    match section.optional_text(key) {
        None => default,
        Some(text) => match Rate::parse(&text) {
            Some(rate) => rate,
            None => section.wrong(key, "is not a rate", expected).unwrap_or(default),
        },
    }
}

/// The environment writes them with commas between.
fn trusted_proxies(section: &mut Section<'_>) -> Option<TrustedProxies> {
    let key = "trusted_proxies";
    let expected = "a list of addresses and networks, such as [\"10.0.0.0/8\"]";
    let texts: Option<Vec<&str>> = match section.take(key) {
        None => Some(Vec::new()),
        Some(Value::String(text)) => Some(text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect()),
        Some(Value::Array(values)) => values.iter().map(Value::as_str).collect(),
        Some(_) => None,
    };
    let Some(texts) = texts else { return section.wrong(key, "is not a list of addresses", expected) };
    match TrustedProxies::parse(texts) {
        Ok(proxies) => Some(proxies),
        Err(text) => section.wrong(key, &format!("holds {text:?}, which is no address"), expected),
    }
}

/// Moments after a state was entered; the environment writes them with commas between.
fn steps(section: &mut Section<'_>, key: &str, default: Steps) -> Steps {
    let expected = "1 to 20 lengths of time from 1s to 30d, each longer than the one before, such as [\"5s\", \"1m\"]";
    let texts: Option<Vec<String>> = match section.take(key) {
        None => return default,
        Some(Value::String(text)) => Some(text.split(',').map(|part| part.trim().to_owned()).collect()),
        Some(Value::Array(values)) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    let moments: Option<Vec<Duration>> =
        texts.and_then(|texts| texts.iter().map(|text| parse_duration(text)).collect());
    let Some(moments) = moments else {
        return section.wrong(key, "is not a list of lengths of time", expected).unwrap_or(default);
    };
    let in_range = (1..=20).contains(&moments.len()) && moments.iter().all(|d| (SECOND..=DAY * 30).contains(d));
    match Steps::new(moments).filter(|_| in_range) {
        Some(steps) => steps,
        None => section.wrong(key, "is out of range or out of order", expected).unwrap_or(default),
    }
}
