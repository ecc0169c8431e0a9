//! Messages that WeChat posts: a payment's, signed, and a refund's, encrypted but not signed.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use dukou_domain::{OutRefundNo, Secret, TradeNo};
use dukou_spi::{
    Notice, NotifyError, NotifyReply, PaymentNotice, PaymentOutcome, Proof, RefundHint, Verdict, Verified,
};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::answer;
use super::config::Settings;
use super::xml::{self, Fields};
use crate::shown;

/// Every field of a payment's message that is acted upon.
const SAID: [&str; 12] = [
    "appid",
    "attach",
    "err_code",
    "fee_type",
    "mch_id",
    "openid",
    "out_trade_no",
    "result_code",
    "return_code",
    "time_end",
    "total_fee",
    "transaction_id",
];

/// A payment's message: verified over every field it has, then read. Which app and merchant it
/// names is reported as it stands; comparing them is the engine's.
pub fn payment(body: &[u8], settings: &Settings) -> Result<Notice, NotifyError> {
    let fields = parse(body, "xml")?;
    let proof = prove(&fields, settings).ok_or(NotifyError::BadSignature)?;
    if !fields.are_distinct("attach", &SAID) {
        return Err(malformed("what was signed can be read as other fields too"));
    }
    if fields.get("return_code") != Some("SUCCESS") {
        return Err(malformed("return_code is not SUCCESS"));
    }
    let notice = match fields.get("result_code") {
        Some("SUCCESS") => {
            let facts = answer::paid_facts(&fields).map_err(NotifyError::Malformed)?;
            PaymentNotice { trade_no: facts.trade_no.clone(), outcome: PaymentOutcome::Paid(facts) }
        }
        Some("FAIL") => not_paid(&fields)?,
        _ => return Err(malformed("result_code is neither SUCCESS nor FAIL")),
    };
    Ok(Notice::Payment(Verified::new(notice, proof)))
}

/// A message is signed as its order was, which is not looked up for it: it counts under `sign_type`, and under the
/// other type only where the configuration says that such orders are open.
fn prove(fields: &Fields<'_>, settings: &Settings) -> Option<Proof> {
    let ours = settings.signer.sign_type();
    if let Some(proof) = settings.signer.verify(fields) {
        return Some(proof);
    }
    let proof = settings.signer.verify_as(ours.other(), fields)?;
    if settings.accepted_sign_type == Some(ours.other()) {
        return Some(proof);
    }
    // Only who has the key can make one, so that strangers cannot fill the log.
    tracing::warn!(
        mch_id = %settings.account.mch_id,
        "a genuine message is refused: it is signed with {}, sign_type is {}; accepted_sign_type = {:?} believes it",
        ours.other().as_str(),
        ours.as_str(),
        ours.other().as_str(),
    );
    None
}

fn not_paid(fields: &Fields<'_>) -> Result<PaymentNotice, NotifyError> {
    let trade_no =
        TradeNo::new(require(fields, "out_trade_no")?).map_err(|_| malformed("out_trade_no is not valid"))?;
    let outcome = PaymentOutcome::NotPaid {
        code: fields.get("err_code").map(str::to_owned),
        app_id: require(fields, "appid")?.to_owned(),
        merchant_id: require(fields, "mch_id")?.to_owned(),
    };
    Ok(PaymentNotice { trade_no, outcome })
}

/// A refund's message. It carries no signature, and blocks of its encryption can be moved about:
/// what it says is a hint, to be confirmed by a query.
pub fn refund(body: &[u8], settings: &Settings) -> Result<Notice, NotifyError> {
    let fields = parse(body, "xml")?;
    if fields.get("return_code") != Some("SUCCESS") {
        return Err(malformed("return_code is not SUCCESS"));
    }
    let plain = decrypt(require(&fields, "req_info")?, settings.signer.key()).ok_or(NotifyError::BadSignature)?;
    // Under the wrong key one padding in 256 looks right; what it hides is never a document.
    let inner = xml::parse(&plain, "root").map_err(|_| NotifyError::BadSignature)?;
    let out_refund_no =
        OutRefundNo::new(require(&inner, "out_refund_no")?).map_err(|_| malformed("out_refund_no is not valid"))?;
    let platform_word = require(&inner, "refund_status")?.to_owned();
    let trade_no = inner.get("out_trade_no").and_then(|number| TradeNo::new(number).ok());
    Ok(Notice::RefundHint(RefundHint { out_refund_no, trade_no, platform_word }))
}

/// AES-256-ECB with PKCS#7 padding, under the lower-case hexadecimal MD5 of the API key, whose 32
/// digits are themselves the key's bytes.
pub(super) fn decrypt(req_info: &str, api_key: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let mut in_out = Zeroizing::new(BASE64_STANDARD.decode(req_info).ok()?);
    let key = Zeroizing::new(hex::encode(Md5::digest(api_key.expose().as_bytes())));
    let key = UnboundCipherKey::new(&AES_256, key.as_bytes()).ok()?;
    let key = PaddedBlockDecryptingKey::ecb_pkcs7(key).ok()?;
    let length = key.decrypt(&mut in_out, DecryptionContext::None).ok()?.len();
    in_out.truncate(length);
    Some(in_out)
}

/// WeChat's form of a verdict. Only the document with SUCCESS ends its attempts; the HTTP status
/// is 200 either way.
pub const fn acknowledge(verdict: Verdict) -> NotifyReply {
    let body = match verdict {
        Verdict::Accepted => {
            "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
        }
        Verdict::TryAgain => {
            "<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[TRY AGAIN]]></return_msg></xml>"
        }
        Verdict::Rejected => {
            "<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[NOT VERIFIED]]></return_msg></xml>"
        }
    };
    NotifyReply { status: 200, content_type: "text/xml; charset=utf-8", body: Bytes::from_static(body.as_bytes()) }
}

/// What a person may see of a kept message; of a refund's, what was encrypted in it too.
pub fn show(body: &[u8], settings: &Settings) -> Vec<(String, String)> {
    let Ok(fields) = xml::parse(body, "xml") else { return Vec::new() };
    let mut all: Vec<(String, String)> = fields.iter().map(|(name, value)| shown::field(name, value)).collect();
    let plain = fields.get("req_info").and_then(|sealed| decrypt(sealed, settings.signer.key()));
    if let Some(plain) = plain
        && let Ok(inner) = xml::parse(&plain, "root")
    {
        all.extend(inner.iter().map(|(name, value)| shown::field(name, value)));
    }
    all
}

fn parse<'a>(body: &'a [u8], root: &str) -> Result<Fields<'a>, NotifyError> {
    xml::parse(body, root).map_err(|error| NotifyError::Malformed(error.to_string()))
}

fn require<'f>(fields: &'f Fields<'_>, name: &str) -> Result<&'f str, NotifyError> {
    fields.get(name).ok_or_else(|| NotifyError::Malformed(format!("{name} is missing")))
}

fn malformed(message: &str) -> NotifyError {
    NotifyError::Malformed(message.to_owned())
}

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod tests;
