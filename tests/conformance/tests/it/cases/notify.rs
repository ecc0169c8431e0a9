use dukou_domain::Currency;
use dukou_spi::{Notice, NotifyError, PaidFacts, PaymentOutcome, RefundWord};

use crate::subject::{Contradiction, Subject, Tampering, asking};

async fn told(subject: &Subject) -> PaymentOutcome {
    match subject.receiver.next().await {
        Ok(Notice::Payment(notice)) => notice.into_inner().outcome,
        other => panic!("{other:?}"),
    }
}

async fn told_paid(subject: &Subject) -> PaidFacts {
    match told(subject).await {
        PaymentOutcome::Paid(facts) => facts,
        other @ PaymentOutcome::NotPaid { .. } => panic!("{other:?}"),
    }
}

pub async fn a_payment_is_told_and_acknowledged(subject: Subject) {
    let order = subject.paid().await;
    for _ in 0..2 {
        assert!(subject.platform.tell(&order).await, "the platform did not take our yes for a yes");
        let facts = told_paid(&subject).await;
        let info = subject.provider.info();
        assert_eq!((&facts.trade_no, facts.amount, &facts.openid), (&order.trade_no, order.amount, &order.openid));
        assert_eq!((&facts.app_id, &facts.merchant_id), (&info.app_id, &info.merchant_id));
        assert!(facts.paid_at.is_some());
    }
}

pub async fn a_coupon_leaves_the_orders_total(subject: Subject) {
    let order = subject.made().await;
    subject.platform.pay_with_coupon(&order, 30).await;
    assert!(subject.platform.tell(&order).await);
    assert_eq!(told_paid(&subject).await.amount, order.amount);
}

/// The provider reports what was signed; the engine compares.
pub async fn what_contradicts_the_order_is_reported(subject: Subject) {
    let order = subject.paid().await;
    for what in
        [Contradiction::OneFenMore, Contradiction::OtherCurrency, Contradiction::OtherApp, Contradiction::OtherMerchant]
    {
        assert!(subject.platform.tell_contradicting(&order, what).await, "{what:?}");
        let facts = told_paid(&subject).await;
        let info = subject.provider.info();
        let differs = match what {
            Contradiction::OneFenMore => facts.amount.minor() == order.amount.minor() + 1,
            Contradiction::OtherCurrency => facts.amount.currency() != Currency::Cny,
            Contradiction::OtherApp => facts.app_id != info.app_id,
            Contradiction::OtherMerchant => facts.merchant_id != info.merchant_id,
        };
        assert!(differs, "{what:?}: {facts:?}");
    }
}

pub async fn what_was_tampered_with_is_refused(subject: Subject) {
    let order = subject.paid().await;
    for how in [Tampering::Signature, Tampering::Body, Tampering::CutOff] {
        assert!(!subject.platform.tell_tampered(&order, how).await, "{how:?}");
        let error = subject.receiver.next().await.unwrap_err();
        // What is cut off cannot be read, where the signature is not over the bytes themselves.
        let may_be_malformed = how == Tampering::CutOff && matches!(error, NotifyError::Malformed(_));
        assert!(error == NotifyError::BadSignature || may_be_malformed, "{how:?}: {error}");
    }
    assert_eq!(subject.receiver.take(), []);
}

pub async fn a_failed_try_is_not_a_payment(subject: Subject) {
    let order = subject.made().await;
    if !subject.platform.fail(&order).await {
        return;
    }
    let outcome = told(&subject).await;
    assert!(matches!(&outcome, PaymentOutcome::NotPaid { code: Some(_), .. }), "{outcome:?}");
}

pub async fn a_refunds_end_is_told(subject: Subject) {
    if !subject.provider.capabilities().refund_notify {
        return;
    }
    subject.platform.hold_refunds().await;
    let order = subject.paid().await;
    let refund = subject.refund_of(&order, 7);
    subject.provider.refund(&refund).await.unwrap();
    subject.platform.settle(&refund, RefundWord::Succeeded).await;
    match subject.receiver.next().await {
        // Not signed: a question decides.
        Ok(Notice::RefundHint(hint)) => assert_eq!(hint.out_refund_no, refund.out_refund_no),
        Ok(Notice::Refund(notice)) => {
            let notice = notice.into_inner();
            assert_eq!(
                (&notice.trade_no, &notice.merchant_id),
                (&order.trade_no, &subject.provider.info().merchant_id)
            );
            assert_eq!((notice.status.word, notice.status.amount), (RefundWord::Succeeded, Some(refund.amount)));
            assert_eq!(notice.status.out_refund_no, refund.out_refund_no);
        }
        other => panic!("{other:?}"),
    }
    let status = subject.provider.query_refund(&asking(&refund)).await.unwrap().into_inner();
    assert_eq!(status.word, RefundWord::Succeeded);
    assert!(status.succeeded_at.is_some());
}
