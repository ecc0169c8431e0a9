//! The front end's arguments, signed a second time (二次签名) with the same key and algorithm.

use dukou_domain::{Method, Timestamp};
use dukou_spi::{Invoke, ProviderError};

use super::config::Settings;
use crate::text;

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
    text::check_token(method, token)?;
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
            ("appId", settings.account.app_id.as_str()),
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
            ("appid", settings.account.app_id.as_str()),
            ("partnerid", settings.account.mch_id.as_str()),
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
