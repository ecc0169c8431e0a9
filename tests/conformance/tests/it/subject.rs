//! One provider under test, and its platform as the suite sees it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use dukou_domain::{Currency, Method, Money, OutRefundNo, Secret, Timestamp, TradeNo};
use dukou_spi::settings::{ProcessEnvironment, Section};
use dukou_spi::{
    AnyTime, Clock, Context, EmptyShelf, Invoke, PayOrder, ProcessState, Provider, Random, RefundOrder, RefundQuery,
    RefundWord,
};
use dukou_transport::ReqwestTransports;
use serde_json::{Map, Value};
use time::UtcOffset;

use crate::receiver::Receiver;

/// How long a call may take before the provider gives it up; the suite waits it out.
pub const TIMEOUT: &str = "4s";

pub struct Subject {
    pub provider: Arc<dyn Provider>,
    /// The same account, at an address where nobody listens.
    pub unreachable: Arc<dyn Provider>,
    pub platform: Box<dyn Platform>,
    pub receiver: Receiver,
}

/// A call that a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Pay,
    Query,
    Refund,
    QueryRefund,
}

/// What goes wrong with the next call of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Done, and the answer is lost.
    LoseAnswer,
    /// The connection is closed before anything was done.
    Drop,
    /// No answer for longer than the provider waits.
    Hang,
    /// The platform says that it has trouble of its own.
    Trouble,
    /// An error code that nobody has heard of.
    NewCode,
    /// A refusal that is not signed.
    UnsignedRefusal,
    BadGateway,
    BadSignature,
    CutOff,
    FieldTwice,
    TooLong,
}

/// Changes of a payment's message, made before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    OneFenMore,
    OtherCurrency,
    OtherApp,
    OtherMerchant,
}

/// Changes of a message after it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tampering {
    Signature,
    Body,
    CutOff,
}

/// What the payer, the platform's staff and the platform's machines do.
#[async_trait]
pub trait Platform: Send + Sync {
    /// An openid of the provider's app, and one of another app.
    async fn payers(&self) -> (String, String);
    /// Pays as the payer's phone does, from the front end's arguments; the error is the phone's.
    async fn pay(&self, invoke: &Invoke) -> Result<(), String>;
    /// Pays a part with a coupon of so many fen.
    async fn pay_with_coupon(&self, order: &PayOrder, coupon: i64);
    /// A try that fails. Says whether the platform tells of it at the notify address.
    async fn fail(&self, order: &PayOrder) -> bool;
    /// Tells of the payment now and says whether the platform took the answer for a yes.
    async fn tell(&self, order: &PayOrder) -> bool;
    async fn tell_contradicting(&self, order: &PayOrder, what: Contradiction) -> bool;
    async fn tell_tampered(&self, order: &PayOrder, how: Tampering) -> bool;
    /// From now on refunds wait for [`Platform::settle`].
    async fn hold_refunds(&self);
    async fn settle(&self, refund: &RefundOrder, end: RefundWord);
    /// Strikes the next call of `operation` alone.
    async fn fault(&self, operation: Operation, fault: Fault);
    /// A login code for a user of the provider's app, and the user.
    async fn code(&self) -> (Secret, String);
    /// A login code that is refused as used or expired, and one whose first try finds the platform busy.
    async fn odd_codes(&self) -> (Secret, Secret);
    /// The zone of the platform's bills.
    fn zone(&self) -> UtcOffset;
    /// Everything in the provider's configuration that must never be seen.
    fn secrets(&self) -> Vec<String>;
    /// How many orders and refunds the platform counts.
    async fn counts(&self) -> (usize, usize);
}

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        rand::fill(buffer);
    }
}

pub fn context() -> Context {
    Context {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        transports: Arc::new(ReqwestTransports::new()),
        shelf: Arc::new(EmptyShelf),
        time: Arc::new(AnyTime),
        shared: Arc::new(ProcessState::default()),
        insecure: true,
    }
}

/// A provider of a configuration without a flaw.
pub fn build(kind: &str, section: &Value) -> Arc<dyn Provider> {
    let table: &Map<String, Value> = section.as_object().unwrap();
    let mut read = Section::new("shop.toml", "providers.subject", table, &ProcessEnvironment);
    let factories = dukou_wechat::factories();
    let factory = factories.iter().find(|factory| factory.kind() == kind).unwrap();
    let provider = factory.build(&mut read, &context());
    let problems = read.finish();
    assert!(problems.is_empty(), "{problems:#?}");
    provider.unwrap()
}

pub fn fen(minor: i64) -> Money {
    Money::new(minor, Currency::Cny).unwrap()
}

fn number(prefix: char) -> String {
    format!("{prefix}{:030x}", rand::random::<u128>() >> 8)
}

impl Subject {
    /// A fresh order of 101 fen that the provider takes.
    pub async fn order(&self, method: Method) -> PayOrder {
        let now = SystemClock.now();
        let payer_required = self.provider.capabilities().payer_required.contains(&method);
        let order = PayOrder {
            trade_no: TradeNo::new(&number('T')).unwrap(),
            transaction_id: None,
            method,
            amount: fen(101),
            description: "腾讯-图书 & <笔>".to_owned(),
            attach: Some("shelf 7".to_owned()),
            openid: if payer_required { Some(self.platform.payers().await.0) } else { None },
            client_ip: IpAddr::from([203, 0, 113, 9]),
            created_at: now,
            expires_at: now.plus(Duration::from_secs(1800)),
            notify_url: self.receiver.url("payment"),
        };
        assert_eq!(self.provider.check(&order), []);
        order
    }

    /// The method that most shops use, where the provider has it.
    pub fn method(&self) -> Method {
        self.provider.capabilities().methods[0]
    }

    /// An order that was made and not paid.
    pub async fn made(&self) -> PayOrder {
        let order = self.order(self.method()).await;
        self.provider.pay(&order).await.unwrap();
        order
    }

    /// An order that was paid.
    pub async fn paid(&self) -> PayOrder {
        let order = self.order(self.method()).await;
        let prepay = self.provider.pay(&order).await.unwrap();
        self.platform.pay(&self.provider.invoke(&order, &prepay).unwrap()).await.unwrap();
        order
    }

    pub fn refund_of(&self, order: &PayOrder, minor: i64) -> RefundOrder {
        RefundOrder {
            trade_no: order.trade_no.clone(),
            transaction_id: None,
            out_refund_no: OutRefundNo::new(&number('R')).unwrap(),
            total: order.amount,
            amount: fen(minor),
            reason: Some("缺货 torn".to_owned()),
            notify_url: self.receiver.url("refund"),
        }
    }
}

pub fn asking(refund: &RefundOrder) -> RefundQuery {
    RefundQuery { trade_no: refund.trade_no.clone(), out_refund_no: refund.out_refund_no.clone(), total: refund.total }
}
