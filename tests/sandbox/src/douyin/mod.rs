//! Douyin's open platform (抖音开放平台) for sharing, login and webhooks, and the Douyin app on a phone.

mod api;
mod apps;
mod content;
mod control;
mod faults;
mod oauth;
mod open;
mod page;
mod people;
mod policy;
mod schema;
mod sign;
mod tokens;
#[cfg(test)]
mod vectors;
mod webhook;
mod works;

use std::sync::{Mutex, PoisonError, RwLock};

use actix_web::web;
use serde_json::Value;

pub use apps::DouyinApp;
pub use webhook::Webhooks;

use crate::lock;
use crate::world::World;
use apps::Apps;
use faults::Faults;
use oauth::Grants;
use policy::Policy;
use tokens::Tokens;
use webhook::{Event, Wanted};
use works::Works;

/// Where short links lead (protocol 1.7).
const SHORT_LINK_PATH: &str = "/platform/oauth/slink/";

/// Everything Douyin's side holds.
pub struct Douyin {
    pub apps: Apps,
    faults: Faults,
    tokens: Mutex<Tokens>,
    grants: Mutex<Grants>,
    works: Mutex<Works>,
    pub webhooks: Webhooks,
    policy: RwLock<Policy>,
}

impl Douyin {
    pub fn new(webhooks: Webhooks) -> Self {
        Self {
            apps: Apps::default(),
            faults: Faults::default(),
            tokens: Mutex::default(),
            grants: Mutex::default(),
            works: Mutex::default(),
            webhooks,
            policy: RwLock::default(),
        }
    }

    fn policy(&self) -> Policy {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Forgets everything but the apps.
    pub fn reset(&self) {
        *lock(&self.tokens) = Tokens::default();
        *lock(&self.grants) = Grants::default();
        *lock(&self.works) = Works::default();
        self.faults.clear();
        self.webhooks.outgoing().clear();
        self.set_policy(Policy::default());
    }
}

/// Tells an app of something, if it has an address and the policy lets it.
fn tell(world: &World, client_key: &str, event: &str, from: Option<&str>, content: Value) -> Option<u64> {
    if !world.douyin.policy().auto_webhook {
        return None;
    }
    let event = Event { from_user_id: from.map(str::to_owned), ..Event::new(client_key, event, content) };
    world.douyin.webhooks.enqueue(world, event, &Wanted::default())
}

pub fn routes(config: &mut web::ServiceConfig) {
    config.configure(api::routes).configure(page::connect_routes);
    config.service(web::scope("/_sandbox/douyin").configure(control::routes).configure(page::routes));
}
