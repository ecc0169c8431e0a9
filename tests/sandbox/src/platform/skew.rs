//! The platform's clock as a caller sees it in the `Date` header.

use std::time::{Duration, SystemTime};

use actix_web::HttpResponse;
use actix_web::http::header::{DATE, HttpDate, TryIntoHeaderValue};

use crate::world::World;

/// Moves the answer's `Date` as far as the policy says; the server itself writes the real one.
pub fn date(world: &World, response: &mut HttpResponse) {
    let skew = world.date_skew_seconds();
    if skew == 0 {
        return;
    }
    let distance = Duration::from_secs(u64::from(skew.unsigned_abs()));
    let now = SystemTime::now();
    let shown = if skew > 0 { now.checked_add(distance) } else { now.checked_sub(distance) };
    if let Some(value) = shown.and_then(|time| HttpDate::from(time).try_into_value().ok()) {
        response.headers_mut().insert(DATE, value);
    }
}
