//! `Accept`, as far as one of two forms of an answer is chosen by it.

use std::cmp::Reverse;

use actix_web::http::header::{ACCEPT, HeaderMap};

/// How much somebody wants a form of the answer: by weight (in thousandths), then by how closely it was named,
/// then by the place in the list.
type Wish = (u16, u8, Reverse<usize>);

/// Whether `type/form` is wanted, and more than `type_or/form_or`, which is what those get who say nothing of
/// either.
pub fn prefers(headers: &HeaderMap, wanted: (&str, &str), or: (&str, &str)) -> bool {
    let accept: Vec<&str> = headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok()).collect();
    let accept = accept.join(",");
    let wish = wish(&accept, wanted);
    wish.is_some_and(|(weight, ..)| weight > 0) && wish > self::wish(&accept, or)
}

/// What is said of one form; the range that names it most closely counts. `None`: nothing.
fn wish(accept: &str, (kind, form): (&str, &str)) -> Option<Wish> {
    let ranges = accept.split(',').enumerate().filter_map(|(place, range)| {
        let mut parts = range.split(';').map(str::trim);
        let (range_kind, range_form) = parts.next()?.split_once('/')?;
        let closeness = match (range_kind, range_form) {
            ("*", "*") => 0,
            (named, "*") if named.eq_ignore_ascii_case(kind) => 1,
            (named, as_form) if named.eq_ignore_ascii_case(kind) && as_form.eq_ignore_ascii_case(form) => 2,
            _ => return None,
        };
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()))
        });
        Some((weight.unwrap_or(Some(1000))?, closeness, Reverse(place)))
    });
    ranges.max_by_key(|(_, closeness, place)| (*closeness, *place))
}

/// A weight from `0` to `1` with three decimals at most.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 1 || decimals.len() > 3 || !digits(whole) || !digits(decimals) {
        return None;
    }
    format!("{whole}{decimals:0<3}").parse().ok().filter(|weight| *weight <= 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn the_form_that_is_wanted_more_is_chosen() {
        for (accept, stream) in [
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("application/*", false),
            ("text/html, */*;q=0.8", false),
            ("text/event-stream", true),
            ("Text/Event-Stream", true),
            ("text/*", true),
            ("text/event-stream, */*", true),
            ("*/*, text/event-stream", true),
            ("text/event-stream; charset=utf-8; Q=0.9", true),
            ("text/event-stream;q=0", false),
            ("text/event-stream;q=0, */*", false),
            ("text/event-stream;q=0.000", false),
            ("text/event-stream;q=0.001", true),
            ("text/event-stream, application/json;q=0.5", true),
            ("application/json;q=0.5,text/event-stream", true),
            ("application/json, text/event-stream;q=0.9", false),
            ("text/event-stream;q=0.9, */*", false),
            ("application/json, text/event-stream", false),
            ("text/event-stream, application/json", true),
            ("text/event-stream;q=2", false),
            ("text/event-stream;q=0.1234", false),
            ("text/event-stream;q=, application/json;q=x", false),
        ] {
            let request = TestRequest::get().insert_header((ACCEPT, accept)).to_http_request();
            let wanted = prefers(request.headers(), ("text", "event-stream"), ("application", "json"));
            assert_eq!(wanted, stream, "{accept}");
        }
        let lines = TestRequest::get()
            .append_header((ACCEPT, "application/json;q=0.1"))
            .append_header((ACCEPT, "text/event-stream"));
        assert!(prefers(lines.to_http_request().headers(), ("text", "event-stream"), ("application", "json")));
    }
}
