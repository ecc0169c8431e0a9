use dukou_domain::Secret;
use dukou_spi::{ErrorKind, OrderWord, Reason, RefundWord};

use crate::subject::{Fault, Operation, Subject, asking};

pub async fn a_lost_answer_is_unknown_and_a_query_tells(subject: Subject) {
    let order = subject.order(subject.method()).await;
    subject.platform.fault(Operation::Pay, Fault::LoseAnswer).await;
    assert_eq!(subject.provider.pay(&order).await.unwrap_err().kind, ErrorKind::Unknown);
    assert_eq!(subject.provider.query(&order).await.unwrap().get().word, OrderWord::Waiting);
    let prepay = subject.provider.pay(&order).await.unwrap();
    assert_eq!(subject.platform.counts().await.0, 1, "the same number is the same order");
    subject.platform.pay(&subject.provider.invoke(&order, &prepay).unwrap()).await.unwrap();

    let refund = subject.refund_of(&order, 50);
    subject.platform.fault(Operation::Refund, Fault::LoseAnswer).await;
    assert_eq!(subject.provider.refund(&refund).await.unwrap_err().kind, ErrorKind::Unknown);
    let status = subject.provider.query_refund(&asking(&refund)).await.unwrap().into_inner();
    assert_eq!(status.word, RefundWord::Succeeded);
    subject.provider.refund(&refund).await.unwrap();
    assert_eq!(subject.platform.counts().await.1, 1, "the same number is the same refund");
}

pub async fn a_call_cut_off_early_left_nothing_behind(subject: Subject) {
    let order = subject.order(subject.method()).await;
    subject.platform.fault(Operation::Pay, Fault::Drop).await;
    assert_ne!(subject.provider.pay(&order).await.unwrap_err().kind, ErrorKind::Refused);
    assert_eq!(subject.provider.query(&order).await.unwrap().get().word, OrderWord::Missing);

    let order = subject.paid().await;
    let refund = subject.refund_of(&order, 50);
    subject.platform.fault(Operation::Refund, Fault::Drop).await;
    assert_ne!(subject.provider.refund(&refund).await.unwrap_err().kind, ErrorKind::Refused);
    let status = subject.provider.query_refund(&asking(&refund)).await.unwrap().into_inner();
    assert_eq!(status.word, RefundWord::Missing);
}

pub async fn an_answer_that_cannot_be_relied_on_is_unknown(subject: Subject) {
    for fault in [
        Fault::Trouble,
        Fault::NewCode,
        Fault::BadGateway,
        Fault::BadSignature,
        Fault::CutOff,
        Fault::FieldTwice,
        Fault::TooLong,
    ] {
        let order = subject.order(subject.method()).await;
        subject.platform.fault(Operation::Pay, fault).await;
        let error = subject.provider.pay(&order).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unknown, "{fault:?}: {error}");
        assert_eq!(error.reason == Reason::BadSignature, fault == Fault::BadSignature, "{fault:?}: {error}");
        subject.platform.fault(Operation::Query, fault).await;
        assert!(subject.provider.query(&order).await.is_err(), "{fault:?}");

        let order = subject.paid().await;
        let refund = subject.refund_of(&order, 50);
        subject.platform.fault(Operation::Refund, fault).await;
        let error = subject.provider.refund(&refund).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unknown, "{fault:?}: {error}");
        subject.platform.fault(Operation::QueryRefund, fault).await;
        assert!(subject.provider.query_refund(&asking(&refund)).await.is_err(), "{fault:?}");
    }
    // A refusal that nobody signed is not final either.
    let order = subject.order(subject.method()).await;
    subject.platform.fault(Operation::Pay, Fault::UnsignedRefusal).await;
    assert_ne!(subject.provider.pay(&order).await.unwrap_err().kind, ErrorKind::Refused);
    let order = subject.paid().await;
    subject.platform.fault(Operation::Refund, Fault::UnsignedRefusal).await;
    let error = subject.provider.refund(&subject.refund_of(&order, 50)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
}

pub async fn silence_is_a_timeout(subject: Subject) {
    let order = subject.order(subject.method()).await;
    subject.platform.fault(Operation::Pay, Fault::Hang).await;
    let error = subject.provider.pay(&order).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Unknown, Reason::Timeout), "{error}");
}

pub async fn nobody_there_is_not_sent(subject: Subject) {
    let order = subject.order(subject.method()).await;
    let nowhere = &subject.unreachable;
    let refund = subject.refund_of(&order, 1);
    let errors = [
        nowhere.pay(&order).await.unwrap_err(),
        nowhere.query(&order).await.unwrap_err(),
        nowhere.refund(&refund).await.unwrap_err(),
        nowhere.query_refund(&asking(&refund)).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind, error.reason), (ErrorKind::NotSent, Reason::Transport), "{error}");
    }
    if nowhere.capabilities().login {
        let error = nowhere.login(&Secret::new("hush-code")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotSent);
        assert!(!format!("{error} {error:?}").contains("hush-code"));
    }
}
