use std::io::Write as _;

use dukou_domain::Timestamp;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// The rows alone.
fn parse(bytes: &[u8]) -> Result<Bill, BillError> {
    super::parse(bytes).map(|hashed| hashed.content)
}

const HEADER: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n";
const PAYMENT: &str = "`2026-07-04 12:30:45,`wx8888888888888888,`1900000109,`0,`,`4200002345202607041234567890,`T20260704000017,`oUpF8uMuAJO_M2pxb1Q9zNjWeS6o,`JSAPI,`SUCCESS,`CMB_CREDIT,`CNY,`58.90,`1.00,`0,`0,`0.00,`0.00,`,`,`书, 笔,`深圳分店,`0.35000,`0.60%,`59.90,`0.00,`\r\n";
const SUMMARY: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n";

fn bill(rows: &str, count: usize) -> String {
    format!("{HEADER}{rows}{SUMMARY}`{count},`58.90,`0.00,`0.00,`0.35000,`59.90,`0.00\r\n")
}

#[test]
fn rows_are_read_by_column_name_and_commas_in_values_are_kept_apart() {
    let parsed = parse(bill(PAYMENT, 1).as_bytes()).unwrap();
    let expected = BillRow {
        kind: BillRowKind::Payment,
        at: Timestamp::from_millis(1_783_139_445_000),
        trade_no: "T20260704000017".to_owned(),
        transaction_id: "4200002345202607041234567890".to_owned(),
        amount: Money::new(5990, Currency::Cny).unwrap(),
        out_refund_no: None,
        provider_refund_id: None,
        platform_word: "SUCCESS".to_owned(),
    };
    assert_eq!(parsed.rows, [expected]);
    let with_bom_and_bare_line_ends = format!("\u{feff}{}", bill(PAYMENT, 1)).replace("\r\n", "\n");
    assert_eq!(parse(with_bom_and_bare_line_ends.as_bytes()).unwrap(), parsed);
    assert_eq!(parse(bill("", 0).as_bytes()).unwrap(), Bill::default());
}

#[test]
fn a_bill_that_is_cut_off_or_wrong_is_an_error() {
    let whole = bill(PAYMENT, 1);
    for cut in [0, 10, HEADER.len(), HEADER.len() + PAYMENT.len(), HEADER.len() + PAYMENT.len() + SUMMARY.len()] {
        assert!(parse(&whole.as_bytes()[..cut]).is_err(), "{cut}");
    }
    let cases = [
        bill(PAYMENT, 2),
        bill(&PAYMENT.replace("59.90", "59.901"), 1),
        bill(&PAYMENT.replace("59.90", "-59.90"), 1),
        bill(&PAYMENT.replace("2026-07-04 12", "2026-07-04 99"), 1),
        bill(&PAYMENT.replace("`SUCCESS", "`STRANGE"), 1),
        bill("`2026-07-04 12:30:45,`wx\r\n", 1),
        bill(PAYMENT, 1).replace("商户订单号,", ""),
        bill(&format!("`{}\r\n", "x".repeat(70_000)), 1),
    ];
    for text in cases {
        assert!(parse(text.as_bytes()).is_err(), "{}", text.chars().take(300).collect::<String>());
    }
}

/// As in the sample of WeChat's page on fund-flow bills.
#[test]
fn a_summarys_count_may_be_written_with_a_zero_after_the_point() {
    let counts = |count: &str| parse(bill(PAYMENT, 1).replace("\r\n`1,", &format!("\r\n`{count},")).as_bytes());
    assert_eq!(counts("1.0").unwrap().rows.len(), 1);
    for wrong in ["2.0", "1.5", "1.00", "1.", "01.0.0", "+1", "+1.0", ".0", ""] {
        assert!(matches!(counts(wrong), Err(BillError::CutOff { found: 1, .. })), "{wrong}");
    }
}

#[test]
fn a_bomb_is_given_up_at_the_first_long_line() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let block = vec![b'a'; 1 << 20];
    for _ in 0..300 {
        packed.write_all(&block).unwrap();
    }
    assert!(matches!(parse(&packed.finish().unwrap()), Err(BillError::LineTooLong(1))));
}

#[test]
fn bookings_are_read_and_the_whole_unpacked_file_is_hashed() {
    let header = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号\r\n";
    let row = "`2026-07-04 12:30:45,`4200002345,`1000039,`交易,`交易,`收入,`59.90,`159.90,`system,`书, 笔,`T1\r\n";
    let summary = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额\r\n`1,`1,`59.90,`0,`0.00\r\n";
    let text = format!("{header}{row}{summary}");
    let sha1 = hex::encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    for bytes in [text.clone().into_bytes(), packed.finish().unwrap()] {
        let bill = parse_fund(&bytes).unwrap();
        assert_eq!(bill.sha1, sha1);
        let booked = &bill.content.rows[0];
        let fen = |minor| Money::new(minor, Currency::Cny).unwrap();
        assert_eq!((booked.income, booked.amount, booked.balance), (true, fen(5990), fen(15990)));
        assert_eq!((&*booked.transaction_id, &*booked.flow_id, &*booked.kind), ("4200002345", "1000039", "交易"));
    }
    for broken in [text.replace("收入,`59", "借,`59"), text.replace("记账时间", "时间"), text.replace("`1,`1", "`2,`1")]
    {
        assert!(parse_fund(broken.as_bytes()).is_err());
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_an_answer_not_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }
}
