//! The provider itself: each operation is build, send, judge, map.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dukou_domain::{Method, OutRefundNo, ProviderRefundId, Secret, TradeNo};
use dukou_spi::settings::Section;
use dukou_spi::{
    AccessTokens, Bill, Capabilities, Checkup, Clock, Context, ErrorKind, FieldProblem, Finding, FundBill, Invoke,
    Login, Notice, NotifyError, NotifyKind, NotifyReply, OrderStatus, OrderWord, PayOrder, Prepay, Provider,
    ProviderError, ProviderFactory, ProviderInfo, Random, RawNotify, Reason, RefundOrder, RefundQuery, RefundStatus,
    RefundWord, TrustKey, Verdict, Verified,
};
use time::Date;

use super::answer::{self, Signed};
use super::client::Client;
use super::config::Settings;
use super::map::{self, Call};
use super::xml::{self, Fields};
use super::{doctor, invoke, kept, notify, wire};
use crate::account::Account;
use crate::hosts::{Route, from_transport, unreadable};
use crate::token::TokenHolder;
use crate::{beijing, bill, check, login, text};

/// A `prepay_id` and a QR code's content.
const TOKEN_LIFE: Duration = Duration::from_secs(2 * 60 * 60);
/// The address of an H5 payment page.
const PAGE_LIFE: Duration = Duration::from_secs(5 * 60);

/// Makes providers of kind `wechat-v2`.
pub struct Factory;

impl ProviderFactory for Factory {
    fn kind(&self) -> &'static str {
        "wechat-v2"
    }

    fn build(&self, section: &mut Section<'_>, context: &Context) -> Option<Arc<dyn Provider>> {
        let settings = Settings::read(section, context)?;
        let client = match Client::new(&settings, &*context.transports) {
            Ok(client) => client,
            Err((key, error)) => return section.wrong(key, &error.to_string(), "usable TLS material"),
        };
        let info = ProviderInfo {
            kind: self.kind(),
            app_id: settings.account.app_id.clone(),
            merchant_id: settings.account.mch_id.clone(),
        };
        let (clock, random) = (context.clock.clone(), context.random.clone());
        let account = &settings.account;
        let tokens = TokenHolder::new(account, &account.app_id, Arc::clone(client.plain()), context);
        Some(Arc::new(WechatV2 { info, settings, client, tokens, clock, random }))
    }
}

pub(super) struct WechatV2 {
    info: ProviderInfo,
    pub settings: Settings,
    client: Client,
    pub tokens: Option<TokenHolder>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl WechatV2 {
    /// Asks after an order on that way.
    pub async fn query_at(&self, route: Route<'_>, order: &PayOrder) -> Result<Verified<OrderStatus>, ProviderError> {
        let request = wire::about_order(&self.settings, &*self.random, order).into_xml();
        let answer = self.client.post(route, "/pay/orderquery", request).await?;
        let signed = answer::verify(Call::Query, &answer, &self.settings)?;
        let (word, platform_word) = if signed.err_code() == Some("ORDERNOTEXIST") {
            (OrderWord::Missing, "ORDERNOTEXIST")
        } else {
            signed.accepted()?;
            if signed.fields.get("out_trade_no").is_some_and(|number| number != order.trade_no.as_str()) {
                return Err(unreadable("the answer is about another out_trade_no"));
            }
            let state = signed.require("trade_state")?;
            let word = match map::unpaid_state(state) {
                Some(word) => word,
                None => OrderWord::Paid(answer::paid_facts(&signed.fields).map_err(unreadable)?),
            };
            (word, state)
        };
        let status = OrderStatus { trade_no: order.trade_no.clone(), word, platform_word: platform_word.to_owned() };
        Ok(Verified::new(status, signed.proof))
    }
}

#[async_trait]
impl Provider for WechatV2 {
    fn info(&self) -> &ProviderInfo {
        &self.info
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            methods: &Method::ALL,
            payer_required: &[Method::Jsapi],
            login: self.settings.account.app_secret.is_some(),
            close: true,
            bill: true,
            fund_bill: false,
            refund_notify: true,
            trade_no_max: check::TRADE_NO_MAX,
        }
    }

    fn check(&self, order: &PayOrder) -> Vec<FieldProblem> {
        check::order(order)
    }

    async fn pay(&self, order: &PayOrder) -> Result<Prepay, ProviderError> {
        if let Some(problem) = check::order(order).first() {
            let message = format!("{} {}", problem.field, problem.message);
            return Err(ProviderError::new(ErrorKind::Refused, Reason::Other, message));
        }
        let request = wire::unified_order(&self.settings, &*self.random, order).into_xml();
        let answer = self.client.post(self.settings.account.route(), "/pay/unifiedorder", request).await?;
        let signed = answer::verify(Call::Pay, &answer, &self.settings)?;
        signed.accepted()?;
        let (field, life) = match order.method {
            Method::Jsapi | Method::App => ("prepay_id", TOKEN_LIFE),
            Method::Native => ("code_url", TOKEN_LIFE),
            Method::H5 => ("mweb_url", PAGE_LIFE),
        };
        let token = kept::write(order.method, self.settings.signer.sign_type(), signed.require(field)?);
        Ok(Prepay { token, valid_until: self.clock.now().plus(life) })
    }

    fn invoke(&self, order: &PayOrder, prepay: &Prepay) -> Result<Invoke, ProviderError> {
        invoke::sign(&self.settings, order.method, &prepay.token, self.clock.now(), &text::nonce(&*self.random))
    }

    async fn query(&self, order: &PayOrder) -> Result<Verified<OrderStatus>, ProviderError> {
        self.query_at(self.settings.account.route(), order).await
    }

    async fn close(&self, order: &PayOrder) -> Result<(), ProviderError> {
        let request = wire::about_order(&self.settings, &*self.random, order).into_xml();
        let answer = self.client.post(self.settings.account.route(), "/pay/closeorder", request).await?;
        let signed = answer::verify(Call::Close, &answer, &self.settings)?;
        // What is closed, and what never was, can not be paid: that is all that was asked.
        match signed.err_code() {
            Some("ORDERCLOSED" | "ORDERNOTEXIST") => Ok(()),
            _ => signed.accepted(),
        }
    }

    async fn refund(&self, refund: &RefundOrder) -> Result<Verified<RefundStatus>, ProviderError> {
        let request = wire::refund(&self.settings, &*self.random, refund).into_xml();
        let answer = self.client.post_mutual(&self.settings.account, "/secapi/pay/refund", request).await?;
        let signed = answer::verify(Call::Refund, &answer, &self.settings)?;
        signed.accepted()?;
        if signed.require("out_refund_no")? != refund.out_refund_no.as_str() {
            return Err(unreadable("the answer is about another out_refund_no"));
        }
        let trade_no = named_order(&signed)?;
        if trade_no.as_ref().is_some_and(|named| *named != refund.trade_no) {
            return Err(unreadable("the answer is about another out_trade_no"));
        }
        // Accepted is not yet refunded: a query or a notify tells the end.
        let status = RefundStatus {
            out_refund_no: refund.out_refund_no.clone(),
            trade_no,
            word: RefundWord::Processing,
            provider_refund_id: refund_id(&signed.fields, "refund_id"),
            amount: answer::optional_amount(&signed.fields, "refund_fee", "refund_fee_type").map_err(unreadable)?,
            succeeded_at: None,
            platform_word: "PROCESSING".to_owned(),
        };
        Ok(Verified::new(status, signed.proof))
    }

    async fn query_refund(&self, query: &RefundQuery) -> Result<Verified<RefundStatus>, ProviderError> {
        let request = wire::Request::new(&self.settings, &*self.random)
            .with("out_refund_no", query.out_refund_no.as_str())
            .into_xml();
        let answer = self.client.post(self.settings.account.route(), "/pay/refundquery", request).await?;
        let signed = answer::verify(Call::QueryRefund, &answer, &self.settings)?;
        let status = match signed.err_code() {
            // Some environments use the order's word for a refund that they do not know.
            Some(code @ ("REFUNDNOTEXIST" | "ORDERNOTEXIST")) => missing_refund(&query.out_refund_no, code),
            _ => {
                signed.accepted()?;
                found_refund(&signed, query)?
            }
        };
        Ok(Verified::new(status, signed.proof))
    }

    async fn notify(&self, raw: &RawNotify) -> Result<Notice, NotifyError> {
        match raw.kind {
            NotifyKind::Payment => notify::payment(&raw.body, &self.settings),
            NotifyKind::Refund => notify::refund(&raw.body, &self.settings),
        }
    }

    fn acknowledge(&self, _: NotifyKind, verdict: Verdict) -> NotifyReply {
        notify::acknowledge(verdict)
    }

    fn show(&self, body: &[u8]) -> Vec<(String, String)> {
        notify::show(body, &self.settings)
    }

    async fn bill(&self, day: Date) -> Result<Bill, ProviderError> {
        let date = beijing::day(day)
            .ok_or_else(|| ProviderError::new(ErrorKind::Refused, Reason::Other, "the bill's day is out of range"))?;
        let request = wire::Request::new(&self.settings, &*self.random)
            .with("bill_date", date)
            .with("bill_type", "ALL")
            .with("tar_type", "GZIP")
            .into_xml();
        let answer = self.client.post_for_bill(&self.settings.account, "/pay/downloadbill", request).await?;
        let answer = answer.http;
        if answer.status != 200 {
            let message = format!("the bill's http status is {}, expected 200", answer.status);
            return Err(ProviderError::new(ErrorKind::Unknown, Reason::Platform, message));
        }
        if answer.body.trim_ascii_start().starts_with(b"<") {
            return no_bill(&answer.body);
        }
        let bill = bill::parse(&answer.body).map_err(|error| unreadable(error.to_string()).with_source(error))?;
        Ok(bill.content)
    }

    async fn fund_bill(&self, _: Date) -> Result<FundBill, ProviderError> {
        let message = "kind wechat-v2 reads no fund-flow bills; expected kind wechat-v3";
        Err(ProviderError::new(ErrorKind::Refused, Reason::Other, message))
    }

    async fn login(&self, code: &Secret) -> Result<Login, ProviderError> {
        let Some(app_secret) = &self.settings.account.app_secret else {
            let message = "no app_secret is configured, and a login needs it";
            return Err(ProviderError::new(ErrorKind::Refused, Reason::Configuration, message));
        };
        let Account { platform_url, app_id, .. } = &self.settings.account;
        login::exchange(&**self.client.plain(), platform_url, app_id, app_secret, code, from_transport).await
    }

    fn trust(&self) -> Vec<TrustKey> {
        self.settings.identity.iter().map(|identity| identity.certificate.clone()).collect()
    }

    fn certificate(&self) -> Option<&[u8]> {
        self.settings.identity.as_ref().map(|identity| identity.der.as_slice())
    }

    /// APIv2 signs with the merchant's own key: there is nothing to fetch.
    async fn renew_trust(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    fn access_tokens(&self) -> Option<&dyn AccessTokens> {
        self.tokens.as_ref().map(|tokens| tokens as _)
    }

    async fn diagnose(&self, checkup: &Checkup) -> Vec<Finding> {
        doctor::diagnose(self, checkup).await
    }
}

/// A day without trade is a failure to WeChat, and an empty bill to us.
fn no_bill(body: &[u8]) -> Result<Bill, ProviderError> {
    let fields = xml::parse(body, "xml")
        .map_err(|error| unreadable(format!("the bill's answer cannot be read: {error}")).with_source(error))?;
    let message = answer::failure_message(&fields);
    let code = fields.get("error_code").or_else(|| fields.get("err_code")).unwrap_or_default();
    let (kind, reason) = match message.to_ascii_lowercase().as_str() {
        "no bill exist" => return Ok(Bill::default()),
        "bill creating" => (ErrorKind::NotSent, Reason::Platform),
        _ => map::bill_failure(code),
    };
    let error = ProviderError::new(kind, reason, message);
    Err(if code.is_empty() { error } else { error.with_code(code) })
}

fn refund_id(fields: &Fields<'_>, name: &str) -> Option<ProviderRefundId> {
    fields.get(name).and_then(|id| ProviderRefundId::new(id).ok())
}

/// The order that an answer about a refund names.
fn named_order(signed: &Signed<'_>) -> Result<Option<TradeNo>, ProviderError> {
    let number = signed.fields.get("out_trade_no").map(TradeNo::new).transpose();
    number.map_err(|_| unreadable("the answer's out_trade_no is not valid"))
}

fn missing_refund(out_refund_no: &OutRefundNo, code: &str) -> RefundStatus {
    RefundStatus {
        out_refund_no: out_refund_no.clone(),
        trade_no: None,
        word: RefundWord::Missing,
        provider_refund_id: None,
        amount: None,
        succeeded_at: None,
        platform_word: code.to_owned(),
    }
}

/// An answer lists refunds with numbered fields; ours is the one with its number.
fn found_refund(signed: &Signed<'_>, query: &RefundQuery) -> Result<RefundStatus, ProviderError> {
    let number = query.out_refund_no.as_str();
    let at = signed.fields.iter().find_map(|(name, value)| {
        let at = name.strip_prefix("out_refund_no_")?;
        (value == number && at.bytes().all(|byte| byte.is_ascii_digit())).then_some(at)
    });
    let at = at.ok_or_else(|| unreadable("the answer is about other refunds than out_refund_no"))?;
    let platform_word = signed.require(&format!("refund_status_{at}"))?;
    let fee = format!("refund_fee_{at}");
    let amount = answer::optional_amount(&signed.fields, &fee, "fee_type").map_err(unreadable)?;
    Ok(RefundStatus {
        out_refund_no: query.out_refund_no.clone(),
        trade_no: named_order(signed)?,
        word: map::refund_state(platform_word),
        provider_refund_id: refund_id(&signed.fields, &format!("refund_id_{at}")),
        amount,
        succeeded_at: signed.fields.get(&format!("refund_success_time_{at}")).and_then(beijing::parse_spaced),
        platform_word: platform_word.to_owned(),
    })
}

#[cfg(test)]
mod tests;
