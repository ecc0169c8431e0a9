//! Every problem of a section at once.

use std::io;
use std::path::Path;

use dukou_domain::Timestamp;
use dukou_spi::settings::Environment;
use dukou_spi::transport::{HttpAnswer, HttpRequest, InvalidTransport, TransportError, TransportFactory};
use dukou_spi::{AnyTime, Clock, Context, EmptyShelf, ProcessState, Random};
use serde_json::json;

use super::*;

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "SECRET").then(|| "s3cr3t-of-the-app".to_owned())
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Clock for Nothing {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}

impl Random for Nothing {
    fn fill(&self, _: &mut [u8]) {}
}

#[async_trait::async_trait]
impl Transport for Nothing {
    async fn send(&self, _: HttpRequest) -> Result<HttpAnswer, TransportError> {
        Err(TransportError::Timeout { host: String::new() })
    }
}

impl TransportFactory for Nothing {
    fn build(&self, _: TransportOptions) -> Result<Arc<dyn Transport>, InvalidTransport> {
        Ok(Arc::new(Nothing))
    }
}

fn context() -> PluginContext {
    let outside = Context {
        clock: Arc::new(Nothing),
        random: Arc::new(Nothing),
        transports: Arc::new(Nothing),
        shelf: Arc::new(EmptyShelf),
        time: Arc::new(AnyTime),
        shared: Arc::new(ProcessState::default()),
        insecure: false,
    };
    PluginContext { outside, strangers: Arc::new(Nothing) }
}

fn read(table: &serde_json::Value) -> (Option<Settings>, Vec<String>) {
    let mut section = Section::new("shop.toml", "plugins.douyin-share", table.as_object().unwrap(), &Nothing);
    let settings = Settings::read(&mut section, &context());
    (settings, section.finish().iter().map(ToString::to_string).collect())
}

#[test]
fn what_the_contract_shows_is_read() {
    let (settings, problems) = read(&json!({
        "client_key": "awtestclientkey01", "client_secret": "env:SECRET",
        "apps": {
            "wx1a2b3c4d5e6f7081": "tt226e54d3bd581bf8",
            "wx1a2b3c4d5e6f7082": { "app_id": "tt226e54d3bd581bf9", "title": "小店", "pages": { "a": "b" } },
        },
    }));
    let settings = settings.unwrap();
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(settings.base_url, "https://open.douyin.com");
    assert_eq!(settings.webhook_secret.expose(), "s3cr3t-of-the-app");
    assert_eq!(settings.apps["wx1a2b3c4d5e6f7081"].app_id, "tt226e54d3bd581bf8");
    assert_eq!(settings.apps["wx1a2b3c4d5e6f7082"].pages["a"], "b");
    assert!(settings.probe_media);
}

#[test]
fn every_problem_is_named_and_no_secret_is() {
    let (settings, problems) = read(&json!({
        "client_key": "a w", "client_secret": "env:GONE", "webhook_secret": "literal-secret", "base_url": "http://a",
        "timeout": "1h", "probe_media": "often", "colour": "red",
        "apps": {
            "wx1": "tt226e54d3bd581bf8", "wx1a2b3c4d5e6f7081": "ttx", "wx1a2b3c4d5e6f7082": 7,
            "wx1a2b3c4d5e6f7083": { "app_id": "tt226e54d3bd581bf9", "titel": "x", "pages": 1 },
        },
    }));
    assert!(settings.is_none());
    for expected in [
        "client_key: is not valid",
        "client_secret: names the environment variable GONE",
        "webhook_secret: is written in the file itself",
        "base_url: does not begin",
        "timeout: is out of range",
        "probe_media: is not a yes or no",
        "colour: is not a known key",
        "apps.wx1: is not a WeChat mini-program's id",
        "apps.wx1a2b3c4d5e6f7081: names no Douyin mini-program",
        "apps.wx1a2b3c4d5e6f7082: is neither a text nor a table",
        "apps.wx1a2b3c4d5e6f7083.titel: is not a known key",
        "apps.wx1a2b3c4d5e6f7083.pages: is not a table",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected} is not in {problems:#?}");
    }
    assert!(!problems.join("\n").contains("literal-secret"));
}

#[test]
fn only_who_knows_the_secret_finds_what_is_held() {
    let key = |secret: &str| {
        let (settings, _) = read(&json!({ "client_key": "awtestclientkey01", "client_secret": secret }));
        settings.unwrap().holder_key()
    };
    assert_eq!(key("one-secret"), key("one-secret"));
    assert_ne!(key("one-secret"), key("another-secret"));
}
