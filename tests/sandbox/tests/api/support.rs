//! What every test needs: a sandbox, a merchant's HTTP client, and somebody who receives notifications.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dukou_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub const MCH: &str = "1900000109";
pub const APP: &str = "wx8888888888888888";
pub const OTHER_MCH: &str = "1900000110";
pub const OTHER_APP: &str = "wx7777777777777777";
pub const ACCEPTED: &str =
    "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>";
pub const REFUSED: &str = "<xml><return_code>FAIL</return_code></xml>";

pub type Fields = BTreeMap<String, String>;

/// A sandbox and a client that trusts it and carries the first merchant's certificate.
pub struct Bench {
    pub sandbox: Sandbox,
    pub client: reqwest::Client,
}

pub fn client(sandbox: &Sandbox, certificate_of: Option<&str>) -> reqwest::Client {
    let ca = reqwest::Certificate::from_pem(sandbox.ca_pem().as_bytes()).unwrap();
    let mut builder = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().timeout(Duration::from_secs(20));
    if let Some(mch_id) = certificate_of {
        let files = sandbox.merchant(mch_id).unwrap();
        let pem = format!("{}{}", files.client_cert_pem, files.client_key_pem);
        builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

pub fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn read_xml(text: &str) -> Fields {
    let document = roxmltree::Document::parse(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    let elements = document.root_element().children().filter(roxmltree::Node::is_element);
    elements.map(|node| (node.tag_name().name().to_owned(), node.text().unwrap_or_default().to_owned())).collect()
}

impl Bench {
    pub fn start() -> Self {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let client = client(&sandbox, None);
        Self { sandbox, client }
    }

    /// With the first merchant's certificate, for refunds.
    pub fn with_certificate() -> Self {
        let sandbox = Sandbox::start(Options::default()).unwrap();
        let client = client(&sandbox, Some(MCH));
        Self { sandbox, client }
    }

    pub async fn control(&self, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}/_sandbox{path}", self.sandbox.http_url());
        let response = self.client.post(url).body(body.to_string()).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// A control call that must succeed.
    pub async fn must(&self, path: &str, body: Value) -> Value {
        let (status, value) = self.control(path, body).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    pub async fn look(&self, path: &str) -> Value {
        let url = format!("{}/_sandbox{path}", self.sandbox.http_url());
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    pub async fn sign(&self, mch_id: &str, fields: &Fields) -> String {
        let sign_type = fields.get("sign_type").cloned().unwrap_or_else(|| "MD5".to_owned());
        let body = json!({ "mch_id": mch_id, "fields": fields, "sign_type": sign_type });
        self.must("/sign", body).await["xml"].as_str().unwrap().to_owned()
    }

    pub async fn send(&self, path: &str, body: String) -> reqwest::Result<(u16, String)> {
        let url = format!("{}{path}", self.sandbox.https_url());
        let response = self.client.post(url).body(body).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// A signed call; the fields of the answer.
    pub async fn call(&self, path: &str, mut fields: Fields) -> Fields {
        for (name, value) in [("mch_id", MCH), ("appid", APP)] {
            fields.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        let xml = self.sign(&fields["mch_id"].clone(), &fields).await;
        let (status, text) = self.send(path, xml).await.unwrap();
        assert_eq!(status, 200, "{text}");
        read_xml(&text)
    }

    /// A unifiedorder whose fields are the usual ones with some changed; an empty value takes a field away.
    pub async fn order(&self, out_trade_no: &str, changes: &[(&str, &str)]) -> Fields {
        self.call("/pay/unifiedorder", order_fields(out_trade_no, changes)).await
    }

    pub async fn query(&self, out_trade_no: &str) -> Fields {
        self.call("/pay/orderquery", fields(&[("out_trade_no", out_trade_no)])).await
    }

    pub async fn pay(&self, out_trade_no: &str) -> Value {
        self.must(&format!("/orders/{MCH}/{out_trade_no}/pay"), json!({})).await
    }

    pub async fn refund(&self, out_trade_no: &str, out_refund_no: &str, fee: i64, changes: &[(&str, &str)]) -> Fields {
        let fee = fee.to_string();
        let mut all = fields(&[
            ("out_trade_no", out_trade_no),
            ("out_refund_no", out_refund_no),
            ("total_fee", "1990"),
            ("refund_fee", &fee),
        ]);
        change(&mut all, changes);
        self.call("/secapi/pay/refund", all).await
    }
}

pub fn change(fields: &mut Fields, changes: &[(&str, &str)]) {
    for (name, value) in changes {
        if value.is_empty() {
            fields.remove(*name);
        } else {
            fields.insert((*name).to_owned(), (*value).to_owned());
        }
    }
}

pub fn order_fields(out_trade_no: &str, changes: &[(&str, &str)]) -> Fields {
    let mut all = fields(&[
        ("body", "书店-一本书"),
        ("out_trade_no", out_trade_no),
        ("total_fee", "1990"),
        ("spbill_create_ip", "203.0.113.9"),
        ("notify_url", "http://127.0.0.1:9/notify"),
        ("trade_type", "JSAPI"),
        ("openid", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"),
    ]);
    change(&mut all, changes);
    all
}

/// Checks a code: `SUCCESS`, a return_msg after `!`, or an err_code.
pub fn assert_code(answer: &Fields, expected: &str) {
    let got = match (answer.get("return_code").map(String::as_str), answer.get("err_code")) {
        (Some("SUCCESS"), Some(code)) => code.clone(),
        (Some("SUCCESS"), None) => answer["result_code"].clone(),
        _ => format!("!{}", answer.get("return_msg").cloned().unwrap_or_default()),
    };
    assert_eq!(got, expected, "{answer:?}");
}

/// A notification as it came over the wire.
#[derive(Clone)]
pub struct Received {
    head: String,
    pub body: String,
}

impl Received {
    /// A header's value; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

/// Receives notifications; answers the nth (from 0) as told.
pub struct Receiver {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub async fn start(answer: impl Fn(usize) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notify", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&received), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Some(request) = read_request(&mut stream).await else { return };
                    let number = {
                        let mut kept = kept.lock().unwrap();
                        kept.push(request);
                        kept.len() - 1
                    };
                    let (status, text) = answer(number);
                    let head =
                        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
                    let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
                });
            }
        });
        Self { url, received, task }
    }

    pub fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// Waits for so many notifications and gives them all.
    pub async fn wait(&self, count: usize) -> Vec<String> {
        self.requests(count).await.into_iter().map(|request| request.body).collect()
    }

    /// The same, with their headers.
    pub async fn requests(&self, count: usize) -> Vec<Received> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.count() < count {
            assert!(Instant::now() < deadline, "{} of {count} notifications came", self.count());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.ok()?;
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length: usize =
                length.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
            if body.len() >= length {
                return Some(Received { head: head.to_owned(), body: body.to_owned() });
            }
        }
        if count == 0 {
            return None;
        }
    }
}

/// Looks until the condition holds.
pub async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "the condition did not come true within 10 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
