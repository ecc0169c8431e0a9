//! One POST to a receiver, and what comes back.

use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde::Serialize;
use tokio::runtime::Handle;

/// Bytes read of a receiver's answer.
const MAX_ANSWER: usize = 64 * 1024;

/// What came back from one POST.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Absent when no answer came.
    pub status: Option<u16>,
    pub body: String,
    /// Whether the answer ends the repetitions.
    pub success: bool,
    pub millis: u64,
    pub error: Option<String>,
}

/// Sends the request; `is_success` judges the answer by its status and body.
pub async fn post(
    request: RequestBuilder,
    time_limit: Duration,
    is_success: impl FnOnce(u16, &[u8]) -> bool,
) -> Delivery {
    let started = Instant::now();
    let answer = tokio::time::timeout(time_limit, exchange(request)).await;
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let failed =
        |error: String| Delivery { status: None, body: String::new(), success: false, millis, error: Some(error) };
    match answer {
        Ok(Ok((status, body))) => Delivery {
            status: Some(status),
            success: is_success(status, &body),
            body: String::from_utf8_lossy(&body).into_owned(),
            millis,
            error: None,
        },
        Ok(Err(error)) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            failed(format!("{error}{}", source.unwrap_or_default()))
        }
        Err(_) => failed(format!("no answer within {time_limit:?}")),
    }
}

async fn exchange(request: RequestBuilder) -> reqwest::Result<(u16, Vec<u8>)> {
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = MAX_ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_ANSWER {
            break;
        }
    }
    Ok((status, body))
}

/// Posts each parcel once on the sender's own runtime, where the client's connections live; all at once if asked.
pub async fn post_each<P, F>(
    runtime: &Handle,
    parcels: Vec<P>,
    concurrent: bool,
    post: impl Fn(P) -> F,
) -> Vec<Delivery>
where
    F: Future<Output = Delivery> + Send + 'static,
{
    let mut running = Vec::new();
    let mut done = Vec::new();
    for parcel in parcels {
        let task = runtime.spawn(post(parcel));
        if concurrent {
            running.push(task);
        } else {
            done.extend(task.await);
        }
    }
    for task in running {
        done.extend(task.await);
    }
    done
}

/// Of several copies' deliveries the one that counts.
pub fn best(mut deliveries: Vec<Delivery>) -> Option<Delivery> {
    let best = deliveries.iter().position(|delivery| delivery.success).unwrap_or(0);
    (best < deliveries.len()).then(|| deliveries.swap_remove(best))
}
