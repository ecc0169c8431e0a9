//! What a platform tells of its own accord: verified, claimed, compared, entered once, and only
//! then acknowledged.

use std::iter;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use bytes::Bytes;
use dukou_domain::{Money, OutRefundNo, ProviderName, RefundState, TenantId, Timestamp, TradeNo};
use dukou_spi::{
    Notice, NotifyError, NotifyKind, NotifyReply, PaidFacts, PaymentNotice, PaymentOutcome, Provider, RawNotify,
    RefundHint, RefundNotice, Verdict, Verified,
};
use futures_util::FutureExt;
use tracing::Instrument as _;

use crate::engine::Engine;
use crate::entering::{CONFIRMATION, Found, report};
use crate::fail_points::fail_point;
use crate::number;
use crate::ports::{Change, Claim, IdempotencyOutcome, Marker, NotifyOutcome, PaymentKey, StoreError, Target, View};
use crate::records::{EventKind, NewEvent, Notification, NotificationKey, Payment, Recorded, Refund, Subject};
use crate::rules::{self, Heard, Named, RefundWords};
use crate::success::{self, Policy};
use crate::tenant::Tenant;

/// What became of a platform's message.
#[derive(Debug)]
pub struct Notified {
    pub reply: NotifyReply,
    /// The merchant's number of the payment that it is about; of a copy that never reached the store the
    /// platform's.
    pub number: Option<String>,
}

impl Engine {
    /// Deals with one message and says what to answer, in the platform's own form. Whatever goes
    /// wrong becomes such an answer too. `None` when there is no such tenant or provider.
    pub async fn notify(&self, tenant: &str, provider: &str, raw: RawNotify) -> Option<Notified> {
        let started = Instant::now();
        let tenant = self.tenants.find_even_removed(tenant)?;
        let (name, provider) = tenant.providers.iter().find(|(name, _)| name.as_str() == provider)?;
        let mut number = None;
        let (speaker, verified) = self.verify(&tenant, name, provider, &raw).await;
        let outcome = self.judge(&tenant, name, provider, verified, &raw, &mut number).await;
        let verdict = match outcome {
            NotifyOutcome::Applied | NotifyOutcome::Duplicate | NotifyOutcome::Mismatch | NotifyOutcome::NotPaid => {
                Verdict::Accepted
            }
            NotifyOutcome::UnknownOrder | NotifyOutcome::Error => Verdict::TryAgain,
            NotifyOutcome::BadSignature | NotifyOutcome::Malformed => Verdict::Rejected,
        };
        self.telemetry.notify(&tenant.id, name, raw.kind, outcome, started.elapsed());
        Some(Notified { reply: speaker.acknowledge(raw.kind, verdict), number })
    }

    /// What to answer to a message that was not taken in, in the platform's own form: it is too large, or broke off.
    /// `None` when there is no such tenant or provider.
    pub fn refuse_notify(&self, tenant: &str, provider: &str, kind: NotifyKind, why: &str) -> Option<NotifyReply> {
        let tenant = self.tenants.find_even_removed(tenant)?;
        let (name, provider) = tenant.providers.iter().find(|(name, _)| name.as_str() == provider)?;
        self.telemetry.notify(&tenant.id, name, kind, NotifyOutcome::Malformed, Duration::ZERO);
        let (tenant, name, kind_word, why) = (tenant.id.clone(), name.clone(), kind.as_str(), why.to_owned());
        self.refused.note((tenant.clone(), name.clone(), "unread"), move |left_out| {
            tracing::warn!(%tenant, provider = %name, kind = kind_word, why, left_out, "a notify was not taken in");
        });
        Some(provider.acknowledge(kind, Verdict::Rejected))
    }

    /// The message as the provider of this name reads it, and that provider, which has to answer it in its own form.
    /// `None` where the provider panicked.
    async fn verify(
        &self,
        tenant: &Tenant,
        name: &ProviderName,
        provider: &Arc<dyn Provider>,
        raw: &RawNotify,
    ) -> (Arc<dyn Provider>, Option<Result<Notice, NotifyError>>) {
        let verified = AssertUnwindSafe(provider.notify(raw)).catch_unwind().await.ok();
        if let Some(Err(NotifyError::BadSignature | NotifyError::UnknownKey { .. } | NotifyError::Malformed(_))) =
            &verified
        {
            // What was ordered with the account that this one replaced is reported under that account's keys.
            for former in self.tenants.former_providers(&tenant.id, name) {
                if let Ok(Ok(notice)) = AssertUnwindSafe(former.notify(raw)).catch_unwind().await {
                    return (former, Some(Ok(notice)));
                }
            }
        }
        (Arc::clone(provider), verified)
    }

    async fn judge(
        &self,
        tenant: &Tenant,
        name: &ProviderName,
        provider: &Arc<dyn Provider>,
        verified: Option<Result<Notice, NotifyError>>,
        raw: &RawNotify,
        number: &mut Option<String>,
    ) -> NotifyOutcome {
        let notice = match verified {
            Some(Ok(notice)) => notice,
            Some(Err(NotifyError::Probe)) => {
                tracing::debug!(tenant = %tenant.id, provider = %name, "the platform tested whether a wrong signature is refused");
                self.telemetry.probe(&tenant.id, name);
                return NotifyOutcome::BadSignature;
            }
            Some(Err(error @ NotifyError::UnknownKey { again: true, .. })) => {
                tracing::debug!(tenant = %tenant.id, provider = %name, kind = raw.kind.as_str(), %error, "a notify was refused");
                return NotifyOutcome::BadSignature;
            }
            Some(Err(error)) => {
                let (outcome, reason) = match error {
                    NotifyError::Malformed(_) => (NotifyOutcome::Malformed, "malformed"),
                    NotifyError::BadSignature | NotifyError::Probe => (NotifyOutcome::BadSignature, "signature"),
                    NotifyError::UnknownKey { .. } => (NotifyOutcome::BadSignature, "key"),
                    NotifyError::OtherTime { .. } => (NotifyOutcome::BadSignature, "time"),
                };
                let (tenant, provider, kind) = (tenant.id.clone(), name.clone(), raw.kind.as_str());
                self.refused.note((tenant.clone(), provider.clone(), reason), move |left_out| {
                    tracing::warn!(%tenant, %provider, kind, %error, left_out, "a notify was refused");
                });
                return outcome;
            }
            None => {
                tracing::error!(tenant = %tenant.id, provider = %name, "a provider panicked over a notify");
                return NotifyOutcome::Error;
            }
        };
        fail_point!("notify.verified");
        let key = match &notice {
            Notice::Payment(notice) => payment_key(&tenant.id, name, notice.get()),
            Notice::Refund(notice) => notice_key(&tenant.id, name, notice.get()),
            Notice::RefundHint(hint) => refund_key(&tenant.id, name, hint),
        };
        *number = trade_no_of(&notice)
            .map(|number| number.strip_prefix(tenant.trade_no_prefix.as_str()).unwrap_or(number).to_owned());
        let claim = self.coordinator.claim(&key).await;
        let backend = self.coordinator.backend();
        let token = match claim {
            Claim::Done(Marker::Accepted) => {
                self.telemetry.idempotency(backend, IdempotencyOutcome::Duplicate);
                return NotifyOutcome::Duplicate;
            }
            Claim::Mine(token) => {
                self.telemetry.idempotency(backend, IdempotencyOutcome::New);
                Some(token)
            }
            Claim::Busy => {
                self.telemetry.idempotency(backend, IdempotencyOutcome::Busy);
                None
            }
            Claim::Unavailable => {
                self.telemetry.idempotency(backend, IdempotencyOutcome::Unavailable);
                None
            }
        };
        fail_point!("notify.claimed");
        let found = Found::new(&tenant.id);
        let work = Box::pin(async {
            match notice {
                Notice::Payment(notice) => {
                    self.enter_payment_notice(&found, tenant, name, notice, key.clone(), raw.body.clone()).await
                }
                Notice::Refund(notice) => {
                    self.enter_refund_notice(&found, tenant, name, notice, key.clone(), raw.body.clone()).await
                }
                Notice::RefundHint(hint) => {
                    self.confirm_refund(&found, tenant, name, (provider, &hint), key.clone(), raw.body.clone()).await
                }
            }
        });
        let outcome = work.instrument(found.span().clone()).await;
        if let Some(payment) = found.number() {
            *number = Some(payment.to_string());
        }
        fail_point!("notify.committed");
        let settled = match outcome {
            NotifyOutcome::Applied | NotifyOutcome::Duplicate | NotifyOutcome::Mismatch | NotifyOutcome::NotPaid => {
                true
            }
            NotifyOutcome::UnknownOrder
            | NotifyOutcome::Error
            | NotifyOutcome::BadSignature
            | NotifyOutcome::Malformed => false,
        };
        match (token, settled) {
            (Some(token), true) => {
                let position = self.store.position().await.unwrap_or(0);
                self.coordinator.finish(&key, token, Marker::Accepted, position).await;
            }
            (Some(token), false) => self.coordinator.release(&key, token).await,
            (None, _) => {}
        }
        fail_point!("notify.marked");
        outcome
    }

    async fn enter_payment_notice(
        &self,
        found: &Found,
        tenant: &Tenant,
        name: &ProviderName,
        notice: Verified<PaymentNotice>,
        key: NotificationKey,
        body: Bytes,
    ) -> NotifyOutcome {
        let notice = notice.into_inner();
        let entry = Entry { policy: self.policy(tenant), now: self.now(), notice, key, body };
        let target = Target {
            tenant: tenant.id.clone(),
            payment: PaymentKey::TradeNo { provider: name.clone(), trade_no: entry.notice.trade_no.clone() },
            refund: None,
            notification: Some(entry.key.clone()),
            request: None,
        };
        let entered = self.change(target, move |view| {
            let number = view.payment.as_ref().map(|payment| payment.out_trade_no.clone());
            let (change, (outcome, changed)) = entry.decide(view);
            let refund = change.refund.clone();
            (change, (outcome, changed, refund, number))
        });
        match entered.await {
            Ok((outcome, changed, refund, number)) => {
                if let Some(number) = number {
                    found.payment(self, tenant, number);
                }
                if let Some(payment) = changed {
                    self.count_payment(None, &payment);
                }
                if let Some(refund) = refund {
                    self.count_refund(None, &refund);
                }
                outcome
            }
            Err(error) => {
                report(tenant, &error);
                NotifyOutcome::Error
            }
        }
    }

    /// The refund that the platform calls by this number, of the order that the message names: the prefix may be
    /// another today than when the number was made.
    async fn refund_called(
        &self,
        tenant: &Tenant,
        name: &ProviderName,
        number: &OutRefundNo,
        order: Option<&TradeNo>,
    ) -> Result<Option<Refund>, StoreError> {
        let by_prefix = self.refund_by_prefix(tenant, number).await?;
        let is_named = |refund: &Refund| order.is_none_or(|order| refund.trade_no == *order);
        let Some(order) = order.filter(|_| !by_prefix.as_ref().is_some_and(is_named)) else { return Ok(by_prefix) };
        let Some(payment) = self.store.payment_by_trade_no(&tenant.id, name, order).await? else {
            return Ok(by_prefix);
        };
        let called =
            |refund: &Refund| number::platform_refund_no(&payment, &refund.out_refund_no).as_ref() == Some(number);
        let refunds = self.store.refunds(&tenant.id, payment.id).await?;
        Ok(refunds.into_iter().find(called).or(by_prefix))
    }

    /// With the tenant's prefix, or, recorded before there was one, without.
    async fn refund_by_prefix(&self, tenant: &Tenant, number: &OutRefundNo) -> Result<Option<Refund>, StoreError> {
        if let Some(own) = number::own_refund_no(&tenant.trade_no_prefix, number)
            && let Some(refund) = self.store.refund(&tenant.id, &own).await?
        {
            return Ok(Some(refund));
        }
        self.store.refund(&tenant.id, number).await
    }

    /// A refund's message, signed.
    async fn enter_refund_notice(
        &self,
        found: &Found,
        tenant: &Tenant,
        name: &ProviderName,
        notice: Verified<RefundNotice>,
        key: NotificationKey,
        body: Bytes,
    ) -> NotifyOutcome {
        let RefundNotice { trade_no, merchant_id, total, transaction_id, status } = notice.into_inner();
        let mut kept = Notification {
            key,
            outcome: Recorded::Applied,
            payment: None,
            trade_no: trade_no.clone(),
            received_at: self.now(),
            body,
        };
        let called = self.refund_called(tenant, name, &status.out_refund_no, Some(&trade_no)).await;
        let words = RefundWords { status, named: Some(Named { trade_no, merchant_id, total, transaction_id }) };
        let refund = match called {
            Ok(Some(refund)) if refund.provider == *name => refund,
            Ok(_) => return self.keep_foreign_refund(found, tenant, kept, words).await,
            Err(error) => {
                report(tenant, &error);
                return NotifyOutcome::Error;
            }
        };
        found.payment(self, tenant, refund.out_trade_no.clone());
        kept.payment = Some(refund.payment);
        match self.record_refund_status(&refund, words, Some(kept)).await {
            Ok((_, Heard::Changed | Heard::Duplicate(_))) => NotifyOutcome::Applied,
            Ok((_, Heard::Known)) => NotifyOutcome::Duplicate,
            Ok((_, Heard::Mismatch(_))) => NotifyOutcome::Mismatch,
            Err(error) => {
                tracing::error!(tenant = %tenant.id, %error, "a refund's notify could not be recorded");
                NotifyOutcome::Error
            }
        }
    }

    /// A refund's message that nobody signed: what it says counts only once the platform, asked,
    /// says it too.
    async fn confirm_refund(
        &self,
        found: &Found,
        tenant: &Tenant,
        name: &ProviderName,
        (provider, hint): (&Arc<dyn Provider>, &RefundHint),
        key: NotificationKey,
        body: Bytes,
    ) -> NotifyOutcome {
        let refund = match self.refund_called(tenant, name, &hint.out_refund_no, hint.trade_no.as_ref()).await {
            Ok(Some(refund)) if refund.provider == *name => refund,
            Ok(_) => return self.confirm_foreign_refund(found, tenant, provider, hint, (key, body)).await,
            Err(error) => {
                report(tenant, &error);
                return NotifyOutcome::Error;
            }
        };
        found.payment(self, tenant, refund.out_trade_no.clone());
        if refund.state == RefundState::Succeeded {
            return NotifyOutcome::Duplicate;
        }
        let status = match tokio::time::timeout(CONFIRMATION, self.query_refund(tenant, provider, &refund)).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => {
                tracing::warn!(tenant = %tenant.id, out_refund_no = %refund.out_refund_no, %error, "a refund's notify could not be confirmed");
                return NotifyOutcome::Error;
            }
            Err(_) => {
                tracing::warn!(tenant = %tenant.id, out_refund_no = %refund.out_refund_no, "a refund's notify was not confirmed in time");
                return NotifyOutcome::Error;
            }
        };
        let confirmed = status.platform_word == hint.platform_word;
        let notification = confirmed.then(|| Notification {
            key,
            outcome: Recorded::Applied,
            payment: Some(refund.payment),
            trade_no: refund.trade_no.clone(),
            received_at: self.now(),
            body,
        });
        match self.record_refund_status(&refund, status.into(), notification).await {
            Ok((_, Heard::Mismatch(_))) => NotifyOutcome::Mismatch,
            Ok(_) if !confirmed => NotifyOutcome::Error,
            Ok((_, Heard::Changed | Heard::Duplicate(_))) => NotifyOutcome::Applied,
            Ok((_, Heard::Known)) => NotifyOutcome::Duplicate,
            Err(error) => {
                tracing::error!(tenant = %tenant.id, %error, "a refund's notify could not be recorded");
                NotifyOutcome::Error
            }
        }
    }
}

/// The order's number at the platform, where the message names one.
fn trade_no_of(notice: &Notice) -> Option<&str> {
    match notice {
        Notice::Payment(notice) => Some(notice.get().trade_no.as_str()),
        Notice::Refund(notice) => Some(notice.get().trade_no.as_str()),
        Notice::RefundHint(_) => None,
    }
}

/// A verified message about an order, on its way into the store.
struct Entry {
    notice: PaymentNotice,
    key: NotificationKey,
    body: Bytes,
    now: Timestamp,
    policy: Policy,
}

impl Entry {
    /// Says what to write, how the message ended, and the payment where its state changed.
    fn decide(&self, view: View) -> (Change, (NotifyOutcome, Option<Payment>)) {
        let mut change = Change::default();
        match view.notification {
            Some(Recorded::Applied | Recorded::Mismatch | Recorded::NotPaid) => {
                return (change, (NotifyOutcome::Duplicate, None));
            }
            Some(Recorded::UnknownOrder) | None => {}
        }
        let Some(mut payment) = view.payment else {
            if view.notification.is_none() {
                change.events.push(self.unknown_order());
                change.notification = Some(self.kept(Recorded::UnknownOrder, None));
            }
            return (change, (NotifyOutcome::UnknownOrder, None));
        };
        let facts = match &self.notice.outcome {
            PaymentOutcome::Paid(facts) => facts,
            PaymentOutcome::NotPaid { app_id, merchant_id, .. } => {
                let trade_no = &self.notice.trade_no;
                let agrees = rules::not_paid(&payment, trade_no, app_id, merchant_id, self.now, &mut change);
                let (kept, outcome) = if agrees {
                    (Recorded::NotPaid, NotifyOutcome::NotPaid)
                } else {
                    (Recorded::Mismatch, NotifyOutcome::Mismatch)
                };
                change.notification = Some(self.kept(kept, Some(&payment)));
                return (change, (outcome, None));
            }
        };
        // The number that it came under is this payment's alone, so nobody looks for another that has this success.
        match success::enter(&mut payment, facts, None, &self.policy, self.now, &mut change) {
            Heard::Mismatch(_) => {
                change.notification = Some(self.kept(Recorded::Mismatch, Some(&payment)));
                (change, (NotifyOutcome::Mismatch, None))
            }
            Heard::Known => {
                change.notification = Some(self.kept(Recorded::Applied, Some(&payment)));
                (change, (NotifyOutcome::Duplicate, None))
            }
            Heard::Duplicate(_) => {
                change.notification = Some(self.kept(Recorded::Applied, Some(&payment)));
                (change, (NotifyOutcome::Applied, None))
            }
            Heard::Changed => {
                change.notification = Some(self.kept(Recorded::Applied, Some(&payment)));
                (change, (NotifyOutcome::Applied, Some(payment)))
            }
        }
    }

    fn kept(&self, outcome: Recorded, payment: Option<&Payment>) -> Notification {
        Notification {
            key: self.key.clone(),
            outcome,
            payment: payment.map(|payment| payment.id),
            trade_no: self.notice.trade_no.clone(),
            received_at: self.now,
            body: self.body.clone(),
        }
    }

    fn unknown_order(&self) -> NewEvent {
        let (transaction_id, amount) = match &self.notice.outcome {
            PaymentOutcome::Paid(facts) => (Some(facts.transaction_id.clone()), Some(facts.amount)),
            PaymentOutcome::NotPaid { .. } => (None, None),
        };
        NewEvent {
            id: number::event_id(),
            tenant: self.key.tenant.clone(),
            kind: EventKind::PaymentUnknownOrder,
            at: self.now,
            subject: Subject::UnknownOrder {
                provider: self.key.provider.clone(),
                trade_no: self.notice.trade_no.clone(),
                transaction_id,
                amount,
            },
        }
    }
}

fn payment_key(tenant: &TenantId, provider: &ProviderName, notice: &PaymentNotice) -> NotificationKey {
    let said = match &notice.outcome {
        PaymentOutcome::Paid(facts) => paid_words(facts),
        PaymentOutcome::NotPaid { code, app_id, merchant_id } => {
            format!("not paid\n{}\n{app_id}\n{merchant_id}", code.as_deref().unwrap_or_default())
        }
    };
    key(tenant, provider, NotifyKind::Payment, notice.trade_no.as_str(), &[&said])
}

/// For what the platform said when it was asked, as opposed to what it told by itself.
pub(crate) fn query_key(tenant: &TenantId, provider: &ProviderName, facts: &PaidFacts) -> NotificationKey {
    key(tenant, provider, NotifyKind::Payment, facts.trade_no.as_str(), &["asked", &paid_words(facts)])
}

fn refund_key(tenant: &TenantId, provider: &ProviderName, hint: &RefundHint) -> NotificationKey {
    key(tenant, provider, NotifyKind::Refund, hint.out_refund_no.as_str(), &[&hint.platform_word])
}

/// For a signed message about a refund.
fn notice_key(tenant: &TenantId, provider: &ProviderName, notice: &RefundNotice) -> NotificationKey {
    let RefundNotice { trade_no, merchant_id, total, transaction_id, status } = notice;
    let words = |money: Money| format!("{} {}", money.minor(), money.currency());
    let (amount, total) = (status.amount.map(words).unwrap_or_default(), total.map(words).unwrap_or_default());
    let id = status.provider_refund_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let transaction = transaction_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let words = ["signed", &status.platform_word, trade_no.as_str(), merchant_id, &amount, &id, &total, &transaction];
    key(tenant, provider, NotifyKind::Refund, status.out_refund_no.as_str(), &words)
}

fn paid_words(facts: &PaidFacts) -> String {
    format!(
        "paid\n{}\n{}\n{}\n{}\n{}",
        facts.transaction_id,
        facts.amount.minor(),
        facts.amount.currency(),
        facts.app_id,
        facts.merchant_id
    )
}

/// Over everything that counts, so that a message that says anything else is another message.
fn key(tenant: &TenantId, provider: &ProviderName, kind: NotifyKind, number: &str, words: &[&str]) -> NotificationKey {
    let mut context = digest::Context::new(&digest::SHA256);
    for word in iter::once(&number).chain(words) {
        context.update(&(word.len() as u64).to_be_bytes());
        context.update(word.as_bytes());
    }
    let digest = format!("{number}:{}", hex::encode(&context.finish().as_ref()[..16]));
    NotificationKey { tenant: tenant.clone(), provider: provider.clone(), kind: kind.into(), digest }
}
