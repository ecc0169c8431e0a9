//! The fund-flow bill (资金账单): what was booked on the merchant's account.

use dukou_domain::{Currency, Money};
use dukou_spi::FundRow;

use super::{BillError, Table};
use crate::beijing;

/// Where the columns we need stand.
pub(super) struct Columns {
    at: usize,
    transaction_id: usize,
    flow_id: usize,
    kind: usize,
    direction: usize,
    amount: usize,
    balance: usize,
}

impl Table for Columns {
    type Row = FundRow;

    fn find(header: &str) -> Result<Self, BillError> {
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let column = |wanted: &[&'static str]| {
            let found = wanted.iter().find_map(|name| names.iter().position(|have| have == name));
            found.ok_or(BillError::NoColumn(wanted[0]))
        };
        Ok(Columns {
            at: column(&["记账时间"])?,
            transaction_id: column(&["微信支付业务单号"])?,
            flow_id: column(&["资金流水单号"])?,
            kind: column(&["业务名称", "业务类型"])?,
            direction: column(&["收支类型"])?,
            amount: column(&["收支金额(元)", "收支金额（元）", "收支金额"])?,
            balance: column(&["账户结余(元)", "账户结余（元）", "账户结余"])?,
        })
    }

    fn row(&self, values: &[&str], line: usize) -> Result<FundRow, BillError> {
        let invalid = |column| BillError::Invalid { line, column };
        let value = |at: usize, column| values.get(at).copied().ok_or_else(|| invalid(column));
        let money =
            |at: usize, column| Money::parse_major(value(at, column)?, Currency::Cny).map_err(|_| invalid(column));
        Ok(FundRow {
            at: beijing::parse_spaced(value(self.at, "记账时间")?).ok_or_else(|| invalid("记账时间"))?,
            transaction_id: value(self.transaction_id, "微信支付业务单号")?.to_owned(),
            flow_id: value(self.flow_id, "资金流水单号")?.to_owned(),
            kind: value(self.kind, "业务名称")?.to_owned(),
            income: match value(self.direction, "收支类型")? {
                "收入" => true,
                "支出" => false,
                _ => return Err(invalid("收支类型")),
            },
            amount: money(self.amount, "收支金额(元)")?,
            balance: money(self.balance, "账户结余(元)")?,
        })
    }
}
