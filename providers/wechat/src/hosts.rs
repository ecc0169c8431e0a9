//! Sends to the first host, and to the backup host where that cannot do harm.

use dukou_spi::transport::{HttpAnswer, HttpRequest, Transport, TransportError, TransportOptions};
use dukou_spi::{ErrorKind, ProviderError, Reason};

use dukou_domain::Secret;

use crate::account::Account;

/// Whether a call that may have arrived can be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It only asks: the backup host answers as well, whatever became of the first try.
    Always,
    /// It moves something: only when it certainly was not sent.
    IfNotSent,
}

/// How an account connects.
pub fn options(account: &Account, identity_pem: Option<Secret>, answer_limit: usize) -> TransportOptions {
    TransportOptions {
        identity_pem,
        extra_roots_pem: account.extra_root.clone(),
        timeout: account.timeout,
        answer_limit,
    }
}

/// Sends what `request` builds for a host's address.
///
/// # Errors
/// What `request` says, or [`from_transport`] makes of the last failure.
pub async fn send(
    account: &Account,
    transport: &dyn Transport,
    repeat: Repeat,
    request: impl Fn(&str) -> Result<HttpRequest, ProviderError> + Send + Sync,
) -> Result<HttpAnswer, ProviderError> {
    let first = transport.send(request(&account.base_url)?).await;
    let Some(backup) = &account.backup_url else { return first.map_err(from_transport) };
    let again = match (&first, repeat) {
        (Err(TransportError::NotSent { .. }), _) => true,
        (Err(_), Repeat::Always) => true,
        (Ok(answer), Repeat::Always) => answer.status >= 500,
        (_, Repeat::IfNotSent) => false,
    };
    if !again {
        return first.map_err(from_transport);
    }
    transport.send(request(backup)?).await.map_err(from_transport)
}

/// What a call without a whole answer means.
pub fn from_transport(error: TransportError) -> ProviderError {
    let (kind, reason) = match &error {
        TransportError::NotSent { .. } => (ErrorKind::NotSent, Reason::Transport),
        TransportError::Timeout { .. } => (ErrorKind::Unknown, Reason::Timeout),
        TransportError::Broken { .. } | TransportError::TooLong { .. } => (ErrorKind::Unknown, Reason::Transport),
    };
    ProviderError::new(kind, reason, error.to_string()).with_source(error)
}

/// An answer that came, but says nothing that can be relied on.
pub fn unreadable(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Unknown, Reason::Transport, message)
}
