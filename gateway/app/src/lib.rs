//! The payment gateway that many mini-programs share
