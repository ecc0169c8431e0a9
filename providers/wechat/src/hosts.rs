//! Sends to the first host, and to the backup host what that one may not have done. Both together have the
//! account's time-out.

use std::time::Duration;

use dukou_spi::transport::{HttpAnswer, HttpRequest, Transport, TransportError, TransportOptions};
use dukou_spi::{ErrorKind, ProviderError, Reason};

use dukou_domain::Secret;
use tokio::time::Instant;

use crate::account::{Account, host_of};

/// Of the account's time-out, the tenths that a silent first host is waited for where there is a backup host. A
/// connection is given up earlier, after half of it at most.
const FIRST_TENTHS: u32 = 6;
/// Over the time-out: a connection that is given up at its very end was never used, and is to say so.
const GRACE: Duration = Duration::from_millis(200);

/// An answer, and what is known of the host that was asked before.
#[derive(Debug)]
pub struct Answered {
    pub http: HttpAnswer,
    /// Whether the same call may have been executed already, by a host whose answer did not come or said nothing.
    pub maybe_done: bool,
}

impl Answered {
    /// See [`honest`].
    pub fn honest(&self, effect: Effect, error: ProviderError) -> ProviderError {
        honest(self.maybe_done, effect, error)
    }
}

/// What a call that was executed has done at the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It only asked.
    None,
    /// An order was made, or closed.
    Order,
    /// Money goes back.
    Refund,
}

/// What a failure means where an earlier try may have been executed: that this one was not, or was refused, says nothing
/// about that one, which may be under way still. That an order is paid or closed stands: it is so whichever try is meant.
pub fn honest(maybe_done: bool, effect: Effect, error: ProviderError) -> ProviderError {
    let stands = match (error.kind, effect) {
        (ErrorKind::Refused, Effect::None) => true,
        (ErrorKind::Refused, Effect::Order) => matches!(error.reason, Reason::AlreadyPaid | Reason::OrderClosed),
        (ErrorKind::Refused, Effect::Refund) | (ErrorKind::NotSent | ErrorKind::Unknown, _) => false,
    };
    if maybe_done && !stands { unsettled(error) } else { error }
}

fn unsettled(mut error: ProviderError) -> ProviderError {
    error.kind = ErrorKind::Unknown;
    if error.reason == Reason::Unlisted {
        // No refusal of what the first host may be doing.
        error.reason = Reason::Other;
    }
    error
}

/// Where a call goes, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    pub first: &'a str,
    pub backup: Option<&'a str>,
    pub timeout: Duration,
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

/// Sends what `request` builds for a host's address. Every call is known by its number or only asks, so that the backup
/// host gets what the first one did not answer, or answered without saying anything (`is_final`).
///
/// # Errors
/// What `request` says, or [`from_transport`] makes of the last failure; of the first one, if the backup host did not
/// get the call.
pub async fn send(
    route: Route<'_>,
    transport: &dyn Transport,
    is_final: impl Fn(&HttpAnswer) -> bool + Send + Sync,
    request: impl Fn(&str) -> Result<HttpRequest, ProviderError> + Send + Sync,
) -> Result<Answered, ProviderError> {
    let only = |answer| Answered { http: answer, maybe_done: false };
    let Some(backup) = route.backup else {
        return transport.send(request(route.first)?).await.map(only).map_err(from_transport);
    };
    let started = Instant::now();
    let share = route.timeout / 10 * FIRST_TENTHS;
    let first = within(share, transport, request(route.first)?, host_of(route.first)).await;
    let maybe_done = match &first {
        Ok(answer) if is_final(answer) => return first.map(only).map_err(from_transport),
        Err(TransportError::NotSent { .. }) => false,
        Ok(_) | Err(_) => true,
    };
    let again = request(backup).map_err(|error| if maybe_done { unsettled(error) } else { error })?;
    let rest = route.timeout.saturating_sub(started.elapsed()) + GRACE;
    match within(rest, transport, again, host_of(backup)).await {
        Ok(answer) => Ok(Answered { http: answer, maybe_done }),
        Err(TransportError::NotSent { .. }) if maybe_done => first.map(only).map_err(from_transport),
        Err(error) => Err(from_transport(error)),
    }
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
