//! What can happen to a tenant, as a closed list of words.

macro_rules! event_kinds {
    ($($name:ident = $word:literal),+ $(,)?) => {
        /// The closed list of what can happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventKind { $($name),+ }

        impl EventKind {
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name),+];

            /// The public word (`payment.succeeded`).
            pub const fn as_str(self) -> &'static str {
                match self { $(EventKind::$name => $word),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(EventKind::$name),)+ _ => None }
            }
        }
    };
}

event_kinds! {
    PaymentCreated = "payment.created",
    PaymentPending = "payment.pending",
    PaymentUnknown = "payment.unknown",
    PaymentSucceeded = "payment.succeeded",
    PaymentClosed = "payment.closed",
    PaymentFailed = "payment.failed",
    PaymentAttemptClosed = "payment.attempt_closed",
    PaymentOrderMissing = "payment.order_missing",
    PaymentLate = "payment.late",
    PaymentDuplicate = "payment.duplicate",
    PaymentMismatch = "payment.mismatch",
    PaymentUnknownOrder = "payment.unknown_order",
    PaymentPartiallyRefunded = "payment.partially_refunded",
    PaymentRefunded = "payment.refunded",
    RefundRequested = "refund.requested",
    RefundRequestRejected = "refund.request_rejected",
    RefundCreated = "refund.created",
    RefundProcessing = "refund.processing",
    RefundUnknown = "refund.unknown",
    RefundMissing = "refund.missing",
    RefundSucceeded = "refund.succeeded",
    RefundFailed = "refund.failed",
    RefundAbnormal = "refund.abnormal",
    EndpointDisabled = "endpoint.disabled",
    EndpointEnabled = "endpoint.enabled",
    ShareCreated = "share.created",
    SharePublished = "share.published",
    ShareExpired = "share.expired",
    AuthorizationGranted = "authorization.granted",
    AuthorizationRevoked = "authorization.revoked",
    AuthorizationExpired = "authorization.expired",
    MessageReceived = "message.received",
}

impl EventKind {
    /// Whether a plugin may raise it. What became of money is said by the engine alone.
    pub const fn of_plugins(self) -> bool {
        match self {
            EventKind::ShareCreated
            | EventKind::SharePublished
            | EventKind::ShareExpired
            | EventKind::AuthorizationGranted
            | EventKind::AuthorizationRevoked
            | EventKind::AuthorizationExpired
            | EventKind::MessageReceived => true,
            EventKind::PaymentCreated
            | EventKind::PaymentPending
            | EventKind::PaymentUnknown
            | EventKind::PaymentSucceeded
            | EventKind::PaymentClosed
            | EventKind::PaymentFailed
            | EventKind::PaymentAttemptClosed
            | EventKind::PaymentOrderMissing
            | EventKind::PaymentLate
            | EventKind::PaymentDuplicate
            | EventKind::PaymentMismatch
            | EventKind::PaymentUnknownOrder
            | EventKind::PaymentPartiallyRefunded
            | EventKind::PaymentRefunded
            | EventKind::RefundRequested
            | EventKind::RefundRequestRejected
            | EventKind::RefundCreated
            | EventKind::RefundProcessing
            | EventKind::RefundUnknown
            | EventKind::RefundMissing
            | EventKind::RefundSucceeded
            | EventKind::RefundFailed
            | EventKind::RefundAbnormal
            | EventKind::EndpointDisabled
            | EventKind::EndpointEnabled => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_plugin_speaks_of_money() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(*kind));
            let (subject, _) = kind.as_str().split_once('.').unwrap();
            assert_eq!(kind.of_plugins(), !matches!(subject, "payment" | "refund" | "endpoint"), "{kind:?}");
        }
    }
}
