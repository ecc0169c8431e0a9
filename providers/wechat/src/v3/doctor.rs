//! Findings about a `wechat-v3` section.

mod apiv2_key;
mod merchant_certificate;
mod trial;

use dukou_domain::Timestamp;
use dukou_spi::{Checkup, ErrorKind, Finding, Provider as _, ProviderError, Reason};

use super::certificates::Disbelief;
use super::client::{Client, Doubt};
use super::config::PUBLIC_KEY_PREFIX;
use super::provider::WechatV3;
use super::trust::Fetch as _;
use crate::doctor::{
    PayingApp, PaymentHost, expiry, login, nobody_made, notify_address, payment_hosts, question, user,
};
use crate::token;

/// Everything about one account.
pub async fn diagnose(provider: &WechatV3, checkup: &Checkup) -> Vec<Finding> {
    let client = &provider.client;
    let (account, now) = (&client.account, client.clock.now());
    let mut findings = vec![notify_address(account, checkup)];
    findings.extend(merchant_certificate::look(provider, checkup));
    if !checkup.live {
        return findings;
    }
    if client.trust.has_certificates() {
        match client.renew_trust().await {
            Ok(()) => findings.extend(platform_certificates(client)),
            Err(error) => {
                // Under a wrong clock nothing else can be told.
                if let Some(finding) =
                    wrong_clock(&error).or_else(|| PaymentHost::first(account).trouble(account, &error))
                {
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
    if !answers(provider, now, &mut findings).await {
        return findings;
    }
    findings
        .push(Finding::good("private_key", format!("WeChat Pay accepts what serial_no and {} sign", account.mch_id)));
    findings.push(Finding::good(platform_key(client), "WeChat Pay's signature holds"));
    if !client.trust.has_certificates() {
        findings.extend(api_v3_key(provider, now).await);
    }
    let app = paying_app(provider);
    findings.push(login(provider, account, app).await);
    if let Some(tokens) = &provider.tokens {
        findings.push(token::look(tokens, account, app).await);
    }
    findings.push(match &checkup.openid {
        Some(openid) => user(provider, app, &*client.random, now, checkup, openid).await,
        None => trial::order(provider, checkup, now).await,
    });
    findings
}

/// Asks both hosts, and says whether one of them answers.
async fn answers(provider: &WechatV3, now: Timestamp, findings: &mut Vec<Finding>) -> bool {
    let client = &provider.client;
    let mut answered = false;
    for host in payment_hosts(&client.account) {
        let asked = provider.query_at(client.account.only(host.url), &question(&*client.random, now)).await;
        let Err(error) = asked.and_then(|status| nobody_made(status.get())) else {
            answered = true;
            continue;
        };
        let clock = wrong_clock(&error);
        match host.trouble(&client.account, &error) {
            Some(finding) if clock.is_none() => findings.push(finding),
            _ if answered => findings.push(host.contradicts(&error)),
            _ => {
                findings.push(clock.unwrap_or_else(|| explain(client, &error)));
                return false;
            }
        }
    }
    answered
}

/// Of `partner/merchant` the merchant's, where it has one of its own.
fn paying_app(provider: &WechatV3) -> PayingApp<'_> {
    let all = &provider.info().app_id;
    match all.split_once('/') {
        Some((_, id)) => PayingApp { id, key: "sub_app_id" },
        None => PayingApp { id: all, key: "app_id" },
    }
}

/// The key of the section that WeChat's signature is believed by.
fn platform_key(client: &Client) -> &'static str {
    let own = client.trust.own(client.clock.now());
    if own.is_some_and(|key| key.serial.starts_with(PUBLIC_KEY_PREFIX)) {
        "platform_public_key"
    } else {
        "platform_certificates"
    }
}

fn platform_certificates(client: &Client) -> Vec<Finding> {
    let now = client.clock.now();
    let fix = match client.trust.own(now) {
        Some(_) => "nothing: the gateway takes the next one by itself, as long as it runs and reaches WeChat Pay",
        None => "see in the log why the next one could not be fetched",
    };
    let certificates = client.trust.keys(now).into_iter().filter(|key| key.expires_at.is_some());
    let mut findings = vec![Finding::good("api_v3_key", "decrypts WeChat Pay's certificates")];
    findings
        .extend(certificates.map(|key| expiry("platform_certificates", "WeChat Pay's certificate", &key, now, fix)));
    findings
}

const SET_API_V3_KEY: &str = "set the APIv3 key that the merchant platform shows under API security; the APIv2 key is \
                              another";

/// Whether the key opens what WeChat encrypts, for a merchant whom it signs for with its public key. A merchant who had
/// platform certificates before can still list them, and nobody believes them for that; for one who never had any,
/// nothing but a message is encrypted.
async fn api_v3_key(provider: &WechatV3, now: Timestamp) -> Vec<Finding> {
    const KEY: &str = "api_v3_key";
    let client = &provider.client;
    let own = client.trust.own(now);
    let known = |serial: &str| own.as_deref().filter(|key| key.serial == serial);
    let listed = client.certificates().await.map(|answer| answer.believe(client.trust.api_v3_key(), now, known));
    let why = match listed {
        Ok(Ok(keys)) if !keys.is_empty() => {
            return vec![
                Finding::good(KEY, "decrypts WeChat Pay's certificates"),
                Finding::warning(
                    "platform_certificates",
                    "is false, and WeChat Pay lists certificates for this merchant: while it moves a merchant to its \
                     public key, it signs some of the notifies with them, and those are refused",
                    "set it true, at least until the merchant platform says that the move is over",
                ),
            ];
        }
        Ok(Err(disbelief @ Disbelief::WrongKey)) => {
            return vec![Finding::error(KEY, disbelief.to_string(), SET_API_V3_KEY)];
        }
        Ok(Ok(_)) => "WeChat Pay lists no certificate for this merchant".to_owned(),
        Ok(Err(disbelief)) => disbelief.to_string(),
        Err(error) if error.reason == Reason::NotFound => {
            "WeChat Pay has no certificates for this merchant, as for every newer one".to_owned()
        }
        Err(error) => error.to_string(),
    };
    if apiv2_key::stands_in_its_place(provider, now).await {
        let fix = format!("{SET_API_V3_KEY}; if the platform was really given one for both, give it another there");
        return vec![Finding::error(KEY, "is the APIv2 key: WeChat Pay signs its answers of APIv2 with it", fix)];
    }
    vec![Finding::warning(
        KEY,
        format!("could not be checked: nothing encrypted with it can be asked for ({why})"),
        "compare it with the APIv3 key that was set on the merchant platform under API security, not the APIv2 key; the \
         first notify tells: under a wrong key the log says that its resource does not decrypt",
    )]
}

/// WeChat answers so to what it cannot make sense of, such as the serial number of another merchant's certificate.
fn system_error(error: &ProviderError, fix: &'static str) -> Option<Finding> {
    let is_system_error = error.code.as_deref().is_some_and(|code| super::map::normal(code) == "SYSTEMERROR");
    is_system_error.then(|| Finding::error("serial_no", format!("could not be checked: {error}"), fix))
}

fn explain_certificates(client: &Client, error: &ProviderError) -> Finding {
    let fix = "try again in a few minutes; if it stays, compare serial_no and mch_id with the merchant platform, and see \
               whether it shows a public key of WeChat Pay's (API security)";
    if let Some(finding) = refused_signature(client, error).or_else(|| system_error(error, fix)) {
        return finding;
    }
    match (error.reason, error.code.as_deref()) {
        (Reason::NotFound, _) if client.trust.own(client.clock.now()).is_some() => Finding::warning(
            "platform_certificates",
            format!("is true, and WeChat Pay has no certificates for this merchant: {error}"),
            "take it out: the move to the public key is over",
        ),
        (Reason::NotFound, _) => Finding::error(
            "platform_public_key",
            format!("this merchant has no platform certificates: {error}"),
            "download WeChat Pay's public key from the merchant platform (API security) and set platform_public_key \
             and platform_public_key_id",
        ),
        (Reason::Configuration, None) => Finding::error("api_v3_key", error.message.clone(), SET_API_V3_KEY),
        _ => Finding::error("platform_certificates", error.to_string(), "try again; if it stays, ask WeChat Pay"),
    }
}

/// What was signed far from WeChat's time is refused, whatever it was signed with: the machine's clock is all that is
/// known to be wrong.
fn wrong_clock(error: &ProviderError) -> Option<Finding> {
    let ours_is_refused = is_refused_signature(error) && error.message.contains("timestamp");
    let theirs_is_refused = error.message.contains("away from this machine's time");
    (ours_is_refused || theirs_is_refused).then(|| {
        Finding::error(
            "clock",
            error.message.clone(),
            "set this machine's clock (NTP): from five minutes on, WeChat Pay and the gateway refuse each other",
        )
    })
}

fn is_refused_signature(error: &ProviderError) -> bool {
    error.code.as_deref().is_some_and(|code| super::map::normal(code) == "SIGNERROR")
}

/// WeChat refuses what we signed.
fn refused_signature(client: &Client, error: &ProviderError) -> Option<Finding> {
    is_refused_signature(error).then(|| {
        Finding::error(
            "serial_no",
            format!(
                "WeChat Pay does not accept our signature as that of merchant {} with certificate {}: {}",
                client.account.mch_id, client.key.serial_no, error.message
            ),
            "serial_no must be that of the certificate made with private_key, both of this mch_id",
        )
    })
}

fn explain(client: &Client, error: &ProviderError) -> Finding {
    let fix = "try again in a few minutes; if it stays, compare serial_no and mch_id with the merchant platform";
    if let Some(finding) = refused_signature(client, error).or_else(|| system_error(error, fix)) {
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
        (Reason::BadSignature, _) => {
            if let Some(finding) = unknown_key(client, error) {
                return finding;
            }
            let key = platform_key(client);
            let fix = if key == "platform_public_key" {
                "set WeChat Pay's public key and its id, both as the merchant platform shows them (not the merchant's \
                 own)"
            } else {
                "see whether the merchant platform (API security) shows a public key of WeChat Pay's, and set \
                 platform_public_key and platform_public_key_id; else look at what stands in between (a proxy)"
            };
            Finding::error(key, format!("WeChat Pay's answer came, and {}", error.message), fix)
        }
        (_, _) if error.kind == ErrorKind::NotSent => {
            Finding::error("private_key", error.to_string(), "compare private_key and serial_no with each other")
        }
        _ => Finding::error("mch_id", error.to_string(), "compare the section with the merchant platform"),
    }
}

/// WeChat signs with a key that the section does not have.
fn unknown_key(client: &Client, error: &ProviderError) -> Option<Finding> {
    let source = error.source.as_deref()?.downcast_ref::<Doubt>()?;
    let Doubt::UnknownKey(serial) = source else { return None };
    let is_public_key = serial.starts_with(PUBLIC_KEY_PREFIX);
    let (key, with, fix) = match (is_public_key, client.trust.has_certificates()) {
        (true, _) => (
            "platform_public_key_id",
            "the public key",
            "set platform_public_key_id to this, and platform_public_key to the file that the merchant platform (API \
             security) gives beside it",
        ),
        (false, false) => (
            "platform_certificates",
            "the certificate",
            "set platform_certificates = true: WeChat Pay has not moved this merchant to its public key, or not wholly",
        ),
        (false, true) => return None,
    };
    let message = format!("WeChat Pay signs its answers to this merchant with {with} {serial}, which is not here");
    Some(Finding::error(key, message, fix))
}

#[cfg(test)]
mod apiv2_key_tests;
#[cfg(test)]
mod certificate_tests;
#[cfg(test)]
mod tests;
