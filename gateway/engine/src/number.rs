//! Identifiers and numbers the gateway makes itself.

use dukou_domain::{
    AttemptId, DeliveryId, EventId, OutRefundNo, OutTradeNo, PaymentId, RefundId, RefundRequestId, TradeNo,
};
use uuid::Uuid;

use crate::records::{Payment, Refund};
use crate::tenant::Tenant;

/// Crockford's base32: no letter that is read as a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Random characters behind an order's number: 40 bits.
const SUFFIX: usize = 8;
/// Characters of a made number that keep it apart from any other: ten of time, the rest random.
const SHORTEST_MADE: usize = 20;

pub(crate) fn payment_id() -> PaymentId {
    PaymentId::from_uuid(Uuid::now_v7())
}

pub(crate) fn attempt_id() -> AttemptId {
    AttemptId::from_uuid(Uuid::now_v7())
}

pub(crate) fn refund_id() -> RefundId {
    RefundId::from_uuid(Uuid::now_v7())
}

pub(crate) fn request_id() -> RefundRequestId {
    RefundRequestId::from_uuid(Uuid::now_v7())
}

pub(crate) fn delivery_id() -> DeliveryId {
    DeliveryId::from_uuid(Uuid::now_v7())
}

pub(crate) fn event_id() -> EventId {
    EventId::from_uuid(Uuid::now_v7())
}

/// A trade number in the order of time, of as many characters as the tenant's prefix leaves room for.
pub(crate) fn out_trade_no(tenant: &Tenant) -> OutTradeNo {
    let mut number = base32(Uuid::now_v7());
    number.truncate(tenant.made_number_length());
    OutTradeNo::new(&number).expect("base32 letters are legal in a trade number")
}

/// The number of the refund that gives a late success back; one payment has one.
pub(crate) fn late_refund_no(payment: PaymentId) -> OutRefundNo {
    OutRefundNo::new(&format!("late_{}", payment.as_uuid().simple()))
        .expect("hexadecimal digits are legal in a refund number")
}

/// The number of the refund that gives an attempt's second success back.
pub(crate) fn duplicate_refund_no(attempt: AttemptId) -> OutRefundNo {
    OutRefundNo::new(&format!("duplicate_{}", attempt.as_uuid().simple()))
        .expect("hexadecimal digits are legal in a refund number")
}

/// Before the identifier of the request.
const REQUEST: &str = "request_";

/// The number of the refund that an approved request makes.
pub(crate) fn request_refund_no(request: RefundRequestId) -> OutRefundNo {
    OutRefundNo::new(&format!("{REQUEST}{}", request.as_uuid().simple()))
        .expect("hexadecimal digits are legal in a refund number")
}

/// Whether the gateway makes the refund of its own accord: nobody named it in a call, who would call again.
pub(crate) fn is_made_here(refund: &Refund) -> bool {
    let of_request = |number: &str| {
        let id = number.strip_prefix(REQUEST).and_then(|id| Uuid::try_parse(id).ok());
        id.is_some_and(|id| *number == *request_refund_no(RefundRequestId::from_uuid(id)).as_str())
    };
    refund.of_duplicate
        || refund.out_refund_no == late_refund_no(refund.payment)
        || of_request(refund.out_refund_no.as_str())
}

/// The number of a payment's later attempt, as no order of the merchant's is called: its own with the attempt's number
/// and random characters after it, `300300-2-7F3K9QTZ`. Where that is too long for the platform, one made new with the
/// tenant's prefix; `None` where too little would be left of it to be the only one.
pub(crate) fn later_trade_no(prefix: &str, out_trade_no: &OutTradeNo, number: u32, longest: usize) -> Option<TradeNo> {
    let random = base32(Uuid::new_v4());
    let suffixed = format!("{prefix}{out_trade_no}-{number}-{}", &random[random.len() - SUFFIX..]);
    if suffixed.len() <= longest {
        return TradeNo::new(&suffixed).ok();
    }
    let mut made = base32(Uuid::now_v7());
    made.truncate(longest.saturating_sub(prefix.len()));
    if made.len() < SHORTEST_MADE {
        return None;
    }
    TradeNo::new(&format!("{prefix}{made}")).ok()
}

/// The number a refund has at the platform, where one merchant account may serve several tenants.
/// The prefix is read from the payment's first attempt: the configuration may have changed since.
/// `None` when it would be too long.
pub(crate) fn platform_refund_no(payment: &Payment, out_refund_no: &OutRefundNo) -> Option<OutRefundNo> {
    let attempts = payment.attempts();
    let first = attempts.first()?;
    let prefix = first.trade_no.as_str().strip_suffix(payment.out_trade_no.as_str()).unwrap_or_default();
    OutRefundNo::new(&format!("{prefix}{out_refund_no}")).ok()
}

/// The merchant's number of a refund that the platform calls `platform_no`.
pub(crate) fn own_refund_no(prefix: &str, platform_no: &OutRefundNo) -> Option<OutRefundNo> {
    let own = platform_no.as_str().strip_prefix(prefix).filter(|_| !prefix.is_empty())?;
    OutRefundNo::new(own).ok()
}

/// The number a payment's first attempt has at the platform.
pub(crate) fn trade_no(prefix: &str, out_trade_no: &OutTradeNo) -> Option<TradeNo> {
    TradeNo::new(&format!("{prefix}{out_trade_no}")).ok()
}

fn base32(uuid: Uuid) -> String {
    let mut bits = uuid.as_u128();
    let mut text = [0_u8; 26];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use dukou_domain::TenantId;

    use super::*;
    use crate::tenant::LatePayment;

    #[test]
    fn numbers_leave_room_for_the_prefix_and_are_in_the_order_of_time() {
        for (prefix, length) in [("", 26), ("shop_", 26), ("longer_", 25), ("longest_", 24)] {
            let tenant = tenant(prefix);
            let numbers: Vec<OutTradeNo> = (0..100).map(|_| out_trade_no(&tenant)).collect();
            assert!(numbers.iter().all(|number| number.as_str().len() == length), "{prefix}");
            assert!(numbers.iter().all(|number| trade_no(prefix, number).is_some()), "{prefix}");
            assert!(numbers.is_sorted() && numbers.iter().collect::<BTreeSet<_>>().len() == numbers.len(), "{prefix}");
        }
        assert_eq!(base32(Uuid::from_u128(u128::MAX)), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    }

    fn tenant(prefix: &str) -> Tenant {
        Tenant {
            id: TenantId::new("bookshop").unwrap(),
            name: String::new(),
            api_keys: Vec::new(),
            late_payment: LatePayment::Accept,
            trade_no_prefix: prefix.to_owned(),
            providers: BTreeMap::new(),
            plugins: BTreeMap::new(),
            webhook: None,
        }
    }

    #[test]
    fn a_later_attempt_is_numbered_anew_within_what_the_platform_takes() {
        let cases = [
            ("", "300300", "300300-2-", 17),
            ("shop_", "300300", "shop_300300-2-", 22),
            ("", "20261126-000000000300300", "", 26),
            ("shop_", "20261126-00000300300", "shop_", 31),
            ("longest_", "20261126-00000300300", "longest_", 32),
        ];
        for (prefix, number, start, length) in cases {
            let order = OutTradeNo::new(number).unwrap();
            let numbers: BTreeSet<String> =
                (0..1000).map(|_| later_trade_no(prefix, &order, 2, 32).unwrap().as_str().to_owned()).collect();
            assert_eq!(numbers.len(), 1000, "{number}");
            assert!(numbers.iter().all(|number| number.starts_with(start) && number.len() == length), "{number}");
        }
        assert!(later_trade_no("longest_", &OutTradeNo::new("20261126-00000300300").unwrap(), 2, 27).is_none());
    }
}
