//! A v3 merchant: signs with its private key, and verifies what comes back. By another library than the sandbox uses,
//! so that a mistake in one of them shows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine};
use dukou_sandbox::{Options, Sandbox};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{Bench, client};

pub const PAYER: &str = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o";
pub const KEY: &str = "Dev0nlyV3Key-abcdefghijklmnop123";
pub const OTHER_KEY: &str = "Teahouse0V3Key-qrstuvwxyz0123456";

/// What came back from a call.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn code(&self) -> String {
        format!("{} {}", self.status, self.json()["code"].as_str().unwrap_or_default())
    }
}

/// A sandbox and one of its merchants.
pub struct Shop {
    pub bench: Bench,
    pub mch_id: String,
    pub app_id: String,
    pub serial_no: String,
    /// Sent as `Wechatpay-Serial`.
    pub asks_for: Option<String>,
    key: KeyPair,
}

fn pem_der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    BASE64_STANDARD.decode(text).unwrap()
}

/// The public key of a certificate or a `PUBLIC KEY`, both in PEM, as DER.
pub fn public_key(pem: &str) -> Vec<u8> {
    let der = pem_der(pem);
    if !pem.contains("CERTIFICATE") {
        return der;
    }
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    certificate.public_key().raw.to_vec()
}

pub fn verify(pem: &str, timestamp: &str, nonce: &str, body: &[u8], signature: &str) -> bool {
    let message = [format!("{timestamp}\n{nonce}\n").as_bytes(), body, b"\n"].concat();
    let Ok(signature) = BASE64_STANDARD.decode(signature) else { return false };
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key(pem));
    key.verify(&message, &signature).is_ok()
}

pub fn decrypt(key: &str, resource: &Value) -> Option<String> {
    let text = |name: &str| resource[name].as_str().unwrap();
    let mut bytes = BASE64_STANDARD.decode(text("ciphertext")).unwrap();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_bytes()).unwrap());
    let nonce = Nonce::try_assume_unique_for_key(text("nonce").as_bytes()).unwrap();
    let plain = key.open_in_place(nonce, Aad::from(text("associated_data").as_bytes()), &mut bytes).ok()?;
    Some(String::from_utf8(plain.to_vec()).unwrap())
}

pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The parts of a request that a test may bend.
pub struct Bent {
    pub timestamp: i64,
    pub nonce: String,
    pub mch_id: String,
    pub serial_no: String,
    /// Sent in place of the signed body.
    pub sent: Option<String>,
    /// Signed in place of the target.
    pub signed_target: Option<String>,
}

impl Shop {
    /// The first merchant: public-key mode.
    pub fn open() -> Self {
        Self::of("1900000109", "wx8888888888888888")
    }

    /// The second merchant: platform certificates.
    pub fn with_certificates() -> Self {
        Self::of("1900000110", "wx7777777777777777")
    }

    fn of(mch_id: &str, app_id: &str) -> Self {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let files = sandbox.merchant(mch_id).unwrap();
        let key = KeyPair::from_pkcs8(&pem_der(&files.client_key_pem)).unwrap();
        let client = client(&sandbox, None);
        Self {
            bench: Bench { sandbox, client },
            mch_id: mch_id.to_owned(),
            app_id: app_id.to_owned(),
            serial_no: files.serial_no,
            asks_for: None,
            key,
        }
    }

    pub fn sign(&self, message: &[u8]) -> String {
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
        BASE64_STANDARD.encode(signature)
    }

    pub fn bent(&self) -> Bent {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Bent {
            timestamp: now(),
            nonce: format!("N{}", COUNT.fetch_add(1, Ordering::Relaxed)),
            mch_id: self.mch_id.clone(),
            serial_no: self.serial_no.clone(),
            sent: None,
            signed_target: None,
        }
    }

    pub async fn send(&self, method: &str, target: &str, body: &str, how: Bent) -> reqwest::Result<Answer> {
        let Bent { timestamp, nonce, mch_id, serial_no, sent, signed_target } = how;
        let signed = signed_target.as_deref().unwrap_or(target);
        let signature = self.sign(format!("{method}\n{signed}\n{timestamp}\n{nonce}\n{body}\n").as_bytes());
        let authorization = format!(
            "WECHATPAY2-SHA256-RSA2048 mchid=\"{mch_id}\",nonce_str=\"{nonce}\",signature=\"{signature}\",\
             timestamp=\"{timestamp}\",serial_no=\"{serial_no}\""
        );
        let url = format!("{}{target}", self.bench.sandbox.https_url());
        let mut request = self
            .bench
            .client
            .request(method.parse().unwrap(), url)
            .header("authorization", authorization)
            .header("accept", "application/json")
            .header("user-agent", "test");
        if let Some(serial) = &self.asks_for {
            request = request.header("wechatpay-serial", serial);
        }
        if method != "GET" {
            request = request.header("content-type", "application/json");
            request = request.body(sent.unwrap_or_else(|| body.to_owned()));
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await?.to_vec() })
    }

    pub async fn call(&self, method: &str, target: &str, body: &str) -> Answer {
        self.send(method, target, body, self.bent()).await.unwrap()
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.call("GET", target, "").await
    }

    pub async fn post(&self, target: &str, body: &Value) -> Answer {
        self.call("POST", target, &body.to_string()).await
    }

    pub fn order(&self, out_trade_no: &str) -> Value {
        json!({
            "appid": self.app_id, "mchid": self.mch_id, "description": "书店-一本书", "out_trade_no": out_trade_no,
            "notify_url": "http://127.0.0.1:9/notify", "attach": "架7",
            "amount": { "total": 1990, "currency": "CNY" }, "payer": { "openid": PAYER },
        })
    }

    /// A JSAPI prepay; the `prepay_id`.
    pub async fn prepay(&self, out_trade_no: &str, notify_url: &str) -> String {
        let mut order = self.order(out_trade_no);
        order["notify_url"] = json!(notify_url);
        let answer = self.post("/v3/pay/transactions/jsapi", &order).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()["prepay_id"].as_str().unwrap().to_owned()
    }

    pub async fn query(&self, out_trade_no: &str) -> Answer {
        self.get(&format!("/v3/pay/transactions/out-trade-no/{out_trade_no}?mchid={}", self.mch_id)).await
    }

    pub async fn pay(&self, out_trade_no: &str, how: Value) -> Value {
        self.bench.must(&format!("/orders/{}/{out_trade_no}/pay", self.mch_id), how).await
    }

    pub async fn refund(&self, out_trade_no: &str, out_refund_no: &str, refund: i64, notify_url: &str) -> Answer {
        let body = json!({
            "out_trade_no": out_trade_no, "out_refund_no": out_refund_no, "reason": "退货", "notify_url": notify_url,
            "amount": { "refund": refund, "total": 1990, "currency": "CNY" },
        });
        self.post("/v3/refund/domestic/refunds", &body).await
    }

    /// The platform's key of that name, in PEM.
    pub fn platform_key(&self, serial: &str) -> Option<String> {
        if serial.starts_with("PUB_KEY_ID_") {
            let public = self.bench.sandbox.platform_public_key(&self.mch_id).unwrap();
            return (public.id == serial).then_some(public.pem);
        }
        let certificates = self.bench.sandbox.platform_certificates().unwrap();
        certificates.into_iter().find(|(known, _)| known == serial).map(|(_, pem)| pem)
    }

    /// Whether the answer carries a good signature of a key that the platform has.
    pub fn is_signed(&self, answer: &Answer) -> bool {
        let text = |name: &str| answer.header(name);
        let Some(pem) = self.platform_key(text("wechatpay-serial")) else { return false };
        text("wechatpay-signature-type") == "WECHATPAY2-SHA256-RSA2048"
            && (now() - text("wechatpay-timestamp").parse::<i64>().unwrap()).abs() < 300
            && verify(
                &pem,
                text("wechatpay-timestamp"),
                text("wechatpay-nonce"),
                &answer.body,
                text("wechatpay-signature"),
            )
    }

    /// What a client passes to `wx.requestPayment`.
    pub fn client(&self, prepay_id: &str) -> Value {
        let (time, nonce, package) = (now().to_string(), "abc", format!("prepay_id={prepay_id}"));
        let signature = self.sign(format!("{}\n{time}\n{nonce}\n{package}\n", self.app_id).as_bytes());
        json!({ "appId": self.app_id, "timeStamp": time, "nonceStr": nonce, "package": package, "signType": "RSA", "paySign": signature })
    }
}

impl Shop {
    /// The same bench, but calls are those of a merchant that the control API has made.
    pub fn become_merchant(self, mch_id: &str, made: &Value) -> Self {
        let key = KeyPair::from_pkcs8(&pem_der(made["client_key_pem"].as_str().unwrap())).unwrap();
        let serial_no = made["serial_no"].as_str().unwrap().to_owned();
        Self { mch_id: mch_id.to_owned(), serial_no, key, ..self }
    }
}
