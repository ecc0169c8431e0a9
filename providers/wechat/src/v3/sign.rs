//! Signatures of APIv3: RSA with SHA-256 (PKCS#1 v1.5), in base64. Ours over a request or the front
//! end's arguments, WeChat's over an answer or a message. Pure, no IO.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dukou_spi::{ErrorKind, Invoke, Proof, ProviderError, Reason, RsaPublicKey};

/// The scheme in `Authorization`, and the only value of `Wechatpay-Signature-Type`.
pub const SCHEME: &str = "WECHATPAY2-SHA256-RSA2048";
/// What the deliberately wrong signatures begin with (签名探测流量).
const PROBE: &str = "WECHATPAY/SIGNTEST/";
/// WeChat's header values are all shorter; a longer one is not even decoded.
const HEADER_LIMIT: usize = 2048;

/// The merchant's private key, parsed once, and the number of its certificate.
pub struct MerchantKey {
    pub pair: RsaKeyPair,
    pub serial_no: String,
}

impl fmt::Debug for MerchantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MerchantKey").field("serial_no", &self.serial_no).finish_non_exhaustive()
    }
}

impl MerchantKey {
    /// Signs lines, each ended by a line feed (the last one too).
    ///
    /// # Errors
    /// `NotSent` when the key cannot sign.
    pub fn sign(&self, lines: &[&[u8]]) -> Result<String, ProviderError> {
        let mut context = digest::Context::new(&digest::SHA256);
        for line in lines {
            context.update(line);
            context.update(b"\n");
        }
        let mut signature = vec![0; self.pair.public_key().modulus_len()];
        self.pair.sign_digest(&RSA_PKCS1_SHA256, &context.finish(), &mut signature).map_err(|_| {
            ProviderError::new(ErrorKind::NotSent, Reason::Configuration, "private_key cannot sign a request")
        })?;
        Ok(BASE64_STANDARD.encode(signature))
    }

    /// The `Authorization` of a request to `target` (path and query exactly as they are sent).
    ///
    /// # Errors
    /// As [`MerchantKey::sign`].
    pub fn authorization(
        &self,
        mch_id: &str,
        method: &str,
        target: &str,
        body: &[u8],
        seconds: i64,
        nonce: &str,
    ) -> Result<String, ProviderError> {
        let timestamp = seconds.to_string();
        let lines = [method.as_bytes(), target.as_bytes(), timestamp.as_bytes(), nonce.as_bytes(), body];
        let signature = self.sign(&lines)?;
        let serial_no = &self.serial_no;
        Ok(format!(
            "{SCHEME} mchid=\"{mch_id}\",nonce_str=\"{nonce}\",signature=\"{signature}\",timestamp=\"{timestamp}\",serial_no=\"{serial_no}\""
        ))
    }
}

/// The front end's arguments, signed with the same key (调起支付).
impl MerchantKey {
    /// `wx.requestPayment`. `signType` is not part of what is signed.
    ///
    /// # Errors
    /// As [`MerchantKey::sign`].
    pub fn jsapi(&self, app_id: &str, prepay_id: &str, seconds: &str, nonce: &str) -> Result<Invoke, ProviderError> {
        let package = format!("prepay_id={prepay_id}");
        let signature = self.sign(&[app_id, seconds, nonce, &package].map(str::as_bytes))?;
        Ok(Invoke(vec![
            ("appId", app_id.to_owned()),
            ("timeStamp", seconds.to_owned()),
            ("nonceStr", nonce.to_owned()),
            ("package", package),
            ("signType", "RSA".to_owned()),
            ("paySign", signature),
        ]))
    }

    /// The SDK of mobile applications, which signs the bare `prepay_id`.
    ///
    /// # Errors
    /// As [`MerchantKey::sign`].
    pub fn app(
        &self,
        app_id: &str,
        mch_id: &str,
        prepay_id: &str,
        seconds: &str,
        nonce: &str,
    ) -> Result<Invoke, ProviderError> {
        let signature = self.sign(&[app_id, seconds, nonce, prepay_id].map(str::as_bytes))?;
        Ok(Invoke(vec![
            ("appid", app_id.to_owned()),
            ("partnerid", mch_id.to_owned()),
            ("prepayid", prepay_id.to_owned()),
            ("package", "Sign=WXPay".to_owned()),
            ("noncestr", nonce.to_owned()),
            ("timestamp", seconds.to_owned()),
            ("sign", signature),
        ]))
    }
}

/// WeChat's signature as it stands in the headers.
#[derive(Debug)]
pub struct Signature<'a> {
    pub timestamp: &'a str,
    pub nonce: &'a str,
    pub serial: &'a str,
    pub signature: &'a str,
}

/// Why headers hold no signature that could be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsigned {
    /// None of the headers is there.
    Absent,
    /// Some are, and not as they must be; the text says which.
    Malformed(String),
}

impl<'a> Signature<'a> {
    /// Reads the headers (names in lower case), each of which must be there once.
    pub fn read(headers: &'a [(String, String)]) -> Result<Self, Unsigned> {
        let one = |name: &'static str| {
            let mut values = headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
            match (values.next(), values.next()) {
                (Some(value), None) if !value.is_empty() && value.len() <= HEADER_LIMIT => Ok(value),
                (None, _) => Err(Unsigned::Malformed(format!("the header {name} is missing"))),
                (Some(_), Some(_)) => Err(Unsigned::Malformed(format!("the header {name} is there twice"))),
                (Some(_), None) => Err(Unsigned::Malformed(format!("the header {name} is empty or too long"))),
            }
        };
        if !headers.iter().any(|(name, _)| name.starts_with("wechatpay-")) {
            return Err(Unsigned::Absent);
        }
        let signature = Signature {
            timestamp: one("wechatpay-timestamp")?,
            nonce: one("wechatpay-nonce")?,
            serial: one("wechatpay-serial")?,
            signature: one("wechatpay-signature")?,
        };
        let mut kinds = headers.iter().filter(|(name, _)| name == "wechatpay-signature-type");
        if kinds.any(|(_, kind)| kind != SCHEME) {
            return Err(Unsigned::Malformed(format!("the header wechatpay-signature-type is not {SCHEME}")));
        }
        Ok(signature)
    }

    /// When it was made, in seconds.
    pub fn seconds(&self) -> Option<i64> {
        let digits = self.timestamp.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| self.timestamp.parse().ok()).flatten()
    }

    /// Whether WeChat made it wrong on purpose.
    pub fn is_probe(&self) -> bool {
        self.signature.starts_with(PROBE)
    }

    /// Checks it over the bytes as they came. `None` when it does not hold.
    pub fn verify(&self, key: &RsaPublicKey, body: &[u8]) -> Option<Proof> {
        let signature = BASE64_STANDARD.decode(self.signature).ok()?;
        let message = [self.timestamp.as_bytes(), b"\n", self.nonce.as_bytes(), b"\n", body, b"\n"];
        Proof::by_rsa_sha256(key, &message, &signature)
    }
}
