//! The one way in which payments change: read, decide, write.

use dukou_engine::ports::{Decide, Target, View};

use super::error::Result;
use super::writing::Writing;
use super::{events, payments, refunds, requests};

pub(super) fn apply(w: &mut Writing<'_>, target: &Target, decide: &mut Decide) -> Result<()> {
    let connection = w.connection();
    let found = payments::find(connection, &target.tenant, &target.payment)?;
    let before = found.as_ref().map(payments::Before::from);
    let view = View {
        payment: found.map(|found| found.payment),
        refund: match &target.refund {
            Some(number) => refunds::by_number(connection, &target.tenant, number)?,
            None => None,
        },
        notification: match &target.notification {
            Some(key) => events::find_notification(connection, key)?,
            None => None,
        },
        request: match target.request {
            Some(id) => requests::by_id(connection, &target.tenant, id)?,
            None => None,
        },
    };
    let change = decide(view);
    if let Some(payment) = &change.payment {
        payments::put(w, payment, before.as_ref())?;
    }
    if let Some(refund) = &change.refund {
        refunds::put(w, refund)?;
    }
    if let Some(request) = &change.request {
        requests::put(w, request)?;
    }
    for event in &change.events {
        events::append(w, event)?;
    }
    if let Some(notification) = &change.notification {
        events::put_notification(w, notification)?;
    }
    Ok(())
}
