//! What has waited longest, so that nothing is forgotten.

use std::collections::HashMap;

use dukou_domain::{TenantId, Timestamp};

/// What can wait too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpenKind {
    /// A payment whose answer was lost, since it was.
    PaymentUnknown,
    /// A payment that nobody paid and nobody closed, since it could last be paid.
    PaymentOverdue,
    /// A refund whose answer was lost, since it was.
    RefundUnknown,
    /// A refund that the platform has not taken, since it was recorded: it was not reached, or refuses it for now.
    RefundUnsent,
    /// A refund that the platform works on, since it took it.
    RefundProcessing,
    /// A question about a payment or refund that nobody asks, since it was due.
    QuestionDue,
}

impl OpenKind {
    pub const ALL: [OpenKind; 6] = [
        OpenKind::PaymentUnknown,
        OpenKind::PaymentOverdue,
        OpenKind::RefundUnknown,
        OpenKind::RefundUnsent,
        OpenKind::RefundProcessing,
        OpenKind::QuestionDue,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            OpenKind::PaymentUnknown => "payment_unknown",
            OpenKind::PaymentOverdue => "payment_overdue",
            OpenKind::RefundUnknown => "refund_unknown",
            OpenKind::RefundUnsent => "refund_unsent",
            OpenKind::RefundProcessing => "refund_processing",
            OpenKind::QuestionDue => "question_due",
        }
    }
}

/// The one of its kind that has waited longest in a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldestOpen {
    pub tenant: TenantId,
    pub kind: OpenKind,
    /// May be to come for [`OpenKind::PaymentOverdue`] and [`OpenKind::QuestionDue`]: then nothing is overdue yet.
    pub since: Timestamp,
}

impl OldestOpen {
    /// The oldest of each tenant and kind, where there are several.
    pub fn of_each(found: impl IntoIterator<Item = OldestOpen>) -> Vec<OldestOpen> {
        let mut oldest: HashMap<(TenantId, OpenKind), Timestamp> = HashMap::new();
        for OldestOpen { tenant, kind, since } in found {
            let known = oldest.entry((tenant, kind)).or_insert(since);
            *known = since.min(*known);
        }
        oldest.into_iter().map(|((tenant, kind), since)| OldestOpen { tenant, kind, since }).collect()
    }
}
