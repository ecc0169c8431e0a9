//! What WeChat could not take of an order, told before anything is recorded.

use dukou_domain::{Currency, Method};
use dukou_spi::{FieldProblem, PayOrder};

use crate::account::Account;
use crate::text;

/// `out_trade_no`, in characters.
pub const TRADE_NO_MAX: usize = 32;
const TRADE_NO_MIN: usize = 6;
/// APIv3's `description` and APIv2's `body`, in characters. APIv2's is cut to [`text::TEXT_BYTES`] when it is sent.
const DESCRIPTION_MAX: usize = 127;
const OPENID_MAX: usize = 128;
pub const NOTIFY_URL_MAX: usize = 256;

/// Every problem of the order, by the public interface's field names.
pub fn order(order: &PayOrder) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut wrong = |field, message: &str| problems.push(FieldProblem { field, message: message.to_owned() });

    if order.amount.currency() != Currency::Cny {
        wrong("currency", "is not CNY");
    }
    if order.amount.is_zero() {
        wrong("amount", "is zero; expected at least 1 fen");
    }
    if !(TRADE_NO_MIN..=TRADE_NO_MAX).contains(&order.trade_no.as_str().len()) {
        wrong("out_trade_no", "gives a platform number that is not 6 to 32 characters long");
    }
    if order.description.trim().is_empty() || order.description.chars().count() > DESCRIPTION_MAX {
        wrong("description", "is empty or too long; expected 1 to 127 characters");
    }
    if !order.description.chars().all(text::is_carried) {
        wrong("description", "has control characters or emoji; expected characters of at most 3 bytes in UTF-8");
    }
    if let Some(attach) = &order.attach {
        if attach.len() > text::TEXT_BYTES {
            wrong("attach", "is too long; expected at most 127 bytes of UTF-8");
        }
        if !attach.chars().all(text::is_carried) {
            wrong("attach", "has control characters or emoji; expected characters of at most 3 bytes in UTF-8");
        }
    }
    match &order.openid {
        None if order.method == Method::Jsapi => wrong("payer.openid", "is missing; expected one for method jsapi"),
        Some(openid)
            if openid.is_empty()
                || openid.len() > OPENID_MAX
                || !openid.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) =>
        {
            wrong("payer.openid", "is not an openid; expected at most 128 letters, digits, _ and -");
        }
        _ => {}
    }
    if order.notify_url.len() > NOTIFY_URL_MAX || order.notify_url.contains('?') {
        wrong("notify_url", "is too long or has a query; expected at most 256 characters without one");
    }
    if order.expires_at <= order.created_at {
        wrong("expires_at", "is not after the order's beginning");
    }
    problems
}

/// The page of an H5 order that has none configured is the gateway's own address, which may be too long for it.
pub fn h5_page(account: &Account, order: &PayOrder) -> Option<FieldProblem> {
    let (url, _) = text::h5_page(account, &order.notify_url);
    let fits = order.method != Method::H5 || url.len() <= text::H5_URL_BYTES;
    (!fits).then(|| FieldProblem {
        field: "method",
        message: "is h5, and the gateway's address is too long to stand for the page; expected h5_url in the \
                  provider's section"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use dukou_domain::{Money, Timestamp, TradeNo};

    use super::*;

    fn good() -> PayOrder {
        PayOrder {
            trade_no: TradeNo::new("T20260704000017").unwrap(),
            transaction_id: None,
            method: Method::Jsapi,
            amount: Money::new(101, Currency::Cny).unwrap(),
            description: "腾讯-图书".to_owned(),
            attach: None,
            openid: Some("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned()),
            client_ip: [203, 0, 113, 9].into(),
            created_at: Timestamp::from_millis(0),
            expires_at: Timestamp::from_millis(60_000),
            notify_url: "https://pay.example.com/notify/t/wechat/payment".to_owned(),
        }
    }

    #[test]
    fn each_problem_names_its_field() {
        type Change = fn(&mut PayOrder);
        let cases: [(Option<&str>, Change); 18] = [
            (None, |_| {}),
            (None, |order| order.description = "书".repeat(127)),
            (None, |order| (order.method, order.openid) = (Method::Native, None)),
            (None, |order| order.attach = Some("书".repeat(42))),
            (Some("amount"), |order| order.amount = Money::zero(Currency::Cny)),
            (Some("currency"), |order| order.amount = Money::new(1, Currency::named("USD")).unwrap()),
            (Some("out_trade_no"), |order| order.trade_no = TradeNo::new("T2026").unwrap()),
            (Some("out_trade_no"), |order| order.trade_no = TradeNo::new(&"T".repeat(33)).unwrap()),
            (Some("description"), |order| order.description = " ".to_owned()),
            (Some("description"), |order| order.description = "书".repeat(128)),
            (Some("description"), |order| order.description = "book\0".to_owned()),
            (Some("description"), |order| order.description = "book 📚".to_owned()),
            (Some("attach"), |order| order.attach = Some("书".repeat(43))),
            (Some("attach"), |order| order.attach = Some("a\nb".to_owned())),
            (Some("payer.openid"), |order| order.openid = None),
            (Some("payer.openid"), |order| order.openid = Some("o<>".to_owned())),
            (Some("notify_url"), |order| order.notify_url.push_str("?a=1")),
            (Some("expires_at"), |order| order.expires_at = order.created_at),
        ];
        for (field, change) in cases {
            let mut changed = good();
            change(&mut changed);
            let fields: Vec<&str> = order(&changed).iter().map(|problem| problem.field).collect();
            assert_eq!(fields, field.into_iter().collect::<Vec<_>>(), "{changed:?}");
        }
    }
}
