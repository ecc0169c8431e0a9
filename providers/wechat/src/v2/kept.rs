//! What is kept of an accepted order: WeChat's token. A `prepay_id` is signed again and again, each time with the type
//! that its order was signed with, so that stands before it: `MD5:wx…`, `HMAC-SHA256:wx…`. An address is not signed and
//! is kept as it came.

use dukou_domain::Method;

use super::sign::SignType;

/// The text to keep of an order that was signed with `sign_type`.
pub fn write(method: Method, sign_type: SignType, token: &str) -> String {
    match method {
        Method::Jsapi | Method::App => format!("{}:{token}", sign_type.as_str()),
        Method::Native | Method::H5 => token.to_owned(),
    }
}

/// The order's type and its token. What was kept before the type was kept with it has the one that is configured.
pub fn read(method: Method, kept: &str, configured: SignType) -> (SignType, &str) {
    let typed = |sign_type: SignType| {
        let token = kept.strip_prefix(sign_type.as_str())?.strip_prefix(':')?;
        Some((sign_type, token))
    };
    match method {
        Method::Jsapi | Method::App => {
            typed(configured).or_else(|| typed(configured.other())).unwrap_or((configured, kept))
        }
        Method::Native | Method::H5 => (configured, kept),
    }
}
