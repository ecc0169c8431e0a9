use proptest::prelude::*;

use super::*;
use crate::token::record::{Held, Lease};

const START: i64 = 1_783_139_445;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis((START + seconds) * 1000)
}

/// Fetched at 0, asked for again after 6600, over after 7200.
fn held() -> Record {
    Record {
        token: Some(Held {
            sealed: "sealed".to_owned(),
            fetched_at: at(0).into(),
            refresh_at: at(6600).into(),
            expires_at: at(7200).into(),
            by: "one".to_owned(),
        }),
        version: 1,
        asked_at: Some(at(0).into()),
        ..Record::default()
    }
}

fn lease(since: i64, until: i64) -> Option<Lease> {
    Some(Lease { by: "other".to_owned(), since: at(since).into(), until: at(until).into() })
}

fn failed(since: i64, until: i64) -> Option<Failure> {
    let error = ProviderError::new(ErrorKind::NotSent, Reason::Platform, "busy").with_code("-1");
    Some(Failure { next_try_at: at(until).into(), ..failure(&error, None, at(since), 0) })
}

fn word(next: Next) -> &'static str {
    match next {
        Next::Use => "use",
        Next::Wait => "wait",
        Next::Ask => "ask",
        Next::Refuse(_) => "refuse",
    }
}

#[test]
fn what_to_do_about_a_token() {
    let none = Record::default;
    for (name, record, now, expected) in [
        ("nothing yet", none(), 0, "ask"),
        ("young", held(), 6599, "use"),
        ("near its end", held(), 6600, "ask"),
        ("over", held(), 7200, "ask"),
        ("near its end, and asked just now", Record { asked_at: Some(at(6590).into()), ..held() }, 6610, "use"),
        ("near its end, and asked a while ago", Record { asked_at: Some(at(6580).into()), ..held() }, 6610, "ask"),
        ("near its end, somebody asks", Record { lease: lease(6600, 6612), ..held() }, 6605, "use"),
        ("over, somebody asks", Record { lease: lease(7200, 7212), ..held() }, 7205, "wait"),
        ("nothing yet, somebody asks", Record { lease: lease(0, 12), ..none() }, 11, "wait"),
        (
            "somebody asked and vanished",
            Record { lease: lease(0, 12), asked_at: Some(at(0).into()), ..none() },
            12,
            "ask",
        ),
        ("near its end, and failed", Record { failure: failed(6600, 6700), ..held() }, 6699, "use"),
        ("over, and failed", Record { failure: failed(7100, 7300), ..held() }, 7299, "refuse"),
        ("over, and failed long ago", Record { failure: failed(7100, 7300), ..held() }, 7300, "ask"),
        // The clock was set back by an hour after the token was fetched: its end is not known.
        ("the clock was set back", held(), -3600, "ask"),
        ("clocks differ a little", held(), -59, "use"),
        ("a lease from the future", Record { lease: lease(3600, 3612), ..none() }, 0, "ask"),
        ("a failure from the future", Record { failure: failed(3600, 3700), ..none() }, 0, "ask"),
        ("the clock was set forward by a day", held(), 86_400, "ask"),
    ] {
        assert_eq!(word(next(&record, at(now))), expected, "{name}");
    }
}

#[test]
fn a_token_that_was_not_accepted_is_looked_into_once_a_minute() {
    let repaired = |since: i64| Record { repaired_at: Some(at(since).into()), ..held() };
    for (record, now, expected) in [
        (held(), 100, Repair::Look),
        (repaired(100), 100, Repair::TooEarly(Duration::from_secs(60))),
        (repaired(100), 159, Repair::TooEarly(Duration::from_secs(1))),
        (repaired(100), 160, Repair::Look),
        (repaired(3600), 0, Repair::Look),
        (Record { lease: lease(95, 107), ..held() }, 100, Repair::Wait),
    ] {
        assert_eq!(repair(&record, at(now)), expected);
    }
    assert!(matches!(repair(&Record { failure: failed(90, 120), ..held() }, at(100)), Repair::Refuse(_)));
}

#[test]
fn force_has_a_measure_by_the_day_and_a_distance() {
    let mut forced = Forced::default();
    let mut uses = 0;
    // Every 10 s for an hour.
    for second in (0..3600).step_by(10) {
        if let Some(used) = force(forced, at(second)) {
            assert!(forced.at.is_none_or(|before| at(second).since(before.into()) >= Duration::from_secs(30)));
            (forced, uses) = (used, uses + 1);
        }
    }
    assert_eq!(uses, 20);
    // 12:30:45 in Beijing: its day ends after 41,355 s.
    assert_eq!(force(forced, at(41_354)), None);
    assert_eq!(force(forced, at(41_355)).map(|forced| forced.count), Some(1));
}

#[test]
fn failures_wait_as_their_code_asks() {
    let after = |code: Option<&str>, reason, before: Option<&Failure>| {
        let error = ProviderError::new(ErrorKind::Unknown, reason, "no");
        let error = match code {
            Some(code) => error.with_code(code),
            None => error,
        };
        failure(&error, before, at(0), 0)
    };
    let wait = |failure: &Failure| Timestamp::from(failure.next_try_at).since(at(0)).as_secs();
    for (code, expected, needs_person) in [
        (None, 30, false),
        (Some("-1"), 30, false),
        (Some("45011"), 60, false),
        (Some("45009"), 41_355, false),
        (Some("89507"), 3600, true),
        (Some("89506"), 86_400, true),
        (Some("40164"), 60, true),
        (Some("40125"), 60, true),
        (Some("12345"), 30, false),
    ] {
        let reason = code.and_then(|code| code.parse().ok()).map_or(Reason::Transport, |code| code::meaning(code).1);
        let failure = after(code, reason, None);
        assert_eq!((wait(&failure), failure.needs_person), (expected, needs_person), "{code:?}");
    }
    for (code, longest) in [(Some("-1"), 600), (Some("40164"), 300)] {
        let reason = if code == Some("-1") { Reason::Platform } else { Reason::Configuration };
        let mut last = after(code, reason, None);
        for _ in 0..40 {
            last = after(code, reason, Some(&last));
        }
        assert_eq!((wait(&last), last.count), (longest, 41));
    }
}

proptest! {
    /// Early, but never so that it is asked in a loop, and never only after its end.
    #[test]
    fn a_token_is_asked_for_before_its_end(lasts in 1_u64..=7200, random: u64) {
        let refresh = refresh_at(at(0), Duration::from_secs(lasts), random).since(at(0));
        let left = Duration::from_secs(lasts) - refresh;
        prop_assert!(left > Duration::ZERO);
        if lasts > 690 {
            prop_assert!((600..660).contains(&left.as_secs()));
        } else if (331..=630).contains(&lasts) {
            // WeChat gives another one by then.
            prop_assert!(left < Duration::from_secs(300) && refresh >= SPACING);
        }
    }
}
