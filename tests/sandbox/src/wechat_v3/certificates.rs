//! `GET /v3/certificates` (获取平台证书列表): the platform's certificates, encrypted for the merchant.

use serde_json::{Value, json};

use super::aead;
use super::answer::Outcome;
use super::error::{Answered, ApiError};
use super::judge::Request;
use super::trust::TrustMode;
use crate::clock::rfc3339;
use crate::world::World;

const ASSOCIATED_DATA: &str = "certificate";

pub fn run(world: &World, request: &Request) -> Answered<Outcome> {
    let failed = |error: anyhow::Error| ApiError::new("SYSTEM_ERROR", format!("{error:#}"));
    let trust = &world.v3.trust;
    let none = || {
        ApiError::new(
            "RESOURCE_NOT_EXISTS",
            "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥。可查看指引https://pay.weixin.qq.com/docs/merchant/products/platform-certificate/wxp-pub-key-guide.html",
        )
    };
    match request.query("algorithm_type") {
        None | Some("RSA" | "ALL") => {}
        Some("SM2") => return Err(none()),
        Some(_) => return Err(ApiError::located("algorithm_type", None, "应为RSA、SM2或ALL", "query")),
    }
    if trust.switch(request.mch_id(), request.merchant.merchant.trust).mode == TrustMode::PublicKey {
        return Err(none());
    }
    let key = request.merchant.v3_key().unwrap_or_default();
    let mut data = Vec::new();
    for one in trust.certificates(&world.authority).map_err(failed)?.into_iter().filter(|one| one.listed) {
        let nonce = aead::nonce();
        let sealed = aead::encrypt(key, &nonce, ASSOCIATED_DATA, &one.pem);
        let sealed = sealed.ok_or_else(|| ApiError::new("SYSTEM_ERROR", "APIv3密钥不是32字节"))?;
        data.push(json!({
            "serial_no": one.signer.serial,
            "effective_time": rfc3339(one.effective_at.unix_timestamp() * 1000),
            "expire_time": rfc3339(one.expires_at.unix_timestamp() * 1000),
            "encrypt_certificate": {
                "algorithm": aead::ALGORITHM,
                "nonce": nonce,
                "associated_data": ASSOCIATED_DATA,
                "ciphertext": sealed,
            },
        }));
    }
    if data.is_empty() {
        return Err(none());
    }
    Ok(Outcome::Body(json!({ "data": Value::Array(data) })))
}
