//! Whether the APIv2 key stands in the place of the APIv3 key, where nothing is encrypted that would show it.

use bytes::Bytes;
use dukou_domain::Timestamp;
use dukou_spi::Provider as _;
use dukou_spi::transport::{HttpAnswer, HttpMethod, HttpRequest};

use crate::doctor::question;
use crate::hosts;
use crate::text::nonce;
use crate::v2::sign::{SignType, Signer};
use crate::v2::xml;
use crate::v3::provider::WechatV3;

/// Asks APIv2 after an order that nobody made, with the key. What WeChat signs with it in turn proves that it is the APIv2
/// key; any other answer proves nothing.
pub async fn stands_in_its_place(provider: &WechatV3, now: Timestamp) -> bool {
    let client = &provider.client;
    let (account, random) = (&client.account, &*client.random);
    let signer = Signer::new(SignType::Md5, client.trust.api_v3_key().text().clone());
    let (order, nonce) = (question(random, now), nonce(random));
    let mut fields = vec![
        ("appid", account.app_id.as_str()),
        ("mch_id", account.mch_id.as_str()),
        ("nonce_str", nonce.as_str()),
        ("out_trade_no", order.trade_no.as_str()),
    ];
    if let Some((_, sub_mch_id)) = provider.info().merchant_id.split_once('/') {
        fields.push(("sub_mch_id", sub_mch_id));
    }
    let sign = signer.sign(&fields);
    let body = Bytes::from(xml::write(fields.into_iter().chain([("sign", sign.as_str())])));
    let is_final = |answer: &HttpAnswer| answer.status < 500;
    let asked = hosts::send(account.route(), &**client.plain(), is_final, |host| {
        Ok(HttpRequest {
            method: HttpMethod::Post,
            url: format!("{host}/pay/orderquery"),
            headers: vec![("content-type", "text/xml; charset=utf-8".to_owned())],
            body: body.clone(),
        })
    });
    let Ok(answered) = asked.await else { return false };
    xml::parse(&answered.http.body, "xml").is_ok_and(|fields| signer.verify(&fields).is_some())
}
