//! A trial order: what a question does not show. Neither app nor sub-merchant is looked at by WeChat before somebody
//! orders something.

use dukou_domain::Timestamp;
use dukou_spi::{Checkup, ErrorKind, Finding, Provider as _, ProviderError};

use super::paying_app;
use crate::doctor::{native_trial, not_closed, refused_address};
use crate::v3::map;
use crate::v3::provider::WechatV3;

/// Makes an order of one fen that nobody is shown, and closes it.
pub async fn order(provider: &WechatV3, checkup: &Checkup, now: Timestamp) -> Finding {
    let order = native_trial(&*provider.client.random, now, checkup);
    if let Err(error) = provider.pay(&order).await {
        return refused(provider, &error);
    }
    let key = paying_app(provider).key;
    let info = provider.info();
    let good = format!("merchant {} takes orders for app {}", info.merchant_id, info.app_id);
    match provider.close(&order).await {
        Ok(()) => Finding::good(key, good),
        Err(error) => not_closed(key, &good, &order, &error),
    }
}

fn refused(provider: &WechatV3, error: &ProviderError) -> Finding {
    if let Some(finding) = refused_address(error) {
        return finding;
    }
    let is_partner = provider.info().merchant_id.contains('/');
    let merchant = if is_partner { "sub_mch_id" } else { "mch_id" };
    let message = format!("a trial order was refused: {error}");
    let code = error.code.as_deref().map(map::normal);
    match code.as_deref() {
        Some("APPIDMCHIDNOTMATCH") => {
            // WeChat's words tell which of the two.
            let key = if error.message.contains("sub_appid") { "sub_app_id" } else { "app_id" };
            let fix = format!("copy {key} from the app's settings, and have it and the merchant bound to each other");
            Finding::error(key, message, fix)
        }
        Some("MCHNOTEXISTS") => Finding::error(merchant, message, "copy the number from the merchant platform"),
        Some("NOAUTH") if is_partner => Finding::error(
            merchant,
            message,
            "compare it with the merchants that the partner acts for, and have Native payment switched on for it",
        ),
        Some("NOAUTH") => Finding::warning(
            merchant,
            format!("whether orders can be made was not checked, since the trial needs Native payment: {error}"),
            "have it switched on, or name one of the app's users with --openid",
        ),
        _ if error.kind == ErrorKind::Refused => Finding::error(
            merchant,
            message,
            "see the other findings, and compare the section with the merchant platform",
        ),
        _ => Finding::warning(
            merchant,
            format!("whether orders can be made was not checked: {error}"),
            "try again in a few minutes",
        ),
    }
}
