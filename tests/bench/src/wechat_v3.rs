//! What a merchant of APIv3 and its platform need: keys made for one run, signed and encrypted
//! messages. As for v2, nothing here is shared with the program under load but the cryptographic library.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

use crate::messages::{APP_ID, MCH_ID, Order};

const API_V3_KEY: &[u8; 32] = b"bench-api-v3-key-0123456789abcde";
const PUBLIC_KEY_ID: &str = "PUB_KEY_ID_0119000001092026112300000001";
const SERIAL: &str = "5157F09EFDC096DE15EBE81A47057A72";
/// How long one signed answer is given again: well within the five minutes for which it counts.
const ANSWER_LASTS: Duration = Duration::from_secs(60);

/// The keys of both sides.
pub struct Keys {
    merchant: KeyPair,
    platform: KeyPair,
    answer: Mutex<Option<(Instant, Vec<u8>)>>,
}

impl Keys {
    pub fn make() -> Result<Keys> {
        let pair = || KeyPair::generate(KeySize::Rsa2048).map_err(|_| anyhow!("no RSA key can be made"));
        Ok(Keys { merchant: pair()?, platform: pair()?, answer: Mutex::default() })
    }

    /// Writes the files that the section names into `directory`, and gives the section's keys.
    pub fn configure(&self, directory: &Path) -> Result<String> {
        let private: Pkcs8V1Der<'_> = self.merchant.as_der().map_err(|_| anyhow!("the merchant's key"))?;
        let public: PublicKeyX509Der<'_> =
            self.platform.public_key().as_der().map_err(|_| anyhow!("the platform's key"))?;
        for (name, label, der) in
            [("merchant.pem", "PRIVATE KEY", private.as_ref()), ("platform.pem", "PUBLIC KEY", public.as_ref())]
        {
            fs::write(directory.join(name), pem(label, der)).with_context(|| name.to_owned())?;
        }
        let at = directory.display();
        Ok(format!(
            "kind = \"wechat-v3\"\napp_id = \"{APP_ID}\"\nmch_id = \"{MCH_ID}\"\nserial_no = \"{SERIAL}\"\n\
             private_key = \"file:{at}/merchant.pem\"\napi_v3_key = \"env:BENCH_API_V3_KEY\"\n\
             platform_public_key = \"file:{at}/platform.pem\"\nplatform_public_key_id = \"{PUBLIC_KEY_ID}\"\n"
        ))
    }

    /// The value of `BENCH_API_V3_KEY`.
    pub fn api_v3_key() -> String {
        String::from_utf8_lossy(API_V3_KEY).into_owned()
    }

    /// The platform's message that an order was paid: header lines, and the body.
    pub fn notify(&self, order: Order) -> Result<(String, String)> {
        let nonce = format!("{:012x}", order.0);
        let plain = json!({
            "mchid": MCH_ID, "appid": APP_ID, "out_trade_no": order.number(),
            "transaction_id": format!("42000{:023}", order.0), "trade_type": "JSAPI", "trade_state": "SUCCESS",
            "trade_state_desc": "支付成功", "bank_type": "CMB_DEBIT", "attach": "shelf 7",
            "success_time": "2026-11-23T18:01:33+08:00", "payer": { "openid": "oUpF8uMuAJO_M2pxb1Q" },
            "amount": {
                "total": order.amount(), "payer_total": order.amount(), "currency": "CNY", "payer_currency": "CNY",
            },
        });
        let body = json!({
            "id": format!("EV-2026112318013300{:08}", order.0), "create_time": "2026-11-23T18:01:33+08:00",
            "resource_type": "encrypt-resource", "event_type": "TRANSACTION.SUCCESS", "summary": "支付成功",
            "resource": {
                "original_type": "transaction", "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": encrypted(plain.to_string(), &nonce)?, "associated_data": "transaction", "nonce": nonce,
            },
        })
        .to_string();
        Ok((self.signature(&body)?, body))
    }

    /// The platform's answer to every order, whole. Signed once a minute: the signatures of an answer are the
    /// platform's cost, not the gateway's.
    pub fn accepted(&self) -> Result<Vec<u8>> {
        let mut kept = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, answer)) = &*kept
            && made.elapsed() < ANSWER_LASTS
        {
            return Ok(answer.clone());
        }
        let body = json!({ "prepay_id": "wx231801331234567890123456789abcdef0" }).to_string();
        let length = body.len();
        let headers = self.signature(&body)?;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        *kept = Some((Instant::now(), answer.clone().into_bytes()));
        Ok(answer.into_bytes())
    }

    fn signature(&self, body: &str) -> Result<String> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let nonce = "593BEC0C930BF1AFEB40B4A08C8FB242";
        let signature =
            BASE64_STANDARD.encode(sign(&self.platform, format!("{seconds}\n{nonce}\n{body}\n").as_bytes())?);
        Ok(format!(
            "Wechatpay-Timestamp: {seconds}\r\nWechatpay-Nonce: {nonce}\r\nWechatpay-Serial: {PUBLIC_KEY_ID}\r\n\
             Wechatpay-Signature: {signature}\r\nWechatpay-Signature-Type: WECHATPAY2-SHA256-RSA2048\r\n"
        ))
    }

    /// Signatures a second that `threads` make together within `time`.
    pub fn rate(&self, threads: usize, time: Duration) -> Result<f64> {
        let from = Instant::now();
        let count = || {
            let mut count = 0_u32;
            while from.elapsed() < time {
                sign(&self.merchant, &count.to_be_bytes())?;
                count += 1;
            }
            anyhow::Ok(count)
        };
        let counts: Vec<Result<u32>> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(count)).collect();
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread died")))).collect()
        });
        let all = counts.into_iter().sum::<Result<u32>>()?;
        Ok(f64::from(all) / from.elapsed().as_secs_f64())
    }
}

fn sign(key: &KeyPair, message: &[u8]) -> Result<Vec<u8>> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(|_| anyhow!("signing"))?;
    Ok(signature)
}

fn encrypted(plain: String, nonce: &str) -> Result<String> {
    let unusable = || anyhow!("encrypting");
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, API_V3_KEY).map_err(|_| unusable())?);
    let nonce = Nonce::try_assume_unique_for_key(nonce.as_bytes()).map_err(|_| unusable())?;
    let mut bytes = plain.into_bytes();
    key.seal_in_place_append_tag(nonce, Aad::from("transaction"), &mut bytes).map_err(|_| unusable())?;
    Ok(BASE64_STANDARD.encode(bytes))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
