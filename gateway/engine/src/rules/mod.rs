//! The decisions, as pure functions from a record and a fact to the change that follows.

mod payment;
mod refund;

pub(crate) use payment::{
    Heard, close_again, end_questions, event, move_payment, not_paid, number_taken, paid, schedule_end,
    schedule_in_flight, schedule_payment,
};
pub(crate) use refund::{
    Named, RefundWords, ask_refund_later, duplicate_refund, heard_refund, is_closed_for_good, left_to_refund,
    new_refund, refund_event, refused, reopen, schedule_refund, send_now, take_to_send, wait_as_asked,
    wait_for_operator, waits_for_operator, way_out,
};
