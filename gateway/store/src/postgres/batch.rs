//! One transaction for many changes: read all, decide all, write all.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dukou_domain::{PaymentId, TenantId};
use dukou_engine::ports::{Change, StoreError, View};
use dukou_engine::records::{Attempt, NewEvent, Notification, Payment};
use sqlx::postgres::PgConnection;

use super::change::Request;
use super::database::transaction_id;
use super::error::Result;
use super::events::Appended;
use super::{events, payments, refunds, requests};
use crate::attempts::to_enter;

/// What a transaction came to, before its commit.
pub(super) struct Attempted {
    /// In the order of the requests: the answer after the commit, or `None` for one to be made later.
    pub outcomes: Vec<Option<Result<()>>>,
    /// Of the newest event.
    pub position: Option<i64>,
    /// The transaction's number, when it wrote something.
    pub transaction: Option<String>,
}

/// What all changes of the transaction write, in the order in which it is written.
#[derive(Default)]
struct Writes {
    payments: Vec<(Payment, Option<Payment>)>,
    notifications: Vec<(Notification, bool)>,
    changes: Vec<Change>,
    events: Vec<NewEvent>,
}

pub(super) async fn attempt(connection: &mut PgConnection, asked: &mut [Request]) -> Result<Attempted> {
    let targets: Vec<_> = asked.iter().map(|request| &request.target).collect();
    let mut found = payments::lock(connection, &targets).await?;
    let mut seen: HashSet<(TenantId, PaymentId)> = HashSet::new();
    // Another change of a payment is decided on what this one leaves.
    let later: Vec<bool> =
        found.iter().map(|payment| payment.as_ref().is_some_and(|p| !seen.insert((p.tenant.clone(), p.id)))).collect();
    let kept = events::find_notifications(connection, &targets).await?;
    let mut outcomes = Vec::with_capacity(asked.len());
    let mut writes = Writes::default();
    for (index, request) in asked.iter_mut().enumerate() {
        if later[index] {
            outcomes.push(None);
            continue;
        }
        let target = &request.target;
        let payment = found[index].take();
        let notification = kept[index];
        let view = View {
            payment: payment.clone(),
            refund: match &target.refund {
                Some(number) => refunds::by_number(connection, &target.tenant, number).await?,
                None => None,
            },
            notification,
            request: match target.request {
                Some(id) => requests::by_id(connection, &target.tenant, id).await?,
                None => None,
            },
        };
        let decide = &mut request.decide;
        match catch_unwind(AssertUnwindSafe(|| decide(view))) {
            Ok(change) => {
                writes.add(change, payment, notification.is_none());
                outcomes.push(Some(Ok(())));
            }
            Err(panic) => {
                let why = crate::panic_text(&*panic);
                tracing::error!(panic = why, "a change panicked in the store's writer");
                outcomes.push(Some(Err(StoreError::Unavailable(format!("the change panicked: {why}")))));
            }
        }
    }
    Ok(match writes.write(connection).await? {
        Some(Appended { position, transaction }) => {
            Attempted { outcomes, position: Some(position), transaction: Some(transaction) }
        }
        None => Attempted { outcomes, position: None, transaction: transaction_id(connection).await? },
    })
}

impl Writes {
    fn add(&mut self, mut change: Change, before: Option<Payment>, is_new: bool) {
        if let Some(payment) = change.payment.take() {
            self.payments.push((payment, before));
        }
        self.events.append(&mut change.events);
        self.notifications.extend(change.notification.take().map(|notification| (notification, is_new)));
        if change.refund.is_some() || change.request.is_some() {
            self.changes.push(change);
        }
    }

    /// The log comes last: whoever has drawn positions holds up everybody else until its commit.
    async fn write(mut self, connection: &mut PgConnection) -> Result<Option<Appended>> {
        // Everybody enters in the same order, so that two who enter the same do not wait for each other.
        self.payments.sort_by(|(a, _), (b, _)| (&a.tenant, &a.out_trade_no).cmp(&(&b.tenant, &b.out_trade_no)));
        let new: Vec<&Payment> = self.payments.iter().map(|(p, _)| p).filter(|p| p.version == 0).collect();
        let changed: Vec<&Payment> = self.payments.iter().map(|(p, _)| p).filter(|p| p.version != 0).collect();
        payments::insert(connection, &new).await?;
        payments::update(connection, &changed).await?;
        payments::put_attempts(connection, &attempts(&self.payments)).await?;
        for change in &self.changes {
            if let Some(refund) = &change.refund {
                refunds::put(connection, refund).await?;
            }
            if let Some(request) = &change.request {
                requests::put(connection, request).await?;
            }
        }
        events::put_notifications(connection, &self.notifications).await?;
        events::append(connection, &self.events).await
    }
}

fn attempts(payments: &[(Payment, Option<Payment>)]) -> Vec<(&Payment, &Attempt)> {
    let mut found = Vec::new();
    for (payment, before) in payments {
        let before = before.as_ref().filter(|before| before.id == payment.id);
        let before = before.map(|before| (before.attempt.id, &before.others[..]));
        found.extend(to_enter(payment, before).into_iter().map(|attempt| (payment, attempt)));
    }
    found
}
