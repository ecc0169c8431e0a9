//! The plugin: what it offers, and where each request goes.

use std::time::Duration;

use async_trait::async_trait;
use dukou_domain::{EventKind, Secret, Timestamp};
use dukou_spi::Finding;
use dukou_spi::plugin::{
    Access, Batch, CallMethod, CallSpec, CallbackReply, Caller, Document, Host, PageSpec, Plugin, PluginCall,
    PluginContext, PluginError, PluginInfo, PluginLimits, PluginReply, PluginRequest, RequestMethod, Schema,
    WrongField,
};
use serde_json::Value;

use crate::config::Settings;
use crate::convert::{App, Refusal, Share, convert, to_probe};
use crate::holder::Holder;
use crate::probe::probe;
use crate::request::read_share;
use crate::share::Record;
use crate::text::random;
use crate::{api, authorization, doctor, message, oauth, page, share, sign, webhook, whose};

/// Of a share's own id, in letters and digits: 100 bits.
const ID_LENGTH: usize = 20;
const NONCE_LENGTH: usize = 32;
/// A longer schema is refused: what passes it on, an app or a code, has limits that nobody tells.
const LONGEST_SCHEMA: usize = 16 * 1024;
/// As long as Douyin's ids are.
const LIKE_A_SHARE_ID: &str = "00000000000000000000";

const SHARE: Schema = Schema { name: "DouyinShare", json: include_str!("../schemas/share.json") };
const CREATE_SHARE: Schema = Schema { name: "CreateDouyinShare", json: include_str!("../schemas/create-share.json") };
const AUTHORIZATION: Schema =
    Schema { name: "DouyinAuthorization", json: include_str!("../schemas/authorization.json") };
const BEGIN: Schema =
    Schema { name: "BeginDouyinAuthorization", json: include_str!("../schemas/begin-authorization.json") };
const BEGUN: Schema =
    Schema { name: "BegunDouyinAuthorization", json: include_str!("../schemas/begun-authorization.json") };

const CALLS: &[CallSpec] = &[
    CallSpec {
        operation: "createDouyinShare",
        method: CallMethod::Post,
        path: "/v1/{tenant}/shares/douyin",
        access: Access::KeyOrSession,
        summary: "Share to Douyin what a WeChat mini-program shares.",
        description: "Nothing is posted without the user's tap in Douyin. `schema` is signed for the moment, for a \
                      phone's browser; everybody else is sent to `landing_url`, which signs when it is opened. A \
                      share is open for 24 hours.",
        request: Some(&CREATE_SHARE),
        status: 201,
        answers: "The share is on record.",
        answer: &SHARE,
    },
    CallSpec {
        operation: "getDouyinShare",
        method: CallMethod::Get,
        path: "/v1/{tenant}/shares/douyin/{id}",
        access: Access::Key,
        summary: "Read a share.",
        description: "",
        request: None,
        status: 200,
        answers: "The share.",
        answer: &SHARE,
    },
    CallSpec {
        operation: "beginDouyinAuthorization",
        method: CallMethod::Post,
        path: "/v1/{tenant}/authorizations/douyin",
        access: Access::Key,
        summary: "Begin a user's authorization at Douyin.",
        description: "Send the user to `authorize_url` within ten minutes. What becomes of it is told by the events \
                      `authorization.granted`, `.revoked` and `.expired`; tokens never leave the gateway.",
        request: Some(&BEGIN),
        status: 201,
        answers: "Where to send the user.",
        answer: &BEGUN,
    },
    CallSpec {
        operation: "getDouyinAuthorization",
        method: CallMethod::Get,
        path: "/v1/{tenant}/authorizations/douyin/{open_id}",
        access: Access::Key,
        summary: "Read a user's authorization.",
        description: "",
        request: None,
        status: 200,
        answers: "The authorization, without its tokens.",
        answer: &AUTHORIZATION,
    },
];

/// `GET /s/{share}`.
pub const LANDING: PageSpec = PageSpec {
    operation: "openDouyinShare",
    path: "/s/{share}",
    summary: "The landing page of a share.",
    answers: "A page that opens Douyin on a phone, tells a WeChat web-view to open in the browser, and shows a QR \
              code on a desktop.",
};

pub static INFO: PluginInfo = PluginInfo {
    name: "douyin-share",
    calls: CALLS,
    pages: &[LANDING],
    callback: "POST for webhooks, GET for OAuth's redirect",
    events: &[],
    raises: &[
        EventKind::ShareCreated,
        EventKind::SharePublished,
        EventKind::ShareExpired,
        EventKind::AuthorizationGranted,
        EventKind::AuthorizationRevoked,
        EventKind::AuthorizationExpired,
        EventKind::MessageReceived,
    ],
    limits: PluginLimits {
        call: Duration::from_secs(15),
        // Douyin waits five seconds for its webhooks; OAuth's redirect asks Douyin in between.
        callback: Duration::from_secs(12),
        page: Duration::from_secs(12),
        work: Duration::from_secs(15),
        at_once: 32,
        body: 64 * 1024,
    },
};

/// One tenant's application at Douyin.
pub struct DouyinShare {
    pub settings: Settings,
    pub context: PluginContext,
    pub holder: Holder,
}

impl DouyinShare {
    pub fn new(settings: Settings, context: PluginContext) -> Self {
        let holder = Holder::new(&settings);
        DouyinShare { settings, context, holder }
    }

    pub fn now(&self) -> Timestamp {
        self.context.outside.clock.now()
    }

    /// The link that opens Douyin, signed at this moment.
    pub fn schema(&self, ticket: &Secret, record: &Record) -> String {
        let mut params = record.params.clone();
        let nonce = random(self.context.outside.random.as_ref(), NONCE_LENGTH);
        params.insert("client_key".to_owned(), self.settings.client_key.clone());
        params.insert("nonce_str".to_owned(), nonce);
        params.insert("timestamp".to_owned(), self.now().as_seconds().to_string());
        params.insert("state".to_owned(), record.share_id.clone());
        sign::schema(ticket, params)
    }

    /// Converts, asks Douyin for an id, keeps the share, and only then answers.
    async fn create(&self, host: &dyn Host, call: &PluginCall) -> Result<PluginReply, PluginError> {
        let share = read_share(&call.body).map_err(PluginError::Invalid)?;
        let apps = self.apps_for(host);
        let refused = |refusal: Refusal| PluginError::Invalid(vec![refusal.problem()]);
        // What is wrong by itself needs no question to anybody.
        let converted = convert(&share, &apps, &Default::default()).map_err(refused)?;
        let now = self.now();
        let like = Record::new(String::new(), LIKE_A_SHARE_ID.to_owned(), &share, converted, &call.caller, now);
        match self.schema(&Secret::new(""), &like).len() {
            length if length > LONGEST_SCHEMA => return Err(PluginError::Invalid(vec![too_long(&share, length)])),
            _ => {}
        }
        let probes = if self.settings.probe_media {
            probe(self.context.strangers.as_ref(), to_probe(&share)).await
        } else {
            Default::default()
        };
        let converted = convert(&share, &apps, &probes).map_err(refused)?;
        let clock = self.context.outside.clock.as_ref();
        let ticket = self.holder.ticket(&self.settings, host, clock).await?;
        let share_id = self
            .holder
            .with_token(&self.settings, host, clock, |token| async move { api::share_id(&self.settings, &token).await })
            .await?;
        let id = random(self.context.outside.random.as_ref(), ID_LENGTH);
        let now = self.now();
        let record = Record::new(id, share_id, &share, converted, &call.caller, now);
        let schema = self.schema(&ticket.value, &record);
        let mut shown = record.shown(&host.page_url(&LANDING, &record.id), now);
        // First: what nobody's share is known by does no harm.
        whose::remember(&self.settings, host, &record.share_id).await?;
        host.documents().write(record.insert(shown.clone())).await?;
        shown["schema"] = Value::from(schema);
        Ok(PluginReply::json(201, &shown))
    }

    /// The mini-programs with a title for each: where none is configured, the shop's own name.
    fn apps_for(&self, host: &dyn Host) -> std::collections::BTreeMap<String, App> {
        let titled = self.settings.apps.iter().map(|(wechat, app)| {
            let mut app = app.clone();
            if app.title.is_empty() {
                host.tenant_name().clone_into(&mut app.title);
            }
            (wechat.clone(), app)
        });
        titled.collect()
    }

    async fn read(&self, host: &dyn Host, call: &PluginCall) -> Result<PluginReply, PluginError> {
        let id = call.path.get("id").map_or("", String::as_str);
        let found = share::find(host.documents(), id).await?;
        let (_, record) = found.ok_or_else(|| PluginError::NotFound("share".to_owned()))?;
        Ok(PluginReply::json(200, &record.shown(&host.page_url(&LANDING, &record.id), self.now())))
    }

    async fn read_authorization(&self, host: &dyn Host, call: &PluginCall) -> Result<PluginReply, PluginError> {
        let nothing = || PluginError::NotFound("authorization".to_owned());
        let key = call.path.get("open_id").and_then(|open_id| authorization::key(open_id)).ok_or_else(nothing)?;
        let document = host.documents().get(authorization::COLLECTION, key).await?.ok_or_else(nothing)?;
        Ok(PluginReply::json(200, &authorization::Record::read(&document)?.shown()))
    }
}

/// Names the field that takes most of the room.
fn too_long(share: &Share, length: usize) -> WrongField {
    let images: usize = share.image_urls.iter().map(String::len).sum();
    let title = share.title.as_ref().map_or(0, String::len);
    let field = if images > title { "image_urls" } else { "title" };
    let message = format!(
        "the link to Douyin would have {length} bytes, expected at most {LONGEST_SCHEMA}; use a shorter title or \
         fewer and shorter addresses"
    );
    WrongField::new(field, message)
}

#[async_trait]
impl Plugin for DouyinShare {
    async fn call(&self, host: &dyn Host, call: PluginCall) -> Result<PluginReply, PluginError> {
        match (call.operation, &call.caller) {
            ("createDouyinShare", _) => self.create(host, &call).await,
            ("getDouyinShare", Caller::Backend { .. }) => self.read(host, &call).await,
            ("beginDouyinAuthorization", Caller::Backend { .. }) => oauth::begin(self, host, &call).await,
            ("getDouyinAuthorization", Caller::Backend { .. }) => self.read_authorization(host, &call).await,
            (other, _) => Err(PluginError::Internal(format!("{other} is no call of this plugin"))),
        }
    }

    async fn callback(&self, host: &dyn Host, request: PluginRequest) -> Result<CallbackReply, PluginError> {
        if !request.rest.is_empty() {
            return Err(PluginError::NotFound("callback address".to_owned()));
        }
        match request.method {
            RequestMethod::Post => webhook::receive(self, host, &request).await,
            RequestMethod::Get => oauth::redirected(self, host, &request).await,
        }
    }

    async fn page(&self, host: &dyn Host, request: PluginRequest) -> Result<PluginReply, PluginError> {
        page::landing(self, host, &request).await
    }

    async fn due(&self, host: &dyn Host, document: Document) -> Result<(), PluginError> {
        let documents = host.documents();
        match document.collection.as_str() {
            share::COLLECTION => Ok(share::due(self, host, document).await?),
            authorization::COLLECTION => authorization::due(&self.settings, host, document, self.now()).await,
            message::COLLECTION | oauth::STATES => Ok(documents.write(Batch::default().delete(&document)).await?),
            other => Err(PluginError::Internal(format!("a document of {other} is never due"))),
        }
    }

    async fn diagnose(&self, live: bool) -> Vec<Finding> {
        if live { doctor::diagnose(&self.settings).await } else { Vec::new() }
    }
}
