//! The front end's arguments, signed a second time (二次签名) with the same key and algorithm.

use dukou_domain::{Method, Timestamp};
use dukou_spi::{ErrorKind, Invoke, ProviderError, Reason};

use super::config::Settings;

/// Signs the arguments for an order made with `method`, whose platform token is `token`.
///
/// # Errors
/// `Refused` when the token is not one that this method's orders have.
pub fn sign(
    settings: &Settings,
    method: Method,
    token: &str,
    now: Timestamp,
    nonce: &str,
) -> Result<Invoke, ProviderError> {
    let is_address = token.contains("://");
    let wants_address = matches!(method, Method::Native | Method::H5);
    if token.is_empty() || is_address != wants_address || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("the order's token is not one of a {method} order");
        return Err(ProviderError::new(ErrorKind::Refused, Reason::Other, message));
    }
    let seconds = now.as_seconds().to_string();
    Ok(match method {
        Method::Jsapi => jsapi(settings, token, &seconds, nonce),
        Method::App => app(settings, token, &seconds, nonce),
        Method::Native => Invoke(vec![("code_url", token.to_owned())]),
        Method::H5 => Invoke(vec![("h5_url", token.to_owned())]),
    })
}

/// `wx.requestPayment`. `signType` is signed too, and must be that of the order.
pub(super) fn jsapi(settings: &Settings, prepay_id: &str, seconds: &str, nonce: &str) -> Invoke {
    let package = format!("prepay_id={prepay_id}");
    signed(
        settings,
        "paySign",
        [
            ("appId", settings.app_id.as_str()),
            ("timeStamp", seconds),
            ("nonceStr", nonce),
            ("package", &package),
            ("signType", settings.signer.sign_type().as_str()),
        ],
    )
}

/// The SDK of mobile applications, which knows the algorithm from the order.
pub(super) fn app(settings: &Settings, prepay_id: &str, seconds: &str, nonce: &str) -> Invoke {
    signed(
        settings,
        "sign",
        [
            ("appid", settings.app_id.as_str()),
            ("partnerid", settings.mch_id.as_str()),
            ("prepayid", prepay_id),
            ("package", "Sign=WXPay"),
            ("noncestr", nonce),
            ("timestamp", seconds),
        ],
    )
}

fn signed<const N: usize>(settings: &Settings, sign: &'static str, fields: [(&'static str, &str); N]) -> Invoke {
    let signature = settings.signer.sign(&fields);
    let mut arguments: Vec<(&'static str, String)> =
        fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    arguments.push((sign, signature));
    Invoke(arguments)
}
