//! WeChat Pay's APIv2 against the sandbox's side of it.

use std::fs;

use async_trait::async_trait;
use dukou_domain::Secret;
use dukou_sandbox::{Options, Sandbox};
use dukou_spi::{Invoke, PayOrder, RefundOrder, RefundWord};
use dukou_test_servers::free_port;
use serde_json::{Map, Value, json};
use time::UtcOffset;

use crate::control::Control;
use crate::receiver::Receiver;
use crate::subject::{Contradiction, Fault, Operation, Platform, Subject, TIMEOUT, Tampering, build};

const MCH_ID: &str = "1900000109";
const APP_ID: &str = "wx8888888888888888";
const OTHER_APP_ID: &str = "wx7777777777777777";
const API_KEY: &str = "3f7c9d0ab1e24c6f8a5d7e9012b3c4d5";
const APP_SECRET: &str = "bookshop-app-secret";

/// The form the client certificate is configured in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    Pem,
    Pkcs12,
}

/// A provider over a sandbox of its own.
pub fn subject(sign_type: &str, certificate: Certificate) -> Subject {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.path().join(name), bytes).unwrap();
        json!(format!("file:{}", folder.path().join(name).display()))
    };
    let files = sandbox.merchant(MCH_ID).unwrap();
    let mut section = json!({
        "app_id": APP_ID,
        "app_secret": write("app_secret", APP_SECRET.as_bytes()),
        "mch_id": MCH_ID,
        "api_key": write("api_key", API_KEY.as_bytes()),
        "sign_type": sign_type,
        "base_url": sandbox.https_url(),
        "platform_url": sandbox.https_url(),
        "ca_cert": write("ca.pem", sandbox.ca_pem().as_bytes()),
        "timeout": TIMEOUT,
    });
    match certificate {
        Certificate::Pem => {
            section["client_cert"] = write("cert.pem", files.client_cert_pem.as_bytes());
            section["client_key"] = write("key.pem", files.client_key_pem.as_bytes());
        }
        Certificate::Pkcs12 => section["client_p12"] = write("cert.p12", &files.client_p12),
    }
    let provider = build("wechat-v2", &section);
    section["base_url"] = json!(format!("https://127.0.0.1:{}", free_port()));
    section["platform_url"] = section["base_url"].clone();
    let unreachable = build("wechat-v2", &section);
    let receiver = Receiver::start(provider.clone());
    let control = Control::new(&sandbox.http_url());
    Subject {
        provider,
        unreachable,
        platform: Box::new(WechatV2 { control, private_key: files.client_key_pem, _sandbox: sandbox }),
        receiver,
    }
}

struct WechatV2 {
    control: Control,
    private_key: String,
    _sandbox: Sandbox,
}

impl WechatV2 {
    async fn new_code(&self, app_id: &str, errcode: Option<i64>) -> (Secret, String) {
        let mut body = json!({ "app_id": app_id });
        if let Some(errcode) = errcode {
            body["errcode"] = json!(errcode);
        }
        let made = self.control.post("/codes", body).await;
        (Secret::new(made["code"].as_str().unwrap()), made["openid"].as_str().unwrap().to_owned())
    }

    async fn notify(&self, order: &PayOrder, body: Value) -> bool {
        let sent = self.control.post(&format!("/orders/{MCH_ID}/{}/notify", order.trade_no), body).await;
        sent["responses"][0]["success"].as_bool().unwrap()
    }
}

#[async_trait]
impl Platform for WechatV2 {
    async fn payers(&self) -> (String, String) {
        (self.new_code(APP_ID, None).await.1, self.new_code(OTHER_APP_ID, None).await.1)
    }

    async fn pay(&self, invoke: &Invoke) -> Result<(), String> {
        let client: Map<String, Value> = invoke
            .0
            .iter()
            // The sandbox names the page as the platform does.
            .map(|(name, value)| (if *name == "h5_url" { "mweb_url" } else { name }.to_owned(), json!(value)))
            .collect();
        self.control.try_post("/client-pay", json!({ "client": client, "notify": false })).await.map(drop)
    }

    async fn pay_with_coupon(&self, order: &PayOrder, coupon: i64) {
        let path = format!("/orders/{MCH_ID}/{}/pay", order.trade_no);
        self.control.post(&path, json!({ "coupon_fee": coupon, "notify": false })).await;
    }

    async fn fail(&self, order: &PayOrder) -> bool {
        let path = format!("/orders/{MCH_ID}/{}/fail", order.trade_no);
        self.control.post(&path, json!({ "err_code": "NOTENOUGH", "notify": true })).await;
        true
    }

    async fn tell(&self, order: &PayOrder) -> bool {
        self.notify(order, json!({})).await
    }

    async fn tell_contradicting(&self, order: &PayOrder, what: Contradiction) -> bool {
        let set = match what {
            Contradiction::OneFenMore => json!({ "total_fee": (order.amount.minor() + 1).to_string() }),
            Contradiction::OtherCurrency => json!({ "fee_type": "USD" }),
            Contradiction::OtherApp => json!({ "appid": OTHER_APP_ID }),
            Contradiction::OtherMerchant => json!({ "mch_id": "1900000110" }),
        };
        self.notify(order, json!({ "set": set })).await
    }

    async fn tell_tampered(&self, order: &PayOrder, how: Tampering) -> bool {
        let corrupt = match how {
            Tampering::Signature => "sign",
            Tampering::Body => "body",
            Tampering::CutOff => "truncate",
        };
        self.notify(order, json!({ "corrupt": corrupt })).await
    }

    async fn hold_refunds(&self) {
        self.control.post("/policy", json!({ "auto_settle": false })).await;
    }

    async fn settle(&self, refund: &RefundOrder, end: RefundWord) {
        let status = match end {
            RefundWord::Succeeded => "SUCCESS",
            RefundWord::Closed => "REFUNDCLOSE",
            RefundWord::Abnormal => "CHANGE",
            other => panic!("a refund does not end as {other:?}"),
        };
        let path = format!("/orders/{MCH_ID}/{}/refunds/{}/settle", refund.trade_no, refund.out_refund_no);
        self.control.post(&path, json!({ "status": status })).await;
    }

    async fn fault(&self, operation: Operation, fault: Fault) {
        let operation = match operation {
            Operation::Pay => "unifiedorder",
            Operation::Query => "orderquery",
            Operation::Refund => "refund",
            Operation::QueryRefund => "refundquery",
        };
        let fault = match fault {
            Fault::LoseAnswer => json!({ "type": "lose_answer" }),
            Fault::Drop => json!({ "type": "drop" }),
            Fault::Hang => json!({ "type": "hang", "ms": 10_000 }),
            Fault::Trouble => json!({ "type": "err_code", "code": "SYSTEMERROR", "after_effect": true }),
            Fault::NewCode => json!({ "type": "err_code", "code": "SOMETHING_NEW", "after_effect": true }),
            Fault::UnsignedRefusal => json!({ "type": "return_fail", "message": "invalid parameter" }),
            Fault::BadGateway => {
                json!({ "type": "http", "status": 502, "body": "<html></html>", "after_effect": true })
            }
            Fault::BadSignature => json!({ "type": "bad_signature" }),
            Fault::CutOff => json!({ "type": "truncate" }),
            Fault::FieldTwice => json!({ "type": "duplicate_field" }),
            Fault::TooLong => json!({ "type": "huge_answer", "bytes": 200_000 }),
        };
        self.control.post("/faults", json!({ "operation": operation, "times": 1, "fault": fault })).await;
    }

    async fn code(&self) -> (Secret, String) {
        self.new_code(APP_ID, None).await
    }

    async fn odd_codes(&self) -> (Secret, Secret) {
        (self.new_code(APP_ID, Some(40029)).await.0, self.new_code(APP_ID, Some(-1)).await.0)
    }

    fn zone(&self) -> UtcOffset {
        UtcOffset::from_hms(8, 0, 0).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        let key_line = self.private_key.lines().nth(1).unwrap();
        [API_KEY, APP_SECRET, key_line].map(str::to_owned).to_vec()
    }

    async fn counts(&self) -> (usize, usize) {
        let state = self.control.get("/state").await;
        let count = |name: &str| usize::try_from(state[name].as_u64().unwrap()).unwrap();
        (count("order_count"), count("refund_count"))
    }
}
