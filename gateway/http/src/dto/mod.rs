//! The JSON that callers send and see, exactly as the contract shows it.

mod buyer_request;
mod delivery;
mod event;
mod moment;
mod payment;
mod payment_request;
mod refund;
mod refund_request;

pub use buyer_request::{RefundRequestBody, RefundRequestList};
pub use delivery::{DeliveryAttempt, DeliveryBody, DeliveryList, WebhookBody};
pub use event::{DuplicateSuccess, EventBody, EventData, EventList, MismatchedField, UnknownOrder};
pub use moment::rfc3339;
pub use payment::{AttemptBody, FailureBody, InvokeBody, PaymentBody, PaymentList};
pub use payment_request::{CreatePaymentBody, PayerBody, PaymentRequest};
pub use refund::{RefundBody, RefundList};
pub use refund_request::{CreateRefundBody, read_refund};
