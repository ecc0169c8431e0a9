//! A share's part of the walk: from the mini-program to Douyin, and what comes back.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::buyer::Visit;
use super::{Walk, expect_status, ok};
use crate::commands::demo::names::{APP, DOUYIN, TENANT};
use crate::commands::demo::{say, wire};

impl Walk<'_> {
    pub async fn share(&mut self, visit: &Visit) -> anyhow::Result<Value> {
        let url = format!("{}/callback/{TENANT}/douyin-share", self.setting.gateway_url);
        let console = format!("/douyin/apps/{DOUYIN}/webhook");
        self.client.platform(&console, &json!({ "url": url, "challenge": 12345 })).await?;
        self.show_wire(|_| true, usize::MAX).await?;
        ok("the address answered the challenge");
        let body = json!({
            "app_id": APP, "title": "边城 · 一页书，一渡口", "path": "pages/book/detail?id=ferry",
            "image_url": "https://books.example.com/ferry.png", "hashtags": ["读书", "边城"], "scene": "1007",
        });
        let shared = self.client.buyer_post("/shares/douyin", visit.token(), &body).await?;
        say(&format!("  mini-program → gateway   POST /v1/{TENANT}/shares/douyin   Authorization: Bearer dks1_…"));
        say(&format!("      {}", wire::some(&body, &["title", "path", "image_url"])));
        let keys = ["share_id", "status", "landing_url", "schema"];
        say(&format!("    ← {}  {}", shared.status, wire::some(&shared.body, &keys)));
        self.show_wire(|_| true, usize::MAX).await?;
        expect_status(&shared, 201)?;
        ensure!(shared.body["share_id"].is_string(), "the answer holds no share_id");
        self.expect_events("share.created", 1).await?;
        ok("on record before it was answered; the link is signed with a ticket that all shops of the app share");
        Ok(shared.body)
    }

    pub async fn publish(&mut self, share: &Value) -> anyhow::Result<()> {
        let landing = share["landing_url"].as_str().context("the share has no landing page")?;
        let page = self.client.page_on_a_phone(landing).await?;
        let (_, link) = page.split_once("href=\"snssdk1128:").context("the landing page opens nothing")?;
        let (link, _) = link.split_once('"').context("the landing page's link has no end")?;
        let schema = format!("snssdk1128:{}", link.replace("&#38;", "&").replace("&#39;", "'"));
        say("  phone → gateway   GET /s/…   (a phone's browser)");
        say(&format!("    ← 200  a page that opens {}…", schema.chars().take(44).collect::<String>()));
        let opened = self.client.platform("/douyin/open", &json!({ "schema": schema })).await?;
        say(&format!("  抖音   signature, ticket and time hold; {}", wire::some(&opened, &["title", "share_id"])));
        let work = self.client.platform("/douyin/publish", &json!({ "opening_id": opened["opening_id"] })).await?;
        let path = format!("/shares/douyin/{}", share["id"].as_str().context("the share has no id")?);
        let published = self.eventually(&path, |share| share["status"] == "published").await?;
        self.wire_with("out", "create_video").await?;
        // What the person did at the sandbox crossed no wire.
        self.show_wire(|entry| entry["direction"] == "out", usize::MAX).await?;
        say(&format!("  shop → gateway   GET /v1/{TENANT}{path}"));
        say(&format!("    ← 200  {}", wire::some(&published, &["status", "item_id", "published_at"])));
        ensure!(published["item_id"] == work["item_id"], "the video is {}", published["item_id"]);
        self.expect_events("share.published", 1).await?;
        ok("published; the shop was told which video it became, once");
        Ok(())
    }
}
