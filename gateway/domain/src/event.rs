//! What can happen to a tenant, as a closed list of words.

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// The closed list of what can happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventKind { $($(#[$doc])* $name),+ }

        impl EventKind {
            /// Every kind once, for lists and counters that leave none out.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$name),+];

            /// The public word (`payment.succeeded`).
            pub const fn as_str(self) -> &'static str {
                match self { $(EventKind::$name => $word),+ }
            }

            /// Reads [`Self::as_str`] back; `None` for any other word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(EventKind::$name),)+ _ => None }
            }
        }
    };
}

event_kinds! {
    /// The intent is recorded; no platform was called yet.
    PaymentCreated = "payment.created",
    /// The platform has the order and waits for the payer.
    PaymentPending = "payment.pending",
    /// The order was sent and no usable answer came back; the platform is asked.
    PaymentUnknown = "payment.unknown",
    /// The payer paid, in full. Not told of a late success that is given back, nor of a second one.
    PaymentSucceeded = "payment.succeeded",
    /// The order can no longer be paid.
    PaymentClosed = "payment.closed",
    /// The platform refused the order, or has another one, paid, under its number.
    PaymentFailed = "payment.failed",
    /// An attempt was given up for another way to pay; the payment is `created` again.
    PaymentAttemptClosed = "payment.attempt_closed",
    /// The platform, asked after a lost answer, has no such order: it may be sent again.
    PaymentOrderMissing = "payment.order_missing",
    /// A success after the payment was closed or had failed; then `payment.succeeded` or the refund (`late_payment`).
    PaymentLate = "payment.late",
    /// A second success of a paid payment; its refund is recorded with this.
    PaymentDuplicate = "payment.duplicate",
    /// A platform's verified word contradicts the record, or a refund goes out for which nothing was left.
    PaymentMismatch = "payment.mismatch",
    /// A verified message is about an order that is not on record.
    PaymentUnknownOrder = "payment.unknown_order",
    /// The first refund of a part succeeded; of further ones tells `refund.succeeded` alone.
    PaymentPartiallyRefunded = "payment.partially_refunded",
    /// All that was paid has gone back.
    PaymentRefunded = "payment.refunded",
    /// A buyer asks for money back; none moves before the merchant decides.
    RefundRequested = "refund.requested",
    /// The merchant said no to a buyer. A yes is told as `refund.created`.
    RefundRequestRejected = "refund.request_rejected",
    /// A refund is recorded and will be sent; also one that failed and is asked for again.
    RefundCreated = "refund.created",
    /// The platform has the refund and works on it.
    RefundProcessing = "refund.processing",
    /// The refund was sent and no usable answer came back; the platform is asked.
    RefundUnknown = "refund.unknown",
    /// The platform, asked after a lost answer, has no such refund: it is sent again under its number.
    RefundMissing = "refund.missing",
    /// The money is with the payer.
    RefundSucceeded = "refund.succeeded",
    /// The platform refused the refund or gave up on it; the money is with the merchant, as far as is known.
    RefundFailed = "refund.failed",
    /// The payer's account cannot take the money: somebody has to help at the platform.
    RefundAbnormal = "refund.abnormal",
    /// The tenant's webhook took nothing for five days and is sent nothing more.
    EndpointDisabled = "endpoint.disabled",
    /// The webhook was switched on again; what waited for it is sent.
    EndpointEnabled = "endpoint.enabled",
    /// A share was made, for a user to post at another platform.
    ShareCreated = "share.created",
    /// A user posted a share, by that platform's word.
    SharePublished = "share.published",
    /// A share's time ran out before it was posted, as far as is known.
    ShareExpired = "share.expired",
    /// A user lets the tenant act for them at a platform.
    AuthorizationGranted = "authorization.granted",
    /// The user took that back.
    AuthorizationRevoked = "authorization.revoked",
    /// It ended by itself: the platform renews its tokens no more.
    AuthorizationExpired = "authorization.expired",
    /// A platform told a plugin something that none of the others says.
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
