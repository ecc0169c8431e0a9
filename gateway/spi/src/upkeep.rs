//! What keeps an account in working order besides its payments: keys that age, the platform's
//! time, and words for a person whose set-up does not work.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dukou_domain::Timestamp;

/// A key or certificate that a provider depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustKey {
    /// The certificate's serial number, or the platform's name of the key.
    pub serial: String,
    /// `None` for a key without an end.
    pub expires_at: Option<Timestamp>,
}

/// Trust material as it came from a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// When the platform gave it, by this machine's clock; what is younger is not replaced.
    pub fetched_at: Timestamp,
    /// In the provider's own form. Whoever reads it back checks it as if it had just come.
    pub content: Bytes,
}

/// Keeps the trust material that providers fetched, so that other instances, and this one after a
/// restart, need not fetch it. Losing it costs a download.
#[async_trait]
pub trait TrustShelf: Send + Sync {
    /// What was last kept for an account (a name that the provider makes up); `None` too where the
    /// shelf cannot be reached.
    async fn load(&self, account: &str) -> Option<Kept>;

    /// Keeps it, unless something younger is there.
    async fn keep(&self, account: &str, kept: Kept);

    /// What the providers of an account share within this process, in the provider's own form: a lock, for example, so
    /// that one fetches and the others wait for it. It is `made` for who asks first, or, on a shelf that nobody shares,
    /// for everyone who asks.
    fn common(&self, _: &str, made: Arc<dyn Any + Send + Sync>) -> Arc<dyn Any + Send + Sync> {
        made
    }
}

/// A shelf for a process that ends soon.
pub struct EmptyShelf;

#[async_trait]
impl TrustShelf for EmptyShelf {
    async fn load(&self, _: &str) -> Option<Kept> {
        None
    }

    async fn keep(&self, _: &str, _: Kept) {}
}

/// Hears what time it is at the platforms from what they sign; what the `Date` of their answers says is
/// the transport's.
pub trait PlatformTime: Send + Sync {
    /// A message whose signature holds was signed at `theirs` by the platform at `host`. It may be
    /// old: somebody can have kept it.
    fn signed(&self, host: &str, theirs: Timestamp);
}

/// For a process that does not depend on its clock.
pub struct AnyTime;

impl PlatformTime for AnyTime {
    fn signed(&self, _: &str, _: Timestamp) {}
}

/// What a provider is asked to look at in its own set-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    /// Where the platform would tell of payments.
    pub notify_url: String,
    /// Whether the platform may be called. Only calls that change nothing, or nothing that lasts.
    pub live: bool,
    /// A user to make an order for (it is closed at once), to see whether the app knows them.
    pub openid: Option<String>,
    /// What the tenant's other providers present to their platforms: it may be of the same merchant, and tell what this
    /// one's section leaves out.
    pub certificates: Vec<Presented>,
}

/// A certificate of another section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The section (`providers.wechat`).
    pub section: String,
    /// The certificate as it is presented, for comparing and reading.
    pub der: Vec<u8>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// It was looked at and is right.
    Good,
    /// It works, and will not for long or not always.
    Warning,
    /// It does not work.
    Error,
}

/// One thing about a set-up, an account's or a plugin's, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Decides how it is shown and whether `dukou doctor` fails.
    pub grade: Grade,
    /// The key of its own section that it is about (`serial_no`).
    pub key: &'static str,
    /// What was found, in plain words. Holds no secret.
    pub message: String,
    /// What to do about it; empty where there is nothing to do.
    pub fix: String,
}

impl Finding {
    /// What was looked at and is right; there is nothing to do.
    pub fn good(key: &'static str, message: impl Into<String>) -> Self {
        Finding { grade: Grade::Good, key, message: message.into(), fix: String::new() }
    }

    /// What works, but not for long or not always.
    pub fn warning(key: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Finding { grade: Grade::Warning, key, message: message.into(), fix: fix.into() }
    }

    /// What does not work.
    pub fn error(key: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Finding { grade: Grade::Error, key, message: message.into(), fix: fix.into() }
    }
}
