//! `dukou demo`: the whole main job on one machine. The gateway, the payment platform (simulated)
//! and a shop run in this process and talk over real HTTP(S); a walk from payment to refund shows
//! and checks every step.

mod client;
mod names;
mod setting;
mod shop;
mod walk;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::shutdown;
pub use setting::Kind;
use setting::Setting;

/// Runs the demonstration; with `once` it ends after the walk.
pub fn run(once: bool, kind: Kind) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start threads");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(show(once, kind)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("\n✗ {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn show(once: bool, kind: Kind) -> anyhow::Result<()> {
    say("渡口 dukou · demo\n");
    say("Starting the gateway, and WeChat Pay and Douyin as a sandbox. No real money moves.");
    let setting = Setting::start(kind).await.context("the demo could not start")?;
    let shop = shop::Shop::start(&setting).await.context("the demo's shop could not start")?;
    say(&format!("  gateway     {}", setting.gateway_url));
    say(&format!("  WeChat Pay  {} (sandbox, TLS; Douyin too)", setting.sandbox.https_url()));

    let walked = walk::walk(&setting).await;
    if walked.is_ok() && !once {
        stay(&setting, &shop).await?;
    }
    shop.stop().await;
    setting.stop().await;
    walked
}

/// Names the addresses and waits for the end.
async fn stay(setting: &Setting, shop: &shop::Shop) -> anyhow::Result<()> {
    say("\nEverything stays up. Buy something yourself:");
    say(&format!("  商店 shop     {}", shop.url));
    say(&format!("  手机 phone    {}/_sandbox/phone", setting.sandbox.http_url()));
    say(&format!("  抖音 Douyin   {}/_sandbox/douyin", setting.sandbox.http_url()));
    say(&format!("  控制台 console {}/console  (令牌 token: {})", setting.admin_url, setting.admin_token.expose()));
    say(&format!("  metrics       {}/metrics", setting.admin_url));
    say(&format!("  readiness     {}/readyz", setting.admin_url));
    say(&format!("  interface     {}/openapi.json", setting.gateway_url));
    say("\nCtrl-C ends it; nothing is kept.");
    shutdown::requested().await?;
    Ok(())
}

/// A line for the person who watches. That nobody reads it is no reason to end.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
