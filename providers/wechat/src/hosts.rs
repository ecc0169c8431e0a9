//! Sends to the first host, and to the backup host where that cannot do harm. Both together have the
//! account's time-out.

use std::time::Duration;

use dukou_spi::transport::{HttpAnswer, HttpRequest, Transport, TransportError, TransportOptions};
use dukou_spi::{ErrorKind, ProviderError, Reason};

use dukou_domain::Secret;
use tokio::time::Instant;

use crate::account::Account;

/// Of the account's time-out, the tenths that a silent first host is waited for where the backup host may be
/// asked too. A connection is given up earlier, after half of it at most.
const FIRST_TENTHS: u32 = 6;
/// Over the time-out: a connection that is given up at its very end was never used, and is to say so.
const GRACE: Duration = Duration::from_millis(200);

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
    let Some(backup) = &account.backup_url else {
        return transport.send(request(&account.base_url)?).await.map_err(from_transport);
    };
    let started = Instant::now();
    let share = match repeat {
        Repeat::Always => account.timeout / 10 * FIRST_TENTHS,
        Repeat::IfNotSent => account.timeout + GRACE,
    };
    let first = within(share, transport, request(&account.base_url)?, account.host()).await;
    let again = match (&first, repeat) {
        (Err(TransportError::NotSent { .. }), _) => true,
        (Err(_), Repeat::Always) => true,
        (Ok(answer), Repeat::Always) => answer.status >= 500,
        (_, Repeat::IfNotSent) => false,
    };
    if !again {
        return first.map_err(from_transport);
    }
    let rest = account.timeout.saturating_sub(started.elapsed()) + GRACE;
    within(rest, transport, request(backup)?, backup).await.map_err(from_transport)
}

/// Sends, and gives up after `limit`: something may have been sent by then.
async fn within(
    limit: Duration,
    transport: &dyn Transport,
    request: HttpRequest,
    host: &str,
) -> Result<HttpAnswer, TransportError> {
    let sent = tokio::time::timeout(limit, transport.send(request)).await;
    sent.unwrap_or_else(|_| Err(TransportError::Timeout { host: host.to_owned() }))
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

#[cfg(test)]
mod tests;
