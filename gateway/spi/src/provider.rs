//! The provider trait, its factory, and what is handed in from outside.

use std::sync::Arc;

use async_trait::async_trait;
use dukou_domain::{Method, Secret, Timestamp};
use time::Date;

use crate::settings::Section;
use crate::transport::TransportFactory;
use crate::{
    AccessTokens, Bill, Checkup, FieldProblem, Finding, FundBill, Invoke, Login, Notice, NotifyError, NotifyKind,
    NotifyReply, OrderStatus, PayOrder, PlatformTime, Prepay, ProviderError, RawNotify, RefundOrder, RefundQuery,
    RefundStatus, SharedState, TrustKey, TrustShelf, Verdict, Verified,
};

/// The time of day. Tests hand in one they can move.
pub trait Clock: Send + Sync {
    /// The machine's time, in UTC.
    fn now(&self) -> Timestamp;
}

/// Where nonces come from.
pub trait Random: Send + Sync {
    /// Fills `buffer` with bytes that nobody can predict.
    fn fill(&self, buffer: &mut [u8]);
}

/// The outside world, as a provider gets to see it.
#[derive(Clone)]
pub struct Context {
    /// For what is signed with its time, and for what ends or is due.
    pub clock: Arc<dyn Clock>,
    /// For nonces, and to spread what all instances would do at once.
    pub random: Arc<dyn Random>,
    /// Makes the connections to the platform; a provider opens none by itself.
    pub transports: Arc<dyn TransportFactory>,
    /// Where fetched keys outlast the process and are found by others.
    pub shelf: Arc<dyn TrustShelf>,
    /// To be told the time that a verified message was signed at.
    pub time: Arc<dyn PlatformTime>,
    /// What the providers of all tenants and instances know in common.
    pub shared: Arc<dyn SharedState>,
    /// Plain `http` addresses are allowed (`server.insecure`).
    pub insecure: bool,
}

/// Who this provider is at its platform. The engine records these with every attempt and compares
/// them with what a notify or a query says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderInfo {
    /// The `kind` of the configuration.
    pub kind: &'static str,
    /// The app at the platform (`appid`). Where a partner orders for a merchant's own app, both, as in `merchant_id`.
    pub app_id: String,
    /// Where one merchant calls in another's name (a partner), both, the caller first: `100/200`.
    pub merchant_id: String,
}

impl ProviderInfo {
    /// The merchant that calls: the account in which trade numbers are unique.
    pub fn calling_merchant(&self) -> &str {
        self.merchant_id.split('/').next().unwrap_or_default()
    }
}

/// What a provider can do, as data: the router, the API and the conformance suite choose by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// What orders can be made for; any other method is refused before anything is recorded.
    pub methods: &'static [Method],
    /// Methods whose order needs the payer's openid.
    pub payer_required: &'static [Method],
    /// Whether [`Provider::login`] works, which may take more settings than payments do (`app_secret`).
    pub login: bool,
    /// Whether [`Provider::close`] works. Without it no other attempt can take an order's place.
    pub close: bool,
    /// Whether [`Provider::bill`] works.
    pub bill: bool,
    /// Whether [`Provider::fund_bill`] works.
    pub fund_bill: bool,
    /// The platform tells of a refund's end by itself.
    pub refund_notify: bool,
    /// The longest trade number, in characters.
    pub trade_no_max: usize,
}

/// One merchant account at one platform.
///
/// Nothing here has a default body: a method that guards money is written by every provider.
/// No method decides what becomes of a payment; each reports what the platform said.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Does not change while the provider lives: another account is another provider.
    fn info(&self) -> &ProviderInfo;

    /// May depend on the configuration; does not change while the provider lives.
    fn capabilities(&self) -> Capabilities;

    /// Says which fields of an order the platform could not take, before anything is recorded.
    /// Makes no call. An empty list means the order can be sent.
    fn check(&self, order: &PayOrder) -> Vec<FieldProblem>;

    /// Makes the order at the platform. Sent again with the same content it leads to the same
    /// order and a token that is valid.
    ///
    /// # Errors
    /// `NotSent`: no order was made. `Refused`: none will be; [`crate::Reason::AlreadyPaid`] means
    /// that it exists and is paid. `Unknown`: it may exist, ask by [`Provider::query`].
    async fn pay(&self, order: &PayOrder) -> Result<Prepay, ProviderError>;

    /// Signs the front end's arguments for an order that was made. Makes no call; every answer is
    /// freshly signed.
    ///
    /// # Errors
    /// `Refused` when the token is not one of this provider's.
    fn invoke(&self, order: &PayOrder, prepay: &Prepay) -> Result<Invoke, ProviderError>;

    /// Asks what became of an order. Changes nothing, may be repeated at will. An order the
    /// platform does not know is an answer ([`crate::OrderWord::Missing`]), not an error.
    ///
    /// # Errors
    /// Any kind; none of them says anything about the order.
    async fn query(&self, order: &PayOrder) -> Result<Verified<OrderStatus>, ProviderError>;

    /// Closes an unpaid order, so that it can never be paid. Closing a closed or a missing order
    /// succeeds.
    ///
    /// # Errors
    /// `Refused` with [`crate::Reason::AlreadyPaid`] when it was paid first: query it.
    async fn close(&self, order: &PayOrder) -> Result<(), ProviderError>;

    /// Gives money back, once per `out_refund_no`, however often it is sent with the same content.
    ///
    /// # Errors
    /// `NotSent`, `Refused`: no money moves. `Unknown`: it may, ask by [`Provider::query_refund`].
    async fn refund(&self, refund: &RefundOrder) -> Result<Verified<RefundStatus>, ProviderError>;

    /// Asks what became of a refund. One that the platform does not know is an answer.
    ///
    /// # Errors
    /// Any kind; none of them says anything about the refund.
    async fn query_refund(&self, query: &RefundQuery) -> Result<Verified<RefundStatus>, ProviderError>;

    /// Verifies and decodes a message of the platform, over the bytes as they came. Makes no call
    /// but, where the platform rotates keys, one to fetch them.
    ///
    /// # Errors
    /// [`NotifyError`]: the message counts for nothing.
    async fn notify(&self, raw: &RawNotify) -> Result<Notice, NotifyError>;

    /// Puts a verdict into the platform's own form.
    fn acknowledge(&self, kind: NotifyKind, verdict: Verdict) -> NotifyReply;

    /// What a person may see of a kept message: fields by name, in its order. Never a signature or a
    /// nonce, and of who paid no more than tells two apart. Empty when it cannot be read.
    fn show(&self, body: &[u8]) -> Vec<(String, String)>;

    /// Fetches and reads the bill of one day (the platform's calendar day). A day without trade
    /// is an empty bill.
    ///
    /// # Errors
    /// `NotSent` with [`crate::Reason::Platform`] while the platform is still writing it.
    async fn bill(&self, day: Date) -> Result<Bill, ProviderError>;

    /// As [`Provider::bill`], of the day's bookings on the merchant's account.
    ///
    /// # Errors
    /// As for [`Provider::bill`]; `Refused` where the provider has none.
    async fn fund_bill(&self, day: Date) -> Result<FundBill, ProviderError>;

    /// Exchanges a front end's login code for the user's identity. Not repeatable: a code works
    /// once. The platform's session key does not leave the provider.
    ///
    /// # Errors
    /// `Refused` with [`crate::Reason::InvalidCode`] for a code that is wrong, used or expired; with
    /// [`crate::Reason::UserBlocked`] where another code would not help.
    async fn login(&self, code: &Secret) -> Result<Login, ProviderError>;

    /// The keys and certificates that the account depends on now, its own and the platform's. Makes
    /// no call.
    fn trust(&self) -> Vec<TrustKey>;

    /// The certificate that it presents to the platform, in DER; `None` where it presents none.
    fn certificate(&self) -> Option<&[u8]>;

    /// Fetches trust material that is due, and only then makes a call. Called every few seconds.
    ///
    /// # Errors
    /// What kept it from being fetched, once for each try; what is there stays in use.
    async fn renew_trust(&self) -> Result<(), ProviderError>;

    /// The token that the app's calls to its platform carry; `None` where the platform has none, or the
    /// configuration does not say enough to have one.
    fn access_tokens(&self) -> Option<&dyn AccessTokens>;

    /// Looks at the account's own set-up, for a person who wonders why it does not work.
    async fn diagnose(&self, checkup: &Checkup) -> Vec<Finding>;
}

/// Makes providers of one kind out of their configuration.
pub trait ProviderFactory: Send + Sync {
    /// The `kind` in `[providers.NAME]`.
    fn kind(&self) -> &'static str;

    /// Reads and checks the whole section, noting every problem in it, and makes the provider.
    /// `None` when a problem was noted that leaves none to make. Makes no call.
    fn build(&self, section: &mut Section<'_>, context: &Context) -> Option<Arc<dyn Provider>>;
}
