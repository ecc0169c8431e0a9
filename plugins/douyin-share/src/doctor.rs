//! Findings about a `[plugins.douyin-share]` section: what Douyin says to its application.

use dukou_spi::{Finding, ProviderError, Reason};

use crate::api;
use crate::config::Settings;

/// Asks for a token and a ticket, as the first share does. A running gateway's token lasts five minutes more then, and is
/// replaced by itself.
pub async fn diagnose(settings: &Settings) -> Vec<Finding> {
    let token = match api::client_token(settings).await {
        Ok(token) => token,
        Err(error) => return vec![no_token(settings, &error)],
    };
    let known = Finding::good("client_secret", format!("belongs to application {}", settings.client_key));
    vec![known, ticket(settings, api::open_ticket(settings, &token.value).await.err().as_ref())]
}

fn no_token(settings: &Settings, error: &ProviderError) -> Finding {
    let key = &settings.client_key;
    match (error.reason, error.code.as_deref()) {
        (_, Some("10003")) => Finding::error(
            "client_key",
            format!("{key} is no application that Douyin knows: {error}"),
            "copy the client_key of the website or mobile application from open.douyin.com",
        ),
        (_, Some("10013")) => Finding::error(
            "client_secret",
            format!("does not belong to application {key}: {error}"),
            "copy the client_secret of this very application from open.douyin.com; a reset makes the old one useless",
        ),
        (Reason::Transport | Reason::Timeout, _) => unreachable_host(settings, error),
        (Reason::Configuration | Reason::Other, Some(_)) => Finding::error(
            "client_key",
            format!("application {key} is given no token: {error}"),
            "compare client_key and client_secret with the application at open.douyin.com, and see whether it is online",
        ),
        _ => not_checked("client_secret", error),
    }
}

/// Without a ticket nothing is shared.
fn ticket(settings: &Settings, error: Option<&ProviderError>) -> Finding {
    let key = &settings.client_key;
    match error {
        None => Finding::good("client_key", format!("application {key} may sign shares")),
        Some(error) => match error.reason {
            Reason::Configuration => Finding::error(
                "client_key",
                format!("application {key} may sign no share: {error}"),
                "ask for h5.share and open.get.ticket at open.douyin.com",
            ),
            Reason::Transport | Reason::Timeout => unreachable_host(settings, error),
            _ => not_checked("client_key", error),
        },
    }
}

fn unreachable_host(settings: &Settings, error: &ProviderError) -> Finding {
    Finding::error(
        "base_url",
        format!("{} cannot be reached: {error}", settings.base_url),
        "let this machine connect to it (DNS, firewall, proxy); a sandbox's certificate belongs into ca_cert",
    )
}

fn not_checked(key: &'static str, error: &ProviderError) -> Finding {
    Finding::warning(key, format!("could not be checked: {error}"), "try again in a few minutes")
}
