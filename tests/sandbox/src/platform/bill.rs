//! downloadbill (下载交易账单).

use super::{Outcome, Request};
use crate::world::World;

/// A refusal in the form bills use.
pub fn error(message: &str, code: &'static str) -> Outcome {
    Outcome::ReturnFail { message: message.to_owned(), error_code: Some(code) }
}

pub fn run(_world: &World, _request: &Request) -> Outcome {
    error("No Bill Exist", "20002")
}
