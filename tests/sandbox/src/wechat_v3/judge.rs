//! What is judged before any operation: headers, the request's signature, and whether the merchant may use v3.

use std::sync::Arc;

use actix_web::web::Bytes;
use serde_json::{Value, json};

use super::WINDOW_SECONDS;
use super::authorization::Authorization;
use super::error::{Answered, ApiError};
use super::keys::verify;
use super::route::Route;
use super::stamp::platform_time;
use crate::merchants::Registered;
use crate::sign::Fields;
use crate::world::World;

/// Characters of the signed text that a refusal quotes.
const QUOTED: usize = 256;

/// A request as it came in.
pub struct Incoming {
    pub method: String,
    /// Path and query, byte for byte.
    pub target: String,
    pub query: Fields,
    pub body: Bytes,
    pub authorization: Option<String>,
    /// `Wechatpay-Serial`: the key that the answer should be signed with, and that encrypted the sensitive fields.
    pub serial: Option<String>,
    pub accept: Option<String>,
    pub user_agent: Option<String>,
    pub content_type: Option<String>,
    /// Scheme and host that the request came to.
    pub origin: String,
}

impl Incoming {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// A request whose signature was accepted.
pub struct Request {
    pub merchant: Arc<Registered>,
    pub route: Route,
    pub incoming: Arc<Incoming>,
}

impl Request {
    pub fn mch_id(&self) -> &str {
        self.merchant.mch_id()
    }

    /// A parameter of the query; an empty one is as good as none.
    pub fn query(&self, name: &str) -> Option<&str> {
        crate::ledger::given(&self.incoming.query, name)
    }
}

fn sign_error(message: &str) -> ApiError {
    ApiError::new("SIGN_ERROR", message)
}

/// The merchant that signed the request.
pub fn caller(world: &World, incoming: &Incoming) -> Answered<Arc<Registered>> {
    let malformed = || sign_error("Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》");
    let header = incoming.authorization.as_deref().ok_or_else(malformed)?;
    let given = Authorization::parse(header).ok_or_else(malformed)?;
    let timestamp: i64 = given.timestamp.parse().map_err(|_| malformed())?;
    let now = platform_time(world);
    // The difference of two times of 64 bits may need one bit more.
    if (i128::from(now) - i128::from(timestamp)).abs() > i128::from(WINDOW_SECONDS) {
        return Err(sign_error("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"));
    }
    let merchant = world.merchants.get(&given.mchid).ok_or_else(|| sign_error("Authorization中的mchid不存在"))?;
    let Some((_, public)) = merchant.verifying_key().filter(|(serial, _)| *serial == given.serial_no) else {
        if world.policy().v3_foreign_serial_busy && world.merchants.has_serial(&given.serial_no) {
            return Err(ApiError::new("SYSTEM_ERROR", "系统繁忙，请稍后重试"));
        }
        return Err(sign_error("商户证书序列号有误。请使用签名私钥匹配的证书序列号"));
    };
    let message = given.message(&incoming.method, &incoming.target, &incoming.body);
    if !verify(public, &message, &given.signature) {
        return Err(ApiError {
            detail: Some(not_matching(incoming, &message)),
            ..sign_error("签名错误，请检查后再试")
        });
    }
    if world.policy().v3_nonces_once && !world.v3.first_use(&given.mchid, &given.nonce_str, now) {
        return Err(sign_error("Authorization中的nonce_str在5分钟内重复"));
    }
    Ok(merchant)
}

fn not_matching(incoming: &Incoming, message: &[u8]) -> Value {
    let text = String::from_utf8_lossy(message);
    json!({
        "field": "signature",
        "location": "authorization",
        "detail": { "issue": "sign not match" },
        "sign_information": {
            "method": incoming.method,
            "url": incoming.target,
            "truncated_sign_message": text.chars().take(QUOTED).collect::<String>(),
            "sign_message_length": message.len(),
        },
    })
}

/// The headers every call must have, and the merchant's right to v3.
pub fn admissible(merchant: &Registered, incoming: &Incoming) -> Answered<()> {
    if incoming.user_agent.as_deref().is_none_or(str::is_empty) || incoming.accept.is_none() {
        return Err(ApiError::new("PARAM_ERROR", "Http头缺少Accept或User-Agent"));
    }
    let accepts = |name: &str| incoming.accept.as_deref().is_some_and(|accept| accept.contains(name));
    if !accepts("application/json") && !accepts("*/*") {
        return Err(ApiError::located("Accept", None, "应为application/json", "header"));
    }
    let json = incoming.content_type.as_deref().is_some_and(|kind| kind.starts_with("application/json"));
    if incoming.method != "GET" && !json {
        return Err(ApiError::located("Content-Type", None, "应为application/json", "header"));
    }
    match merchant.v3_key() {
        Some(_) => Ok(()),
        None => Err(ApiError::new("NO_AUTH", "商户未设置APIv3密钥")),
    }
}
