//! What instances of one store tell each other: how far its log has grown, and that the tenants' files are to be read.
//!
//! One channel for each store. Nothing depends on a message: whoever misses one looks by itself within seconds.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::RedisResult;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::time::{interval, sleep, timeout};
use uuid::Uuid;

use super::link::Link;

/// How long making the connection, and each answer on it, may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks whether a silent connection still carries anything.
const CHECK_EVERY: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_AT_MOST: Duration = Duration::from_secs(2);
/// Between two messages about the log: the newest position stands for those before it.
pub(super) const APART: Duration = Duration::from_millis(5);

/// What another instance says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The event log of this incarnation of the store has grown so far.
    Position(Uuid, i64),
    /// Somebody asked for the tenants' files to be read.
    Reload,
}

const POSITION: &str = "position:";
const RELOAD: &str = "reload:";

/// What the script that tells of a position puts before it.
pub(super) fn position_word(incarnation: Uuid) -> String {
    format!("{POSITION}{}:", incarnation.simple())
}

/// A wish to reload, from an instance.
pub(super) fn reload_message(instance: Uuid) -> String {
    format!("{RELOAD}{}", instance.simple())
}

/// What a message says to `instance`; its own and what a newer program may say is nothing.
fn read(message: &str, instance: Uuid) -> Option<News> {
    if let Some(position) = message.strip_prefix(POSITION) {
        let (incarnation, position) = position.split_once(':')?;
        return Some(News::Position(incarnation.parse().ok()?, position.parse().ok()?));
    }
    let from: Uuid = message.strip_prefix(RELOAD)?.parse().ok()?;
    (from != instance).then_some(News::Reload)
}

/// Listens for as long as the task is let live.
pub(super) async fn listen(link: Arc<Link>, instance: Uuid, heard: Box<dyn Fn(News) + Send + Sync>) {
    let (mut pause, mut told) = (RETRY_FIRST, false);
    loop {
        match timeout(PATIENCE, subscribe(&link)).await {
            Ok(Ok((sink, stream))) => {
                if std::mem::take(&mut told) {
                    tracing::info!("other instances are heard again");
                }
                pause = RETRY_FIRST;
                follow(&link, instance, &heard, sink, stream).await;
            }
            Ok(Err(error)) => tell(&mut told, &error.to_string()),
            Err(_) => tell(&mut told, "no answer in time"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_AT_MOST);
    }
}

fn tell(told: &mut bool, why: &str) {
    if !std::mem::replace(told, true) {
        tracing::warn!(why, "other instances are not heard; what they do is looked for every second");
    }
}

async fn subscribe(link: &Link) -> RedisResult<(PubSubSink, PubSubStream)> {
    let (mut sink, stream) = link.address()?.subscriber().await?.get_async_pubsub().await?.split();
    sink.subscribe(&link.channel).await?;
    Ok((sink, stream))
}

/// Passes on what is heard, until the connection ends.
async fn follow(
    link: &Link,
    instance: Uuid,
    heard: &(dyn Fn(News) + Send + Sync),
    mut sink: PubSubSink,
    mut stream: PubSubStream,
) {
    let mut checks = interval(CHECK_EVERY);
    checks.reset();
    loop {
        tokio::select! {
            message = stream.next() => {
                let Some(message) = message else { return };
                let text = message.get_payload::<String>().unwrap_or_default();
                if let Some(news) = read(&text, instance) {
                    if let News::Position(incarnation, position) = news {
                        link.heard(incarnation, position);
                    }
                    heard(news);
                }
            }
            _ = checks.tick() => {
                if !matches!(timeout(PATIENCE, sink.ping::<redis::Value>()).await, Ok(Ok(_))) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let (me, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(read(&format!("{}17", position_word(other)), me), Some(News::Position(other, 17)));
        assert_eq!(read(&reload_message(other), me), Some(News::Reload));
        assert_eq!(read(&reload_message(me), me), None);
        for nonsense in ["", "position:", "position:17", "position:x:17", "reload:", "reload:x", "more:1"] {
            assert_eq!(read(nonsense, me), None, "{nonsense}");
        }
    }
}
