//! Apps of the open platform (移动/网站应用), as its console holds them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// What an app may do unless it is made with fewer: the scopes that sharing, login and webhooks ask for.
const ALL_SCOPES: [&str; 14] = [
    "h5.share",
    "open.get.ticket",
    "jump.basic",
    "aweme.share",
    "aweme.forward",
    "aweme.webhook",
    "user_info",
    "mobile_alert",
    "renew_refresh_token",
    "item.comment",
    "im.direct_message",
    "im.group_message",
    "data.external.item",
    "data.external.user",
];

/// One website or mobile app.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DouyinApp {
    pub client_key: String,
    pub client_secret: SecretString,
    /// What people see as the source of a share.
    #[serde(default)]
    pub name: String,
    /// What webhooks are signed with; the client secret unless given.
    pub webhook_secret: Option<SecretString>,
    /// Where webhooks go. Set here it is not checked; the control API checks it as the console does.
    pub webhook_url: Option<String>,
    /// The host that `redirect_uri` must have; any unless given.
    pub redirect_host: Option<String>,
    #[serde(default = "all_scopes")]
    pub scopes: Vec<String>,
    /// The Douyin mini-programs (`tt…`) that a share may carry; any well-formed one unless given.
    pub mini_programs: Option<Vec<String>>,
}

fn all_scopes() -> Vec<String> {
    ALL_SCOPES.iter().map(|&scope| scope.to_owned()).collect()
}

impl DouyinApp {
    /// An app with every scope and without a webhook address.
    pub fn new(client_key: &str, client_secret: &str) -> Self {
        Self {
            client_key: client_key.to_owned(),
            client_secret: client_secret.to_owned().into(),
            name: String::new(),
            webhook_secret: None,
            webhook_url: None,
            redirect_host: None,
            scopes: all_scopes(),
            mini_programs: None,
        }
    }

    /// Names the app.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The two apps a sandbox starts with unless told otherwise. Their secrets are public: they guard nothing.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::new("awbookshop000001", "5f0c2d7be19a4836bd51c07e92a4f6d3").named("渡口书店"),
            Self::new("awteahouse000002", "c81e72b0d5f94a3f86e0419d7a25bc60").named("渡口茶馆"),
        ]
    }

    pub(super) fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }

    pub(super) fn webhook_key(&self) -> &str {
        self.webhook_secret.as_ref().unwrap_or(&self.client_secret).expose_secret()
    }

    pub(super) fn shown_name(&self) -> &str {
        if self.name.is_empty() { &self.client_key } else { &self.name }
    }
}

/// All apps, by client_key.
#[derive(Default)]
pub struct Apps(RwLock<BTreeMap<String, Arc<DouyinApp>>>);

impl Apps {
    /// Adds an app or replaces the one of that client_key.
    pub fn put(&self, app: DouyinApp) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(app.client_key.clone(), Arc::new(app));
    }

    pub fn get(&self, client_key: &str) -> Option<Arc<DouyinApp>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(client_key).cloned()
    }

    pub fn all(&self) -> Vec<Arc<DouyinApp>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Sets or takes away the webhook address; false if there is no such app.
    pub fn set_webhook_url(&self, client_key: &str, url: Option<String>) -> bool {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(app) = all.get_mut(client_key) else { return false };
        Arc::make_mut(app).webhook_url = url;
        true
    }
}
