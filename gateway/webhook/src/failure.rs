//! Why a request got no answer.

use std::error::Error;

use dukou_engine::delivery::TryError;
use dukou_spi::public_address::NotPublic;

/// Judges an error from before the answer's head was there.
pub(crate) fn classify(error: &reqwest::Error) -> TryError {
    if causes(error).any(|cause| cause.is::<NotPublic>()) {
        TryError::Address
    } else if error.is_connect() {
        // A connection that takes too long counts as none.
        TryError::Connect
    } else if error.is_timeout() {
        TryError::Timeout
    } else {
        TryError::Broken
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
