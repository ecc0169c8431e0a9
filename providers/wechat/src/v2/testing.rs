//! A fixed world for the unit tests: clock, nonces, configuration, and a transport that replays.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dukou_domain::{Currency, Method, Money, OutRefundNo, Timestamp, TradeNo};
use dukou_spi::settings::{Environment, Section};
use dukou_spi::transport::{
    HttpAnswer, HttpRequest, InvalidTransport, Transport, TransportError, TransportFactory, TransportOptions,
};
use dukou_spi::{
    AnyTime, Clock, Context, EmptyShelf, PayOrder, ProcessState, Provider, ProviderFactory, Random, RefundOrder,
    RefundQuery,
};
use serde_json::{Value, json};

use super::Factory;
use super::config::Settings;
use super::sign::{SignType, Signer};
use super::xml;

pub const API_KEY: &str = "3f7c9d0ab1e24c6f8a5d7e9012b3c4d5";
pub const APP_ID: &str = "wx8888888888888888";
pub const MCH_ID: &str = "1900000109";
/// 2026-07-04 12:30:45 in Beijing.
pub const NOW: Timestamp = Timestamp::from_millis(1_783_139_445_000);

pub struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        NOW
    }
}

impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        for (at, byte) in buffer.iter_mut().enumerate() {
            *byte = u8::try_from(at).unwrap_or_default();
        }
    }
}

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        if name == "API_KEY" {
            return Some(API_KEY.to_owned());
        }
        // A text of the vectors, by its path.
        let found = name.split('.').fold(vectors::load(), |value, part| value[part].clone());
        found.as_str().map(str::to_owned)
    }

    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

/// Replays results in turn and keeps what was sent.
#[derive(Default)]
pub struct Replay {
    results: Mutex<VecDeque<Result<HttpAnswer, TransportError>>>,
    sent: Mutex<Vec<HttpRequest>>,
}

impl Replay {
    pub fn push(&self, result: Result<HttpAnswer, TransportError>) {
        self.results.lock().unwrap().push_back(result);
    }

    pub fn sent(&self) -> Vec<HttpRequest> {
        self.sent.lock().unwrap().clone()
    }
}

#[async_trait]
impl Transport for Replay {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError> {
        // As a real answer does, it lets others go first.
        tokio::task::yield_now().await;
        self.sent.lock().unwrap().push(request);
        self.results.lock().unwrap().pop_front().expect("an answer for every call")
    }
}

struct Shared(Arc<Replay>);

impl TransportFactory for Shared {
    fn build(&self, _: TransportOptions) -> Result<Arc<dyn Transport>, InvalidTransport> {
        Ok(self.0.clone())
    }
}

pub fn context(replay: Arc<Replay>) -> Context {
    Context {
        clock: Arc::new(Fixed),
        random: Arc::new(Fixed),
        transports: Arc::new(Shared(replay)),
        shelf: Arc::new(EmptyShelf),
        time: Arc::new(AnyTime),
        shared: Arc::new(ProcessState::default()),
        insecure: false,
    }
}

/// The smallest whole section, overlaid with `changes` (null takes a key away).
pub fn section(changes: Value) -> Value {
    let mut section =
        json!({ "app_id": APP_ID, "app_secret": "env:API_KEY", "mch_id": MCH_ID, "api_key": "env:API_KEY" });
    for (key, value) in changes.as_object().unwrap() {
        section[key.as_str()] = value.clone();
    }
    section.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    section
}

/// Builds a provider of `section`, and every problem that was noted.
pub fn build(section: &Value, replay: Arc<Replay>) -> (Option<Arc<dyn Provider>>, Vec<String>) {
    build_in(section, &context(replay))
}

fn build_in(section: &Value, context: &Context) -> (Option<Arc<dyn Provider>>, Vec<String>) {
    let mut read = Section::new("shop.toml", "providers.wechat", section.as_object().unwrap(), &Fixed);
    let provider = Factory.build(&mut read, context);
    (provider, read.finish().iter().map(ToString::to_string).collect())
}

/// What is wrong with a section where TLS cannot use all of its material.
pub fn problems_where(is_usable: fn(&TransportOptions) -> bool, section: &Value) -> Vec<String> {
    struct Picky(fn(&TransportOptions) -> bool);
    impl TransportFactory for Picky {
        fn build(&self, options: TransportOptions) -> Result<Arc<dyn Transport>, InvalidTransport> {
            let refused = || InvalidTransport("its key cannot be used".to_owned());
            if (self.0)(&options) { Ok(Arc::new(Replay::default())) } else { Err(refused()) }
        }
    }
    let (provider, problems) =
        build_in(section, &Context { transports: Arc::new(Picky(is_usable)), ..context(Arc::default()) });
    assert!(provider.is_none());
    problems
}

/// A provider with a client certificate, and the transport under it.
pub fn provider(changes: Value) -> (Arc<dyn Provider>, Arc<Replay>) {
    let replay = Arc::new(Replay::default());
    // Read while the provider is built.
    let p12 = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(p12.path(), vectors::client_p12()).unwrap();
    let mut section = section(changes);
    if section.get("client_p12").is_none() {
        section["client_p12"] = json!(format!("file:{}", p12.path().display()));
    }
    let (provider, problems) = build(&section, replay.clone());
    (provider.unwrap_or_else(|| panic!("{problems:#?}")), replay)
}

pub fn settings(sign_type: &str) -> Settings {
    let section = section(json!({ "sign_type": sign_type }));
    let mut read = Section::new("shop.toml", "providers.wechat", section.as_object().unwrap(), &Fixed);
    Settings::read(&mut read, &context(Arc::default())).unwrap()
}

pub fn order(method: Method) -> PayOrder {
    PayOrder {
        trade_no: TradeNo::new("T20260704000017").unwrap(),
        transaction_id: None,
        method,
        amount: fen(5990),
        description: "腾讯-图书 <1> & \"2\"".to_owned(),
        attach: Some("shelf 7".to_owned()),
        openid: (method == Method::Jsapi).then(|| "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned()),
        client_ip: [203, 0, 113, 9].into(),
        created_at: NOW,
        expires_at: Timestamp::from_millis(NOW.as_millis() + 1_800_000),
        notify_url: "https://pay.example.com/notify/bookshop/wechat/payment".to_owned(),
    }
}

pub fn refund() -> RefundOrder {
    RefundOrder {
        trade_no: TradeNo::new("T20260704000017").unwrap(),
        transaction_id: None,
        out_refund_no: OutRefundNo::new("RF-1").unwrap(),
        total: fen(5990),
        amount: fen(1990),
        reason: Some("torn 📚 page\n".to_owned()),
        notify_url: "https://pay.example.com/notify/bookshop/wechat/refund".to_owned(),
    }
}

pub fn refund_query() -> RefundQuery {
    RefundQuery {
        trade_no: TradeNo::new("T20260704000017").unwrap(),
        out_refund_no: OutRefundNo::new("RF-1").unwrap(),
        total: fen(5990),
    }
}

pub fn fen(minor: i64) -> Money {
    Money::new(minor, Currency::Cny).unwrap()
}

/// An answer or a notify: signed as WeChat does, without a `sign_type`.
pub fn signed(sign_type: SignType, fields: &[(&str, &str)]) -> String {
    let mut all = vec![("return_code", "SUCCESS"), ("appid", APP_ID), ("mch_id", MCH_ID), ("nonce_str", "n1")];
    all.retain(|(name, _)| !fields.iter().any(|(changed, _)| changed == name));
    all.extend_from_slice(fields);
    let sign = Signer::new(sign_type, dukou_domain::Secret::new(API_KEY)).sign(&all);
    xml::write(all.into_iter().chain([("sign", sign.as_str())]))
}

pub fn ok(body: impl Into<Vec<u8>>) -> Result<HttpAnswer, TransportError> {
    Ok(HttpAnswer { status: 200, headers: Vec::new(), body: body.into().into() })
}

pub fn status(status: u16, body: &str) -> Result<HttpAnswer, TransportError> {
    Ok(HttpAnswer { status, headers: Vec::new(), body: body.to_owned().into() })
}

/// The published vectors, and the throwaway keys they come with.
pub mod vectors {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::Value;

    pub fn load() -> Value {
        serde_json::from_str(include_str!("../../testdata/wechat-pay-v2.json")).unwrap()
    }

    pub fn client_p12() -> Vec<u8> {
        BASE64_STANDARD.decode(load()["keys"]["merchant"]["p12_base64"].as_str().unwrap()).unwrap()
    }
}
