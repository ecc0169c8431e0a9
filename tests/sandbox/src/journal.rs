//! Everything that crossed the wire, both ways: what a checker reads to know what really happened.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::lock;
use crate::wechat_v3::Word;

/// The oldest entries go first.
const MAX_ENTRIES: usize = 100_000;
/// Bytes of all texts kept together.
const MAX_BYTES: usize = 256 * 1024 * 1024;
/// Characters kept of one text.
const MAX_BODY: usize = 8 * 1024;
/// Entries in one answer unless the query says otherwise.
const DEFAULT_LIMIT: usize = 10_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A call to the platform.
    #[default]
    In,
    /// A notification from the platform.
    Out,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Entry {
    pub seq: u64,
    pub at: Millis,
    pub direction: Direction,
    pub operation: &'static str,
    pub method: String,
    /// The path of a call, the URL of a notification; secrets in a query are replaced.
    pub url: String,
    pub mch_id: Option<String>,
    /// The Douyin app, in entries of Douyin's side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    pub out_trade_no: Option<String>,
    pub out_refund_no: Option<String>,
    pub request: String,
    /// Absent when there was no answer.
    pub status: Option<u16>,
    pub response: String,
    /// The platform's key that signed the answer or the notification, where there are several.
    pub serial: Option<String>,
    /// What the answer or the notification is worth, in entries of the v3 API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub v3: Option<Word>,
    /// What the sandbox did out of the ordinary, or why a notification failed.
    pub note: Option<String>,
}

impl Entry {
    fn bytes(&self) -> usize {
        let resource = self.v3.as_ref().and_then(|word| word.resource.as_ref());
        self.request.len() + self.response.len() + resource.map_or(0, String::len)
    }
}

/// Which entries to read.
#[derive(Debug, Default, Deserialize)]
pub struct Filter {
    #[serde(default)]
    pub after: u64,
    pub operation: Option<String>,
    pub direction: Option<Direction>,
    pub out_trade_no: Option<String>,
    pub limit: Option<usize>,
}

#[derive(Default)]
pub struct Journal(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    entries: VecDeque<Entry>,
    bytes: usize,
    last: u64,
}

impl Journal {
    pub fn push(&self, mut entry: Entry) {
        shorten(&mut entry.request);
        shorten(&mut entry.response);
        if let Some(resource) = entry.v3.as_mut().and_then(|word| word.resource.as_mut()) {
            shorten(resource);
        }
        let mut inner = lock(&self.0);
        inner.last += 1;
        entry.seq = inner.last;
        inner.bytes += entry.bytes();
        inner.entries.push_back(entry);
        while inner.entries.len() > MAX_ENTRIES || inner.bytes > MAX_BYTES {
            let Some(oldest) = inner.entries.pop_front() else { break };
            inner.bytes -= oldest.bytes();
        }
    }

    /// Matching entries, oldest first. Numbers go on after [`Journal::clear`].
    pub fn read(&self, filter: &Filter) -> Vec<Entry> {
        let inner = lock(&self.0);
        let first = inner.entries.front().map_or(0, |entry| entry.seq);
        let skip = usize::try_from((filter.after + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        let matching = inner.entries.iter().skip(skip).filter(|entry| {
            filter.operation.as_deref().is_none_or(|wanted| wanted == entry.operation)
                && filter.direction.is_none_or(|wanted| wanted == entry.direction)
                && filter.out_trade_no.as_deref().is_none_or(|wanted| entry.out_trade_no.as_deref() == Some(wanted))
        });
        matching.take(filter.limit.unwrap_or(DEFAULT_LIMIT)).cloned().collect()
    }

    pub fn last(&self) -> u64 {
        lock(&self.0).last
    }

    pub fn clear(&self) {
        let mut inner = lock(&self.0);
        inner.entries.clear();
        inner.bytes = 0;
    }
}

fn shorten(text: &mut String) {
    if text.len() > MAX_BODY {
        let end = (0..=MAX_BODY).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text.shrink_to_fit();
}
