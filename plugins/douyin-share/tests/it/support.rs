use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dukou_domain::{ProviderName, TenantId, Timestamp};
use dukou_douyin_share::DouyinShareFactory;
use dukou_engine::plugin::{PluginFailure, PluginHost, PluginHostConfig, PluginOutcome, PluginTelemetry, TenantPlugin};
use dukou_engine::ports::Store;
use dukou_engine::records::Subject;
use dukou_engine::tenant::{LatePayment, Tenant, Tenants};
use dukou_spi::plugin::{
    CallbackOutcome, Caller, PluginCall, PluginContext, PluginError, PluginFactory, PluginReply, PluginRequest,
    RequestMethod, WrongField,
};
use dukou_spi::settings::{ProcessEnvironment, Section};
use dukou_spi::transport::{
    HttpAnswer, HttpRequest, InvalidTransport, Transport, TransportError, TransportFactory, TransportOptions,
};
use dukou_spi::{AnyTime, Clock, Context, EmptyShelf, Finding, ProcessState, Random};
use dukou_store::{ProcessCoordinator, SqliteOptions, SqliteStore};
use serde_json::{Map, Value, json};

pub const SECRET: &str = "s3cr3t-dev-0001";
pub const CLIENT_KEY: &str = "awtestclientkey01";
pub const APP: &str = "wx1a2b3c4d5e6f7081";
const NAME: &str = "douyin-share";
const START: i64 = 1_790_000_000_000;

/// Douyin: answers by itself, or as the script says.
#[derive(Default)]
pub struct Douyin {
    /// Next answers by path, before its own.
    pub script: Mutex<HashMap<&'static str, VecDeque<Scripted>>>,
    /// Paths asked for, with the token that was shown.
    pub asked: Mutex<Vec<(String, String)>>,
    made: Mutex<HashMap<String, u32>>,
    /// What its tokens and tickets last.
    pub lasts: AtomicI64,
}

pub enum Scripted {
    Error(i64),
    Silence,
    Refused,
    Body(Value),
}

impl Douyin {
    pub fn next(&self, path: &'static str, scripted: Scripted) {
        self.script.lock().unwrap().entry(path).or_default().push_back(scripted);
    }

    pub fn count(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked == path).count()
    }

    fn number(&self, path: &str) -> u32 {
        let mut made = self.made.lock().unwrap();
        let number = made.entry(path.to_owned()).or_default();
        *number += 1;
        *number
    }
}

#[async_trait]
impl Transport for Douyin {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError> {
        let path = request.url.trim_start_matches("https://open.douyin.com").split('?').next().unwrap().to_owned();
        let token = request.headers.iter().find(|(name, _)| *name == "access-token");
        self.asked.lock().unwrap().push((path.clone(), token.map_or(String::new(), |(_, token)| token.clone())));
        // Others get their turn, as they would while a call is under way.
        tokio::task::yield_now().await;
        let scripted = self.script.lock().unwrap().get_mut(path.as_str()).and_then(VecDeque::pop_front);
        let body = match scripted {
            Some(Scripted::Silence) => return Err(TransportError::Timeout { host: "open.douyin.com".into() }),
            Some(Scripted::Refused) => {
                return Err(TransportError::NotSent { host: "open.douyin.com".into(), reason: "refused".into() });
            }
            Some(Scripted::Error(code)) => json!({ "data": { "error_code": code, "description": "as a test wants" } }),
            Some(Scripted::Body(body)) => body,
            None => {
                let (number, lasts) = (self.number(&path), self.lasts.load(Ordering::SeqCst));
                match path.as_str() {
                    "/oauth/client_token/" => {
                        json!({ "data": { "access_token": format!("clt.{number}"), "expires_in": lasts, "error_code": 0 } })
                    }
                    "/open/getticket/" => {
                        json!({ "data": { "ticket": format!("@ticket/{number}+=="), "expires_in": lasts.to_string() } })
                    }
                    "/share-id/" => json!({ "data": { "share_id": format!("178600000000000{number}") } }),
                    "/oauth/access_token/" | "/oauth/refresh_token/" => json!({ "data": {
                        "access_token": format!("act.{number}"), "expires_in": 1_296_000, "open_id": "open-id-1",
                        "refresh_token": format!("rft.{number}"), "refresh_expires_in": 2_592_000,
                        "scope": "user_info,renew_refresh_token", "error_code": 0,
                    } }),
                    "/oauth/renew_refresh_token/" => {
                        json!({ "data": { "refresh_token": format!("rft.renewed.{number}"), "expires_in": 2_592_000 } })
                    }
                    other => panic!("{other} is not a path of Douyin's"),
                }
            }
        };
        Ok(HttpAnswer { status: 200, headers: Vec::new(), body: Bytes::from(body.to_string()) })
    }
}

struct Shared(Arc<Douyin>);

impl TransportFactory for Shared {
    fn build(&self, _: TransportOptions) -> Result<Arc<dyn Transport>, InvalidTransport> {
        Ok(Arc::clone(&self.0) as _)
    }
}

/// The media's servers: nobody answers, but for what the test says.
#[derive(Default)]
pub struct Media(pub Mutex<HashMap<String, (&'static str, u64)>>);

#[async_trait]
impl Transport for Media {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError> {
        match self.0.lock().unwrap().get(&request.url) {
            Some((kind, length)) => {
                let headers = [("content-type", (*kind).to_owned()), ("content-length", length.to_string())];
                let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
                Ok(HttpAnswer { status: 200, headers, body: Bytes::new() })
            }
            None => Err(TransportError::NotSent { host: String::new(), reason: "nobody".into() }),
        }
    }
}

pub struct MovedClock(AtomicI64);

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Other bytes each time.
#[derive(Default)]
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        let first = self.0.fetch_add(1, Ordering::SeqCst);
        buffer
            .iter_mut()
            .zip(0_u8..)
            .for_each(|(byte, at)| *byte = first.wrapping_mul(7).wrapping_add(at.wrapping_mul(13)));
    }
}

#[derive(Default)]
pub struct Counted(Mutex<Vec<CallbackOutcome>>);

impl PluginTelemetry for Counted {
    fn worked(&self, _: &TenantId, _: &'static str, _: &'static str, _: PluginOutcome, _: Duration) {}

    fn callback(&self, _: &TenantId, _: &'static str, outcome: CallbackOutcome) {
        self.0.lock().unwrap().push(outcome);
    }

    fn behind(&self, _: &TenantId, _: &'static str, _: usize) {}
}

struct Shops(Vec<Arc<Tenant>>);

impl Tenants for Shops {
    fn find(&self, id: &str) -> Option<Arc<Tenant>> {
        self.0.iter().find(|tenant| tenant.id.as_str() == id).cloned()
    }

    fn all(&self) -> Vec<Arc<Tenant>> {
        self.0.clone()
    }
}

pub struct World {
    pub douyin: Arc<Douyin>,
    pub media: Arc<Media>,
    pub store: Arc<dyn Store>,
    pub counted: Arc<Counted>,
    pub host: PluginHost,
    clock: Arc<MovedClock>,
    tenants: Vec<Arc<Tenant>>,
    context: PluginContext,
    _folder: tempfile::TempDir,
}

impl World {
    /// Two shops with the same application.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(SqliteOptions::at(folder.path().join("dukou.db"))).unwrap());
        let douyin = Arc::new(Douyin::default());
        douyin.lasts.store(7200, Ordering::SeqCst);
        let (media, clock) = (Arc::new(Media::default()), Arc::new(MovedClock(AtomicI64::new(START))));
        let outside = Context {
            clock: Arc::clone(&clock) as _,
            random: Arc::new(Counting::default()),
            transports: Arc::new(Shared(Arc::clone(&douyin))),
            shelf: Arc::new(EmptyShelf),
            time: Arc::new(AnyTime),
            shared: Arc::new(ProcessState::default()),
            insecure: false,
        };
        let context = PluginContext { outside, strangers: Arc::clone(&media) as _ };
        let counted = Arc::new(Counted::default());
        let tenants = shops(&context);
        let host = host(&store, &tenants, &clock, &counted);
        World { douyin, media, store, counted, host, clock, tenants, context, _folder: folder }
    }

    /// Another process over the same store.
    pub fn another(&self) -> PluginHost {
        host(&self.store, &shops(&self.context), &self.clock, &self.counted)
    }

    /// What `dukou doctor` finds about the bookshop's section.
    pub async fn diagnose(&self, live: bool) -> Vec<Finding> {
        let plugin = self.tenants[0].plugins.values().next().unwrap();
        plugin.diagnose(live).await
    }

    pub fn wait(&self, duration: Duration) {
        self.clock.0.fetch_add(i64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn call(
        &self,
        tenant: &str,
        operation: &'static str,
        path: &[(&str, &str)],
        body: Value,
    ) -> Result<Value, PluginFailure> {
        let path = path.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let caller = Caller::Backend { key: "backend".into() };
        let body = body.as_object().cloned().unwrap_or_default();
        self.call_as(tenant, operation, path, body, caller).await
    }

    async fn call_as(
        &self,
        tenant: &str,
        operation: &'static str,
        path: BTreeMap<String, String>,
        body: Map<String, Value>,
        caller: Caller,
    ) -> Result<Value, PluginFailure> {
        let tenant = self.tenants.iter().find(|one| one.id.as_str() == tenant).unwrap();
        let call = PluginCall { operation, caller, path, query: Vec::new(), body };
        let reply = self.host.call(tenant, NAME, call).await?;
        Ok(serde_json::from_slice(&reply.body).unwrap())
    }

    pub async fn share(&self, body: Value) -> Result<Value, PluginFailure> {
        self.call("bookshop", "createDouyinShare", &[], body).await
    }

    pub async fn share_as_buyer(&self, body: Value) -> Value {
        let provider = ProviderName::new("wechat").unwrap();
        let caller = Caller::Buyer { provider, openid: "o-buyer".into() };
        let body = body.as_object().cloned().unwrap();
        self.call_as("bookshop", "createDouyinShare", BTreeMap::new(), body, caller).await.unwrap()
    }

    /// A message as Douyin sends it, to the bookshop.
    pub async fn message(&self, id: Option<&str>, body: &Value) -> PluginReply {
        let body = body.to_string();
        let signature = sha1(&format!("{SECRET}{body}"));
        self.raw("bookshop", id, Some(&signature), &body).await
    }

    pub async fn raw(&self, tenant: &str, id: Option<&str>, signature: Option<&str>, body: &str) -> PluginReply {
        send(&self.host, tenant, id, signature, body).await.unwrap()
    }

    pub async fn get(&self, tenant: &str, query: &[(&str, &str)]) -> PluginReply {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request = PluginRequest { query, ..request(RequestMethod::Get) };
        self.host.callback(tenant, NAME, request).await.unwrap()
    }

    pub async fn page(&self, tenant: &str, id: &str, agent: &str) -> PluginReply {
        let headers = vec![("user-agent".to_owned(), agent.to_owned())];
        let request = PluginRequest { rest: id.to_owned(), headers, ..request(RequestMethod::Get) };
        self.host.page(tenant, NAME, "openDouyinShare", request).await.unwrap()
    }

    /// The tenant's events: their kinds and what they show.
    pub async fn events(&self, tenant: &str) -> Vec<(&'static str, Value)> {
        let events = self.store.events(&TenantId::new(tenant).unwrap(), 0, 500).await.unwrap();
        let shown = events.into_iter().map(|event| match event.event.subject {
            Subject::Plugin { data, .. } => (event.event.kind.as_str(), data),
            other => panic!("{other:?}"),
        });
        shown.collect()
    }

    pub async fn kinds(&self, tenant: &str) -> Vec<&'static str> {
        self.events(tenant).await.into_iter().map(|(kind, _)| kind).collect()
    }

    pub fn outcomes(&self) -> Vec<CallbackOutcome> {
        self.counted.0.lock().unwrap().clone()
    }
}

pub async fn send(
    host: &PluginHost,
    tenant: &str,
    id: Option<&str>,
    signature: Option<&str>,
    body: &str,
) -> Result<PluginReply, PluginFailure> {
    let named = [("x-douyin-signature", signature), ("msg-id", id)];
    let headers = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let request = PluginRequest {
        headers: headers.collect(),
        body: Bytes::from(body.to_owned()),
        ..request(RequestMethod::Post)
    };
    host.callback(tenant, NAME, request).await
}

fn request(method: RequestMethod) -> PluginRequest {
    PluginRequest { method, rest: String::new(), query: Vec::new(), headers: Vec::new(), body: Bytes::new() }
}

fn shops(context: &PluginContext) -> Vec<Arc<Tenant>> {
    ["bookshop", "teahouse"].map(|id| shop(id, context)).to_vec()
}

fn shop(id: &str, context: &PluginContext) -> Arc<Tenant> {
    let table = json!({
        "client_key": CLIENT_KEY, "client_secret": SECRET, "apps": { APP: "tt226e54d3bd581bf8" },
    });
    let mut section =
        Section::new("shop.toml", "plugins.douyin-share", table.as_object().unwrap(), &ProcessEnvironment);
    let plugin = DouyinShareFactory.build(&mut section, context).unwrap();
    let plugin = TenantPlugin::new(DouyinShareFactory.info(), plugin).unwrap();
    Arc::new(Tenant {
        id: TenantId::new(id).unwrap(),
        name: "阿飞书店".to_owned(),
        api_keys: Vec::new(),
        late_payment: LatePayment::Accept,
        trade_no_prefix: String::new(),
        providers: BTreeMap::new(),
        plugins: BTreeMap::from([(plugin.name.clone(), Arc::new(plugin))]),
        webhook: None,
    })
}

fn host(
    store: &Arc<dyn Store>,
    tenants: &[Arc<Tenant>],
    clock: &Arc<MovedClock>,
    counted: &Arc<Counted>,
) -> PluginHost {
    PluginHost::start(PluginHostConfig {
        store: Arc::clone(store),
        coordinator: Arc::new(ProcessCoordinator::default()),
        tenants: Arc::new(Shops(tenants.to_vec())),
        clock: Arc::clone(clock) as _,
        telemetry: Arc::clone(counted) as _,
        render: Arc::new(|_| Bytes::new()),
        public_url: "https://pay.example.com".to_owned(),
    })
    .unwrap()
}

/// What a mini-program shares.
pub fn book() -> Value {
    json!({
        "app_id": APP, "title": "边城 <沈从文>", "path": "pages/book/detail?id=42",
        "image_url": "https://img.example.com/42.png", "hashtags": ["读书"], "scene": "1007",
    })
}

pub fn create_video(share_id: &str) -> Value {
    json!({
        "event": "create_video", "from_user_id": "open-id-1", "client_key": CLIENT_KEY,
        "content": { "item_id": "@9VxT0uuF+/==", "share_id": share_id },
    })
}

pub fn sha1(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hex::encode(digest)
}

/// The fields that a refusal names.
pub fn fields(refused: Result<Value, PluginFailure>) -> Vec<(Cow<'static, str>, String)> {
    match refused {
        Err(PluginFailure::Refused(PluginError::Invalid(problems))) => {
            problems.into_iter().map(|WrongField { field, message }| (field, message)).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// The parameters of a schema, decoded.
pub fn params(schema: &str) -> BTreeMap<String, String> {
    let query = schema.strip_prefix("snssdk1128://openplatform/share?").unwrap();
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
