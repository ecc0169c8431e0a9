//! Asking after what nobody told.

use std::time::Duration;

use dukou_domain::{OutTradeNo, PaymentState};
use dukou_engine::records::EventKind;
use dukou_spi::{OrderWord, Reason};

use crate::support::{House, lost, order, paid, refused};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_pending_payment_is_asked_after_on_schedule_and_closed_at_its_end() {
    let house = House::new();
    house.create("N-1").await;
    let mut asked_at = Vec::new();
    for minute in 1..=130_u64 {
        house.wait(MINUTE);
        let before = house.calls("query");
        house.engine.run_due().await;
        if house.calls("query") > before {
            asked_at.push(minute);
        }
    }
    assert_eq!(asked_at, [1, 5, 15, 60, 120]);
    assert_eq!(house.calls("close"), 1);
    assert_eq!(house.read("N-1").await.state, PaymentState::Closed);
}

#[tokio::test]
async fn an_end_that_was_broken_off_is_made_up_for_within_minutes() {
    let house = House::new();
    house.create("N-1").await;
    house.wait(121 * MINUTE);
    // The order is still open, and its closing is cut short.
    house.script(|script| script.close.push_back(Err(lost())));
    house.engine.run_due().await;
    assert_eq!((house.calls("close"), house.read("N-1").await.state), (1, PaymentState::Pending));
    // Read meanwhile, which asks the platform and closes nothing.
    let number = dukou_domain::OutTradeNo::new("N-1").unwrap();
    house.engine.payment(&house.tenant, &number, true).await.unwrap();
    house.wait(2 * MINUTE);
    house.engine.run_due().await;
    assert_eq!((house.calls("close"), house.read("N-1").await.state), (2, PaymentState::Closed));
}

#[tokio::test]
async fn a_missed_notify_is_made_up_for_by_asking() {
    let house = House::new();
    house.create("N-1").await;
    house.script(|script| script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42")))));
    house.wait(MINUTE);
    house.engine.run_due().await;
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
    assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
}

#[tokio::test]
async fn an_unknown_payment_is_asked_after_ever_more_slowly_until_the_platform_knows() {
    let house = House::new();
    house.script(|script| {
        script.pay.push_back(Err(lost()));
        script.query.extend([Err(lost()), Ok(OrderWord::Unrecognised), Ok(OrderWord::Missing)]);
    });
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    let mut asked_at = Vec::new();
    for second in 1..=40_u64 {
        house.wait(Duration::from_secs(1));
        let before = house.calls("query");
        house.engine.run_due().await;
        if house.calls("query") > before {
            asked_at.push(second);
        }
    }
    assert_eq!(asked_at, [5, 10, 30]);
    assert_eq!(house.read("N-1").await.state, PaymentState::Created, "the platform knows no such order");
}

#[tokio::test]
async fn a_process_that_ended_while_sending_is_made_up_for() {
    let house = House::new();
    // As after a crash between the record and the answer: nothing but the intent is there.
    house.script(|script| script.pay.extend([Err(crate::support::unreachable()), Err(crate::support::unreachable())]));
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    house.script(|script| script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42")))));
    house.wait(MINUTE);
    house.engine.run_due().await;
    assert_eq!(house.read("N-1").await.state, PaymentState::Succeeded);
}

#[tokio::test]
async fn a_contradicting_answer_is_raised_once() {
    let house = House::new();
    house.create("N-1").await;
    let wrong = || Ok(OrderWord::Paid(paid("N-1", 100, "app", "mch", "42")));
    house.script(|script| script.query.extend([wrong(), wrong()]));
    for _ in 0..2 {
        house.wait(5 * MINUTE);
        house.engine.run_due().await;
    }
    assert_eq!(house.calls("query"), 2);
    assert_eq!(house.read("N-1").await.state, PaymentState::Pending);
    assert_eq!(house.count_events(dukou_engine::records::EventKind::PaymentMismatch).await, 1);
}

#[tokio::test]
async fn one_that_waits_for_a_payer_is_closed_at_its_end_without_asking() {
    let house = House::new();
    let mut command = order("N-1");
    command.payer = None;
    house.engine.create_payment(&house.tenant, command).await.unwrap();
    house.wait(121 * MINUTE);
    house.engine.run_due().await;
    assert_eq!(house.read("N-1").await.state, PaymentState::Closed);
    assert!(house.journal().is_empty());
}

/// Lets an hour after hour pass, minute by minute, and counts the calls of each.
async fn calls_by_hour(house: &House, hours: usize, journal: impl Fn() -> usize) -> Vec<usize> {
    let mut counts = Vec::new();
    for _ in 0..hours {
        let before = journal();
        for _ in 0..60 {
            house.wait(MINUTE);
            house.engine.run_due().await;
        }
        counts.push(journal() - before);
    }
    counts
}

/// Watches: the distance between two ends. With a minute each the platform was called three times a minute for ever.
#[tokio::test]
async fn a_contradicted_payment_whose_time_is_over_is_asked_after_ever_more_slowly() {
    let house = House::new();
    house.create("N-1").await;
    house.wait(119 * MINUTE);
    let already = || Err(refused(Reason::AlreadyPaid, "ORDERPAID"));
    house.script(|script| {
        script.query.extend((0..1_000).map(|_| Ok(OrderWord::Paid(paid("N-1", 102, "app", "mch", "42")))));
        script.close.extend((0..1_000).map(|_| already()));
    });
    let counts = calls_by_hour(&house, 6, || house.journal().len()).await;
    assert!(counts[0] <= 24 && counts[1] <= 6, "{counts:?}");
    assert!(counts[2..].iter().all(|count| (1..=6).contains(count)), "it is never forgotten: {counts:?}");
    assert_eq!(house.read("N-1").await.state, PaymentState::Pending);
}

/// A payment whose number was paid as something else is none that could ever be made under it.
#[tokio::test]
async fn one_that_was_never_accepted_and_whose_number_is_another_orders_has_failed() {
    let word = || OrderWord::Paid(paid("N-1", 999, "app", "mch", "42"));
    for lost_answer in [true, false] {
        let house = House::new();
        let unreachable = crate::support::unreachable;
        house.script(|script| {
            if lost_answer {
                script.pay.push_back(Err(lost()));
            } else {
                script.pay.extend([Err(unreachable()), Err(unreachable())]);
            }
            script.query.extend((0..1_000).map(|_| Ok(word())));
            script.close.extend((0..1_000).map(|_| Err(refused(Reason::AlreadyPaid, "ORDERPAID"))));
        });
        house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
        if lost_answer {
            house.wait(Duration::from_secs(5));
        } else {
            // Its process ended before it entered what the platform said; while it could be sent, nothing ends it.
            house.wait(MINUTE);
            house.engine.run_due().await;
            assert_eq!(house.read("N-1").await.state, PaymentState::Created);
            house.wait(120 * MINUTE);
        }
        house.engine.run_due().await;
        let payment = house.read("N-1").await;
        assert_eq!((payment.state, payment.check), (PaymentState::Failed, None), "{lost_answer}");
        let why = payment.failure.unwrap().message;
        assert!(why.contains("amount is 999, not 101"), "{why}");
        let count = async |kind| house.count_events(kind).await;
        assert_eq!((count(EventKind::PaymentMismatch).await, count(EventKind::PaymentFailed).await), (1, 1));
        assert_eq!(calls_by_hour(&house, 1, || house.journal().len()).await, [0], "nobody asks any more");
        if lost_answer {
            let other = house.invoke("N-1", "other", Some("payer")).await.unwrap();
            assert!(other.invoke.is_some(), "it can be paid another way");
        } else {
            let before = house.journal().len();
            let closed = house.engine.close_payment(&house.tenant, &OutTradeNo::new("N-1").unwrap()).await.unwrap();
            assert_eq!(
                (closed.state, house.journal().len()),
                (PaymentState::Closed, before),
                "nothing is closed there"
            );
        }
    }
}

/// That a success is entered in another payment says nothing of the order itself.
#[tokio::test]
async fn a_lost_order_whose_success_is_another_payments_stays_unknown() {
    let house = House::new();
    house.create("N-2").await;
    assert_eq!(house.notify("paid N-2 101 app mch 42").await, "Accepted");
    house.script(|script| {
        script.pay.push_back(Err(lost()));
        script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 101, "app", "mch", "42"))));
    });
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    house.wait(Duration::from_secs(5));
    house.engine.run_due().await;
    assert_eq!(house.count_events(EventKind::PaymentMismatch).await, 1);
    assert_eq!(house.read("N-1").await.state, PaymentState::Unknown);
}

/// Closing one of which that is learned only now: under a number of its own it could still have been paid.
#[tokio::test]
async fn a_lost_order_that_turns_out_to_be_another_at_its_close_is_closed() {
    let house = House::new();
    house.script(|script| {
        script.pay.push_back(Err(lost()));
        script.close.push_back(Err(refused(Reason::AlreadyPaid, "ORDERPAID")));
        script.query.push_back(Ok(OrderWord::Paid(paid("N-1", 999, "app", "mch", "42"))));
    });
    house.engine.create_payment(&house.tenant, order("N-1")).await.unwrap_err();
    let closed = house.engine.close_payment(&house.tenant, &OutTradeNo::new("N-1").unwrap()).await.unwrap();
    assert_eq!((closed.state, closed.failure.is_some()), (PaymentState::Closed, true));
    assert_eq!(house.count_events(EventKind::PaymentFailed).await, 1);
}

/// As above, of an attempt that gave way and is paid with another amount.
#[tokio::test]
async fn a_contradicted_attempt_that_gave_way_is_asked_after_ever_more_slowly() {
    let house = House::new();
    house.create("N-1").await;
    let other = house.invoke("N-1", "other", Some("payer")).await.unwrap().payment.attempt.trade_no;
    {
        let mut script = house.other.script.lock().unwrap();
        let word = || OrderWord::Paid(paid(other.as_str(), 102, "other-app", "other-mch", "77"));
        script.query.extend((0..1_000).map(|_| Ok(word())));
        script.close.extend((0..1_000).map(|_| Err(refused(Reason::AlreadyPaid, "ORDERPAID"))));
    }
    assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
    let counts = calls_by_hour(&house, 6, || house.other.script.lock().unwrap().journal.len()).await;
    assert!(counts[0] <= 16 && counts[1] <= 4, "{counts:?}");
    assert!(counts[3..].iter().all(|count| (1..=4).contains(count)), "it is never forgotten: {counts:?}");
}

/// As where two orders were one at the platform.
#[tokio::test]
async fn what_was_paid_for_one_order_is_not_taken_for_another() {
    let house = House::new();
    house.create("N-1").await;
    house.create("N-2").await;
    assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
    let number = OutTradeNo::new("N-2").unwrap();
    for _ in 0..2 {
        house.script(|script| script.query.push_back(Ok(OrderWord::Paid(paid("N-2", 101, "app", "mch", "42")))));
        let answer = house.engine.payment(&house.tenant, &number, true).await.unwrap();
        assert_eq!(answer.payment.state, PaymentState::Pending);
    }
    assert_eq!(house.count_events(EventKind::PaymentMismatch).await, 1);
    assert_eq!(house.count_events(EventKind::PaymentSucceeded).await, 1);
    // Its own is its own, however often it is heard.
    for _ in 0..2 {
        house.script(|script| script.query.push_back(Ok(OrderWord::Paid(paid("N-2", 101, "app", "mch", "43")))));
        let answer = house.engine.payment(&house.tenant, &number, true).await.unwrap();
        assert_eq!(answer.payment.state, PaymentState::Succeeded);
    }
    assert_eq!(house.count_events(EventKind::PaymentMismatch).await, 1);
}
