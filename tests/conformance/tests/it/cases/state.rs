use dukou_spi::{ErrorKind, OrderWord, PayOrder, Reason};

use crate::subject::Subject;

pub async fn every_state_of_an_order_is_told(subject: Subject) {
    let word = async |order: &_| subject.provider.query(order).await.unwrap().into_inner().word;
    let order = subject.order(subject.method()).await;
    assert_eq!(word(&order).await, OrderWord::Missing);
    let prepay = subject.provider.pay(&order).await.unwrap();
    assert_eq!(word(&order).await, OrderWord::Waiting);
    subject.platform.fail(&order).await;
    assert_eq!(word(&order).await, OrderWord::Waiting, "a failed try can be followed by another");
    subject.platform.pay(&subject.provider.invoke(&order, &prepay).unwrap()).await.unwrap();
    assert!(matches!(word(&order).await, OrderWord::Paid(_)));
    for part in [1, 100] {
        subject.provider.refund(&subject.refund_of(&order, part)).await.unwrap();
        let OrderWord::Paid(facts) = word(&order).await else { panic!("a refunded order was paid") };
        assert_eq!(facts.amount, order.amount);
    }
}

pub async fn closing_ends_an_order_once_and_for_all(subject: Subject) {
    if !subject.provider.capabilities().close {
        return;
    }
    let order = subject.order(subject.method()).await;
    subject.provider.close(&order).await.unwrap();
    let order = subject.order(subject.method()).await;
    let prepay = subject.provider.pay(&order).await.unwrap();
    for _ in 0..2 {
        subject.provider.close(&order).await.unwrap();
        assert_eq!(subject.provider.query(&order).await.unwrap().get().word, OrderWord::Closed);
    }
    assert!(subject.platform.pay(&subject.provider.invoke(&order, &prepay).unwrap()).await.is_err());
    let error = subject.provider.pay(&order).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Refused, Reason::OrderClosed), "{error}");
}

pub async fn a_paid_order_is_neither_closed_nor_made_again(subject: Subject) {
    let order = subject.paid().await;
    let again = subject.provider.pay(&order).await.unwrap_err();
    assert_eq!((again.kind, again.reason), (ErrorKind::Refused, Reason::AlreadyPaid), "{again}");
    if subject.provider.capabilities().close {
        let close = subject.provider.close(&order).await.unwrap_err();
        assert_eq!((close.kind, close.reason), (ErrorKind::Refused, Reason::AlreadyPaid), "{close}");
    }
    assert!(matches!(subject.provider.query(&order).await.unwrap().get().word, OrderWord::Paid(_)));
}

pub async fn a_paid_order_is_found_by_either_number(subject: Subject) {
    let order = subject.paid().await;
    let OrderWord::Paid(facts) = subject.provider.query(&order).await.unwrap().into_inner().word else {
        panic!("the order was paid")
    };
    let known = PayOrder { transaction_id: Some(facts.transaction_id.clone()), ..order };
    let status = subject.provider.query(&known).await.unwrap().into_inner();
    assert_eq!(status.word, OrderWord::Paid(facts));
}
