//! The mini-program's part of the walk: a user logs in, pays what the shop ordered, wants the money
//! back, and gets it once the shop agrees.

use anyhow::{Context as _, ensure};
use dukou_domain::Secret;
use serde_json::{Value, json};

use super::{AMOUNT, Walk, expect_status, ok};
use crate::commands::demo::client::Client;
use crate::commands::demo::names::{PROVIDER, TENANT};
use crate::commands::demo::{say, wire};

/// What one step leaves for the next.
#[derive(Default)]
pub struct Visit {
    token: Option<Secret>,
    openid: Value,
    out_trade_no: String,
    request: String,
}

impl Visit {
    pub fn token(&self) -> Option<&str> {
        self.token.as_ref().map(Secret::expose)
    }

    fn path(&self) -> String {
        format!("/payments/{}", self.out_trade_no)
    }
}

impl Walk<'_> {
    pub async fn log_in(&mut self, visit: &mut Visit) -> anyhow::Result<()> {
        let code = self.client.login_code().await?;
        let body = json!({ "provider": PROVIDER, "code": code });
        let answer = self.client.buyer_post("/sessions", None, &body).await?;
        say(&format!("  mini-program → gateway   POST /v1/{TENANT}/sessions   (no key)"));
        say(&format!("    ← {}  {}", answer.status, wire::some(&answer.body, &["openid", "expires_at"])));
        self.show_wire(|_| true, usize::MAX).await?;
        expect_status(&answer, 201)?;
        let token = answer.body["session_token"].as_str().context("the answer holds no session_token")?;
        ensure!(answer.body.get("session_key").is_none(), "the platform's session_key left the gateway");
        visit.token = Some(Secret::new(token));
        visit.openid = answer.body["openid"].clone();
        ok("logged in; the platform's session_key stayed in the gateway");
        Ok(())
    }

    pub async fn pay_in_mini_program(&mut self, visit: &mut Visit) -> anyhow::Result<()> {
        let body = Client::new_payment(None, AMOUNT, "腾讯-图书");
        let created = self.client.post("/payments", &body).await?;
        say(&format!("  shop → gateway   POST /v1/{TENANT}/payments   (no payer)"));
        say(&format!("    ← {}  {}", created.status, wire::some(&created.body, &["status", "amount", "openid"])));
        expect_status(&created, 201)?;
        ensure!(created.body["status"] == "created", "the payment is {}, not created", created.body["status"]);
        visit.out_trade_no =
            created.body["out_trade_no"].as_str().context("the answer holds no out_trade_no")?.to_owned();

        let path = format!("{}/invoke", visit.path());
        // An amount of the client's own making is refused.
        let forged = self.client.buyer_post(&path, visit.token(), &json!({ "amount": 1 })).await?;
        expect_status(&forged, 400)?;
        let invoked = self.client.buyer_post(&path, visit.token(), &json!({})).await?;
        say(&format!("  mini-program → gateway   POST /v1/{TENANT}{path}   Authorization: Bearer dks1_…"));
        say(&format!("    ← {}  {}", invoked.status, wire::some(&invoked.body, &["status", "amount", "openid"])));
        self.show_wire(|_| true, usize::MAX).await?;
        expect_status(&invoked, 200)?;
        ensure!(invoked.body["amount"] == AMOUNT, "the amount is {}", invoked.body["amount"]);
        ensure!(invoked.body["openid"] == visit.openid, "it is paid by {}", invoked.body["openid"]);
        self.client.platform("/client-pay", &json!({ "client": invoked.body["invoke"] })).await?;
        self.eventually(&visit.path(), |payment| payment["status"] == "succeeded").await?;
        self.wire_with("out", "SUCCESS").await?;
        self.show_wire(|_| true, usize::MAX).await?;
        ok("paid by the session's user, at the shop's price; a price of the client's own was refused");
        Ok(())
    }

    pub async fn ask_for_refund(&mut self, visit: &mut Visit) -> anyhow::Result<()> {
        let path = format!("{}/refund-requests", visit.path());
        let body = json!({ "amount": AMOUNT, "reason": "七天无理由" });
        let asked = self.client.buyer_post(&path, visit.token(), &body).await?;
        say(&format!("  mini-program → gateway   POST /v1/{TENANT}{path}   Authorization: Bearer dks1_…"));
        say(&format!("    ← {}  {}", asked.status, wire::some(&asked.body, &["status", "amount", "reason"])));
        expect_status(&asked, 201)?;
        visit.request = asked.body["id"].as_str().context("the request has no id")?.to_owned();
        let payment = self.client.buyer_get(&visit.path(), visit.token()).await?;
        ensure!(payment.body["status"] == "succeeded", "the payment is {}", payment.body["status"]);
        let order = self.client.platform_order(&visit.out_trade_no).await?;
        ensure!(order["refunds"].as_array().is_none_or(Vec::is_empty), "the platform refunded what was only asked for");
        self.expect_events("refund.requested", 1).await?;
        ok("the shop was told; no money has moved");
        Ok(())
    }

    pub async fn approve(&mut self, visit: &Visit) -> anyhow::Result<()> {
        let path = format!("/refund-requests/{}/approve", visit.request);
        for _ in 0..2 {
            let approved = self.client.post_nothing(&path).await?;
            say(&format!("  shop → gateway   POST /v1/{TENANT}{path}"));
            say(&format!("    ← {}  {}", approved.status, wire::some(&approved.body, &["status", "out_refund_no"])));
            expect_status(&approved, 200)?;
        }
        let payment = self.eventually(&visit.path(), |payment| payment["status"] == "refunded").await?;
        self.wire_with("out", self.sealed()).await?;
        self.show_wire(|_| true, usize::MAX).await?;
        ensure!(payment["refunded_amount"] == AMOUNT, "{} fen are refunded", payment["refunded_amount"]);
        let order = self.client.platform_order(&visit.out_trade_no).await?;
        let refunds = order["refunds"].as_array().map_or(0, Vec::len);
        ensure!(refunds == 1, "the platform has {refunds} refunds");
        ok("approved twice, refunded once: the buyer has the money back");
        Ok(())
    }
}
