//! The one way in which payments change: read, decide, write.

use dukou_engine::ports::{Decide, Target, View};

use super::error::Result;
use super::writing::Writing;
use super::{events, payments, refunds};

pub(super) fn apply(w: &mut Writing<'_>, target: &Target, decide: &mut Decide) -> Result<()> {
    let connection = w.connection();
    let view = View {
        payment: payments::find(connection, &target.tenant, &target.payment)?,
        refund: match &target.refund {
            Some(number) => refunds::by_number(connection, &target.tenant, number)?,
            None => None,
        },
        notification: match &target.notification {
            Some(key) => events::find_notification(connection, key)?,
            None => None,
        },
    };
    let attempt_before = view.payment.as_ref().map(|payment| payment.attempt.clone());
    let change = decide(view);
    if let Some(payment) = &change.payment {
        payments::put(w, payment, attempt_before.as_ref())?;
    }
    if let Some(refund) = &change.refund {
        refunds::put(w, refund)?;
    }
    for event in &change.events {
        events::append(w, event)?;
    }
    if let Some(notification) = &change.notification {
        events::put_notification(w, notification)?;
    }
    Ok(())
}
