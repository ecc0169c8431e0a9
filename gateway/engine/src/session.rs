//! Sessions of a mini-program's users: a login code of the platform becomes a token of our own.
//!
//! A token is `dks1_`, then base64url of its claims, a dot, and base64url of an HMAC-SHA256 over
//! everything before the dot. Nothing is kept for it: whoever has the key can check it. The key is made of a secret in
//! the store and of an API key of the tenant, so that a copy of the store alone signs nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dukou_domain::{ProviderName, Secret, Timestamp};
use dukou_spi::FieldProblem;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::engine::{Engine, provider_of};
use crate::error::EngineError;
use crate::ports::StoreError;
use crate::tenant::Tenant;

/// What every session token begins with.
pub const SESSION_PREFIX: &str = "dks1_";
/// The name of the key in the store.
const KEY: &str = "sessions";
/// No token of ours is longer.
const LONGEST_TOKEN: usize = 1024;
/// A code works once, but a phone sends a request again whose answer it lost: for this long the same
/// code gives the same session.
const CODES_KEPT: Duration = Duration::from_secs(5 * 60);
/// By how much the clocks of two instances may differ without a session of one being none for the other.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5 * 60);
/// At most this many codes are remembered.
const MOST_CODES: usize = 10_000;

/// A user who logged in.
#[derive(Debug, Clone)]
pub struct Session {
    pub openid: String,
    pub unionid: Option<String>,
    pub token: Secret,
    pub expires_at: Timestamp,
}

/// What a token says about who carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionClaims {
    pub provider: ProviderName,
    pub openid: String,
    pub expires_at: Timestamp,
}

/// The signing key, once it was needed, and the codes of the last minutes.
#[derive(Default)]
pub(crate) struct Sessions {
    key: OnceCell<hmac::Key>,
    codes: Mutex<Codes>,
}

impl Engine {
    /// Exchanges a login code for a session. The same code again within five minutes is the same
    /// session, also while the first call still runs; other instances do not know it, and who may come to one of them
    /// with the same code names an idempotency key.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a provider that is not configured or has no login;
    /// [`EngineError::Provider`], for a code that is wrong, used or expired with
    /// [`dukou_spi::Reason::InvalidCode`]; [`EngineError::Store`].
    pub async fn open_session(
        &self,
        tenant: &Tenant,
        provider: &ProviderName,
        code: Secret,
    ) -> Result<Session, EngineError> {
        let offered = provider_of(tenant, provider)?;
        if !offered.capabilities().login {
            let message = format!("{provider} has no login; send the payer's openid from the backend");
            return Err(EngineError::Invalid(vec![FieldProblem { field: "provider", message }]));
        }
        let key = self.session_key().await?;
        let name = CodeName::new(tenant, provider, &offered.info().app_id, &code);
        let opening = self.codes().opening(name, self.now());
        let opened = opening
            .get_or_try_init(|| async {
                let login = self.calls(provider, offered).login(&code).await?;
                let expires_at = self.now().plus(self.config.session_expires_after);
                let claims = SessionClaims { provider: provider.clone(), openid: login.openid, expires_at };
                let token = sign(key, tenant, &claims);
                Ok(Session { openid: claims.openid, unionid: login.unionid, token, expires_at })
            })
            .await
            .cloned();
        if opened.is_err() {
            self.codes().forget(&name, &opening);
        }
        opened
    }

    /// A session that was opened before, for an answer that is given again: the token is made of the
    /// claims alone, so it need not have been kept.
    ///
    /// # Errors
    /// When the key cannot be had from the store.
    pub async fn session_again(
        &self,
        tenant: &Tenant,
        claims: SessionClaims,
        unionid: Option<String>,
    ) -> Result<Session, StoreError> {
        let token = sign(self.session_key().await?, tenant, &claims);
        Ok(Session { openid: claims.openid, unionid, token, expires_at: claims.expires_at })
    }

    /// Who carries this token; `None` for anything that is no valid token of this tenant, one of
    /// a provider that it no longer has, or one that would last longer than those that are made now.
    ///
    /// # Errors
    /// When the key cannot be had from the store.
    pub async fn read_session(&self, tenant: &Tenant, token: &[u8]) -> Result<Option<SessionClaims>, StoreError> {
        let key = self.session_key().await?;
        let now = self.now();
        let latest = now.plus(self.config.session_expires_after).plus(CLOCKS_DIFFER);
        let in_time = |claims: &SessionClaims| now < claims.expires_at && claims.expires_at <= latest;
        Ok(verify(key, tenant, token)
            .filter(|claims| in_time(claims) && tenant.providers.contains_key(&claims.provider)))
    }

    async fn session_key(&self) -> Result<&hmac::Key, StoreError> {
        self.sessions
            .key
            .get_or_try_init(|| async {
                let secret = self.store.secret(KEY).await?;
                Ok(hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()))
            })
            .await
    }

    fn codes(&self) -> std::sync::MutexGuard<'_, Codes> {
        self.sessions.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of a tenant's tokens, one for each of its API keys; the first signs.
fn keys_of(key: &hmac::Key, tenant: &Tenant) -> impl Iterator<Item = hmac::Key> {
    let secrets = tenant.api_keys.iter().map(|key| &key.secret).filter(|secret| !secret.is_empty());
    secrets.map(move |secret| {
        let mut context = hmac::Context::with_key(key);
        // No token begins like this.
        context.update(b"api key\n");
        context.update(secret.expose().as_bytes());
        hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
    })
}

fn sign(key: &hmac::Key, tenant: &Tenant, claims: &SessionClaims) -> Secret {
    let claims =
        serde_json::json!([tenant.id.as_str(), claims.provider.as_str(), claims.openid, claims.expires_at.as_millis()]);
    let signed = format!("{SESSION_PREFIX}{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let own = keys_of(key, tenant).next();
    let mac = hmac::sign(own.as_ref().unwrap_or(key), signed.as_bytes());
    Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref())))
}

fn verify(key: &hmac::Key, tenant: &Tenant, token: &[u8]) -> Option<SessionClaims> {
    let token = std::str::from_utf8(token).ok().filter(|token| token.len() <= LONGEST_TOKEN)?;
    let (signed, mac) = token.split_once('.')?;
    let claims = signed.strip_prefix(SESSION_PREFIX)?;
    let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
    // In constant time.
    let is_signed = |key: &hmac::Key| hmac::verify(key, signed.as_bytes(), &mac).is_ok();
    let mut own = keys_of(key, tenant).peekable();
    let known = if own.peek().is_none() { is_signed(key) } else { own.any(|key| is_signed(&key)) };
    if !known {
        return None;
    }
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let [of, provider, openid, expires_at] = claims.as_array()?.as_slice() else { return None };
    if of.as_str()? != tenant.id.as_str() {
        return None;
    }
    Some(SessionClaims {
        provider: ProviderName::new(provider.as_str()?).ok()?,
        openid: openid.as_str()?.to_owned(),
        expires_at: Timestamp::from_millis(expires_at.as_i64()?),
    })
}

/// SHA-256 over whose code it is and the code, which itself is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct CodeName([u8; digest::SHA256_OUTPUT_LEN]);

impl CodeName {
    fn new(tenant: &Tenant, provider: &ProviderName, app_id: &str, code: &Secret) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [tenant.id.as_str(), provider.as_str(), app_id, code.expose()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut name = [0; digest::SHA256_OUTPUT_LEN];
        name.copy_from_slice(context.finish().as_ref());
        CodeName(name)
    }
}

type Opening = Arc<OnceCell<Session>>;

/// The codes of the last minutes, oldest first, and what they became.
#[derive(Default)]
struct Codes {
    by_name: HashMap<CodeName, Opening>,
    order: VecDeque<(CodeName, Timestamp)>,
}

impl Codes {
    /// What the code became, or is becoming.
    fn opening(&mut self, name: CodeName, now: Timestamp) -> Opening {
        let late = |entered: &Timestamp| entered.plus(CODES_KEPT) <= now;
        while self.order.front().is_some_and(|(_, entered)| late(entered)) {
            self.drop_oldest();
        }
        if let Some(known) = self.by_name.get(&name) {
            return Arc::clone(known);
        }
        if self.order.len() >= MOST_CODES {
            self.drop_oldest();
        }
        self.order.push_back((name, now));
        let opening = Opening::default();
        self.by_name.insert(name, Arc::clone(&opening));
        opening
    }

    fn drop_oldest(&mut self) {
        if let Some((oldest, _)) = self.order.pop_front() {
            self.by_name.remove(&oldest);
        }
    }

    /// A login that failed leaves nothing behind, so that invented codes crowd out no real one.
    fn forget(&mut self, name: &CodeName, failed: &Opening) {
        let is_it = |known: &Opening| Arc::ptr_eq(known, failed) && !known.initialized();
        if self.by_name.get(name).is_some_and(is_it) {
            self.by_name.remove(name);
            if let Some(at) = self.order.iter().rposition(|(known, _)| known == name) {
                self.order.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    use dukou_domain::TenantId;

    use crate::tenant::ApiKey;

    fn tenant(id: &str) -> Tenant {
        with_keys(id, &["sk-one"])
    }

    fn with_keys(id: &str, keys: &[&str]) -> Tenant {
        Tenant {
            id: TenantId::new(id).unwrap(),
            name: String::new(),
            api_keys: keys.iter().map(|key| ApiKey { id: String::new(), secret: Secret::new(*key) }).collect(),
            late_payment: Default::default(),
            trade_no_prefix: String::new(),
            providers: BTreeMap::new(),
            plugins: BTreeMap::new(),
            webhook: None,
        }
    }

    fn key(byte: u8) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[byte; 32])
    }

    fn claims() -> SessionClaims {
        SessionClaims {
            provider: ProviderName::new("wechat").unwrap(),
            openid: "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".into(),
            expires_at: Timestamp::from_millis(1_795_424_400_123),
        }
    }

    #[test]
    fn a_token_reads_back_under_its_key_and_tenant_only() {
        let token = sign(&key(1), &tenant("shop"), &claims());
        let token = token.expose().as_bytes();
        assert_eq!(verify(&key(1), &tenant("shop"), token), Some(claims()));
        assert_eq!(verify(&key(2), &tenant("shop"), token), None);
        assert_eq!(verify(&key(1), &tenant("shop2"), token), None);
    }

    /// What a copy of the store holds is `key(1)`; the API keys are elsewhere.
    #[test]
    fn a_token_is_good_while_one_of_the_tenants_keys_signed_it() {
        let token = |keys: &[&str]| sign(&key(1), &with_keys("shop", keys), &claims());
        let cases: [(&[&str], &[&str], bool); 9] = [
            (&["sk-one"], &["sk-one"], true),
            (&["sk-one"], &["sk-two", "sk-one"], true),
            (&["sk-two", "sk-one"], &["sk-two"], true),
            (&["sk-one"], &["sk-two"], false),
            (&["sk-one", "sk-two"], &["sk-two"], false),
            (&[], &["sk-one"], false),
            (&[""], &["sk-one", ""], false),
            (&[""], &[], true),
            (&["sk-one"], &[], false),
        ];
        for (signed, known, good) in cases {
            let read = verify(&key(1), &with_keys("shop", known), token(signed).expose().as_bytes());
            assert_eq!(read.is_some(), good, "{signed:?} {known:?}");
        }
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let token = sign(&key(1), &tenant("shop"), &claims());
        let token = token.expose().as_bytes();
        for at in 0..token.len() {
            for other in [b'A', b'B', b'.', b'-', 0xff] {
                let mut changed = token.to_vec();
                changed[at] = other;
                let same = changed == token;
                assert_eq!(verify(&key(1), &tenant("shop"), &changed).is_some(), same, "byte {at}");
            }
            assert_eq!(verify(&key(1), &tenant("shop"), &token[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn codes_are_remembered_for_a_while_and_within_a_limit() {
        let name =
            |number: usize| CodeName::new(&tenant("shop"), &claims().provider, "wx1", &Secret::new(number.to_string()));
        let at = |millis| Timestamp::from_millis(millis);
        let kept = i64::try_from(CODES_KEPT.as_millis()).unwrap();
        let mut codes = Codes::default();
        let first = codes.opening(name(0), at(0));
        assert!(Arc::ptr_eq(&first, &codes.opening(name(0), at(kept - 1))));
        assert!(!Arc::ptr_eq(&first, &codes.opening(name(0), at(kept))));
        for number in 1..=MOST_CODES + 5 {
            codes.opening(name(number), at(kept));
        }
        assert_eq!((codes.by_name.len(), codes.order.len()), (MOST_CODES, MOST_CODES));
        let failed = codes.opening(name(7_777), at(kept));
        codes.forget(&name(7_777), &failed);
        assert_eq!((codes.by_name.len(), codes.order.len()), (MOST_CODES - 1, MOST_CODES - 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_not_a_panic(token in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(verify(&key(1), &tenant("shop"), &token), None);
            let prefixed = [SESSION_PREFIX.as_bytes(), &token].concat();
            prop_assert_eq!(verify(&key(1), &tenant("shop"), &prefixed), None);
        }
    }
}
