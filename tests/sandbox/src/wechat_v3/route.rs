//! The v3 operations by method and path.

use percent_encoding::percent_decode_str;

/// How a prepaid order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradeType {
    Jsapi,
    App,
    Native,
    H5,
}

impl TradeType {
    /// The value of `trade_type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsapi => "JSAPI",
            Self::App => "APP",
            Self::Native => "NATIVE",
            Self::H5 => "MWEB",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Prepay(TradeType),
    QueryById,
    QueryByNumber,
    Close,
    Refund,
    RefundQuery,
    AbnormalRefund,
    TradeBill,
    FundFlowBill,
    Download,
    Certificates,
}

impl Operation {
    /// One of each name.
    const NAMED: [Self; 10] = [
        Self::Prepay(TradeType::Jsapi),
        Self::QueryByNumber,
        Self::Close,
        Self::Refund,
        Self::RefundQuery,
        Self::AbnormalRefund,
        Self::TradeBill,
        Self::FundFlowBill,
        Self::Download,
        Self::Certificates,
    ];

    /// The name in the journal and in faults.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepay(_) => "v3_prepay",
            Self::QueryById | Self::QueryByNumber => "v3_query",
            Self::Close => "v3_close",
            Self::Refund => "v3_refund",
            Self::RefundQuery => "v3_refund_query",
            Self::AbnormalRefund => "v3_abnormal_refund",
            Self::TradeBill => "v3_tradebill",
            Self::FundFlowBill => "v3_fundflowbill",
            Self::Download => "v3_billdownload",
            Self::Certificates => "v3_certificates",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Prepay(_) | Self::Close | Self::Refund | Self::AbnormalRefund => "POST",
            Self::QueryById
            | Self::QueryByNumber
            | Self::RefundQuery
            | Self::TradeBill
            | Self::FundFlowBill
            | Self::Download
            | Self::Certificates => "GET",
        }
    }
}

/// Every operation, by which faults find them.
pub fn operations() -> impl Iterator<Item = &'static str> {
    Operation::NAMED.into_iter().map(Operation::name)
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub operation: Operation,
    /// Whether it lies under `/v3/pay/partner`.
    pub partner: bool,
    /// The number in the path, percent-decoded; empty if there is none.
    pub number: String,
}

/// Why there is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Path,
    Method,
}

impl Route {
    /// Finds the operation of a path as it came over the wire.
    pub fn find(method: &str, path: &str) -> Result<Self, Missing> {
        let all: Vec<&str> = path.strip_prefix("/v3/").unwrap_or_default().split('/').collect();
        let (partner, steps) = match all.as_slice() {
            ["pay", "partner", rest @ ..] => (true, [&["pay"], rest].concat()),
            _ => (false, all),
        };
        let (operation, number) = match steps.as_slice() {
            ["pay", "transactions", kind] => match (*kind, partner) {
                ("jsapi", _) | ("miniprogram", true) => (Operation::Prepay(TradeType::Jsapi), ""),
                ("app", _) => (Operation::Prepay(TradeType::App), ""),
                ("native", _) => (Operation::Prepay(TradeType::Native), ""),
                ("h5", _) => (Operation::Prepay(TradeType::H5), ""),
                _ => return Err(Missing::Path),
            },
            ["pay", "transactions", "id", number] => (Operation::QueryById, *number),
            ["pay", "transactions", "out-trade-no", number] => (Operation::QueryByNumber, *number),
            ["pay", "transactions", "out-trade-no", number, "close"] => (Operation::Close, *number),
            ["refund", "domestic", "refunds"] => (Operation::Refund, ""),
            ["refund", "domestic", "refunds", number] => (Operation::RefundQuery, *number),
            ["refund", "domestic", "refunds", number, "apply-abnormal-refund"] => (Operation::AbnormalRefund, *number),
            ["bill", "tradebill"] => (Operation::TradeBill, ""),
            ["bill", "fundflowbill"] => (Operation::FundFlowBill, ""),
            ["billdownload", "file"] => (Operation::Download, ""),
            ["certificates"] => (Operation::Certificates, ""),
            _ => return Err(Missing::Path),
        };
        let number = percent_decode_str(number).decode_utf8().map_err(|_| Missing::Path)?.into_owned();
        if operation.method() != method {
            return Err(Missing::Method);
        }
        Ok(Self { operation, partner, number })
    }
}

#[cfg(test)]
mod tests {
    use super::{Missing, Operation, Route, TradeType};

    #[test]
    fn paths() {
        let found = |operation, partner, number: &str| Ok(Route { operation, partner, number: number.to_owned() });
        for (method, path, expected) in [
            ("POST", "/v3/pay/transactions/jsapi", found(Operation::Prepay(TradeType::Jsapi), false, "")),
            ("POST", "/v3/pay/partner/transactions/h5", found(Operation::Prepay(TradeType::H5), true, "")),
            ("POST", "/v3/pay/transactions/miniprogram", Err(Missing::Path)),
            ("GET", "/v3/pay/transactions/jsapi", Err(Missing::Method)),
            ("GET", "/v3/pay/transactions/out-trade-no/A%7Cb", found(Operation::QueryByNumber, false, "A|b")),
            ("GET", "/v3/pay/partner/transactions/id/42", found(Operation::QueryById, true, "42")),
            ("POST", "/v3/pay/transactions/out-trade-no/A/close", found(Operation::Close, false, "A")),
            ("GET", "/v3/refund/domestic/refunds/R%2A9%40x", found(Operation::RefundQuery, false, "R*9@x")),
            ("GET", "/v3/refund/domestic/refunds/%ff", Err(Missing::Path)),
            ("DELETE", "/v3/certificates", Err(Missing::Method)),
            ("GET", "/v3/certificates/", Err(Missing::Path)),
            ("GET", "/v3/", Err(Missing::Path)),
        ] {
            assert_eq!(Route::find(method, path), expected, "{method} {path}");
        }
    }
}
