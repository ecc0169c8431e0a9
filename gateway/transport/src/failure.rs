//! Which of a failed call's three fates it was: not sent, no answer in time, or broken.

use std::error::Error;

use dukou_spi::transport::TransportError;
use rustls::AlertDescription;

/// Judges an error from before the answer's head was there.
///
/// A pooled connection that the platform closed while it lay idle is replaced below us, and the
/// call repeated, only while nothing of it has been written; in every other case it is `Broken`.
pub(crate) fn classify(host: &str, error: &reqwest::Error) -> TransportError {
    let host = host.to_owned();
    if error.is_connect() || error.is_builder() || refused_in_handshake(error) {
        TransportError::NotSent { host, reason: reason(error) }
    } else if error.is_timeout() {
        TransportError::Timeout { host }
    } else {
        TransportError::Broken { host, reason: reason(error) }
    }
}

/// Judges an error from after the answer's head: the call was executed, or at least read.
pub(crate) fn classify_answer(host: &str, error: &reqwest::Error) -> TransportError {
    let host = host.to_owned();
    if error.is_timeout() {
        TransportError::Timeout { host }
    } else {
        TransportError::Broken { host, reason: reason(error) }
    }
}

/// In TLS 1.3 the client is done before the server has looked at its certificate, so a refusal
/// arrives where an answer should. These alerts belong to the handshake alone: a server that sends
/// one has read no request.
fn refused_in_handshake(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref()).or_else(|| cause.downcast_ref::<rustls::Error>());
        matches!(
            tls,
            Some(rustls::Error::AlertReceived(
                AlertDescription::HandshakeFailure
                    | AlertDescription::BadCertificate
                    | AlertDescription::UnsupportedCertificate
                    | AlertDescription::CertificateRevoked
                    | AlertDescription::CertificateExpired
                    | AlertDescription::CertificateUnknown
                    | AlertDescription::CertificateRequired
                    | AlertDescription::UnknownCA
                    | AlertDescription::AccessDenied
            ))
        )
    })
}

/// The innermost cause, which says most; never the address, whose query may hold a secret, nor
/// where a library documents its words.
fn reason(error: &reqwest::Error) -> String {
    let innermost = causes(error).last().map_or_else(|| "the request cannot be built".to_owned(), ToString::to_string);
    match innermost.split_once(": http") {
        Some((said, _)) => said.to_owned(),
        None => innermost,
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}
