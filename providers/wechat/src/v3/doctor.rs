//! Findings about a `wechat-v3` section.

use dukou_spi::{Checkup, ErrorKind, Finding, ProviderError, Reason};

use super::client::Client;
use super::provider::WechatV3;
use crate::doctor::{ask, expiry, login, notify_address, unreachable, user};
use crate::token;

/// Everything about one account.
pub async fn diagnose(provider: &WechatV3, checkup: &Checkup) -> Vec<Finding> {
    let client = &provider.client;
    let (account, now) = (&client.account, client.clock.now());
    let mut findings = vec![notify_address(account, checkup), own_certificate(provider)];
    if !checkup.live {
        return findings;
    }
    if client.trust.has_certificates() {
        match client.renew_trust().await {
            Ok(()) => findings.extend(platform_certificates(client)),
            Err(error) => {
                if let Some(finding) = unreachable(account, &error) {
                    findings.push(finding);
                    return findings;
                }
                findings.push(explain_certificates(client, &error));
                if client.trust.own(now).is_none() {
                    return findings;
                }
            }
        }
    }
    if let Err(error) = ask(provider, &*client.random, now).await {
        findings.push(unreachable(account, &error).unwrap_or_else(|| explain(client, &error)));
        return findings;
    }
    findings
        .push(Finding::good("private_key", format!("WeChat Pay accepts what serial_no and {} sign", account.mch_id)));
    findings.push(Finding::good("platform_public_key", "WeChat Pay's signature holds"));
    findings.push(login(provider, account).await);
    if let Some(tokens) = &provider.tokens {
        findings.push(token::look(tokens, account).await);
    }
    if let Some(openid) = &checkup.openid {
        findings.push(user(provider, account, &*client.random, now, checkup, openid).await);
    }
    findings
}

fn own_certificate(provider: &WechatV3) -> Finding {
    let fix =
        "make a new API certificate on the merchant platform; private_key, serial_no and certificate change together";
    match &provider.certificate {
        Some(certificate) => {
            expiry("certificate", "the merchant's certificate", certificate, provider.client.clock.now(), fix)
        }
        None => Finding::warning(
            "certificate",
            "is not named, so that neither its end is watched nor whether private_key and serial_no belong together",
            "name apiclient_cert.pem as file:PATH",
        ),
    }
}

fn platform_certificates(client: &Client) -> Vec<Finding> {
    let now = client.clock.now();
    let fix = "nothing: the gateway takes the next one by itself, as long as it runs and reaches WeChat Pay";
    let certificates = client.trust.keys(now).into_iter().filter(|key| key.expires_at.is_some());
    let mut findings = vec![Finding::good("api_v3_key", "decrypts WeChat Pay's certificates")];
    findings
        .extend(certificates.map(|key| expiry("platform_certificates", "WeChat Pay's certificate", &key, now, fix)));
    findings
}

fn explain_certificates(client: &Client, error: &ProviderError) -> Finding {
    if let Some(finding) = refused_signature(client, error) {
        return finding;
    }
    match (error.reason, error.code.as_deref()) {
        (Reason::NotFound, _) => Finding::error(
            "platform_public_key",
            format!("this merchant has no platform certificates: {error}"),
            "download WeChat Pay's public key from the merchant platform (API security) and set platform_public_key \
             and platform_public_key_id",
        ),
        (Reason::Configuration, None) => Finding::error(
            "api_v3_key",
            error.message.clone(),
            "set the APIv3 key that the merchant platform shows under API security",
        ),
        _ => Finding::error("platform_certificates", error.to_string(), "try again; if it stays, ask WeChat Pay"),
    }
}

/// WeChat refuses what we signed.
fn refused_signature(client: &Client, error: &ProviderError) -> Option<Finding> {
    let is_refused = error.code.as_deref().is_some_and(|code| super::map::normal(code) == "SIGNERROR");
    is_refused.then(|| {
        Finding::error(
            "serial_no",
            format!(
                "WeChat Pay does not accept our signature as that of merchant {} with certificate {}: {}",
                client.account.mch_id, client.key.serial_no, error.message
            ),
            "serial_no must be that of the certificate made with private_key, both of this mch_id; and the machine's \
             clock must be right to five minutes",
        )
    })
}

fn explain(client: &Client, error: &ProviderError) -> Finding {
    if let Some(finding) = refused_signature(client, error) {
        return finding;
    }
    let code = error.code.as_deref().map(super::map::normal);
    match (error.reason, code.as_deref()) {
        (_, Some("APPIDMCHIDNOTMATCH")) => {
            Finding::error("app_id", error.to_string(), "bind app_id and mch_id to each other on the merchant platform")
        }
        (_, Some("MCHNOTEXISTS")) => {
            Finding::error("mch_id", error.to_string(), "copy the number from the merchant platform")
        }
        (_, Some("NOAUTH")) => {
            Finding::error("mch_id", error.to_string(), "have the product switched on for this merchant")
        }
        (Reason::BadSignature, _) if error.message.contains("machine's time") => Finding::error(
            "clock",
            error.message.clone(),
            "set this machine's clock (NTP): from five minutes on, WeChat Pay and the gateway refuse each other",
        ),
        (Reason::BadSignature, _) => Finding::error(
            "platform_public_key",
            format!("WeChat Pay's answer came, and {}", error.message),
            "set WeChat Pay's public key and its id, both as the merchant platform shows them (not the merchant's own)",
        ),
        (_, _) if error.kind == ErrorKind::NotSent => {
            Finding::error("private_key", error.to_string(), "compare private_key and serial_no with each other")
        }
        _ => Finding::error("mch_id", error.to_string(), "compare the section with the merchant platform"),
    }
}
