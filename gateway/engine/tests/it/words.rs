//! What the platform under test says of refunds.

use dukou_domain::{OutRefundNo, ProviderRefundId};
use dukou_spi::{RefundStatus, RefundWord};

pub fn refund_word(word: &str) -> RefundWord {
    match word {
        "SUCCESS" => RefundWord::Succeeded,
        "CLOSED" => RefundWord::Closed,
        "ABNORMAL" => RefundWord::Abnormal,
        _ => RefundWord::Unrecognised,
    }
}

pub fn refund_status(out_refund_no: &OutRefundNo, word: RefundWord) -> RefundStatus {
    let platform_word = match word {
        RefundWord::Succeeded => "SUCCESS",
        RefundWord::Closed => "REFUNDCLOSE",
        RefundWord::Abnormal => "CHANGE",
        RefundWord::Processing => "PROCESSING",
        RefundWord::Missing => "REFUNDNOTEXIST",
        RefundWord::Unrecognised => "NEW",
    };
    // It names every refund that it has.
    let has = !matches!(word, RefundWord::Missing | RefundWord::Unrecognised);
    RefundStatus {
        out_refund_no: out_refund_no.clone(),
        trade_no: None,
        word,
        provider_refund_id: has.then(|| ProviderRefundId::new(&format!("P-{out_refund_no}")).unwrap()),
        amount: None,
        succeeded_at: None,
        platform_word: platform_word.to_owned(),
    }
}
