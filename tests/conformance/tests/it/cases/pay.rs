use dukou_domain::Method;
use dukou_spi::{ErrorKind, OrderWord, Reason};

use crate::subject::{Subject, SystemClock, fen};
use dukou_spi::Clock as _;

pub async fn every_method_is_paid_with_what_was_signed(subject: Subject) {
    let capabilities = subject.provider.capabilities();
    for method in capabilities.methods {
        let order = subject.order(*method).await;
        let prepay = subject.provider.pay(&order).await.unwrap();
        assert!(prepay.valid_until > SystemClock.now(), "{method}");
        let invoke = subject.provider.invoke(&order, &prepay).unwrap();
        subject.platform.pay(&invoke).await.unwrap();

        let status = subject.provider.query(&order).await.unwrap().into_inner();
        let OrderWord::Paid(facts) = status.word else { panic!("{method}: {status:?}") };
        let info = subject.provider.info();
        assert_eq!(facts.trade_no, order.trade_no);
        assert_eq!(facts.amount, order.amount);
        assert_eq!((&facts.app_id, &facts.merchant_id), (&info.app_id, &info.merchant_id));
        if order.openid.is_some() {
            assert_eq!(facts.openid, order.openid);
        }
        assert!(facts.paid_at.is_none_or(|at| at.since(order.created_at).as_secs() < 60));
    }
    for method in Method::ALL.iter().filter(|method| !capabilities.methods.contains(method)) {
        let mut order = subject.order(subject.method()).await;
        order.method = *method;
        assert_ne!(subject.provider.check(&order), [], "{method}");
    }
}

pub async fn an_order_sent_again_is_the_same_order(subject: Subject) {
    for method in subject.provider.capabilities().methods {
        let (before, _) = subject.platform.counts().await;
        let order = subject.order(*method).await;
        subject.provider.pay(&order).await.unwrap();
        let again = subject.provider.pay(&order).await.unwrap();
        assert_eq!(subject.platform.counts().await.0, before + 1, "{method}");
        let first = subject.provider.invoke(&order, &again).unwrap();
        assert_eq!(first.0.len(), subject.provider.invoke(&order, &again).unwrap().0.len());
        subject.platform.pay(&first).await.unwrap();
    }
}

pub async fn changed_content_is_another_order(subject: Subject) {
    let order = subject.made().await;
    let mut changed = order.clone();
    changed.amount = fen(102);
    let error = subject.provider.pay(&changed).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Refused, Reason::NumberUsed), "{error}");
    assert!(error.code.is_some());
}

pub async fn arguments_that_were_changed_are_refused(subject: Subject) {
    let order = subject.order(subject.method()).await;
    let prepay = subject.provider.pay(&order).await.unwrap();
    let good = subject.provider.invoke(&order, &prepay).unwrap();
    for at in 0..good.0.len() {
        let mut changed = good.clone();
        changed.0[at].1.push('0');
        assert!(subject.platform.pay(&changed).await.is_err(), "{}", changed.0[at].0);
    }
    assert_eq!(subject.provider.query(&order).await.unwrap().get().word, OrderWord::Waiting);
    subject.platform.pay(&good).await.unwrap();
}

pub async fn a_foreign_payer_is_named(subject: Subject) {
    for method in subject.provider.capabilities().payer_required {
        let mut order = subject.order(*method).await;
        order.openid = Some(subject.platform.payers().await.1);
        let error = subject.provider.pay(&order).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (ErrorKind::Refused, Reason::PayerMismatch), "{error}");
        order.openid = None;
        assert_eq!(subject.provider.check(&order)[0].field, "payer.openid");
    }
}

pub async fn concurrent_orders_do_not_mix(subject: Subject) {
    let mut orders = Vec::new();
    for _ in 0..20 {
        orders.push(subject.order(subject.method()).await);
    }
    let mut running = tokio::task::JoinSet::new();
    for order in orders {
        let provider = subject.provider.clone();
        running.spawn(async move {
            let prepay = provider.pay(&order).await.unwrap();
            (provider.invoke(&order, &prepay).unwrap(), order)
        });
    }
    for (invoke, order) in running.join_all().await {
        assert_eq!(subject.provider.query(&order).await.unwrap().get().word, OrderWord::Waiting);
        subject.platform.pay(&invoke).await.unwrap();
        let status = subject.provider.query(&order).await.unwrap().into_inner();
        assert!(matches!(&status.word, OrderWord::Paid(facts) if facts.trade_no == order.trade_no), "{status:?}");
    }
}
