//! Asking the media's servers what they hold, before Douyin does.

use dukou_spi::transport::{HttpMethod, HttpRequest, Transport};
use futures_util::future::join_all;

use crate::convert::{Probed, Probes};

/// Asks all of them at once. What does not answer, or not with a success, is unknown and accepted:
/// Douyin will look for itself.
pub async fn probe(transport: &dyn Transport, urls: Vec<String>) -> Probes {
    let asked = urls.into_iter().map(|url| async move {
        let request =
            HttpRequest { method: HttpMethod::Head, url: url.clone(), headers: Vec::new(), body: Default::default() };
        let answer = transport.send(request).await.ok().filter(|answer| answer.status == 200)?;
        let probed = Probed {
            content_type: answer.header("content-type").map(str::to_owned),
            length: answer.header("content-length").and_then(|length| length.parse().ok()),
        };
        Some((url, probed))
    });
    join_all(asked).await.into_iter().flatten().collect()
}
