//! WeChat Pay's APIv3 against the sandbox's side of it.

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

/// How WeChat is believed, and for whom the merchant acts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    PublicKey,
    Certificates,
    /// Both kinds of keys, while the platform moves the merchant from one to the other.
    Switching,
    /// A partner (服务商) for a merchant with an app of its own.
    Partner,
}

/// One of the sandbox's merchants.
struct Account {
    mch_id: &'static str,
    app_id: &'static str,
    api_v3_key: &'static str,
    app_secret: &'static str,
}

const BOOKSHOP: Account = Account {
    mch_id: "1900000109",
    app_id: "wx8888888888888888",
    api_v3_key: "Dev0nlyV3Key-abcdefghijklmnop123",
    app_secret: "bookshop-app-secret",
};
const TEAHOUSE: Account = Account {
    mch_id: "1900000110",
    app_id: "wx7777777777777777",
    api_v3_key: "Teahouse0V3Key-qrstuvwxyz0123456",
    app_secret: "teahouse-app-secret",
};
/// Whom the bookshop acts for.
const SUB: (&str, &str) = ("1900000200", "wx6666666666666666");
const SUB_SECRET: &str = "bookshop-branch-app-secret";

/// A provider over a sandbox of its own.
pub fn subject(mode: Mode) -> Subject {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        json!(format!("file:{}", folder.path().join(name).display()))
    };
    let account = match mode {
        Mode::PublicKey | Mode::Partner => BOOKSHOP,
        Mode::Certificates | Mode::Switching => TEAHOUSE,
    };
    let files = sandbox.merchant(account.mch_id).unwrap();
    let mut section = json!({
        "app_id": account.app_id,
        "mch_id": account.mch_id,
        "api_v3_key": write("api_v3_key", account.api_v3_key),
        "serial_no": files.serial_no,
        "private_key": write("key.pem", &files.client_key_pem),
        "certificate": write("cert.pem", &files.client_cert_pem),
        "base_url": sandbox.https_url(),
        "platform_url": sandbox.https_url(),
        "ca_cert": write("ca.pem", &sandbox.ca_pem()),
        "timeout": TIMEOUT,
    });
    if mode != Mode::Certificates {
        let public = sandbox.platform_public_key(account.mch_id).unwrap();
        section["platform_public_key"] = write("pub_key.pem", &public.pem);
        section["platform_public_key_id"] = json!(public.id);
    }
    let app_secret = if mode == Mode::Partner { SUB_SECRET } else { account.app_secret };
    section["app_secret"] = write("app_secret", app_secret);
    if mode == Mode::Partner {
        section["sub_mch_id"] = json!(SUB.0);
        section["sub_app_id"] = json!(SUB.1);
    }
    if mode == Mode::Switching {
        section["platform_certificates"] = json!(true);
        let control = Control::new(&sandbox.http_url());
        let body = json!({ "mch_id": account.mch_id, "mode": "switching", "notify_share": 0.5 });
        std::thread::scope(|scope| {
            let moved = scope.spawn(|| block_on(control.post("/v3/trust", body)));
            moved.join().unwrap();
        });
    }
    if matches!(mode, Mode::Certificates | Mode::Switching) {
        // Made before the clock of a call runs: an RSA key takes a while where a hundred tests want one.
        sandbox.platform_certificates().unwrap();
    }
    let provider = build("wechat-v3", &section);
    section["base_url"] = json!(format!("https://127.0.0.1:{}", free_port()));
    section["platform_url"] = section["base_url"].clone();
    let unreachable = build("wechat-v3", &section);
    let receiver = Receiver::start(provider.clone());
    let control = Control::new(&sandbox.http_url());
    let private_key = files.client_key_pem;
    let platform = WechatV3 { control, account, partner: mode == Mode::Partner, private_key, _sandbox: sandbox };
    Subject { provider, unreachable, platform: Box::new(platform), receiver }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

struct WechatV3 {
    control: Control,
    account: Account,
    partner: bool,
    private_key: String,
    _sandbox: Sandbox,
}

impl WechatV3 {
    /// The app whose users pay.
    fn app_id(&self) -> &'static str {
        if self.partner { SUB.1 } else { self.account.app_id }
    }

    /// An app of somebody else's.
    fn other_app_id(&self) -> &'static str {
        if self.account.app_id == TEAHOUSE.app_id { BOOKSHOP.app_id } else { TEAHOUSE.app_id }
    }

    async fn new_code(&self, app_id: &str, errcode: Option<i64>) -> (Secret, String) {
        let mut body = json!({ "app_id": app_id });
        if let Some(errcode) = errcode {
            body["errcode"] = json!(errcode);
        }
        let made = self.control.post("/codes", body).await;
        (Secret::new(made["code"].as_str().unwrap()), made["openid"].as_str().unwrap().to_owned())
    }

    fn path(&self, order: &PayOrder, what: &str) -> String {
        format!("/orders/{}/{}/{what}", self.account.mch_id, order.trade_no)
    }

    async fn notify(&self, order: &PayOrder, body: Value) -> bool {
        let sent = self.control.post(&self.path(order, "notify"), body).await;
        sent["responses"][0]["success"].as_bool().unwrap()
    }
}

#[async_trait]
impl Platform for WechatV3 {
    async fn payers(&self) -> (String, String) {
        (self.new_code(self.app_id(), None).await.1, self.new_code(self.other_app_id(), None).await.1)
    }

    async fn pay(&self, invoke: &Invoke) -> Result<(), String> {
        let client: Map<String, Value> =
            invoke.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        self.control.try_post("/client-pay", json!({ "client": client, "notify": false })).await.map(drop)
    }

    async fn pay_with_coupon(&self, order: &PayOrder, coupon: i64) {
        self.control.post(&self.path(order, "pay"), json!({ "coupon_fee": coupon, "notify": false })).await;
    }

    /// APIv3 tells of payments alone.
    async fn fail(&self, order: &PayOrder) -> bool {
        self.control.post(&self.path(order, "fail"), json!({ "notify": false })).await;
        false
    }

    async fn tell(&self, order: &PayOrder) -> bool {
        self.notify(order, json!({})).await
    }

    async fn tell_contradicting(&self, order: &PayOrder, what: Contradiction) -> bool {
        let (app, merchant) = if self.partner { ("sub_appid", "sub_mchid") } else { ("appid", "mchid") };
        let set = match what {
            Contradiction::OneFenMore => json!({ "amount.total": order.amount.minor() + 1 }),
            Contradiction::OtherCurrency => json!({ "amount.currency": "USD" }),
            Contradiction::OtherApp => json!({ app: self.other_app_id() }),
            Contradiction::OtherMerchant => json!({ merchant: "1900000999" }),
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
            RefundWord::Closed => "CLOSED",
            RefundWord::Abnormal => "ABNORMAL",
            other => panic!("a refund does not end as {other:?}"),
        };
        let mch_id = self.account.mch_id;
        let path = format!("/orders/{mch_id}/{}/refunds/{}/settle", refund.trade_no, refund.out_refund_no);
        self.control.post(&path, json!({ "status": status })).await;
    }

    async fn fault(&self, operation: Operation, fault: Fault) {
        let operation = match operation {
            Operation::Pay => "v3_prepay",
            Operation::Query => "v3_query",
            Operation::Refund => "v3_refund",
            Operation::QueryRefund => "v3_refund_query",
        };
        let fault = match fault {
            Fault::LoseAnswer => json!({ "type": "lose_answer" }),
            Fault::Drop => json!({ "type": "drop" }),
            Fault::Hang => json!({ "type": "hang", "ms": 10_000 }),
            Fault::Trouble => json!({ "type": "err_code", "code": "SYSTEM_ERROR", "after_effect": true }),
            Fault::NewCode => {
                json!({ "type": "err_code", "code": "SOMETHING_NEW", "status": 400, "after_effect": true })
            }
            Fault::UnsignedRefusal => json!({ "type": "return_fail", "message": "invalid parameter" }),
            Fault::BadGateway => {
                json!({ "type": "http", "status": 502, "body": "<html></html>", "after_effect": true })
            }
            Fault::BadSignature => json!({ "type": "bad_signature" }),
            Fault::CutOff => json!({ "type": "cut_body" }),
            Fault::FieldTwice => json!({ "type": "duplicate_field" }),
            Fault::TooLong => json!({ "type": "huge_answer", "bytes": 200_000 }),
        };
        self.control.post("/faults", json!({ "operation": operation, "times": 1, "fault": fault })).await;
    }

    async fn code(&self) -> (Secret, String) {
        self.new_code(self.app_id(), None).await
    }

    async fn odd_codes(&self) -> (Secret, Secret) {
        (self.new_code(self.app_id(), Some(40029)).await.0, self.new_code(self.app_id(), Some(-1)).await.0)
    }

    fn zone(&self) -> UtcOffset {
        UtcOffset::from_hms(8, 0, 0).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        let key_line = self.private_key.lines().nth(1).unwrap();
        [self.account.api_v3_key, self.account.app_secret, SUB_SECRET, key_line].map(str::to_owned).to_vec()
    }

    async fn counts(&self) -> (usize, usize) {
        let state = self.control.get("/state").await;
        let count = |name: &str| usize::try_from(state[name].as_u64().unwrap()).unwrap();
        (count("order_count"), count("refund_count"))
    }
}
