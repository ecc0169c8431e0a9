//! The requests of APIv2, field by field as WeChat spells them.
//!
//! But for `nonce_str` and `sign`, a request is a function of what it is made from and of the
//! configuration: sent again it is the same order to WeChat (the re-entry rule).

use std::borrow::Cow;

use dukou_domain::Method;
use dukou_spi::{PayOrder, Random, RefundOrder};
use serde::Serialize;

use super::config::Settings;
use super::sign::SignType;
use super::xml;
use crate::{beijing, text};

/// One request, growing in the order it is written.
pub struct Request<'a> {
    settings: &'a Settings,
    fields: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Request<'a> {
    /// Who calls, and the nonce.
    pub fn new(settings: &'a Settings, random: &dyn Random) -> Self {
        let mut fields = Vec::with_capacity(24);
        fields.push(("appid", Cow::Borrowed(settings.account.app_id.as_str())));
        fields.push(("mch_id", Cow::Borrowed(settings.account.mch_id.as_str())));
        fields.push(("nonce_str", Cow::Owned(text::nonce(random))));
        // Left out it means MD5.
        if settings.signer.sign_type() == SignType::HmacSha256 {
            fields.push(("sign_type", Cow::Borrowed(SignType::HmacSha256.as_str())));
        }
        Request { settings, fields }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.fields.push((name, value));
        }
        self
    }

    #[must_use]
    fn with_some(self, name: &'static str, value: Option<impl Into<Cow<'a, str>>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Signs, and writes the document.
    pub fn into_xml(self) -> String {
        let fields: Vec<(&str, &str)> = self.fields.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        let sign = self.settings.signer.sign(&fields);
        xml::write(fields.into_iter().chain([("sign", sign.as_str())]))
    }
}

/// `/pay/unifiedorder`. The order has passed the provider's check.
pub fn unified_order<'a>(settings: &'a Settings, random: &dyn Random, order: &'a PayOrder) -> Request<'a> {
    let request = Request::new(settings, random)
        .with("body", text::cut(&order.description, text::TEXT_BYTES))
        .with_some("attach", order.attach.as_deref())
        .with("out_trade_no", order.trade_no.as_str())
        .with("fee_type", order.amount.currency().code())
        .with("total_fee", order.amount.minor().to_string())
        .with("spbill_create_ip", order.client_ip.to_canonical().to_string())
        .with_some("time_start", beijing::compact(order.created_at))
        .with_some("time_expire", beijing::compact(order.expires_at))
        .with("notify_url", order.notify_url.as_str())
        .with("trade_type", trade_type(order.method));
    match order.method {
        Method::Jsapi => request.with_some("openid", order.openid.as_deref()),
        Method::Native => request.with("product_id", order.trade_no.as_str()),
        Method::App => request,
        Method::H5 => request.with("scene_info", scene_info(settings, &order.notify_url)),
    }
}

const fn trade_type(method: Method) -> &'static str {
    match method {
        Method::Jsapi => "JSAPI",
        Method::Native => "NATIVE",
        Method::App => "APP",
        Method::H5 => "MWEB",
    }
}

/// The web page an H5 order is paid from.
fn scene_info(settings: &Settings, notify_url: &str) -> String {
    let (url, name) = text::h5_page(&settings.account, notify_url);
    let scene = SceneInfo { h5_info: H5Info { kind: "Wap", wap_url: url, wap_name: name } };
    serde_json::to_string(&scene).unwrap_or_default()
}

/// Structs, because their members' order is fixed: a repeated order must be the same bytes.
#[derive(Serialize)]
struct SceneInfo<'a> {
    h5_info: H5Info<'a>,
}

#[derive(Serialize)]
struct H5Info<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    wap_url: &'a str,
    wap_name: &'a str,
}

/// `/pay/orderquery` and `/pay/closeorder`.
pub fn about_order<'a>(settings: &'a Settings, random: &dyn Random, order: &'a PayOrder) -> Request<'a> {
    Request::new(settings, random).with("out_trade_no", order.trade_no.as_str())
}

/// `/secapi/pay/refund`.
pub fn refund<'a>(settings: &'a Settings, random: &dyn Random, refund: &'a RefundOrder) -> Request<'a> {
    Request::new(settings, random)
        .with("out_trade_no", refund.trade_no.as_str())
        .with("out_refund_no", refund.out_refund_no.as_str())
        .with("total_fee", refund.total.minor().to_string())
        .with("refund_fee", refund.amount.minor().to_string())
        .with("refund_fee_type", refund.amount.currency().code())
        .with_some("refund_desc", refund.reason.as_deref().map(text::refund_reason))
        .with("notify_url", refund.notify_url.as_str())
}

#[cfg(test)]
mod tests;
