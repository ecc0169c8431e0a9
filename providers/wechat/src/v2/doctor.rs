//! Findings about a `wechat-v2` section.

use dukou_domain::Timestamp;
use dukou_spi::{Checkup, Finding, ProviderError, Reason};

use super::config::Settings;
use super::provider::WechatV2;
use crate::doctor::{PayingApp, expiry, login, nobody_made, notify_address, payment_hosts, question, user};
use crate::identity::MERCHANTS_CERTIFICATE;
use crate::token;

/// Everything about one account.
pub async fn diagnose(provider: &WechatV2, checkup: &Checkup) -> Vec<Finding> {
    let (settings, random, now) = (&provider.settings, &*provider.random, provider.clock.now());
    let account = &settings.account;
    let mut findings = vec![notify_address(account, checkup), certificate(settings, now)];
    if !checkup.live {
        return findings;
    }
    if !answers(provider, now, &mut findings).await {
        return findings;
    }
    findings.push(Finding::good("api_key", format!("{} and WeChat Pay sign alike", account.mch_id)));
    let app = PayingApp { id: &account.app_id, key: "app_id" };
    findings.push(login(provider, account, app).await);
    if let Some(tokens) = &provider.tokens {
        findings.push(token::look(tokens, account, app).await);
    }
    if let Some(openid) = &checkup.openid {
        findings.push(user(provider, app, random, now, checkup, openid).await);
    }
    findings
}

/// Asks both hosts, and says whether one of them answers.
async fn answers(provider: &WechatV2, now: Timestamp, findings: &mut Vec<Finding>) -> bool {
    let account = &provider.settings.account;
    let mut answered = false;
    for host in payment_hosts(account) {
        let asked = provider.query_at(account.only(host.url), &question(&*provider.random, now)).await;
        let Err(error) = asked.and_then(|status| nobody_made(status.get())) else {
            answered = true;
            continue;
        };
        match host.trouble(account, &error) {
            Some(finding) => findings.push(finding),
            None if answered => findings.push(host.contradicts(&error)),
            None => {
                findings.push(explain(&error));
                return false;
            }
        }
    }
    answered
}

fn certificate(settings: &Settings, now: Timestamp) -> Finding {
    match &settings.identity {
        None => Finding::warning(
            "client_cert",
            "is missing, so that refunds are refused",
            "download the API certificate from the merchant platform and name apiclient_cert.pem and apiclient_key.pem",
        ),
        Some(identity) => expiry(
            identity.key,
            MERCHANTS_CERTIFICATE,
            &identity.certificate,
            now,
            "make a new API certificate on the merchant platform and put both files in place",
        ),
    }
}

fn explain(error: &ProviderError) -> Finding {
    let message = error.to_string();
    match (error.reason, error.code.as_deref()) {
        (_, Some("APPID_NOT_EXIST")) => {
            Finding::error("app_id", message, "copy the AppID (wx…) of the app whose users pay")
        }
        (_, Some("MCHID_NOT_EXIST")) => Finding::error("mch_id", message, "copy the number from the merchant platform"),
        (_, Some("APPID_MCHID_NOT_MATCH")) => {
            Finding::error("app_id", message, "bind app_id and mch_id to each other on the merchant platform")
        }
        (_, Some("SYSTEMERROR")) => Finding::error(
            "mch_id",
            format!("could not be checked: {message}"),
            "try again in a few minutes; if it stays, compare app_id, mch_id and api_key with the merchant platform",
        ),
        (_, Some("NOAUTH")) => Finding::error("mch_id", message, "have the product switched on for this merchant"),
        (Reason::BadSignature, _) => Finding::error(
            "api_key",
            message,
            "set the APIv2 key (not the APIv3 key) and the sign_type that the merchant platform shows",
        ),
        _ if message.contains("签名") || message.to_ascii_lowercase().contains("sign") => Finding::error(
            "api_key",
            format!("WeChat Pay does not accept our signature: {message}"),
            "set the APIv2 key (not the APIv3 key) that the merchant platform shows; a new one takes a few minutes",
        ),
        _ => Finding::error("mch_id", message, "compare app_id, mch_id and api_key with the merchant platform"),
    }
}

#[cfg(test)]
mod tests;
