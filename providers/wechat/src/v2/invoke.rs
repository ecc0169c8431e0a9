//! The front end's arguments, signed a second time (二次签名) with the key, and with the algorithm of the order.

use dukou_domain::{Method, Timestamp};
use dukou_spi::{Invoke, ProviderError};

use super::config::Settings;
use super::kept;
use super::sign::SignType;
use crate::text;

/// Signs the arguments for an order made with `method`, of which `kept` was kept.
///
/// # Errors
/// `Refused` when the token is not one that this method's orders have.
pub fn sign(
    settings: &Settings,
    method: Method,
    kept: &str,
    now: Timestamp,
    nonce: &str,
) -> Result<Invoke, ProviderError> {
    let (sign_type, token) = kept::read(method, kept, settings.signer.sign_type());
    text::check_token(method, token)?;
    let seconds = now.as_seconds().to_string();
    Ok(match method {
        Method::Jsapi => jsapi(settings, sign_type, token, &seconds, nonce),
        Method::App => app(settings, sign_type, token, &seconds, nonce),
        Method::Native => Invoke(vec![("code_url", token.to_owned())]),
        Method::H5 => Invoke(vec![("h5_url", token.to_owned())]),
    })
}

/// `wx.requestPayment`. `signType` is signed too, and must be that of the order.
pub(super) fn jsapi(settings: &Settings, sign_type: SignType, prepay_id: &str, seconds: &str, nonce: &str) -> Invoke {
    let package = format!("prepay_id={prepay_id}");
    signed(
        settings,
        sign_type,
        "paySign",
        [
            ("appId", settings.account.app_id.as_str()),
            ("timeStamp", seconds),
            ("nonceStr", nonce),
            ("package", &package),
            ("signType", sign_type.as_str()),
        ],
    )
}

/// The SDK of mobile applications, which knows the algorithm from the order.
pub(super) fn app(settings: &Settings, sign_type: SignType, prepay_id: &str, seconds: &str, nonce: &str) -> Invoke {
    signed(
        settings,
        sign_type,
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

fn signed<const N: usize>(
    settings: &Settings,
    sign_type: SignType,
    sign: &'static str,
    fields: [(&'static str, &str); N],
) -> Invoke {
    let signature = settings.signer.sign_as(sign_type, &fields);
    let mut arguments: Vec<(&'static str, String)> =
        fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    arguments.push((sign, signature));
    Invoke(arguments)
}
