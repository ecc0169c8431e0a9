//! The walk: pay, notify, notify again, forged notify, refund, refund's notify; then the same from
//! the mini-program's side; then a share that is published on Douyin. Every step is checked; the first
//! that fails ends it.

mod buyer;
mod share;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::client::{Answer, Client};
use super::names::{PROVIDER, TENANT};
use super::setting::{Kind, Setting};
use super::{say, wire};

const STEPS: u32 = 13;
const AMOUNT: i64 = 101;
const REFUND: i64 = 50;
const DUPLICATES: u64 = 5;
/// How long anything may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

struct Walk<'a> {
    setting: &'a Setting,
    client: &'a Client,
    /// Entries of the sandbox's journal that were shown.
    shown: BTreeSet<u64>,
    out_trade_no: String,
    invoke: Value,
}

/// Walks all steps.
///
/// # Errors
/// Names the step that failed, and how.
pub async fn walk(setting: &Setting) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut walk = Walk {
        setting,
        client: &setting.client,
        shown: BTreeSet::new(),
        out_trade_no: String::new(),
        invoke: Value::Null,
    };
    step(1, "下单", "the shop's back end asks the gateway for a payment of ¥1.01");
    walk.create().await.context("step 1 (create) failed")?;
    step(2, "支付", "the buyer pays on the phone; WeChat checks the second signature");
    walk.pay().await.context("step 2 (pay) failed")?;
    step(3, "通知", "WeChat Pay notifies; the gateway verifies, records, and only then says SUCCESS");
    walk.notified().await.context("step 3 (notify) failed")?;
    step(4, "重复通知", "the same notify five times more, at once: same answer, no second effect");
    walk.duplicates().await.context("step 4 (duplicate notify) failed")?;
    step(5, "伪造通知", "a notify with a wrong signature: refused, nothing changes");
    walk.forged().await.context("step 5 (forged notify) failed")?;
    let (sent, told) = match setting.kind {
        Kind::WechatV2 => ("the client certificate is asked for", "encrypted; the gateway confirms it by a query"),
        Kind::WechatV3 => ("signed with the merchant's key", "signed and encrypted: it counts by itself"),
    };
    step(6, "退款", &format!("the shop refunds ¥0.50, twice with one number; {sent}"));
    walk.refund().await.context("step 6 (refund) failed")?;
    step(7, "退款通知", &format!("WeChat Pay tells of the refund, {told}"));
    walk.refund_notified().await.context("step 7 (refund notify) failed")?;
    let mut visit = buyer::Visit::default();
    step(8, "登录", "a user opens the mini-program: its login code becomes a session");
    walk.log_in(&mut visit).await.context("step 8 (session) failed")?;
    step(9, "小程序支付", "the shop orders without a payer; the mini-program pays with its session token");
    walk.pay_in_mini_program(&mut visit).await.context("step 9 (invoke) failed")?;
    step(10, "申请退款", "the buyer asks for the money back; nothing moves until the shop agrees");
    walk.ask_for_refund(&mut visit).await.context("step 10 (refund request) failed")?;
    step(11, "同意退款", "the shop approves, twice by mistake");
    walk.approve(&visit).await.context("step 11 (approve) failed")?;
    step(12, "分享到抖音", "the buyer shares a book; Douyin first checks the callback address");
    let share = walk.share(&visit).await.context("step 12 (share) failed")?;
    step(13, "抖音发布", "the landing page opens Douyin, the buyer publishes, Douyin tells the gateway");
    walk.publish(&share).await.context("step 13 (publish) failed")?;
    walk.summary(started.elapsed()).await
}

fn step(number: u32, name: &str, words: &str) {
    say(&format!("\n{number}/{STEPS} {name}  {words}"));
}

fn ok(words: &str) {
    say(&format!("  ✓ {words}"));
}

impl Walk<'_> {
    async fn create(&mut self) -> anyhow::Result<()> {
        let code = self.client.login_code().await?;
        let body = Client::new_payment(Some(&code), AMOUNT, "腾讯-图书");
        let answer = self.client.post("/payments", &body).await?;
        say(&format!("  shop → gateway   POST /v1/{TENANT}/payments   Authorization: Bearer …"));
        say(&format!("      {}", wire::some(&body, &["provider", "method", "amount", "currency", "description"])));
        let keys = ["out_trade_no", "status", "amount", "openid"];
        say(&format!("    ← {}  {}", answer.status, wire::some(&answer.body, &keys)));
        self.show_wire(|_| true, usize::MAX).await?;
        expect_status(&answer, 201)?;
        ensure!(answer.body["status"] == "pending", "the payment is {}, not pending", answer.body["status"]);
        self.invoke = answer.body["invoke"].clone();
        ensure!(self.invoke["paySign"].is_string(), "the answer holds no signed arguments for wx.requestPayment");
        self.out_trade_no =
            answer.body["out_trade_no"].as_str().context("the answer holds no out_trade_no")?.to_owned();
        ok("the order stands at WeChat Pay, and the mini-program has its signed arguments");
        Ok(())
    }

    async fn pay(&mut self) -> anyhow::Result<()> {
        say("  mini-program → 手机   wx.requestPayment");
        say(&format!("      {}", wire::body(&self.invoke.to_string())));
        let order = self.client.platform("/client-pay", &json!({ "client": self.invoke })).await?;
        ensure!(order["transaction_id"].is_string(), "the platform gave no transaction_id");
        ok(&format!("paid; WeChat's number is {}", order["transaction_id"].as_str().unwrap_or_default()));
        Ok(())
    }

    async fn notified(&mut self) -> anyhow::Result<()> {
        let path = format!("/payments/{}", self.out_trade_no);
        let payment = self.eventually(&path, |payment| payment["status"] == "succeeded").await?;
        self.wire_with("out", "SUCCESS").await?;
        self.show_wire(|_| true, usize::MAX).await?;
        let keys = ["status", "amount", "paid_at", "provider_transaction_id"];
        say(&format!("  shop → gateway   GET /v1/{TENANT}{path}"));
        say(&format!("    ← 200  {}", wire::some(&payment, &keys)));
        ensure!(payment["amount"] == AMOUNT, "the amount is {}", payment["amount"]);
        self.expect_events("payment.succeeded", 1).await?;
        ok("the payment has succeeded, with one event");
        Ok(())
    }

    async fn duplicates(&mut self) -> anyhow::Result<()> {
        let path = format!("{}/notify", Client::order_path(&self.out_trade_no));
        let how = json!({ "kind": "payment", "copies": DUPLICATES, "concurrent": true });
        let answer = self.client.platform(&path, &how).await?;
        self.show_wire(|_| true, 1).await?;
        let responses = answer["responses"].as_array().context("no responses")?;
        for response in responses {
            ensure!(response["success"] == true, "a duplicate was answered {response}");
        }
        self.expect_events("payment.succeeded", 1).await?;
        let counted = self.notifies_counted("duplicate").await?;
        ensure!(counted >= DUPLICATES, "only {counted} duplicates were counted");
        ok(&format!("{} answers of SUCCESS, still one event, {counted} counted as duplicates", responses.len()));
        Ok(())
    }

    async fn forged(&mut self) -> anyhow::Result<()> {
        let path = format!("{}/notify", Client::order_path(&self.out_trade_no));
        let how = json!({ "kind": "payment", "corrupt": "sign", "set": self.one_fen() });
        let answer = self.client.platform(&path, &how).await?;
        self.show_wire(|_| true, usize::MAX).await?;
        ensure!(answer["responses"][0]["success"] == false, "the forged notify was answered with SUCCESS");
        let payment = self.client.get(&format!("/payments/{}", self.out_trade_no)).await?;
        ensure!(
            payment.body["status"] == "succeeded" && payment.body["amount"] == AMOUNT,
            "the forged notify changed the payment"
        );
        ensure!(self.notifies_counted("bad_signature").await? >= 1, "the forged notify was not counted");
        ok("answered with FAIL and counted; the payment is as it was");
        Ok(())
    }

    async fn refund(&mut self) -> anyhow::Result<()> {
        let path = format!("/payments/{}/refunds", self.out_trade_no);
        let body = json!({ "out_refund_no": "R-1", "amount": REFUND, "reason": "七天无理由" });
        let (first, second) = tokio::join!(self.client.post(&path, &body), self.client.post(&path, &body));
        let (first, second) = (first?, second?);
        for answer in [&first, &second] {
            say(&format!("  shop → gateway   POST /v1/{TENANT}{path}"));
            say(&format!("      {}", wire::body(&body.to_string())));
            say(&format!("    ← {}  {}", answer.status, wire::some(&answer.body, &["id", "status", "amount"])));
        }
        // What follows by itself belongs to the next step, whenever it comes.
        let operation = match self.setting.kind {
            Kind::WechatV2 => "refund",
            Kind::WechatV3 => "v3_refund",
        };
        self.show_wire(|entry| entry["operation"] == operation && entry["direction"] == "in", usize::MAX).await?;
        let made = [&first, &second].into_iter().filter(|answer| answer.status == 201).count();
        ensure!(made >= 1, "no refund was made: {}", first.body);
        let order = self.client.platform_order(&self.out_trade_no).await?;
        let refunds = order["refunds"].as_array().map_or(0, Vec::len);
        ensure!(refunds == 1, "the platform has {refunds} refunds");
        ok(match self.setting.kind {
            Kind::WechatV2 => "one refund at the platform, sent over mutual TLS",
            Kind::WechatV3 => "one refund at the platform, signed with the merchant's own key",
        });
        Ok(())
    }

    async fn refund_notified(&mut self) -> anyhow::Result<()> {
        let refund = self.eventually("/refunds/R-1", |refund| refund["status"] == "succeeded").await?;
        self.wire_with("out", self.sealed()).await?;
        self.show_wire(|_| true, usize::MAX).await?;
        let path = format!("/payments/{}", self.out_trade_no);
        let payment = self.eventually(&path, |payment| payment["status"] == "partially_refunded").await?;
        say(&format!("  shop → gateway   GET /v1/{TENANT}{path}"));
        say(&format!("    ← 200  {}", wire::some(&payment, &["status", "amount", "refunded_amount"])));
        ensure!(payment["refunded_amount"] == REFUND, "{} fen are refunded", payment["refunded_amount"]);
        ensure!(refund["provider_refund_id"].is_string(), "the refund has no number of the platform's");
        self.expect_events("refund.succeeded", 1).await?;
        ok("the refund has succeeded, with one event");
        Ok(())
    }

    /// What a forged notify claims was paid.
    fn one_fen(&self) -> Value {
        match self.setting.kind {
            Kind::WechatV2 => json!({ "total_fee": "1" }),
            Kind::WechatV3 => json!({ "amount.total": 1 }),
        }
    }

    /// What a refund's notify hides its content in.
    fn sealed(&self) -> &'static str {
        match self.setting.kind {
            Kind::WechatV2 => "req_info",
            Kind::WechatV3 => "ciphertext",
        }
    }

    async fn summary(&self, took: Duration) -> anyhow::Result<()> {
        say("\nThe tenant's event log:");
        for event in self.events().await? {
            let name = event["type"].as_str().unwrap_or_default();
            say(&format!("  {}  {name}", event["timestamp"].as_str().unwrap_or_default()));
        }
        say(&format!(
            "\n✓ all {STEPS} steps passed in {} ms: paid ¥1.01 twice, refunded ¥0.50 and ¥1.01 once each, shared and \
             published once.",
            took.as_millis()
        ));
        Ok(())
    }

    async fn events(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.client.get("/events").await?;
        expect_status(&answer, 200)?;
        Ok(answer.body["data"].as_array().context("no list of events")?.clone())
    }

    async fn expect_events(&self, kind: &str, wanted: usize) -> anyhow::Result<()> {
        let count = self.events().await?.iter().filter(|event| event["type"] == kind).count();
        ensure!(count == wanted, "there are {count} events {kind}, not {wanted}");
        Ok(())
    }

    /// How many notifies of payments ended so, by the metrics.
    async fn notifies_counted(&self, outcome: &str) -> anyhow::Result<u64> {
        let text = self.client.text(&format!("{}/metrics", self.setting.admin_url)).await?;
        let series = format!(
            "dukou_notify_total{{kind=\"payment\",outcome=\"{outcome}\",provider=\"{PROVIDER}\",tenant=\"{TENANT}\"}} "
        );
        Ok(text.lines().find_map(|line| line.strip_prefix(&series)).and_then(|n| n.parse().ok()).unwrap_or(0))
    }

    /// Reads an object at the gateway until it is as wanted.
    async fn eventually(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.client.get(path).await?;
            expect_status(&answer, 200)?;
            if wanted(&answer.body) {
                return Ok(answer.body);
            }
            if Instant::now() > deadline {
                bail!("{path} is still {} after {PATIENCE:?}", answer.body["status"]);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until the journal has an entry that was not shown yet and is complete: the answer to a
    /// notify is recorded a moment after the gateway has acted on it.
    async fn wire_with(&self, direction: &str, text: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let holds = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().contains(text);
            let found = self.unseen().await?.iter().any(|entry| {
                entry["direction"] == direction
                    && entry["status"].is_u64()
                    && (holds(entry, "request") || holds(entry, "response"))
            });
            if found {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the platform sent nothing with {text} in {PATIENCE:?}");
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Shows what crossed the wire at the platform and was not shown yet: the chosen entries, and of
    /// many alike at most so many.
    async fn show_wire(&mut self, chosen: impl Fn(&Value) -> bool, most: usize) -> anyhow::Result<()> {
        let entries: Vec<Value> = self.unseen().await?.into_iter().filter(|entry| chosen(entry)).collect();
        for entry in entries.iter().take(most) {
            for line in wire::entry_lines(entry) {
                say(&line);
            }
        }
        if entries.len() > most {
            say(&format!("  … and {} more of the same, each signed anew", entries.len() - most));
        }
        self.shown.extend(entries.iter().filter_map(|entry| entry["seq"].as_u64()));
        Ok(())
    }

    async fn unseen(&self) -> anyhow::Result<Vec<Value>> {
        let journal = self.client.journal().await?;
        let entries = journal["entries"].as_array().context("the journal has no entries")?;
        let unseen = |entry: &&Value| entry["seq"].as_u64().is_some_and(|seq| !self.shown.contains(&seq));
        Ok(entries.iter().filter(unseen).cloned().collect())
    }
}

fn expect_status(answer: &Answer, status: u16) -> anyhow::Result<()> {
    ensure!(answer.status == status, "the gateway answered {} instead of {status}: {}", answer.status, answer.body);
    Ok(())
}
