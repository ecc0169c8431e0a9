//! The bills (the trade bill, 交易账单, and beside this the fund-flow bill), texts that look like CSV
//! but are not.
//!
//! Every value of a row stands behind a back-tick and a name of goods may hold a comma, so rows
//! split at comma and back-tick together. Columns go by the header's names: older accounts have
//! another layout. The bill ends with a summary whose count of rows is checked, so that a bill
//! that was cut off is noticed.

use std::io::{BufRead, BufReader, Read};

use aws_lc_rs::digest;
use dukou_domain::{Currency, Money};
use dukou_spi::{Bill, BillRow, BillRowKind, FundBill};
use flate2::read::MultiGzDecoder;

use crate::beijing;

mod fund;

/// The longest bill after unpacking, in bytes: about half a million rows.
const UNPACKED_LIMIT: u64 = 256 * 1024 * 1024;
/// The longest line, in bytes.
const LINE_LIMIT: u64 = 64 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a file is not a whole bill.
#[derive(Debug, thiserror::Error)]
pub enum BillError {
    #[error("the bill cannot be unpacked or is not UTF-8")]
    Unpack(#[from] std::io::Error),
    #[error("the bill is longer than {UNPACKED_LIMIT} bytes")]
    TooLong,
    #[error("line {0} of the bill is longer than {LINE_LIMIT} bytes")]
    LineTooLong(usize),
    #[error("the bill has no column {0}")]
    NoColumn(&'static str),
    #[error("line {line} of the bill: {column} is not valid")]
    Invalid { line: usize, column: &'static str },
    #[error("the bill is cut off: expected {expected} rows by its summary, found {found}")]
    CutOff { expected: String, found: usize },
}

/// What was read, and the SHA-1 of the unpacked file in hexadecimal: the hash that WeChat signs.
pub struct Hashed<T> {
    pub content: T,
    pub sha1: String,
}

/// Reads a trade bill, packed with gzip or plain, holding no more of it than a line and the rows.
pub fn parse(bytes: &[u8]) -> Result<Hashed<Bill>, BillError> {
    let Hashed { content: rows, sha1 } = unpack::<Columns>(bytes)?;
    Ok(Hashed { content: Bill { rows }, sha1 })
}

/// As [`parse`], of a fund-flow bill.
pub fn parse_fund(bytes: &[u8]) -> Result<Hashed<FundBill>, BillError> {
    let Hashed { content: rows, sha1 } = unpack::<fund::Columns>(bytes)?;
    Ok(Hashed { content: FundBill { rows }, sha1 })
}

/// Where the columns of one kind of bill stand, and how a row of it is read.
trait Table: Sized {
    type Row;

    fn find(header: &str) -> Result<Self, BillError>;

    fn row(&self, values: &[&str], line: usize) -> Result<Self::Row, BillError>;
}

fn unpack<T: Table>(bytes: &[u8]) -> Result<Hashed<Vec<T::Row>>, BillError> {
    let context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    if bytes.starts_with(&GZIP_MAGIC) {
        hashed::<T>(Hashing { inner: MultiGzDecoder::new(bytes).take(UNPACKED_LIMIT + 1), context })
    } else {
        hashed::<T>(Hashing { inner: bytes.take(UNPACKED_LIMIT + 1), context })
    }
}

fn hashed<T: Table>(mut file: Hashing<impl Read>) -> Result<Hashed<Vec<T::Row>>, BillError> {
    let content = read::<T>(BufReader::new(&mut file))?;
    // What stands after the summary belongs to the file as well.
    std::io::copy(&mut file, &mut std::io::sink())?;
    Ok(Hashed { content, sha1: hex::encode(file.context.finish()) })
}

/// A file that is hashed as it is read.
struct Hashing<R> {
    inner: R,
    context: digest::Context,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.context.update(&buffer[..length]);
        Ok(length)
    }
}

fn read<T: Table>(input: impl BufRead) -> Result<Vec<T::Row>, BillError> {
    let mut lines = Lines { input, number: 0, total: 0, line: String::new() };
    let Some(header) = lines.next()? else { return Err(BillError::CutOff { expected: "a header".into(), found: 0 }) };
    let columns = T::find(header.trim_start_matches('\u{feff}'))?;
    let mut rows = Vec::new();
    loop {
        let number = lines.number + 1;
        let Some(line) = lines.next()? else {
            return Err(BillError::CutOff { expected: "a summary".into(), found: rows.len() });
        };
        // The summary's header: the one line after the rows without back-ticks.
        let Some(values) = line.strip_prefix('`') else { break };
        let values: Vec<&str> = values.split(",`").collect();
        rows.push(columns.row(&values, number)?);
    }
    let summary = lines.next()?.unwrap_or_default();
    let count = summary.strip_prefix('`').and_then(|line| line.split(",`").next()).unwrap_or_default();
    if counted(count) == Some(rows.len()) {
        Ok(rows)
    } else {
        Err(BillError::CutOff { expected: count.chars().take(20).collect(), found: rows.len() })
    }
}

/// A summary's count. The sample of WeChat's page on fund-flow bills has it as `20.0`.
fn counted(count: &str) -> Option<usize> {
    let digits = count.strip_suffix(".0").unwrap_or(count);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Lines without their ends, empty ones left out, each of bounded length.
struct Lines<R> {
    input: R,
    number: usize,
    total: u64,
    line: String,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<&str>, BillError> {
        loop {
            self.line.clear();
            let read = (&mut self.input).take(LINE_LIMIT + 1).read_line(&mut self.line)? as u64;
            self.number += 1;
            self.total += read;
            if read == 0 {
                return Ok(None);
            }
            if self.total > UNPACKED_LIMIT {
                return Err(BillError::TooLong);
            }
            if read > LINE_LIMIT {
                return Err(BillError::LineTooLong(self.number));
            }
            if !self.line.trim_end().is_empty() {
                break;
            }
        }
        Ok(Some(self.line.trim_end_matches(['\r', '\n'])))
    }
}

/// Where the columns we need stand.
struct Columns {
    at: usize,
    state: usize,
    trade_no: usize,
    transaction_id: usize,
    currency: Option<usize>,
    amount: usize,
    refund_id: Option<usize>,
    out_refund_no: Option<usize>,
    refund_amount: Option<usize>,
    refund_state: Option<usize>,
}

impl Table for Columns {
    type Row = BillRow;

    fn find(header: &str) -> Result<Self, BillError> {
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let optional = |wanted: &[&str]| wanted.iter().find_map(|name| names.iter().position(|have| have == name));
        let column = |wanted: &[&'static str]| optional(wanted).ok_or(BillError::NoColumn(wanted[0]));
        Ok(Columns {
            at: column(&["交易时间"])?,
            state: column(&["交易状态"])?,
            trade_no: column(&["商户订单号"])?,
            transaction_id: column(&["微信订单号"])?,
            currency: optional(&["货币种类"]),
            // The order's own amount; older layouts only have what was settled, or the total.
            amount: column(&["订单金额", "应结订单金额", "总金额"])?,
            refund_id: optional(&["微信退款单号"]),
            out_refund_no: optional(&["商户退款单号"]),
            refund_amount: optional(&["申请退款金额", "退款金额"]),
            refund_state: optional(&["退款状态"]),
        })
    }

    fn row(&self, values: &[&str], line: usize) -> Result<BillRow, BillError> {
        let invalid = |column| BillError::Invalid { line, column };
        let value = |at: usize, column| values.get(at).copied().ok_or_else(|| invalid(column));
        let optional = |at: Option<usize>| at.and_then(|at| values.get(at).copied());
        let state = value(self.state, "交易状态")?;
        let kind = match state {
            "SUCCESS" => BillRowKind::Payment,
            "REFUND" => BillRowKind::Refund,
            "REVOKED" => BillRowKind::Revoked,
            _ => return Err(invalid("交易状态")),
        };
        let currency = optional(self.currency).map_or(Currency::Cny, Currency::named);
        let (amount, column) = match kind {
            BillRowKind::Payment => (value(self.amount, "订单金额")?, "订单金额"),
            // Money that went back stands in the refund columns.
            BillRowKind::Refund | BillRowKind::Revoked => {
                (optional(self.refund_amount).ok_or_else(|| invalid("申请退款金额"))?, "申请退款金额")
            }
        };
        let refund = kind != BillRowKind::Payment;
        let refund_number = |at| optional(at).filter(|number| refund && !matches!(*number, "" | "0"));
        Ok(BillRow {
            kind,
            at: beijing::parse_spaced(value(self.at, "交易时间")?).ok_or_else(|| invalid("交易时间"))?,
            trade_no: value(self.trade_no, "商户订单号")?.to_owned(),
            transaction_id: value(self.transaction_id, "微信订单号")?.to_owned(),
            amount: Money::parse_major(amount, currency).map_err(|_| invalid(column))?,
            out_refund_no: refund_number(self.out_refund_no).map(str::to_owned),
            provider_refund_id: refund_number(self.refund_id).map(str::to_owned),
            platform_word: optional(self.refund_state)
                .filter(|word| refund && !word.is_empty())
                .unwrap_or(state)
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
