//! What is wrong with an account's set-up, as far as both kinds can tell: the notify address, the
//! certificates' ends, whether the hosts answer, whether app, secret and user go together.

use std::net::IpAddr;
use std::time::Duration;

use dukou_domain::{Currency, Method, Money, Secret, Timestamp, TradeNo};
use dukou_spi::public_address::is_public;
use dukou_spi::{
    Checkup, ErrorKind, Finding, OrderStatus, OrderWord, PayOrder, Provider, ProviderError, Random, Reason, TrustKey,
};

use crate::account::{Account, host_of};
use crate::check;
use crate::validity::Validity;

/// The order that is made to see whether the app knows a user, in fen.
const TRIAL_AMOUNT: i64 = 1;
/// Twice what APIv2 asks of an order's end at least.
const TRIAL_LIFE: Duration = Duration::from_secs(10 * 60);

/// The last labels of names that lead nowhere outside: kept for that (RFC 2606, RFC 6762, RFC 8375, ICANN's
/// `internal`), or in use for it.
const INNER_NAMES: [&str; 12] = [
    "arpa",
    "corp",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "test",
];

/// Names that documents use, and nobody has (RFC 2606).
const EXAMPLES: [&str; 3] = ["example.com", "example.net", "example.org"];

/// The app whose users pay, and the key of the section that names it.
#[derive(Clone, Copy)]
pub struct PayingApp<'a> {
    pub id: &'a str,
    pub key: &'static str,
}

const PUBLIC_URL: &str = "server.public_url";
const SET_PUBLIC_URL: &str = "set server.public_url to the https address, without a port, at which the Internet reaches \
                              the gateway";

/// Whether WeChat would take the notify address, and could reach it.
pub fn notify_address(account: &Account, checkup: &Checkup) -> Finding {
    let url = &checkup.notify_url;
    let wrong = if url.len() > check::NOTIFY_URL_MAX {
        "is longer than 256 characters"
    } else if url.contains('?') {
        "has a query, which WeChat refuses"
    } else if !url.starts_with("https://") {
        "is not https, which WeChat refuses"
    } else if has_port(url) {
        "names a port, which WeChat refuses"
    } else if is_inner(host(url)) {
        "names a host that WeChat cannot reach from the Internet"
    } else {
        return Finding::good(PUBLIC_URL, format!("WeChat can send its notifies to {url}"));
    };
    let message = format!("the notify address {url} {wrong}");
    // A sandbox on this machine takes it.
    if account.is_production() {
        Finding::error(PUBLIC_URL, message, SET_PUBLIC_URL)
    } else {
        Finding::warning(PUBLIC_URL, message, SET_PUBLIC_URL)
    }
}

/// Where WeChat refuses a trial order for its notify address, which is no key of the section.
pub fn refused_address(error: &ProviderError) -> Option<Finding> {
    let is_refused = error.kind != ErrorKind::Unknown && error.message.contains("notify_url");
    let message = || format!("WeChat Pay refuses the notify address: {error}");
    is_refused.then(|| Finding::error(PUBLIC_URL, message(), SET_PUBLIC_URL))
}

fn has_port(url: &str) -> bool {
    let authority = host_of(url);
    authority.rsplit(']').next().unwrap_or(authority).contains(':')
}

/// Without port, and without the brackets around an address of IPv6.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    match rest.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => rest.split(['/', ':']).next().unwrap_or_default(),
    }
}

/// Whether nobody on the Internet can reach the host, as far as its name says so.
fn is_inner(host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return !is_public(address);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    if EXAMPLES.iter().any(|example| name == *example || name.ends_with(&format!(".{example}"))) {
        return true;
    }
    match name.rsplit_once('.') {
        Some((_, last)) => INNER_NAMES.contains(&last),
        None => true,
    }
}

/// When a certificate ends.
pub fn expiry(key: &'static str, what: &str, certificate: &TrustKey, now: Timestamp, fix: &str) -> Finding {
    let validity = Validity::of(certificate, now);
    let message = format!("{what} {} {validity}", certificate.serial);
    match validity {
        Validity::Ended => Finding::error(key, message, fix),
        Validity::EndsSoon { .. } => Finding::warning(key, message, fix),
        Validity::Lasts { .. } | Validity::Endless => Finding::good(key, message),
    }
}

/// The payment hosts, each with the key that names it: they are asked one by one, since a call that the backup host
/// answers says nothing about the first.
pub fn payment_hosts(account: &Account) -> impl Iterator<Item = PaymentHost<'_>> {
    let backup = account.backup_url.as_deref().map(|url| PaymentHost { key: "backup_url", url });
    std::iter::once(PaymentHost::first(account)).chain(backup)
}

/// One of the hosts.
#[derive(Clone, Copy)]
pub struct PaymentHost<'a> {
    key: &'static str,
    pub url: &'a str,
}

impl<'a> PaymentHost<'a> {
    pub fn first(account: &'a Account) -> Self {
        PaymentHost { key: "base_url", url: &account.base_url }
    }

    /// What a failed call to it says about the set-up, where that is the same for every kind. `None` where the kind
    /// knows more. Without the backup host all works but for the day when it is needed.
    pub fn trouble(self, account: &Account, error: &ProviderError) -> Option<Finding> {
        let host = self.url;
        let (message, fix) = match error.reason {
            Reason::Transport if error.kind == ErrorKind::NotSent => (
                format!("{host} cannot be reached: {}", error.message),
                "let this machine connect to it (DNS, firewall, proxy); a sandbox's certificate belongs into ca_cert",
            ),
            Reason::Timeout => (
                format!("{host} did not answer within {:?}", account.timeout),
                "look at the network's way there, or give it more time with timeout",
            ),
            Reason::Transport => (
                format!("{host} answered what WeChat Pay would not: {}", error.message),
                "name WeChat Pay's own address, or look at what stands in between (a proxy, a captive portal)",
            ),
            Reason::Platform if error.code.is_none() => (
                format!("{host} is out of order: {}", error.message),
                "try again in a few minutes; if it stays, name WeChat Pay's own address, or look at what stands in \
                 between (a proxy)",
            ),
            Reason::RateLimited => {
                let message = format!("{host} takes no more questions for now, so that nothing was checked: {error}");
                return Some(Finding::warning(self.key, message, "try again in a few minutes"));
            }
            _ => return None,
        };
        let is_backup = self.key == "backup_url";
        Some(if is_backup { Finding::warning(self.key, message, fix) } else { Finding::error(self.key, message, fix) })
    }

    /// What a host says that the first one does not.
    pub fn contradicts(self, error: &ProviderError) -> Finding {
        let message = format!("{} does not answer as base_url does: {error}", self.url);
        Finding::warning(self.key, message, "name WeChat Pay's second address, or none")
    }
}

/// A question after an order that nobody made: it needs host, merchant and keys to be right, and changes nothing.
pub fn question(random: &dyn Random, now: Timestamp) -> PayOrder {
    trial(random, now, None, "https://example.com/notify")
}

/// Whether the answer to [`question`] is the right one.
///
/// # Errors
/// What the kind has to explain.
pub fn nobody_made(status: &OrderStatus) -> Result<(), ProviderError> {
    match &status.word {
        OrderWord::Missing => Ok(()),
        other => {
            let message = format!("an order that nobody made is known to the platform ({other:?})");
            Err(ProviderError::new(ErrorKind::Unknown, Reason::Other, message))
        }
    }
}

/// Tries a login code that nobody was given: the answer tells whether app and secret go together.
pub async fn login(provider: &dyn Provider, account: &Account, app: PayingApp<'_>) -> Finding {
    if account.app_secret.is_none() {
        let fix = "set it, as env:NAME or file:PATH, if the gateway is to exchange wx.login codes";
        return Finding::warning("app_secret", "is not set, so that logins are refused", fix);
    }
    let Err(error) = provider.login(&Secret::new("dukou-doctor")).await else {
        return Finding::warning("app_secret", "a login code that nobody was given was taken", "look at platform_url");
    };
    match (error.reason, error.code.as_deref()) {
        (Reason::InvalidCode, Some("40029" | "40163")) => Finding::good("app_secret", format!("belongs to {}", app.id)),
        (_, Some("40013")) => Finding::error(
            app.key,
            format!("{} is no app that WeChat knows: {error}", app.id),
            "copy the AppID from the mini-program's settings",
        ),
        (_, Some("40164")) => Finding::error(
            "app_secret",
            format!("this machine's address may not log in: {error}"),
            "add it to the app's IP allow-list, or switch the list off",
        ),
        (Reason::Configuration, _) => Finding::error(
            "app_secret",
            format!("does not belong to {}: {error}", app.id),
            "copy the AppSecret of this very app; a reset makes the old one useless",
        ),
        (Reason::Transport | Reason::Timeout, _) => Finding::error(
            "platform_url",
            format!("{} cannot be reached: {error}", account.platform_url),
            "let this machine connect to it (DNS, firewall, proxy)",
        ),
        _ => Finding::warning("platform_url", format!("the login's answer was {error}"), "try again in a few minutes"),
    }
}

/// Makes an order of one fen for a user, in nobody's hands, and closes it.
pub async fn user(
    provider: &dyn Provider,
    app: PayingApp<'_>,
    random: &dyn Random,
    now: Timestamp,
    checkup: &Checkup,
    openid: &str,
) -> Finding {
    let order = trial(random, now, Some(openid.to_owned()), &checkup.notify_url);
    match provider.pay(&order).await {
        Ok(_) => match provider.close(&order).await {
            Ok(()) => Finding::good(app.key, format!("{openid} is a user of {}", app.id)),
            Err(error) => not_closed(app.key, &format!("{openid} is a user of {}", app.id), &order, &error),
        },
        Err(error) if error.reason == Reason::PayerMismatch => Finding::error(
            app.key,
            format!("{openid} belongs to another app than {}", app.id),
            format!("log users in through the app that {0} names, or set {0} to the app they use", app.key),
        ),
        Err(error) => refused_address(&error).unwrap_or_else(|| {
            let fix =
                format!("see the other findings; merchant and {} must be bound on the merchant platform", app.key);
            Finding::error(app.key, format!("an order for {openid} was refused: {error}"), fix)
        }),
    }
}

/// What is good, but for the order that told it.
pub fn not_closed(key: &'static str, good: &str, order: &PayOrder, error: &ProviderError) -> Finding {
    Finding::warning(
        key,
        format!("{good}; the trial order {} could not be closed: {error}", order.trade_no),
        "nothing: it ends by itself in ten minutes",
    )
}

/// An order that nobody is shown.
pub fn native_trial(random: &dyn Random, now: Timestamp, checkup: &Checkup) -> PayOrder {
    trial(random, now, None, &checkup.notify_url)
}

fn trial(random: &dyn Random, now: Timestamp, openid: Option<String>, notify_url: &str) -> PayOrder {
    let number = format!("DOCTOR{}", &crate::text::nonce(random)[..24]);
    PayOrder {
        trade_no: TradeNo::new(&number).expect("letters and digits are a trade number"),
        transaction_id: None,
        method: if openid.is_some() { Method::Jsapi } else { Method::Native },
        amount: Money::new(TRIAL_AMOUNT, Currency::Cny).expect("one fen is an amount"),
        description: "dukou doctor".to_owned(),
        attach: None,
        openid,
        client_ip: [127, 0, 0, 1].into(),
        created_at: now,
        expires_at: now.plus(TRIAL_LIFE),
        notify_url: notify_url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
