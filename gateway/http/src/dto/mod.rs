//! The JSON that callers send and see, exactly as the contract shows it.

mod access_token;
mod app_token;
mod buyer_request;
mod delivery;
mod event;
mod invoke_request;
mod moment;
mod payment;
mod payment_request;
mod refund;
mod refund_request;
mod session;
mod timeline;

pub use access_token::{AccessTokenBody, CreateAccessTokenBody, read_token_request};
pub use app_token::{AppTokenBody, AppTokenList, TokenFailureBody, TokenHolderBody};
pub use buyer_request::{CreateRefundRequestBody, RefundRequestBody, RefundRequestList, read_refund_request};
pub use delivery::{DeliveryAttempt, DeliveryBody, DeliveryList, WebhookBody};
pub use event::{DuplicateSuccess, EventBody, EventData, EventList, MismatchedField, UnknownOrder, event_json};
pub use invoke_request::{InvokePaymentBody, read_buyers_invoke, read_invoke};
pub use moment::rfc3339;
pub use payment::{AttemptBody, FailureBody, InvokeBody, PaymentBody, PaymentList};
pub use payment_request::{CreatePaymentBody, PayerBody, read_create};
pub use refund::{RefundBody, RefundList};
pub use refund_request::{CreateRefundBody, read_refund};
pub use session::{CreateSessionBody, KeptSession, SessionBody, read_login};
pub use timeline::{
    CallBody, EntryDetails, MessageBody, TimelineBody, TimelineEntry, TracedPayment, WaitingBody, Words, try_failure,
};
