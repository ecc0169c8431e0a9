use async_trait::async_trait;
use dukou_spi::transport::HttpMethod;

use super::*;
use crate::v3::testing::{World, section};

const BUDGET: Duration = Duration::from_secs(10);

type Answer = Result<HttpAnswer, TransportError>;

/// Answers a host after a while, as it is told to: the first host, then the backup host.
struct Hosts([(Duration, fn() -> Answer); 2]);

#[async_trait]
impl Transport for Hosts {
    async fn send(&self, request: HttpRequest) -> Answer {
        let (after, answer) = self.0[usize::from(request.url.starts_with("https://api2."))];
        tokio::time::sleep(after).await;
        answer()
    }
}

fn answer() -> Answer {
    Ok(HttpAnswer { status: 200, headers: Vec::new(), body: Default::default() })
}

fn unavailable() -> Answer {
    Ok(HttpAnswer { status: 503, headers: Vec::new(), body: Default::default() })
}

fn unreachable() -> Answer {
    Err(TransportError::NotSent { host: "h".into(), reason: "no connection".into() })
}

fn silent() -> Answer {
    Err(TransportError::Timeout { host: "h".into() })
}

/// A platform that does not answer is given up after the time-out, however many hosts it has.
#[tokio::test(start_paused = true)]
async fn both_hosts_together_have_the_time_out() {
    use ErrorKind::{NotSent, Unknown};
    let s = Duration::from_secs;
    let account = World::default().settings(&section(serde_json::json!({ "timeout": "10s" }))).account;
    // The connection's own limit is half of the time-out, the answer's is all of it.
    let cases = [
        ([(s(10), silent as fn() -> _), (s(10), silent)], Err(Unknown), 10),
        ([(s(10), silent), (s(3), answer)], Ok((200, true)), 9),
        ([(s(5), unreachable), (s(4), answer)], Ok((200, false)), 9),
        ([(s(5), unreachable), (s(10), silent)], Err(Unknown), 10),
        ([(s(5), unavailable), (s(10), silent)], Err(Unknown), 10),
        ([(s(5), unavailable), (s(1), answer)], Ok((200, true)), 6),
        ([(s(5), unreachable), (s(5), unreachable)], Err(NotSent), 10),
        // What the backup host did not get, the first one may have done.
        ([(s(10), silent), (s(1), unreachable)], Err(Unknown), 7),
        ([(s(5), unavailable), (s(1), unreachable)], Ok((503, false)), 6),
        ([(s(3), answer), (s(0), unavailable)], Ok((200, false)), 3),
    ];
    for (at, (hosts, expected, took)) in cases.into_iter().enumerate() {
        let request = |base: &str| {
            let url = format!("{base}/x");
            Ok(HttpRequest { method: HttpMethod::Get, url, headers: Vec::new(), body: Default::default() })
        };
        let started = Instant::now();
        let sent = super::send(account.route(), &Hosts(hosts), |answer| answer.status < 500, request).await;
        let elapsed = started.elapsed();
        assert_eq!(
            sent.map(|answer| (answer.http.status, answer.maybe_done)).map_err(|error| error.kind),
            expected,
            "case {at}"
        );
        assert_eq!(elapsed.as_secs(), took, "case {at}");
        assert!(elapsed <= BUDGET + GRACE, "case {at}: {elapsed:?}");
    }
}

/// Else it would end a refund as refused that the first host is making.
#[test]
fn an_unknown_code_is_no_refusal_of_what_an_earlier_host_may_have_done() {
    let unlisted = || ProviderError::new(ErrorKind::Unknown, Reason::Unlisted, "no").with_code("NEW_CODE");
    for effect in [Effect::None, Effect::Order, Effect::Refund] {
        for (maybe_done, reason) in [(true, Reason::Other), (false, Reason::Unlisted)] {
            let error = honest(maybe_done, effect, unlisted());
            assert_eq!((error.kind, error.reason), (ErrorKind::Unknown, reason), "{effect:?} {maybe_done}");
        }
    }
}
