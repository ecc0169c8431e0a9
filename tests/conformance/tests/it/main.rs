//! What every provider must do, whatever its platform. The cases know [`dukou_spi::Provider`] and
//! [`subject::Platform`], and skip what a provider does not claim to be able to do.

#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a test that fails")]

mod cases;
mod control;
mod receiver;
mod subject;
mod wechat_v2;
mod wechat_v3;

/// Runs every case over one provider, each with a platform of its own.
macro_rules! conforms {
    ($($name:ident = $subject:expr;)*) => { $(
        mod $name {
            use crate::cases;
            conforms!(@cases $subject;
                bill: a_days_movements_are_in_its_bill, a_day_without_trade_is_an_empty_bill,
                    a_days_bookings_are_in_its_fund_bill;
                fault: a_lost_answer_is_unknown_and_a_query_tells, a_call_cut_off_early_left_nothing_behind,
                    an_answer_that_cannot_be_relied_on_is_unknown, silence_is_a_timeout, nobody_there_is_not_sent;
                login: a_code_names_its_user_once, a_refused_code_says_why;
                notify: a_payment_is_told_and_acknowledged, a_coupon_leaves_the_orders_total,
                    what_contradicts_the_order_is_reported, what_was_tampered_with_is_refused,
                    a_failed_try_is_not_a_payment, a_refunds_end_is_told;
                pay: every_method_is_paid_with_what_was_signed, an_order_sent_again_is_the_same_order,
                    changed_content_is_another_order, arguments_that_were_changed_are_refused,
                    a_foreign_payer_is_named, concurrent_orders_do_not_mix;
                refund: a_refund_happens_once_per_number, every_end_of_a_refund_is_told,
                    more_than_was_paid_is_refused, an_unknown_refund_is_missing;
                secret: no_secret_is_logged;
                state: every_state_of_an_order_is_told, closing_ends_an_order_once_and_for_all,
                    a_paid_order_is_neither_closed_nor_made_again, a_paid_order_is_found_by_either_number;
                upkeep: the_keys_in_use_are_known, a_right_set_up_is_found_right_and_nothing_is_left_behind,
                    a_host_that_cannot_be_reached_is_named;
            );
        }
    )* };
    (@cases $subject:expr; $($area:ident: $($case:ident),* $(,)?;)*) => { $( mod $area {
        $(
            #[tokio::test]
            async fn $case() {
                super::cases::$area::$case($subject).await;
            }
        )*
    } )* };
}

conforms! {
    wechat_v2_md5 = crate::wechat_v2::subject("MD5", crate::wechat_v2::Certificate::Pem);
    wechat_v2_hmac = crate::wechat_v2::subject("HMAC-SHA256", crate::wechat_v2::Certificate::Pkcs12);
    wechat_v3_public_key = crate::wechat_v3::subject(crate::wechat_v3::Mode::PublicKey);
    wechat_v3_certificates = crate::wechat_v3::subject(crate::wechat_v3::Mode::Certificates);
    wechat_v3_switching = crate::wechat_v3::subject(crate::wechat_v3::Mode::Switching);
    wechat_v3_partner = crate::wechat_v3::subject(crate::wechat_v3::Mode::Partner);
}
