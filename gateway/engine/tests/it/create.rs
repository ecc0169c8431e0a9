//! Creating a payment.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{AttemptState, OutTradeNo, PaymentState, Secret};
use dukou_engine::records::EventKind;
use dukou_engine::{CreatePayment, EngineError, Payer};
use dukou_spi::{ErrorKind, OrderWord, ProviderError, Reason};

use crate::refund_end::unlisted;
use crate::support::{House, lost, order, paid, refused, unreachable};

#[tokio::test]
async fn an_accepted_order_is_pending_and_can_be_invoked() {
    let house = House::new();
    let answer = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap();
    assert!(answer.created);
    assert_eq!(answer.payment.state, PaymentState::Pending);
    assert_eq!(answer.invoke.unwrap().0, [("package", "token-N-1".to_owned())]);
    assert_eq!(house.event_words().await, ["payment.created", "payment.pending"]);
}

#[tokio::test]
async fn the_same_number_makes_one_order_and_other_content_is_a_conflict() {
    let house = House::new();
    let first = house.create("N-1").await;
    let again = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap();
    assert!(!again.created);
    assert_eq!(again.payment.id, first.id);
    assert!(again.invoke.is_some());
    assert_eq!(house.calls("pay"), 1);

    let mut other = order("N-1");
    other.amount = dukou_domain::Money::new(102, dukou_domain::Currency::Cny).unwrap();
    other.description = "two books".to_owned();
    let error = house.engine.create_payment(&house.tenant, other).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::OutTradeNoConflict(detail) if detail == "amount, description is not the same"),
        "{error}"
    );
}

#[tokio::test]
async fn a_hundred_at_once_make_one_order() {
    let house = Arc::new(House::new());
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap() })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        let answer = task.await.unwrap();
        created += usize::from(answer.created);
        assert!(answer.invoke.is_some());
    }
    assert_eq!((created, house.calls("pay")), (1, 1));
}

/// A refusal that nobody signed.
fn unsigned(reason: Reason) -> ProviderError {
    ProviderError::new(ErrorKind::NotSent, reason, "not like this").with_code("FAIL")
}

/// The outcome of each way a platform can fail: the error's kind, the state kept, and whether the
/// same call again sends the order again.
#[tokio::test]
async fn each_failure_leaves_its_own_state() {
    let cases = [
        (unreachable(), ErrorKind::NotSent, PaymentState::Created),
        (unsigned(Reason::PayerMismatch), ErrorKind::NotSent, PaymentState::Created),
        (lost(), ErrorKind::Unknown, PaymentState::Unknown),
        (refused(Reason::Configuration, "NOAUTH"), ErrorKind::Refused, PaymentState::Failed),
        (refused(Reason::OrderClosed, "ORDERCLOSED"), ErrorKind::Refused, PaymentState::Closed),
    ];
    for (error, kind, state) in cases {
        let house = House::new();
        let twice = if kind == ErrorKind::NotSent { vec![Err(unreachable())] } else { Vec::new() };
        house.script(|script| {
            script.pay.push_back(Err(error));
            script.pay.extend(twice);
        });
        let answer = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
        assert!(matches!(&answer, EngineError::Provider(error) if error.kind == kind), "{answer}");
        assert_eq!(house.read("N-1").await.state, state);
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_by_asking_and_the_number_is_used_again() {
    let house = House::new();
    house.script(|script| script.pay.push_back(Err(lost())));
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    let answer = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap();
    assert_eq!(house.journal(), ["pay N-1 101", "query N-1", "pay N-1 101"]);
    assert_eq!(answer.payment.state, PaymentState::Pending);
    assert!(answer.invoke.is_some());
}

/// The same payment is made anew: it was created once.
#[tokio::test]
async fn a_lost_order_that_was_never_made_is_told_as_missing_and_the_payment_not_as_created_again() {
    let house = House::new();
    house.script(|script| {
        script.pay.push_back(Err(lost()));
        script.query.push_back(Ok(OrderWord::Missing));
    });
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    let answer = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap();
    assert_eq!(house.journal(), ["pay N-1 101", "query N-1", "pay N-1 101"]);
    assert_eq!(answer.payment.state, PaymentState::Pending);
    let told = ["payment.created", "payment.unknown", "payment.order_missing", "payment.pending"];
    assert_eq!(house.event_words().await, told);
}

/// A code that is in no table: whether it was a refusal, the platform is asked at once.
#[tokio::test]
async fn an_order_that_is_refused_by_an_unknown_code_has_failed_when_the_platform_has_none() {
    for (asked, state, kind, events) in [
        (Ok(OrderWord::Missing), PaymentState::Failed, ErrorKind::Refused, "payment.failed"),
        (Ok(OrderWord::Waiting), PaymentState::Pending, ErrorKind::Unknown, "payment.unknown payment.pending"),
        (Ok(OrderWord::Closed), PaymentState::Closed, ErrorKind::Unknown, "payment.unknown payment.closed"),
        (Ok(OrderWord::Unrecognised), PaymentState::Unknown, ErrorKind::Unknown, "payment.unknown"),
        (Err(lost()), PaymentState::Unknown, ErrorKind::Unknown, "payment.unknown"),
    ] {
        let house = House::new();
        let what = format!("{asked:?}");
        house.script(|script| {
            script.pay.push_back(Err(unlisted("NEW_CODE")));
            script.query.push_back(asked);
        });
        let error = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
        let EngineError::Provider(error) = error else { panic!("{what}: {error}") };
        assert_eq!((error.kind, error.code.as_deref()), (kind, Some("NEW_CODE")), "{what}");
        assert_eq!(house.journal(), ["pay N-1 101", "query N-1"], "{what}");
        let payment = house.read("N-1").await;
        assert_eq!(payment.state, state, "{what}");
        let why = payment.failure.and_then(|failure| failure.code);
        assert_eq!(why.as_deref(), (state == PaymentState::Failed).then_some("NEW_CODE"), "{what}");
        assert_eq!(house.event_words().await.join(" "), format!("payment.created {events}"), "{what}");
    }
    let house = House::new();
    house.script(|script| {
        script.pay.push_back(Err(unlisted("NEW_CODE")));
        script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42"))));
    });
    let answer = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap();
    assert_eq!(answer.payment.state, PaymentState::Succeeded);
}

#[tokio::test]
async fn an_order_that_is_paid_already_is_entered_as_paid() {
    let house = House::new();
    house.script(|script| {
        script.pay.push_back(Err(refused(Reason::AlreadyPaid, "ORDERPAID")));
        script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42"))));
    });
    let answer = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap();
    assert_eq!(answer.payment.state, PaymentState::Succeeded);
    assert!(answer.invoke.is_none());
}

/// The platform has an order under the number that it takes for another one.
#[tokio::test]
async fn a_number_that_is_used_is_asked_after_before_it_has_failed() {
    for (word, state, events) in [
        (OrderWord::Paid(paid("N-1", 101, "app", "mch", "42")), PaymentState::Succeeded, "payment.succeeded"),
        (OrderWord::Paid(paid("N-1", 7, "app", "mch", "42")), PaymentState::Failed, "payment.mismatch payment.failed"),
        (OrderWord::Waiting, PaymentState::Pending, "payment.pending"),
        (OrderWord::Closed, PaymentState::Failed, "payment.failed"),
        (OrderWord::Missing, PaymentState::Failed, "payment.failed"),
        (OrderWord::Unrecognised, PaymentState::Failed, "payment.failed"),
    ] {
        let house = House::new();
        let what = format!("{word:?}");
        house.script(|script| {
            script.pay.push_back(Err(refused(Reason::NumberUsed, "OUT_TRADE_NO_USED")));
            script.query.push_back(Ok(word));
        });
        let answer = house.engine.create_payment(&house.tenant, order("N-1")).await;
        assert_eq!(house.journal(), ["pay N-1 101", "query N-1"], "{what}");
        assert_eq!(house.read("N-1").await.state, state, "{what}");
        assert_eq!(house.event_words().await.join(" "), format!("payment.created {events}"), "{what}");
        match answer {
            Ok(answer) => assert_eq!(answer.payment.state, PaymentState::Succeeded, "{what}"),
            Err(error) => assert!(
                matches!(&error, EngineError::Provider(error) if error.reason == Reason::NumberUsed)
                    && !state.is_paid(),
                "{what}: {error}"
            ),
        }
    }
}

#[tokio::test]
async fn a_used_number_that_cannot_be_asked_after_is_asked_after_later() {
    let house = House::new();
    house.script(|script| {
        script.pay.push_back(Err(refused(Reason::NumberUsed, "OUT_TRADE_NO_USED")));
        script.query.push_back(Err(lost()));
        script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42"))));
    });
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    assert_eq!(house.read("N-1").await.state, PaymentState::Created);
    house.wait(Duration::from_secs(60));
    house.engine.run_due().await;
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
}

#[tokio::test]
async fn what_the_provider_cannot_take_is_told_before_anything_is_recorded() {
    let house = House::new();
    let mut command = order("N-1");
    command.description = "illegal".to_owned();
    command.expires_at = Some(crate::support::START);
    let error = house.engine.create_payment(&house.tenant, command).await.unwrap_err();
    let EngineError::Invalid(problems) = error else { panic!("{error}") };
    assert_eq!(problems.iter().map(|problem| problem.field).collect::<Vec<_>>(), ["description", "expires_at"]);
    let number = OutTradeNo::new("N-1").unwrap();
    assert!(matches!(house.engine.payment(&house.tenant, &number, false).await, Err(EngineError::NotFound)));
    assert!(house.journal().is_empty());
}

#[tokio::test]
async fn a_login_code_is_exchanged_once() {
    let house = House::new();
    let mut command = order("N-1");
    command.payer = Some(Payer::Code(Secret::new("abc")));
    let first = house.engine.create_payment(&house.tenant, command.clone()).await.unwrap();
    assert_eq!(first.payment.attempt.openid.as_deref(), Some("openid-of-abc"));
    let again = house.engine.create_payment(&house.tenant, command).await.unwrap();
    assert_eq!(again.payment.id, first.payment.id);
    assert_eq!(house.calls("login"), 1);

    let mut wrong = order("N-2");
    wrong.payer = Some(Payer::Code(Secret::new("wrong")));
    let error = house.engine.create_payment(&house.tenant, wrong).await.unwrap_err();
    assert!(matches!(&error, EngineError::Provider(error) if error.reason == Reason::InvalidCode));
}

#[tokio::test]
async fn without_a_payer_it_waits_and_no_platform_is_called() {
    let house = House::new();
    let mut command = order("N-1");
    command.payer = None;
    let answer = house.engine.create_payment(&house.tenant, command).await.unwrap();
    assert_eq!(answer.payment.state, PaymentState::Created);
    assert!(answer.invoke.is_none());
    assert!(house.journal().is_empty());
}

/// Nobody named anybody when it was made, and a code is never put aside unseen.
#[tokio::test]
async fn a_payer_named_afterwards_is_other_content() {
    let house = House::new();
    let mut command = order("N-1");
    command.payer = None;
    house.engine.create_payment(&house.tenant, command.clone()).await.unwrap();
    for payer in [Payer::Code(Secret::new("abc")), Payer::OpenId("payer".to_owned())] {
        let named = CreatePayment { payer: Some(payer), ..command.clone() };
        let error = house.engine.create_payment(&house.tenant, named).await.unwrap_err();
        assert!(
            matches!(&error, EngineError::OutTradeNoConflict(detail) if detail == "payer is not the same"),
            "{error}"
        );
    }
    house.engine.create_payment(&house.tenant, command).await.unwrap();
    assert_eq!(house.calls("login"), 0);
}

/// What is shown to a customer may be paid by anybody: the record says who it was, and the order stays the same.
#[tokio::test]
async fn the_same_create_after_somebody_else_paid_is_the_same_payment() {
    let house = House::new();
    let mut command = order("N-1");
    command.payer = Some(Payer::OpenId("another".to_owned()));
    house.engine.create_payment(&house.tenant, command.clone()).await.unwrap();
    assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
    let again = house.engine.create_payment(&house.tenant, command.clone()).await.unwrap().payment;
    assert_eq!((again.state, again.attempt.openid.as_deref()), (PaymentState::Succeeded, Some("payer")));
    command.description = "another thing".to_owned();
    let error = house.engine.create_payment(&house.tenant, command).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::OutTradeNoConflict(detail) if detail == "description is not the same"),
        "{error}"
    );
}

/// A merchant that gives an order up closes it, or a buyer pays it another way afterwards.
#[tokio::test]
async fn one_that_has_failed_is_closed_and_then_payable_no_way() {
    let house = House::new();
    let number = OutTradeNo::new("N-1").unwrap();
    house.script(|script| script.pay.push_back(Err(refused(Reason::Configuration, "NOAUTH"))));
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    let failed = house.read("N-1").await;
    for _ in 0..2 {
        let closed = house.engine.close_payment(&house.tenant, &number).await.unwrap();
        assert_eq!((closed.state, closed.attempt.state), (PaymentState::Closed, AttemptState::Failed));
        assert_eq!(closed.failure, failed.failure, "why it failed stays");
    }
    assert_eq!(house.count_events(EventKind::PaymentClosed).await, 1);
    assert_eq!(house.calls("close"), 0, "the platform has no order");
    let error = house.invoke("N-1", "other", Some("payer")).await.unwrap_err();
    assert!(matches!(&error, EngineError::InvalidState(why) if why.contains("is closed")), "{error:?}");
}

#[tokio::test]
async fn closing_asks_the_platform_first() {
    let house = House::new();
    let number = OutTradeNo::new("N-1").unwrap();
    house.create("N-1").await;
    let closed = house.engine.close_payment(&house.tenant, &number).await.unwrap();
    assert_eq!(closed.state, PaymentState::Closed);
    house.engine.close_payment(&house.tenant, &number).await.unwrap();
    assert_eq!(house.calls("close"), 1);

    let house = House::new();
    house.create("N-1").await;
    house.script(|script| {
        script.close.push_back(Err(refused(Reason::AlreadyPaid, "ORDERPAID")));
        script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42"))));
    });
    let error = house.engine.close_payment(&house.tenant, &number).await.unwrap_err();
    assert!(matches!(error, EngineError::InvalidState(_)));
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
}

/// A platform may refuse the close of an order that was paid just now, and not show the success for a moment.
#[tokio::test]
async fn a_close_that_is_refused_as_paid_is_no_close_whatever_the_platform_shows() {
    let house = House::new();
    let number = OutTradeNo::new("N-1").unwrap();
    house.create("N-1").await;
    house.script(|script| script.close.push_back(Err(refused(Reason::AlreadyPaid, "ORDERPAID"))));
    let error = house.engine.close_payment(&house.tenant, &number).await.unwrap_err();
    assert!(matches!(&error, EngineError::InvalidState(why) if why.contains("stays payable")), "{error}");
    assert_eq!(house.read("N-1").await.state, PaymentState::Pending);
    // Nobody waits for the success as long as for one of which nothing was heard.
    house.script(|script| script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42")))));
    house.engine.run_due().await;
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
}

#[tokio::test]
async fn what_was_paid_under_the_number_and_is_not_the_payment_refuses_it() {
    let house = House::new();
    house.script(|script| {
        script.pay.push_back(Err(refused(Reason::AlreadyPaid, "ORDERPAID")));
        script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 999, "app", "mch", "42"))));
    });
    let error = house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    let EngineError::Provider(error) = error else { panic!("{error}") };
    assert_eq!(error.code.as_deref(), Some("ORDERPAID"));
    assert_eq!(house.count_events(EventKind::PaymentMismatch).await, 1);
    let payment = house.read("N-1").await;
    assert_eq!((payment.state, payment.check), (PaymentState::Failed, None), "it can never be made under the number");
    assert_eq!(payment.failure.and_then(|failure| failure.code).as_deref(), Some("ORDERPAID"));
    let other = house.invoke("N-1", "other", Some("payer")).await.unwrap();
    assert!(other.invoke.is_some(), "it can be paid another way");
}

/// The platform may be late in showing what it refuses the order for.
#[tokio::test]
async fn what_is_refused_as_paid_and_not_shown_as_paid_has_not_failed() {
    for word in [OrderWord::Waiting, OrderWord::Missing, OrderWord::Unrecognised] {
        let house = House::new();
        house.script(|script| {
            script.pay.push_back(Err(refused(Reason::AlreadyPaid, "ORDERPAID")));
            script.query.push_back(Ok(word));
        });
        house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
        assert!(house.read("N-1").await.state.is_open());
    }
}

#[tokio::test]
async fn a_login_code_is_not_spent_on_what_is_refused_anyway() {
    let house = House::new();
    let mut command = order("N-1");
    command.payer = Some(Payer::Code(Secret::new("code")));
    command.description = "illegal".to_owned();
    let refused = house.engine.create_payment(&house.tenant, command.clone()).await.unwrap_err();
    assert!(matches!(refused, EngineError::Invalid(_)), "{refused}");
    assert_eq!(house.calls("login"), 0);
    command.description = "illegal for other-mch".to_owned();
    house.engine.create_payment(&house.tenant, command).await.unwrap();
    assert_eq!(house.calls("login"), 1);

    let mut channel = House::channel("other", None);
    channel.payer = Some(Payer::Code(Secret::new("code")));
    let number = OutTradeNo::new("N-1").unwrap();
    let refused = house.engine.invoke_payment(&house.tenant, &number, channel).await.unwrap_err();
    assert!(matches!(refused, EngineError::Invalid(_)), "{refused}");
    assert!(house.other.script.lock().unwrap().journal.is_empty());
}
