//! One type per identifier, so that a merchant's number never stands where a platform's belongs.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// A text that is not a legal identifier: which kind was wanted and what it may hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: expected {expected}")]
pub struct InvalidId {
    /// Which kind was wanted, for people, such as `out_trade_no`; of the prefixed ones the type's name (`PaymentId`).
    pub kind: &'static str,
    /// How long it may be and what it may hold, for people.
    pub expected: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// # Errors
            /// [`InvalidId`] when the text holds what this kind of identifier may not.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok($name(Arc::from(text)))
                } else {
                    Err(InvalidId { kind: $kind, expected: $expected })
                }
            }

            /// As it was given to [`Self::new`]; so it stands on the wire and in the store.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn within(text: &str, min: usize, max: usize, allowed: fn(u8) -> bool) -> bool {
    (min..=max).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_name(text: &str) -> bool {
    within(text, 1, 32, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        && text.as_bytes()[0].is_ascii_alphanumeric()
}

fn is_number_character(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'|' | b'*')
}

fn is_opaque(text: &str) -> bool {
    within(text, 1, 128, |b| b.is_ascii_graphic())
}

text_id!(
    /// One mini-program business: the `id` of its tenant file.
    TenantId, "tenant id", "1 to 32 of a-z 0-9 - _, beginning with a letter or digit", is_name
);
text_id!(
    /// The tenant's own name for one of its providers (`[providers.NAME]`).
    ProviderName, "provider name", "1 to 32 of a-z 0-9 - _, beginning with a letter or digit", is_name
);
text_id!(
    /// A plugin (`[plugins.NAME]`), the same for every tenant.
    PluginName, "plugin name", "1 to 32 of a-z 0-9 - _, beginning with a letter or digit", is_name
);
text_id!(
    /// The merchant's number of a payment, unique in the tenant.
    OutTradeNo, "out_trade_no", "1 to 32 of A-Z a-z 0-9 _ - | *", |text| within(text, 1, 32, is_number_character)
);
text_id!(
    /// The number one attempt has at its platform; unique in the merchant account.
    TradeNo, "trade number", "1 to 64 of A-Z a-z 0-9 _ - | *", |text| within(text, 1, 64, is_number_character)
);
text_id!(
    /// The merchant's number of a refund, unique in the tenant; one number refunds once.
    OutRefundNo, "out_refund_no", "1 to 64 of A-Z a-z 0-9 _ - | * @",
    |text| within(text, 1, 64, |b| is_number_character(b) || b == b'@')
);
text_id!(
    /// The platform's number of a payment (`transaction_id`).
    TransactionId, "transaction id", "1 to 128 printable ASCII characters", is_opaque
);
text_id!(
    /// The platform's number of a refund (`refund_id`).
    ProviderRefundId, "provider refund id", "1 to 128 printable ASCII characters", is_opaque
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the identifier wherever people read it.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps an identifier made elsewhere; time-ordered (version 7) ones keep the
            /// store's indexes compact.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                $name(uuid)
            }

            /// Without the prefix, as the store keeps it.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }

            /// Reads the prefixed form back.
            ///
            /// # Errors
            /// [`InvalidId`] for another prefix or anything but 32 hexadecimal digits after it.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .filter(|rest| rest.len() == 32)
                    .and_then(|rest| Uuid::try_parse(rest).ok())
                    .map($name)
                    .ok_or(InvalidId { kind: stringify!($name), expected: concat!($prefix, " and 32 hexadecimal digits") })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }
    };
}

uuid_id!(
    /// The gateway's own identifier of a payment.
    PaymentId, "pay_"
);
uuid_id!(
    /// One try to have a payment paid through one provider and method.
    AttemptId, "att_"
);
uuid_id!(
    /// The gateway's own identifier of a refund.
    RefundId, "ref_"
);
uuid_id!(
    /// A buyer's wish to get money back.
    RefundRequestId, "rrq_"
);
uuid_id!(
    /// One entry of a tenant's event log.
    EventId, "evt_"
);
uuid_id!(
    /// One event on its way to a merchant's webhook.
    DeliveryId, "dlv_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_keep_to_their_characters() {
        for (text, legal) in [
            ("bookshop", true),
            ("shop-2", true),
            ("", false),
            ("-shop", false),
            ("../etc", false),
            ("Shop", false),
            ("shop%2f", false),
            ("a23456789012345678901234567890123", false),
        ] {
            assert_eq!(TenantId::new(text).is_ok(), legal, "{text:?}");
        }
        for (text, legal) in
            [("B20261123-0001", true), ("a|b*c_d", true), ("a b", false), ("订单", false), ("a@b", false)]
        {
            assert_eq!(OutTradeNo::new(text).is_ok(), legal, "{text:?}");
        }
        assert!(OutRefundNo::new("R@1").is_ok());
    }

    #[test]
    fn prefixed_ids_read_back_and_only_their_own_kind() {
        let id = PaymentId::from_uuid(Uuid::from_u128(42));
        assert_eq!(PaymentId::parse(&id.to_string()), Ok(id));
        assert!(RefundId::parse(&id.to_string()).is_err());
        assert!(PaymentId::parse("pay_42").is_err());
    }
}
