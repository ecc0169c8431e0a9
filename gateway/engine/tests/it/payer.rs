//! Whose a payment is: of the payer who was named, of the first who comes where one is waited for, and in the end of the
//! one who paid.

use std::time::Duration;

use dukou_domain::{Method, OutTradeNo, PaymentState};
use dukou_engine::{CreateRefundRequest, EngineError, InvokePayment, Payer, PaymentAnswer};

use crate::support::{House, lost, order};

fn number(text: &str) -> OutTradeNo {
    OutTradeNo::new(text).unwrap()
}

/// An order by this method, for this payer or for nobody.
async fn create(
    house: &House,
    number: &str,
    method: Method,
    payer: Option<&str>,
) -> Result<PaymentAnswer, EngineError> {
    let mut command = order(number);
    command.method = method;
    command.payer = payer.map(|openid| Payer::OpenId(openid.to_owned()));
    house.engine.create_payment(&house.tenant, command).await
}

/// A user of the mini-program asks to pay.
async fn ask(house: &House, out_trade_no: &str, method: Method, buyer: &str) -> Result<PaymentAnswer, EngineError> {
    let command = InvokePayment { method, buyer: Some(buyer.to_owned()), ..House::channel("words", Some(buyer)) };
    house.engine.invoke_payment(&house.tenant, &number(out_trade_no), command).await
}

/// The merchant's backend asks for another way.
async fn turn(
    house: &House,
    out_trade_no: &str,
    method: Method,
    payer: Option<&str>,
) -> Result<PaymentAnswer, EngineError> {
    let command = InvokePayment { method, ..House::channel("words", payer) };
    house.engine.invoke_payment(&house.tenant, &number(out_trade_no), command).await
}

async fn reads(house: &House, out_trade_no: &str, buyer: &str) -> bool {
    house.engine.payment_of_buyer(&house.tenant, &number(out_trade_no), buyer, false).await.is_ok()
}

async fn asks_refund(house: &House, out_trade_no: &str, buyer: &str) -> bool {
    let amount = order("N").amount;
    let command = CreateRefundRequest { openid: buyer.to_owned(), amount, reason: None };
    house.engine.request_refund(&house.tenant, &number(out_trade_no), command).await.is_ok()
}

fn is_not_found(answer: &Result<PaymentAnswer, EngineError>) -> bool {
    matches!(answer, Err(EngineError::NotFound))
}

#[tokio::test]
async fn a_code_that_is_shown_to_a_customer_is_no_strangers_to_take() {
    for method in [Method::Native, Method::H5] {
        let house = House::new();
        create(&house, "N-1", method, None).await.unwrap();
        let before = house.read("N-1").await;
        for way in [method, Method::Jsapi, Method::Native] {
            let answer = ask(&house, "N-1", way, "stranger").await;
            assert!(is_not_found(&answer), "{method} {way}: {answer:?}");
        }
        assert_eq!(house.calls("close"), 0, "{method}");
        assert_eq!(house.read("N-1").await, before, "{method}");
    }
}

#[tokio::test]
async fn an_order_of_nobody_whose_answer_was_lost_is_no_strangers_either() {
    let house = House::new();
    house.script(|script| script.pay.push_back(Err(lost())));
    create(&house, "N-1", Method::Native, None).await.unwrap_err();
    assert_eq!(house.read("N-1").await.state, PaymentState::Unknown);
    assert!(is_not_found(&ask(&house, "N-1", Method::Jsapi, "stranger").await));
    assert_eq!(house.calls("query"), 0, "nor does a stranger make the gateway ask");
}

#[tokio::test]
async fn what_waits_for_its_payer_is_paid_by_the_first_in_any_way() {
    for way in [Method::Jsapi, Method::Native, Method::H5] {
        let house = House::new();
        create(&house, "N-1", Method::Jsapi, None).await.unwrap();
        let answer = ask(&house, "N-1", way, "first").await.unwrap();
        assert_eq!(answer.payment.attempt.openid.as_deref(), Some("first"), "{way}");
        assert!(is_not_found(&ask(&house, "N-1", way, "second").await), "{way}");
        assert!(reads(&house, "N-1", "first").await && !reads(&house, "N-1", "second").await, "{way}");
    }
}

#[tokio::test]
async fn a_named_payer_pays_what_is_theirs_in_any_way() {
    let house = House::new();
    create(&house, "N-1", Method::Native, Some("buyer")).await.unwrap();
    assert!(is_not_found(&ask(&house, "N-1", Method::Jsapi, "stranger").await));
    let payment = ask(&house, "N-1", Method::Jsapi, "buyer").await.unwrap().payment;
    assert_eq!((payment.attempt.method, payment.attempt.openid.as_deref()), (Method::Jsapi, Some("buyer")));
}

/// A stranger may have been the first; a code that the merchant shows after that is for a customer.
#[tokio::test]
async fn a_way_that_needs_no_payer_keeps_none() {
    let house = House::new();
    create(&house, "N-1", Method::Jsapi, None).await.unwrap();
    ask(&house, "N-1", Method::Jsapi, "stranger").await.unwrap();
    let payment = turn(&house, "N-1", Method::Native, None).await.unwrap().payment;
    assert_eq!(payment.attempt.openid, None);
    assert!(!reads(&house, "N-1", "stranger").await);
    assert!(is_not_found(&ask(&house, "N-1", Method::Jsapi, "stranger").await));
    let trade_no = payment.attempt.trade_no;
    assert_eq!(house.notify(&format!("paid {trade_no} 101 app mch 42")).await, "Accepted");
    assert_eq!(house.read("N-1").await.attempt.openid.as_deref(), Some("payer"));
    assert!(!reads(&house, "N-1", "stranger").await && !asks_refund(&house, "N-1", "stranger").await);
    assert!(reads(&house, "N-1", "payer").await && asks_refund(&house, "N-1", "payer").await);
}

#[tokio::test]
async fn back_in_the_mini_program_the_payer_is_the_one_named_last() {
    let house = House::new();
    create(&house, "N-1", Method::Jsapi, Some("buyer")).await.unwrap();
    turn(&house, "N-1", Method::Native, None).await.unwrap();
    let payment = turn(&house, "N-1", Method::Jsapi, None).await.unwrap().payment;
    assert_eq!(payment.attempt.openid.as_deref(), Some("buyer"));
}

#[tokio::test]
async fn the_merchant_names_the_payer_in_place_of_who_came_first() {
    let house = House::new();
    create(&house, "N-1", Method::Jsapi, None).await.unwrap();
    ask(&house, "N-1", Method::Jsapi, "stranger").await.unwrap();
    let payment = turn(&house, "N-1", Method::Jsapi, Some("buyer")).await.unwrap().payment;
    assert_eq!(payment.attempt.openid.as_deref(), Some("buyer"));
    assert_eq!(house.calls("close"), 1);
    assert!(is_not_found(&ask(&house, "N-1", Method::Jsapi, "stranger").await));
    ask(&house, "N-1", Method::Jsapi, "buyer").await.unwrap();
}

/// Whatever was meant, and however the success is heard of.
#[tokio::test]
async fn what_is_paid_is_of_the_one_who_paid_it() {
    for method in [Method::Jsapi, Method::Native, Method::H5] {
        for meant in [None, Some("meant")] {
            if method == Method::Jsapi && meant.is_none() {
                continue;
            }
            let house = House::new();
            create(&house, "N-1", method, meant).await.unwrap();
            assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
            assert_eq!(house.read("N-1").await.attempt.openid.as_deref(), Some("payer"), "{method} {meant:?}");
            let event = house.events().await.pop().unwrap();
            assert!(format!("{:?}", event.event.subject).contains("openid: Some(\"payer\")"), "{event:?}");
            assert!(!reads(&house, "N-1", "meant").await && reads(&house, "N-1", "payer").await);
        }
    }
}

/// What a buyer cannot use up is left to the merchant.
#[tokio::test]
async fn a_buyer_changes_the_way_less_often_than_the_merchant_may() {
    let house = House::new();
    create(&house, "N-1", Method::Jsapi, None).await.unwrap();
    let way = |at: usize| if at.is_multiple_of(2) { Method::Native } else { Method::Jsapi };
    for at in 1..=10 {
        ask(&house, "N-1", way(at), "stranger").await.unwrap();
    }
    let error = ask(&house, "N-1", way(11), "stranger").await.unwrap_err();
    assert!(matches!(&error, EngineError::InvalidState(why) if why.contains("10 ways")), "{error}");
    ask(&house, "N-1", way(10), "stranger").await.unwrap();
    let payment = turn(&house, "N-1", Method::Jsapi, Some("buyer")).await.unwrap().payment;
    assert_eq!((payment.attempts().len(), payment.attempt.openid.as_deref()), (11, Some("buyer")));
    house.wait(Duration::from_secs(1));
    ask(&house, "N-1", Method::Jsapi, "buyer").await.unwrap();
}
