//! Everything one running sandbox holds.

use std::sync::{Mutex, PoisonError, RwLock};

use crate::access_tokens::AccessTokens;
use crate::certs::Authority;
use crate::clock::Clock;
use crate::douyin::Douyin;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::ledger::Ledger;
use crate::lock;
use crate::merchants::{Merchants, People};
use crate::notify::Notifier;
use crate::policy::Policy;
use crate::wechat_v3::V3;

pub struct World {
    pub clock: Clock,
    pub authority: Authority,
    pub merchants: Merchants,
    pub people: People,
    pub access_tokens: AccessTokens,
    pub ledger: Mutex<Ledger>,
    pub journal: Journal,
    pub faults: Faults,
    pub notifier: Notifier,
    pub douyin: Douyin,
    pub v3: V3,
    policy: RwLock<Policy>,
}

impl World {
    pub fn new(authority: Authority, notifier: Notifier, douyin: Douyin, v3: V3) -> Self {
        Self {
            clock: Clock::new(),
            authority,
            merchants: Merchants::default(),
            people: People::default(),
            access_tokens: AccessTokens::default(),
            ledger: Mutex::default(),
            journal: Journal::default(),
            faults: Faults::default(),
            notifier,
            douyin,
            v3,
            policy: RwLock::default(),
        }
    }

    pub fn policy(&self) -> Policy {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn unknown_field_share(&self) -> f64 {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).unknown_field_share
    }

    pub fn date_skew_seconds(&self) -> i32 {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).date_skew_seconds
    }

    pub fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Forgets orders, people, journal, faults, policy, pending notifications and the clock's changes.
    /// Merchants, their certificates, and Douyin's apps stay.
    pub fn reset(&self) {
        *lock(&self.ledger) = Ledger::default();
        self.people.clear();
        self.access_tokens.clear();
        self.faults.clear();
        self.notifier.outgoing().clear();
        self.douyin.reset();
        self.v3.reset(&self.authority);
        self.set_policy(Policy::default());
        self.journal.clear();
        self.clock.reset();
    }
}
