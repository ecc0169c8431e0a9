//! The provider itself: each operation is build, send, judge, map.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dukou_domain::{Method, OutRefundNo, Secret};
use dukou_spi::settings::Section;
use dukou_spi::{
    AccessTokens, Bill, Capabilities, Checkup, Context, ErrorKind, FieldProblem, Finding, FundBill, Invoke, Login,
    Notice, NotifyError, NotifyKind, NotifyReply, OrderStatus, OrderWord, PayOrder, Prepay, Provider, ProviderError,
    ProviderFactory, ProviderInfo, RawNotify, Reason, RefundOrder, RefundQuery, RefundStatus, RefundWord, TrustKey,
    Verdict, Verified,
};
use serde::Deserialize;
use time::Date;

use super::answer::{Refund, Source, Transaction, joined};
use super::client::{Client, Request, Signed};
use super::config::{Partner, Settings};
use super::map::{self, Call};
use super::wire::{self, Caller};
use super::{bills, doctor, notify};
use crate::hosts::{Route, from_transport, unreadable};
use crate::token::TokenHolder;
use crate::{check, login, text};

/// A `prepay_id` and a QR code's content.
const TOKEN_LIFE: Duration = Duration::from_secs(2 * 60 * 60);
/// The address of an H5 payment page.
const PAGE_LIFE: Duration = Duration::from_secs(5 * 60);

/// Makes providers of kind `wechat-v3`.
pub struct Factory;

impl ProviderFactory for Factory {
    fn kind(&self) -> &'static str {
        "wechat-v3"
    }

    fn build(&self, section: &mut Section<'_>, context: &Context) -> Option<Arc<dyn Provider>> {
        let mut settings = Settings::read(section, context)?;
        let partner = settings.partner.take();
        let sub = partner.as_ref();
        let app_id = joined(&settings.account.app_id, sub.and_then(|partner| partner.sub_app_id.as_deref()));
        let merchant_id = joined(&settings.account.mch_id, sub.map(|partner| partner.sub_mch_id.as_str()));
        let info = ProviderInfo { kind: self.kind(), app_id, merchant_id };
        let (certificate, key_folder) = (settings.certificate.take(), settings.key_folder.take());
        match Client::new(settings, context) {
            Ok(client) => {
                let mut provider = WechatV3 { info, client, partner, certificate, key_folder, tokens: None };
                let (account, plain) = (&provider.client.account, Arc::clone(provider.client.plain()));
                provider.tokens = TokenHolder::new(account, provider.paying_app(), plain, context);
                Some(Arc::new(provider))
            }
            Err(error) => section.wrong("ca_cert", &error.to_string(), "usable TLS material"),
        }
    }
}

pub(super) struct WechatV3 {
    info: ProviderInfo,
    pub client: Client,
    partner: Option<Partner>,
    /// The merchant's own, where it is named.
    pub certificate: Option<TrustKey>,
    pub key_folder: Option<PathBuf>,
    /// Of the app whose openids pay.
    pub tokens: Option<TokenHolder>,
}

/// What an accepted order is answered with, by method.
#[derive(Deserialize)]
struct Made {
    #[serde(default)]
    prepay_id: Option<String>,
    #[serde(default)]
    code_url: Option<String>,
    #[serde(default)]
    h5_url: Option<String>,
}

impl WechatV3 {
    fn caller(&self) -> Caller<'_> {
        Caller { account: &self.client.account, partner: self.partner.as_ref() }
    }

    /// The app whose openids pay, and which the front end's arguments name.
    fn paying_app(&self) -> &str {
        let sub = self.partner.as_ref().and_then(|partner| partner.sub_app_id.as_deref());
        sub.unwrap_or(&self.client.account.app_id)
    }

    /// Asks after an order on that way.
    pub async fn query_at(&self, route: Route<'_>, order: &PayOrder) -> Result<Verified<OrderStatus>, ProviderError> {
        let target = wire::query(self.caller(), order);
        let signed = self.client.send_on(route, Request { call: Call::Query, target, body: None }).await?;
        let trade_no = order.trade_no.clone();
        if let Some(code) = signed.code().filter(|code| matches!(code.as_str(), "ORDERNOTEXIST" | "RESOURCENOTEXISTS"))
        {
            let status = OrderStatus { trade_no, word: OrderWord::Missing, platform_word: code };
            return Ok(Verified::new(status, signed.proof));
        }
        let found: Transaction = signed.json()?;
        if found.out_trade_no != trade_no.as_str() {
            return Err(unreadable("the answer is about another out_trade_no"));
        }
        let word = match map::unpaid_state(&found.trade_state) {
            Some(word) => word,
            None => OrderWord::Paid(found.paid_facts(self.caller(), Source::Answer).map_err(unreadable)?),
        };
        Ok(Verified::new(OrderStatus { trade_no, word, platform_word: found.trade_state }, signed.proof))
    }

    async fn ask(&self, call: Call, target: String) -> Result<Signed, ProviderError> {
        self.client.send(Request { call, target, body: None }).await
    }

    async fn tell(&self, call: Call, (target, body): (String, Bytes)) -> Result<Signed, ProviderError> {
        self.client.send(Request { call, target, body: Some(body) }).await
    }
}

#[async_trait]
impl Provider for WechatV3 {
    fn info(&self) -> &ProviderInfo {
        &self.info
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            methods: &Method::ALL,
            payer_required: &[Method::Jsapi],
            login: self.client.account.app_secret.is_some(),
            close: true,
            bill: true,
            fund_bill: true,
            refund_notify: true,
            trade_no_max: check::TRADE_NO_MAX,
        }
    }

    fn check(&self, order: &PayOrder) -> Vec<FieldProblem> {
        let mut problems = check::order(order);
        problems.extend(check::h5_page(&self.client.account, order));
        problems
    }

    async fn pay(&self, order: &PayOrder) -> Result<Prepay, ProviderError> {
        if let Some(problem) = self.check(order).first() {
            let message = format!("{} {}", problem.field, problem.message);
            return Err(ProviderError::new(ErrorKind::Refused, Reason::Other, message));
        }
        let signed = self.tell(Call::Pay, wire::order(self.caller(), order)).await?;
        let made: Made = signed.json()?;
        let (token, life) = match order.method {
            Method::Jsapi | Method::App => (made.prepay_id, TOKEN_LIFE),
            Method::Native => (made.code_url, TOKEN_LIFE),
            Method::H5 => (made.h5_url, PAGE_LIFE),
        };
        let token = token.ok_or_else(|| unreadable("the answer has no token of the order's method"))?;
        Ok(Prepay { token, valid_until: self.client.clock.now().plus(life) })
    }

    fn invoke(&self, order: &PayOrder, prepay: &Prepay) -> Result<Invoke, ProviderError> {
        let token = prepay.token.as_str();
        text::check_token(order.method, token)?;
        let seconds = self.client.clock.now().as_seconds().to_string();
        let nonce = text::nonce(&*self.client.random);
        match order.method {
            Method::Jsapi => self.client.key.jsapi(self.paying_app(), token, &seconds, &nonce),
            Method::App => self.client.key.app(self.paying_app(), &self.client.account.mch_id, token, &seconds, &nonce),
            Method::Native => Ok(Invoke(vec![("code_url", token.to_owned())])),
            Method::H5 => Ok(Invoke(vec![("h5_url", token.to_owned())])),
        }
    }

    async fn query(&self, order: &PayOrder) -> Result<Verified<OrderStatus>, ProviderError> {
        self.query_at(self.client.account.route(), order).await
    }

    async fn close(&self, order: &PayOrder) -> Result<(), ProviderError> {
        let signed = self.tell(Call::Close, wire::close(self.caller(), order)).await?;
        // What is closed, and what never was, can not be paid: that is all that was asked.
        match signed.code().as_deref() {
            Some("ORDERCLOSED" | "ORDERNOTEXIST" | "RESOURCENOTEXISTS") => Ok(()),
            _ => signed.accepted(),
        }
    }

    async fn refund(&self, refund: &RefundOrder) -> Result<Verified<RefundStatus>, ProviderError> {
        let signed = self.tell(Call::Refund, wire::refund(self.caller(), refund)).await?;
        let found = found_refund(&signed, &refund.out_refund_no)?;
        if found.get().trade_no.as_ref().is_some_and(|named| *named != refund.trade_no) {
            return Err(unreadable("the answer is about another out_trade_no"));
        }
        Ok(found)
    }

    async fn query_refund(&self, query: &RefundQuery) -> Result<Verified<RefundStatus>, ProviderError> {
        let signed = self.ask(Call::QueryRefund, wire::refund_query(self.caller(), query)).await?;
        match signed.code() {
            Some(code) if matches!(code.as_str(), "RESOURCENOTEXISTS" | "REFUNDNOTEXIST" | "ORDERNOTEXIST") => {
                let status = RefundStatus {
                    out_refund_no: query.out_refund_no.clone(),
                    trade_no: None,
                    word: RefundWord::Missing,
                    provider_refund_id: None,
                    amount: None,
                    succeeded_at: None,
                    platform_word: code,
                };
                Ok(Verified::new(status, signed.proof))
            }
            _ => found_refund(&signed, &query.out_refund_no),
        }
    }

    async fn notify(&self, raw: &RawNotify) -> Result<Notice, NotifyError> {
        notify::read(&self.client, self.caller(), raw).await
    }

    fn acknowledge(&self, _: NotifyKind, verdict: Verdict) -> NotifyReply {
        notify::acknowledge(verdict)
    }

    fn show(&self, body: &[u8]) -> Vec<(String, String)> {
        notify::show(&self.client, body)
    }

    async fn bill(&self, day: Date) -> Result<Bill, ProviderError> {
        bills::trade(&self.client, wire::trade_bill(self.caller(), day).ok_or_else(out_of_range)?).await
    }

    async fn fund_bill(&self, day: Date) -> Result<FundBill, ProviderError> {
        bills::fund(&self.client, wire::fund_bill(day).ok_or_else(out_of_range)?).await
    }

    async fn login(&self, code: &Secret) -> Result<Login, ProviderError> {
        let account = &self.client.account;
        let Some(app_secret) = &account.app_secret else {
            let message = "no app_secret is configured, and a login needs it";
            return Err(ProviderError::new(ErrorKind::Refused, Reason::Configuration, message));
        };
        let (url, app_id) = (&account.platform_url, self.paying_app());
        login::exchange(&**self.client.plain(), url, app_id, app_secret, code, from_transport).await
    }

    fn trust(&self) -> Vec<TrustKey> {
        self.certificate.iter().cloned().chain(self.client.trust.keys(self.client.clock.now())).collect()
    }

    /// Calls are signed; no certificate goes with them.
    fn certificate(&self) -> Option<&[u8]> {
        None
    }

    async fn renew_trust(&self) -> Result<(), ProviderError> {
        self.client.trust.keep_young(&self.client).await
    }

    fn access_tokens(&self) -> Option<&dyn AccessTokens> {
        self.tokens.as_ref().map(|tokens| tokens as _)
    }

    async fn diagnose(&self, checkup: &Checkup) -> Vec<Finding> {
        doctor::diagnose(self, checkup).await
    }
}

fn found_refund(signed: &Signed, number: &OutRefundNo) -> Result<Verified<RefundStatus>, ProviderError> {
    let found: Refund = signed.json()?;
    if found.out_refund_no != number.as_str() {
        return Err(unreadable("the answer is about another out_refund_no"));
    }
    Ok(Verified::new(found.status().map_err(unreadable)?, signed.proof))
}

fn out_of_range() -> ProviderError {
    ProviderError::new(ErrorKind::Refused, Reason::Other, "the bill's day is out of range")
}

#[cfg(test)]
mod tests;
