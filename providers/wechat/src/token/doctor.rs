//! What a person should know of an app's access token.

use dukou_spi::{AccessTokenError, AccessTokens, Finding, ProviderError, Reason};

use super::TokenHolder;
use super::code::named_address;
use crate::account::Account;
use crate::doctor::PayingApp;

/// Asks for a token and tries it: whether app, secret and this machine's address are right.
pub async fn look(tokens: &TokenHolder, account: &Account, app: PayingApp<'_>) -> Finding {
    let app_id = app.id;
    let token = match tokens.get().await {
        Ok(token) => token,
        Err(AccessTokenError::Platform(error)) => return explain(&error, app, account),
        Err(AccessTokenError::Shared(error)) => {
            return Finding::warning("app_secret", format!("no access token was asked for: {error}"), "try again");
        }
    };
    match tokens.is_accepted(&token.value).await {
        Ok(true) => {
            Finding::good("app_secret", format!("{app_id} gets an access token from here, and WeChat takes it"))
        }
        Ok(false) => Finding::error(
            "app_secret",
            format!("WeChat gives an access token for {app_id} and does not take it"),
            "look for other software that refreshes it by force (force_refresh), and let it ask the gateway instead",
        ),
        Err(error) => Finding::warning(
            "platform_url",
            format!("{app_id} gets an access token from here; whether it is taken was not said: {error}"),
            "try again in a few minutes",
        ),
    }
}

fn explain(error: &ProviderError, app: PayingApp<'_>, account: &Account) -> Finding {
    let app_id = app.id;
    match (error.reason, error.code.as_deref()) {
        (_, Some("40013" | "41002")) => Finding::error(
            app.key,
            format!("no access token: {app_id} is no app that WeChat knows: {error}"),
            "copy the AppID from the mini-program's settings",
        ),
        (_, Some("40125" | "40001" | "41004")) => Finding::error(
            "app_secret",
            format!("no access token: this is not the secret of {app_id}: {error}"),
            "copy the AppSecret of this very app; a reset makes the old one useless",
        ),
        (_, Some("40164" | "61004")) => {
            let address = named_address(&error.message).unwrap_or("this machine's address");
            Finding::error(
                "app_secret",
                format!("no access token: {address} is not on the app's IP allow-list: {error}"),
                format!("add {address} to it (开发管理, 开发设置, IP白名单)"),
            )
        }
        (_, Some("40243")) => Finding::error(
            "app_secret",
            format!("no access token: the secret is frozen: {error}"),
            "unfreeze it in the mini-program's settings (开发管理, 开发设置, AppSecret)",
        ),
        (_, Some("89503" | "89506" | "89507")) => Finding::error(
            "app_secret",
            format!("no access token: WeChat finds this machine's address risky: {error}"),
            "let the mini-program's administrator confirm it in WeChat; after a refusal that takes an hour or a day",
        ),
        (_, Some("48001" | "50004" | "50007" | "61003" | "61011")) => Finding::error(
            app.key,
            format!("no access token: {app_id} may not have one: {error}"),
            "see in the mini-program's settings whether the account is restricted",
        ),
        (Reason::RateLimited, _) => Finding::warning(
            app.key,
            format!("no access token: too many were asked for: {error}"),
            "look for other software that asks in a loop",
        ),
        (Reason::Transport | Reason::Timeout, _) => Finding::error(
            "platform_url",
            format!("{} cannot be reached: {error}", account.platform_url),
            "let this machine connect to it (DNS, firewall, proxy)",
        ),
        _ => Finding::warning("platform_url", format!("no access token: {error}"), "try again in a few minutes"),
    }
}
