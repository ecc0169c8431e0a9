//! What the merchant and the platform send, with a signature of its own: nothing here is shared
//! with the program under load.

use std::fmt::Write as _;

pub const TENANT: &str = "bench";
pub const PROVIDER: &str = "wechat";
pub const APP_ID: &str = "wx8888888888888888";
pub const MCH_ID: &str = "1900000109";
/// The platform's shared key, of this program alone.
pub const PLATFORM_KEY: &str = "0123456789abcdef0123456789abcdef";

/// One payment, told apart by its place.
#[derive(Debug, Clone, Copy)]
pub struct Order(pub usize);

impl Order {
    /// The merchant's number, and the platform's as well.
    pub fn number(self) -> String {
        format!("B20261123{:08}", self.0)
    }

    /// In fen.
    pub const fn amount(self) -> usize {
        100 + self.0 % 900
    }

    fn openid(self) -> String {
        format!("oUpF8uMuAJO_M2pxb1Q{:09}", self.0 % 100_000)
    }

    /// The body of `POST /payments`.
    pub fn create(self) -> String {
        serde_json::json!({
            "provider": PROVIDER, "method": "jsapi", "out_trade_no": self.number(),
            "amount": self.amount(), "currency": "CNY", "description": "腾讯-图书",
            "payer": { "openid": self.openid() }, "client_ip": "203.0.113.9", "attach": "shelf 7",
        })
        .to_string()
    }

    /// The platform's message that it was paid, as its documents list the fields.
    pub fn notify(self) -> String {
        let (number, amount) = (self.number(), self.amount().to_string());
        document(&mut [
            ("appid", APP_ID),
            ("attach", "shelf 7"),
            ("bank_type", "CMB_DEBIT"),
            ("cash_fee", &amount),
            ("fee_type", "CNY"),
            ("is_subscribe", "N"),
            ("mch_id", MCH_ID),
            ("nonce_str", &format!("{:032x}", self.0)),
            ("openid", &self.openid()),
            ("out_trade_no", &number),
            ("result_code", "SUCCESS"),
            ("return_code", "SUCCESS"),
            ("time_end", "20261123180133"),
            ("total_fee", &amount),
            ("trade_type", "JSAPI"),
            ("transaction_id", &format!("42000{:023}", self.0)),
        ])
    }
}

/// A signed document; the fields come out sorted by name.
pub fn document(fields: &mut [(&str, &str)]) -> String {
    fields.sort_unstable();
    let mut signed = String::with_capacity(512);
    let mut xml = String::with_capacity(1024);
    xml.push_str("<xml>");
    for (name, value) in fields.iter() {
        let _ = write!(signed, "{name}={value}&");
        let _ = write!(xml, "<{name}><![CDATA[{value}]]></{name}>");
    }
    let _ = write!(signed, "key={PLATFORM_KEY}");
    let _ = write!(xml, "<sign><![CDATA[{:X}]]></sign></xml>", md5::compute(signed));
    xml
}

/// The platform's answer to an order.
pub fn accepted(number: u64) -> String {
    document(&mut [
        ("appid", APP_ID),
        ("mch_id", MCH_ID),
        ("nonce_str", &format!("{number:032x}")),
        ("prepay_id", &format!("wx2318013312345678{number:018}")),
        ("result_code", "SUCCESS"),
        ("return_code", "SUCCESS"),
        ("return_msg", "OK"),
        ("trade_type", "JSAPI"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signature of a field set that was computed apart, with `md5sum`.
    #[test]
    fn documents_are_signed_as_the_platform_signs() {
        let xml = document(&mut [("b", "2"), ("a", "1")]);
        assert_eq!(
            xml,
            "<xml><a><![CDATA[1]]></a><b><![CDATA[2]]></b><sign><![CDATA[6B820100D2D98784F3926889CC32AD96]]></sign></xml>"
        );
    }

    #[test]
    fn orders_differ_in_their_numbers() {
        assert_ne!(Order(1).number(), Order(100_000_000 - 1).number());
        assert!(Order(99_999_999).number().len() <= 32);
        assert!(Order(7).notify().contains("<out_trade_no><![CDATA[B2026112300000007]]></out_trade_no>"));
    }
}
