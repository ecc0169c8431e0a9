use dukou_spi::{BillRowKind, Clock as _, ErrorKind};
use time::{Date, Duration, OffsetDateTime};

use crate::subject::{Subject, SystemClock, fen};

/// The platform's calendar day.
fn today(subject: &Subject) -> Date {
    let now = OffsetDateTime::from_unix_timestamp(SystemClock.now().as_seconds()).unwrap();
    now.to_offset(subject.platform.zone()).date()
}

pub async fn a_days_movements_are_in_its_bill(subject: Subject) {
    if !subject.provider.capabilities().bill {
        return;
    }
    let before = today(&subject);
    let order = subject.paid().await;
    let refund = subject.refund_of(&order, 19);
    subject.provider.refund(&refund).await.unwrap();
    subject.made().await;
    let mut rows = subject.provider.bill(before).await.unwrap().rows;
    if today(&subject) != before {
        rows.extend(subject.provider.bill(today(&subject)).await.unwrap().rows);
    }
    let found: Vec<_> =
        rows.iter().map(|row| (row.kind, row.trade_no.as_str(), row.amount, row.out_refund_no.as_deref())).collect();
    let number = order.trade_no.as_str();
    assert_eq!(
        found,
        [
            (BillRowKind::Payment, number, fen(101), None),
            (BillRowKind::Refund, number, fen(19), Some(refund.out_refund_no.as_str())),
        ]
    );
}

pub async fn a_day_without_trade_is_an_empty_bill(subject: Subject) {
    if !subject.provider.capabilities().bill {
        return;
    }
    let bill = subject.provider.bill(today(&subject) - Duration::days(30)).await.unwrap();
    assert_eq!(bill.rows, []);
}

pub async fn a_days_bookings_are_in_its_fund_bill(subject: Subject) {
    if !subject.provider.capabilities().fund_bill {
        let error = subject.provider.fund_bill(today(&subject)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
        return;
    }
    let before = today(&subject);
    let order = subject.paid().await;
    subject.provider.refund(&subject.refund_of(&order, 19)).await.unwrap();
    let mut rows = subject.provider.fund_bill(before).await.unwrap().rows;
    if today(&subject) != before {
        rows.extend(subject.provider.fund_bill(today(&subject)).await.unwrap().rows);
    }
    let info = subject.provider.info();
    if info.calling_merchant() != info.merchant_id {
        // A partner's account does not see the money of the merchant it acts for.
        assert_eq!(rows, []);
        return;
    }
    let found: Vec<_> = rows.iter().map(|row| (row.income, row.amount)).collect();
    assert!(found.contains(&(true, order.amount)) && found.contains(&(false, fen(19))), "{rows:?}");
    let long_ago = today(&subject) - Duration::days(30);
    assert_eq!(subject.provider.fund_bill(long_ago).await.unwrap().rows, []);
}
