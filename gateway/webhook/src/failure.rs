//! Why a request got no answer.

use dukou_engine::delivery::TryError;
use dukou_spi::public_address::NotPublic;
use dukou_transport::HttpError;

/// Judges an error from before the answer's head was there.
pub(crate) fn classify(error: &HttpError) -> TryError {
    if error.causes().any(|cause| cause.is::<NotPublic>()) {
        TryError::Address
    } else if error.is_unsent() {
        // A connection that takes too long counts as none.
        TryError::Connect
    } else {
        TryError::Broken
    }
}
