//! `dukou trace`: where a payment is, asked of the running gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::ValueEnum;
use dukou_domain::{Currency, Money};
use dukou_spi::settings::Severity;
use dukou_spi::transport::{HttpAnswer, HttpMethod, HttpRequest, TransportOptions};
use serde_json::Value;

use super::say;
use crate::config;
use crate::outside;

/// The gateway is on this machine, or near.
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// The language of what a person reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Zh,
    En,
}

impl Language {
    /// What `LC_ALL`, `LC_MESSAGES` or `LANG` asks for; Chinese where they say nothing of English.
    fn of_environment() -> Self {
        let named = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        match named {
            Some(value) if value.starts_with("zh") => Language::Zh,
            Some(_) => Language::En,
            None => Language::Zh,
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Language::Zh => "zh",
            Language::En => "en",
        }
    }
}

/// What somebody wants to know, and how.
pub struct Question<'a> {
    pub directory: &'a Path,
    pub tenant: &'a str,
    pub out_trade_no: &'a str,
    pub json: bool,
    pub language: Option<Language>,
}

pub fn run(question: &Question<'_>) -> ExitCode {
    let language = question.language.unwrap_or_else(Language::of_environment);
    let answered = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")
        .and_then(|runtime| runtime.block_on(ask(question)));
    say(answered.and_then(|timeline| {
        if question.json { Ok(serde_json::to_string_pretty(&timeline)?) } else { Ok(write(&timeline, language)) }
    }))
}

async fn ask(question: &Question<'_>) -> anyhow::Result<Value> {
    let variables = config::process_variables();
    let loaded = config::load(question.directory, variables, config::Factories::builtin(), outside::context);
    let Some(settings) = loaded.gateway else {
        let problems = loaded.problems.iter().filter(|problem| problem.severity == Severity::Error);
        let lines: Vec<String> = problems.map(ToString::to_string).collect();
        bail!("gateway.toml cannot be used:\n{}", lines.join("\n"))
    };
    let Some(token) = settings.admin_token else {
        bail!("the admin API is closed: set admin.token in gateway.toml (or DUKOU__ADMIN__TOKEN), for the gateway too")
    };
    let address = reachable(settings.admin_listen);
    let transport = outside::context(settings.insecure).transports.build(TransportOptions {
        identity_pem: None,
        extra_roots_pem: None,
        timeout: PATIENCE,
        answer_limit: ANSWER_LIMIT,
    })?;
    let (tenant, number) = (escaped(question.tenant), escaped(question.out_trade_no));
    let request = HttpRequest {
        method: HttpMethod::Get,
        url: format!("http://{address}/timeline/{tenant}/{number}"),
        headers: vec![("authorization", format!("Bearer {}", token.expose()))],
        body: Bytes::new(),
    };
    let answer = transport.send(request).await.with_context(|| {
        format!("no gateway answers at {address} (admin.listen); is it running with this configuration?")
    })?;
    read(&answer).with_context(|| format!("the gateway at {address}"))
}

/// Where a listener of this machine can be called.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// As one segment of a path.
fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn read(answer: &HttpAnswer) -> anyhow::Result<Value> {
    let body: Value = serde_json::from_slice(&answer.body)
        .with_context(|| format!("answered {} and no JSON: is it a gateway of this version?", answer.status))?;
    if answer.status == 200 {
        return Ok(body);
    }
    let words = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    bail!("{} ({} {}, request {})", words("detail"), answer.status, words("code"), words("request_id"))
}

/// A line for each thing that happened, its details below it; what is waited for at the end, above the
/// prompt.
fn write(timeline: &Value, language: Language) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let said = |value: &Value| text(&value["words"][language.key()]);
    let payment = &timeline["payment"];
    let mut lines = vec![format!(
        "{} / {}  {}  {}",
        text(&payment["tenant"]),
        text(&payment["out_trade_no"]),
        text(&payment["status"]),
        amount(payment)
    )];
    for entry in timeline["entries"].as_array().into_iter().flatten() {
        lines.push(format!("{:<25} {}", text(&entry["at"]), said(entry)));
        lines.extend(details(entry).into_iter().map(|line| format!("{:<25}   {line}", "")));
    }
    let waiting = timeline["waiting"].as_array().cloned().unwrap_or_default();
    let (waits, settled) = match language {
        Language::Zh => ("现在：", "现在：没有未完成的事"),
        Language::En => ("now: ", "now: nothing is left to happen"),
    };
    if waiting.is_empty() {
        lines.push(settled.to_owned());
    }
    lines.extend(waiting.iter().map(|one| format!("{waits}{}", said(one))));
    lines.join("\n")
}

/// In major units, as people say it.
fn amount(payment: &Value) -> String {
    let currency = payment["currency"].as_str().and_then(Currency::parse);
    let amount =
        currency.zip(payment["amount"].as_i64()).and_then(|(currency, minor)| Money::new(minor, currency).ok());
    amount.map_or_else(String::new, |amount| amount.to_string())
}

/// What stands in the fields of an entry besides its sentence.
fn details(entry: &Value) -> Vec<String> {
    let named = |keys: &[&str]| {
        let shown = keys.iter().filter(|key| !entry[**key].is_null());
        shown.map(|key| format!("{key}={}", plain(&entry[*key]))).collect::<Vec<_>>().join("  ")
    };
    match entry["kind"].as_str() {
        Some("call") => vec![
            named(&["operation", "out_refund_no", "outcome", "duration_ms", "provider_request_id"]),
            named(&["provider_code", "provider_message"]),
        ],
        Some("notify") => {
            let fields = entry["fields"].as_object().into_iter().flatten();
            vec![fields.map(|(name, value)| format!("{name}={}", plain(value))).collect::<Vec<_>>().join("  ")]
        }
        Some("event") => vec![named(&["event_type", "event_id"])],
        Some("delivery") => vec![named(&["event_type", "delivery_id"])],
        _ => Vec::new(),
    }
    .into_iter()
    .filter(|line| !line.is_empty())
    .collect()
}

/// Without what could move a terminal's cursor.
fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_and_numbers_are_put_so_that_they_arrive() {
        for (listen, expected) in
            [("0.0.0.0:8081", "127.0.0.1:8081"), ("[::]:8081", "[::1]:8081"), ("10.1.2.3:9", "10.1.2.3:9")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), expected);
        }
        assert_eq!(escaped("../a b?c"), "..%2Fa%20b%3Fc");
    }

    #[test]
    fn a_timeline_reads_from_the_first_thing_to_what_is_waited_for() {
        let timeline = json!({
            "payment": { "tenant": "bookshop", "out_trade_no": "B-1", "status": "unknown", "amount": 101, "currency": "CNY" },
            "waiting": [{ "code": "lost_answer", "next_at": null, "words": { "zh": "正在查询", "en": "is asked" } }],
            "entries": [{
                "at": "2026-11-23T10:00:00Z", "kind": "call", "words": { "zh": "调用", "en": "called" },
                "operation": "pay", "out_refund_no": null, "outcome": "unknown", "duration_ms": 12,
                "provider_request_id": "08F1", "provider_code": null, "provider_message": "no\u{1b}[2Janswer",
            }],
        });
        let text = write(&timeline, Language::En);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "bookshop / B-1  unknown  1.01 CNY");
        assert!(lines[1].starts_with("2026-11-23T10:00:00Z") && lines[1].ends_with("called"), "{text}");
        assert!(
            lines[2].contains("operation=pay  outcome=unknown  duration_ms=12  provider_request_id=08F1"),
            "{text}"
        );
        assert!(lines[3].contains("provider_message=no [2Janswer"), "{text}");
        assert_eq!(lines[4], "now: is asked");
        assert!(write(&timeline, Language::Zh).ends_with("现在：正在查询"));
        let settled = json!({ "payment": {}, "waiting": [], "entries": [] });
        assert!(write(&settled, Language::En).ends_with("nothing is left to happen"));
    }
}
