use dukou_spi::{ErrorKind, RefundWord};

use crate::subject::{Subject, asking, fen};

pub async fn a_refund_happens_once_per_number(subject: Subject) {
    let order = subject.paid().await;
    let refund = subject.refund_of(&order, 50);
    let first = subject.provider.refund(&refund).await.unwrap().into_inner();
    let again = subject.provider.refund(&refund).await.unwrap().into_inner();
    assert_eq!(first.provider_refund_id, again.provider_refund_id);
    assert_eq!((&first.out_refund_no, first.amount), (&refund.out_refund_no, Some(fen(50))));
    assert_eq!(subject.platform.counts().await.1, 1);

    let mut other_amount = refund.clone();
    other_amount.amount = fen(51);
    let error = subject.provider.refund(&other_amount).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");

    let rest = subject.refund_of(&order, 51);
    subject.provider.refund(&rest).await.unwrap();
    assert_eq!(subject.platform.counts().await.1, 2);
    for refund in [&refund, &rest] {
        let status = subject.provider.query_refund(&asking(refund)).await.unwrap().into_inner();
        assert_eq!((status.word, status.amount), (RefundWord::Succeeded, Some(refund.amount)));
        assert_eq!(status.out_refund_no, refund.out_refund_no);
    }
}

pub async fn every_end_of_a_refund_is_told(subject: Subject) {
    subject.platform.hold_refunds().await;
    for end in [RefundWord::Succeeded, RefundWord::Closed, RefundWord::Abnormal] {
        let order = subject.paid().await;
        let refund = subject.refund_of(&order, 101);
        let made = subject.provider.refund(&refund).await.unwrap().into_inner();
        assert_eq!(made.word, RefundWord::Processing);
        let status = subject.provider.query_refund(&asking(&refund)).await.unwrap().into_inner();
        assert_eq!((status.word, status.succeeded_at), (RefundWord::Processing, None));
        subject.platform.settle(&refund, end).await;
        let status = subject.provider.query_refund(&asking(&refund)).await.unwrap().into_inner();
        assert_eq!(status.word, end);
        assert_eq!(status.provider_refund_id, made.provider_refund_id);
        assert!(!status.platform_word.is_empty());
    }
}

pub async fn more_than_was_paid_is_refused(subject: Subject) {
    let order = subject.paid().await;
    subject.provider.refund(&subject.refund_of(&order, 100)).await.unwrap();
    let error = subject.provider.refund(&subject.refund_of(&order, 2)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    let unpaid = subject.made().await;
    let error = subject.provider.refund(&subject.refund_of(&unpaid, 1)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert_eq!(subject.platform.counts().await.1, 1);
}

pub async fn an_unknown_refund_is_missing(subject: Subject) {
    let order = subject.paid().await;
    let never_sent = subject.refund_of(&order, 1);
    let status = subject.provider.query_refund(&asking(&never_sent)).await.unwrap().into_inner();
    assert_eq!(status.word, RefundWord::Missing);
}
