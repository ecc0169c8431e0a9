//! A payment's history in sentences, Chinese and English.

use dukou_domain::Money;
#[cfg(test)]
use dukou_domain::Timestamp;
use dukou_engine::delivery::{Try, TryError};
use dukou_engine::records::{
    CallOutcome, Check, Difference, EventKind, Failure, NewEvent, PlatformCall, Recorded, Subject,
};
use dukou_engine::timeline::{Message, Waiting, What};

use super::Words;
use crate::dto::rfc3339;

fn words(zh: impl Into<String>, en: impl Into<String>) -> Words {
    Words { zh: zh.into(), en: en.into() }
}

/// `（已问 3 次，下次 …）` and its English.
fn asked(check: Option<&Check>) -> (String, String) {
    match check {
        None => (String::new(), String::new()),
        Some(Check { at, asked }) => {
            let at = rfc3339(*at);
            (format!("，已问 {asked} 次，下次在 {at}"), format!("; asked {asked} times, next at {at}"))
        }
    }
}

fn next(check: Option<&Check>) -> (String, String) {
    match check {
        None => (String::new(), String::new()),
        Some(Check { at, .. }) => {
            let at = rfc3339(*at);
            (format!("，网关将在 {at} 处理"), format!("; the gateway sees to it at {at}"))
        }
    }
}

/// `：余额不足 (NOTENOUGH)` and its English.
fn said(failure: Option<&Failure>) -> (String, String) {
    match failure {
        None => (String::new(), String::new()),
        Some(Failure { code, message }) => {
            let code = code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
            (format!("：{message}{code}"), format!(": {message}{code}"))
        }
    }
}

/// The waiting's code and its sentence.
pub fn waiting(waiting: &Waiting) -> (&'static str, Words) {
    match waiting {
        Waiting::LostAnswer { check } => {
            let (zh, en) = asked(check.as_ref());
            let en = format!("the answer to the order was lost, the platform is asked what became of it{en}");
            ("lost_answer", words(format!("下单的应答丢失，正在向平台查询结果{zh}"), en))
        }
        Waiting::Unsent { check } => {
            let (zh, en) = next(check.as_ref());
            (
                "unsent",
                words(
                    format!("已记录，尚未确认送达平台{zh}"),
                    format!("recorded, and not known to have reached the platform{en}"),
                ),
            )
        }
        Waiting::Payer { expires_at } => {
            let at = rfc3339(*expires_at);
            (
                "payer",
                words(
                    format!("等待小程序一侧发起支付，{at} 到期"),
                    format!("waits for the mini-program to begin paying; expires at {at}"),
                ),
            )
        }
        Waiting::Payment { check, expires_at } => {
            let (zh, en) = asked(check.as_ref());
            let at = rfc3339(*expires_at);
            let en = format!("waits for the payer and the platform's notify; expires at {at}{en}");
            ("payment", words(format!("等待付款人付款和平台通知，{at} 到期{zh}"), en))
        }
        Waiting::LostRefund { out_refund_no, check, said: why } => {
            let ((zh, en), (why_zh, why_en)) = (asked(check.as_ref()), said(why.as_ref()));
            let en = format!("the answer to refund {out_refund_no} was lost, the platform is asked{en}{why_en}");
            ("lost_refund", words(format!("退款 {out_refund_no} 的应答丢失，正在向平台查询{zh}{why_zh}"), en))
        }
        Waiting::UnsentRefund { out_refund_no, check, said: why } => {
            let ((zh, en), (why_zh, why_en)) = (next(check.as_ref()), said(why.as_ref()));
            let en = format!("refund {out_refund_no} is recorded and will be sent{en}{why_en}");
            ("unsent_refund", words(format!("退款 {out_refund_no} 已记录，待发送{zh}{why_zh}"), en))
        }
        Waiting::Refund { out_refund_no, check } => {
            let (zh, en) = asked(check.as_ref());
            let en = format!("the platform works on refund {out_refund_no}{en}");
            ("refund", words(format!("平台正在处理退款 {out_refund_no}{zh}"), en))
        }
        Waiting::AbnormalRefund { out_refund_no, check } => {
            let (zh, en) = asked(check.as_ref());
            let en = format!("refund {out_refund_no} is abnormal and has to be handled on the merchant platform{en}");
            ("abnormal_refund", words(format!("退款 {out_refund_no} 异常，需在商户平台处理{zh}"), en))
        }
        Waiting::Decision { requested_at } => {
            let at = rfc3339(*requested_at);
            (
                "decision",
                words(
                    format!("买家于 {at} 申请退款，等待商户决定"),
                    format!("the buyer asked for money back at {at}, the merchant decides"),
                ),
            )
        }
        Waiting::Endpoint { disabled_at, events } => {
            let at = rfc3339(*disabled_at);
            let en = format!("the merchant's webhook is switched off since {at}, {events} events wait");
            ("endpoint", words(format!("商户的 webhook 自 {at} 起停用，{events} 个事件在等待"), en))
        }
        Waiting::Delivery { kind, failed, next_at } => {
            let at = next_at.map(rfc3339).unwrap_or_default();
            let kind = kind.as_str();
            let en = format!("{kind} is on its way to the merchant: {failed} tries failed, the next at {at}");
            ("delivery", words(format!("{kind} 正在送往商户：失败 {failed} 次，下次在 {at}"), en))
        }
        Waiting::Exhausted { kind } => {
            let kind = kind.as_str();
            let en = format!("{kind} did not reach the merchant and is tried no more; retry it by hand");
            ("exhausted", words(format!("{kind} 未能送达商户，不再自动重试，请手动重试"), en))
        }
    }
}

pub fn entry(what: &What) -> Words {
    match what {
        What::Event(event) => of_event(event),
        What::Call(call) => of_call(call),
        What::Message(message) => of_message(message),
        What::Delivery { kind, tried, .. } => of_delivery(kind.as_str(), tried),
    }
}

fn of_event(event: &NewEvent) -> Words {
    let (zh, en) = match event.kind {
        EventKind::PaymentCreated => ("已创建", "created"),
        EventKind::PaymentPending => ("平台已接受订单，等待付款", "the platform took the order; it can be paid"),
        EventKind::PaymentUnknown => ("应答丢失，结果未知", "the answer was lost; what became of it is not known"),
        EventKind::PaymentSucceeded => ("支付成功", "paid"),
        EventKind::PaymentClosed => ("已关闭", "closed"),
        EventKind::PaymentFailed => ("平台拒绝，支付失败", "the platform refused; failed"),
        EventKind::PaymentAttemptClosed => {
            ("换用其他方式，前一次尝试已关闭", "another way was chosen; the attempt before it is closed")
        }
        EventKind::PaymentOrderMissing => {
            ("平台没有这个订单，可重新下单", "the platform has no such order; it can be made again")
        }
        EventKind::PaymentLate => ("关闭之后才收到的成功", "a success that came after the payment had been closed"),
        EventKind::PaymentDuplicate => ("重复支付，将自动退回", "paid twice; the second is given back by itself"),
        EventKind::PaymentMismatch => {
            ("平台所述与记录不符，未入账", "the platform's word contradicts the record; nothing was changed")
        }
        EventKind::PaymentUnknownOrder => ("平台通知了未知的订单", "the platform told of an order that is not known"),
        EventKind::PaymentPartiallyRefunded => ("部分退款", "partly refunded"),
        EventKind::PaymentRefunded => ("全额退款", "refunded in full"),
        EventKind::RefundRequested => ("买家申请退款", "the buyer asked for money back"),
        EventKind::RefundRequestRejected => ("商户拒绝退款申请", "the merchant rejected the request"),
        EventKind::RefundCreated => ("退款已记录", "a refund was recorded"),
        EventKind::RefundProcessing => ("平台正在退款", "the platform works on the refund"),
        EventKind::RefundUnknown => ("退款应答丢失，结果未知", "the answer to the refund was lost"),
        EventKind::RefundMissing => {
            ("平台没有这笔退款，将以同一单号重发", "the platform has no such refund; it is sent again under its number")
        }
        EventKind::RefundSucceeded => ("退款成功", "the refund succeeded"),
        EventKind::RefundFailed => ("退款失败", "the refund failed"),
        EventKind::RefundAbnormal => {
            ("退款异常，需在商户平台处理", "the refund is abnormal; see to it on the merchant platform")
        }
        EventKind::EndpointDisabled
        | EventKind::EndpointEnabled
        | EventKind::ShareCreated
        | EventKind::SharePublished
        | EventKind::ShareExpired
        | EventKind::AuthorizationGranted
        | EventKind::AuthorizationRevoked
        | EventKind::AuthorizationExpired
        | EventKind::MessageReceived => (event.kind.as_str(), event.kind.as_str()),
    };
    let more = match &event.subject {
        Subject::Refund(refund) => format!(" {} {}", refund.out_refund_no, amount(refund.amount)),
        Subject::RefundRequest(request) => format!(" {}", amount(request.amount)),
        Subject::Payment(payment) if event.kind == EventKind::PaymentPartiallyRefunded => {
            let (refunded, all) = (amount(payment.refunded), amount(payment.amount));
            return words(format!("{zh}：共 {all}，已退 {refunded}"), format!("{en}: {refunded} of {all}"));
        }
        Subject::Payment(payment) => format!(" {}", amount(payment.amount)),
        Subject::Duplicate { attempt, .. } => format!(" {}", attempt.trade_no),
        Subject::Mismatch { differences, .. } => differences.iter().map(difference).collect(),
        Subject::UnknownOrder { .. } | Subject::Endpoint(_) | Subject::Plugin { .. } => String::new(),
    };
    words(format!("{zh}{more}"), format!("{en}{more}"))
}

fn difference(found: &Difference) -> String {
    let Difference { field, recorded, received } = found;
    // Nothing is on record of what was not made here.
    let recorded = if recorded.is_empty() { String::new() } else { format!(" ≠ {recorded}") };
    format!(" {field}: {received}{recorded}")
}

/// In major units, as people say it; `12800` would be read as yuan.
fn amount(amount: Money) -> String {
    amount.to_string()
}

fn of_call(call: &PlatformCall) -> Words {
    let (zh, en) = match call.operation.as_str() {
        "pay" => ("下单", "order"),
        "query" => ("查询订单", "question about the order"),
        "close" => ("关闭订单", "closing of the order"),
        "refund" => ("退款", "refund"),
        "query_refund" => ("查询退款", "question about the refund"),
        other => (other, other),
    };
    let (ended_zh, ended_en) = match call.outcome {
        CallOutcome::Ok => ("成功", "answered"),
        CallOutcome::NotSent => ("未送达", "not sent"),
        CallOutcome::Refused => ("被拒绝", "refused"),
        CallOutcome::Unknown => ("应答丢失或不可信", "no answer that counts"),
        CallOutcome::Panicked => ("程序错误", "failed inside"),
    };
    let code = call.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
    words(
        format!("调用 {}：{zh}，{ended_zh}{code}", call.provider),
        format!("{} called: {en}, {ended_en}{code}", call.provider),
    )
}

fn of_message(message: &Message) -> Words {
    let (zh, en) = match message.outcome {
        Recorded::Applied => ("已入账或与记录一致", "applied, or agrees with the record"),
        Recorded::Mismatch => ("与记录不符，未入账", "contradicts the record; nothing was changed"),
        Recorded::NotPaid => ("告知支付失败", "says that a try to pay failed"),
        Recorded::UnknownOrder => ("订单未知", "about an order that is not known"),
    };
    words(
        format!("{} 通知（{}）：{zh}", message.provider, message.kind),
        format!("{} told ({}): {en}", message.provider, message.kind),
    )
}

fn of_delivery(kind: &str, tried: &Try) -> Words {
    match failure(tried) {
        None => {
            let status = status(tried);
            words(format!("{kind} 已送达商户{status}"), format!("{kind} reached the merchant{status}"))
        }
        Some(Words { zh, en }) => {
            let number = tried.number;
            words(
                format!("{kind} 第 {number} 次送往商户失败：{zh}"),
                format!("{kind}: try {number} to reach the merchant failed: {en}"),
            )
        }
    }
}

/// Why a try to reach the merchant failed; `None` when it did not.
pub fn failure(tried: &Try) -> Option<Words> {
    let (zh, en) = match tried.error? {
        TryError::Address => ("地址不可用", "its name leads to no address that may be called"),
        TryError::Connect => ("无法连接", "no connection"),
        TryError::Timeout => ("没有及时应答", "no answer in time"),
        TryError::Broken => ("连接中断", "the connection broke"),
        TryError::Status => ("应答", "answered"),
    };
    let status = status(tried);
    Some(words(format!("{zh}{status}"), format!("{en}{status}")))
}

fn status(tried: &Try) -> String {
    tried.status.map(|status| format!(" HTTP {status}")).unwrap_or_default()
}

/// For tests and people: a moment as the sentences write it.
#[cfg(test)]
fn moment(at: Timestamp) -> String {
    rfc3339(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dukou_domain::OutRefundNo;

    #[test]
    fn every_waiting_says_in_both_languages_what_and_when() {
        let at = Timestamp::from_millis(1_795_428_000_000);
        let check = Some(Check { at, asked: 3 });
        let number = || OutRefundNo::new("R-1").unwrap();
        let kind = EventKind::PaymentSucceeded;
        let all = [
            (Waiting::LostAnswer { check }, "lost_answer"),
            (Waiting::Unsent { check }, "unsent"),
            (Waiting::Payer { expires_at: at }, "payer"),
            (Waiting::Payment { check, expires_at: at }, "payment"),
            (Waiting::LostRefund { out_refund_no: number(), check, said: None }, "lost_refund"),
            (Waiting::UnsentRefund { out_refund_no: number(), check, said: None }, "unsent_refund"),
            (Waiting::Refund { out_refund_no: number(), check }, "refund"),
            (Waiting::AbnormalRefund { out_refund_no: number(), check }, "abnormal_refund"),
            (Waiting::Decision { requested_at: at }, "decision"),
            (Waiting::Endpoint { disabled_at: at, events: 2 }, "endpoint"),
            (Waiting::Delivery { kind, failed: 2, next_at: Some(at) }, "delivery"),
        ];
        for (one, code) in all {
            let (said, words) = waiting(&one);
            assert_eq!(said, code);
            for text in [&words.zh, &words.en] {
                assert!(text.contains(&moment(at)), "{text}");
            }
            assert!(words.zh.chars().any(|c| c > '\u{4e00}') && words.en.is_ascii(), "{words:?}");
        }
        assert_eq!(waiting(&Waiting::Exhausted { kind }).0, "exhausted");
    }

    #[test]
    fn a_refund_that_waits_says_what_the_platform_said() {
        let why = Failure { code: Some("NOTENOUGH".to_owned()), message: "余额不足".to_owned() };
        let out_refund_no = OutRefundNo::new("R-1").unwrap();
        let (lost, unsent) = (
            Waiting::LostRefund { out_refund_no: out_refund_no.clone(), check: None, said: Some(why.clone()) },
            Waiting::UnsentRefund { out_refund_no, check: None, said: Some(why) },
        );
        for one in [lost, unsent] {
            let Words { zh, en } = waiting(&one).1;
            assert!(zh.ends_with("：余额不足 (NOTENOUGH)") && en.ends_with(": 余额不足 (NOTENOUGH)"), "{zh} {en}");
        }
    }

    #[test]
    fn a_try_that_failed_says_why_in_both_languages() {
        for error in TryError::ALL {
            let status = (error == TryError::Status).then_some(500);
            let at = Timestamp::from_millis(0);
            let tried = Try { number: 1, at, status, error: Some(error), millis: 3 };
            let Words { zh, en } = failure(&tried).unwrap();
            assert!(zh.chars().any(|c| c > '\u{4e00}') && en.is_ascii(), "{zh} {en}");
            assert_eq!((zh.ends_with("HTTP 500"), en.ends_with("HTTP 500")), (status.is_some(), status.is_some()));
            assert_eq!(failure(&Try { error: None, ..tried }).map(|words| words.zh), None);
        }
    }
}
