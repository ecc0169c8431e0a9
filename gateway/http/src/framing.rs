//! Where the heads of a connection's requests begin and end, so that no line of one ends with a line feed alone.
//!
//! The HTTP library takes such a line feed as the end of a line, where somebody in front of the gateway may take it as a
//! part of the line: the two would not see the same headers. It is handed on as a byte that no head may have, so that the
//! library refuses the request as it does others that it cannot frame. Bodies are passed over unread; of whatever is not
//! to be framed the library says so, and what follows it counts for nothing.

use memchr::memchr;

/// Handed on in place of a line feed without its carriage return.
const REFUSED: u8 = 0;
/// What ends a chunk, behind its data.
const CHUNK_END: u64 = 2;

/// How far a connection has been read.
#[derive(Default)]
pub struct Framing {
    place: Place,
    /// The beginning of a head's line whose end has not come.
    line: Vec<u8>,
    head: Head,
}

#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Head,
    /// So many bytes of a body are left.
    Body(u64),
    ChunkSize {
        size: u64,
        read: bool,
    },
    /// So many bytes of a chunk and its end are left.
    Chunk(u64),
    /// A line behind the last chunk; what came of it.
    Trailer {
        empty: bool,
        carriage_return: bool,
    },
    /// A body that ends with the connection, or a request that is refused.
    Rest,
}

/// What a head has said so far.
#[derive(Default)]
struct Head {
    begun: bool,
    length: u64,
    is_chunked: bool,
    has_no_end: bool,
}

impl Framing {
    /// Whether a head has begun and has not ended.
    pub fn is_within_head(&self) -> bool {
        matches!(self.place, Place::Head) && (self.head.begun || !self.line.is_empty())
    }

    /// Passes over what is handed on, until `heads` heads have ended; how many bytes that are.
    pub fn pass(&mut self, bytes: &mut [u8], heads: &mut usize) -> usize {
        let mut passed = 0;
        while passed < bytes.len() && *heads > 0 {
            let rest = &mut bytes[passed..];
            passed += match self.place {
                Place::Head => self.head_line(rest, heads),
                Place::Body(left) => {
                    let (taken, left) = skip(rest, left);
                    self.place = if left > 0 { Place::Body(left) } else { Place::Head };
                    taken
                }
                Place::Chunk(left) => {
                    let (taken, left) = skip(rest, left);
                    self.place = if left > 0 { Place::Chunk(left) } else { CHUNK_SIZE };
                    taken
                }
                Place::ChunkSize { size, read } => self.chunk_size(rest, size, read),
                Place::Trailer { empty, carriage_return } => self.trailer(rest, empty, carriage_return),
                Place::Rest => rest.len(),
            };
        }
        passed
    }

    fn head_line(&mut self, bytes: &mut [u8], heads: &mut usize) -> usize {
        let Some(end) = memchr(b'\n', bytes) else {
            // The library ends a connection whose head is longer than it takes.
            self.line.extend_from_slice(bytes);
            return bytes.len();
        };
        let mut begun = std::mem::take(&mut self.line);
        let line = if begun.is_empty() {
            &bytes[..end]
        } else {
            begun.extend_from_slice(&bytes[..end]);
            &begun
        };
        match line.strip_suffix(b"\r") {
            // Lines before a request may be empty.
            Some([]) if !self.head.begun => {}
            Some([]) => {
                *heads -= 1;
                self.place = std::mem::take(&mut self.head).followed_by();
            }
            Some(line) => self.head.note(line),
            None => {
                bytes[end] = REFUSED;
                self.place = Place::Rest;
            }
        }
        end + 1
    }

    fn chunk_size(&mut self, bytes: &[u8], mut size: u64, mut read: bool) -> usize {
        let end = memchr(b'\n', bytes);
        for byte in &bytes[..end.unwrap_or(bytes.len())] {
            match char::from(*byte).to_digit(16) {
                Some(digit) if !read => size = size.saturating_mul(16).saturating_add(u64::from(digit)),
                _ => {
                    read = true;
                    break;
                }
            }
        }
        self.place = match (end, size) {
            (None, _) => Place::ChunkSize { size, read },
            (Some(_), 0) => TRAILER,
            (Some(_), size) => Place::Chunk(size.saturating_add(CHUNK_END)),
        };
        end.map_or(bytes.len(), |end| end + 1)
    }

    /// For the library a line feed alone is a part of such a line, which nobody reads.
    fn trailer(&mut self, bytes: &[u8], empty: bool, carriage_return: bool) -> usize {
        let end = memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let carriage_return = part.last().map_or(carriage_return, |last| *last == b'\r');
        let empty = empty && matches!(part, [] | [b'\r']);
        self.place = match end {
            None => Place::Trailer { empty, carriage_return },
            Some(_) if !carriage_return => Place::Trailer { empty: false, carriage_return },
            Some(_) if empty => Place::Head,
            Some(_) => TRAILER,
        };
        end.map_or(bytes.len(), |end| end + 1)
    }
}

const CHUNK_SIZE: Place = Place::ChunkSize { size: 0, read: false };
const TRAILER: Place = Place::Trailer { empty: true, carriage_return: false };

/// How many of the bytes belong to the next `left`, and how many of these are left then.
fn skip(bytes: &[u8], left: u64) -> (usize, u64) {
    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (taken, left - taken as u64)
}

impl Head {
    /// What the library refuses, two lengths for one, need not be understood here.
    fn note(&mut self, line: &[u8]) {
        if !std::mem::replace(&mut self.begun, true) {
            self.has_no_end = line.starts_with(b"CONNECT ");
            return;
        }
        let Some(colon) = memchr(b':', line) else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            self.length = length.unwrap_or_default();
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") && value.eq_ignore_ascii_case(b"websocket") {
            self.has_no_end = true;
        }
    }

    fn followed_by(self) -> Place {
        match self {
            Head { is_chunked: true, .. } => CHUNK_SIZE,
            Head { has_no_end: true, .. } => Place::Rest,
            Head { length: 0, .. } => Place::Head,
            Head { length, .. } => Place::Body(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Passes `sent` in the parts that `cuts` make of it; what is handed on, and how many heads ended.
    fn pass(sent: &[u8], cuts: &[usize]) -> (Vec<u8>, usize) {
        let (mut framing, mut heads, mut handed_on) = (Framing::default(), usize::MAX, Vec::new());
        let mut from = 0;
        for end in cuts.iter().copied().chain([sent.len()]) {
            let end = end.clamp(from, sent.len());
            let mut part = sent[from..end].to_vec();
            assert_eq!(framing.pass(&mut part, &mut heads), part.len());
            handed_on.extend(part);
            from = end;
        }
        (handed_on, usize::MAX - heads)
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

    /// Sound requests one behind another, bodies with line feeds among them.
    const SOUND: &[(&str, usize)] = &[
        (GET, 1),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", 1),
        ("POST / HTTP/1.1\r\nHost: t\r\ncontent-LENGTH:  5 \r\n\r\n\nGET\n", 1),
        ("POST / HTTP/1.1\r\nContent-Length: 0\r\nHost: t\r\n\r\n", 1),
        ("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 00000000000000000000000000000000000000000002\r\n\r\n\n\n", 1),
        (
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2;a=\"b c\"\r\n\n\n\r\n00a \r\n0\r\n\r\n\n\nab\n\r\n0\r\n\r\n",
            1,
        ),
        (
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n000\r\nX: a\nb\r\n\n\r\nY: c\r\n\r\n",
            1,
        ),
    ];

    #[test]
    fn a_line_feed_alone_is_refused_in_a_head_and_nowhere_else() {
        for at in 0..GET.len() {
            let Some(bare) = GET[at..].strip_prefix("\r\n").map(|rest| format!("{}\n{rest}", &GET[..at])) else {
                continue;
            };
            for (before, heads) in SOUND.iter().chain([&("", 0)]) {
                let sent = format!("{before}{bare}");
                let refused = before.len() + at;
                let mut expected = sent.clone().into_bytes();
                expected[refused] = REFUSED;
                for cut in 0..=sent.len() {
                    let (handed_on, ended) = pass(sent.as_bytes(), &[cut]);
                    assert_eq!(handed_on, expected, "{sent:?} cut at {cut}");
                    assert_eq!(ended, *heads, "{sent:?} cut at {cut}");
                }
            }
        }
        for (sent, refused) in [("\nGET", 0), ("\r\n\nGET", 2), ("GET / HTTP/1.1\r\nA: b\n c\r\n\r\n", 20)] {
            assert_eq!(pass(sent.as_bytes(), &[]).0[refused], REFUSED, "{sent:?}");
        }
    }

    #[test]
    fn a_body_that_ends_with_the_connection_is_not_looked_at() {
        for sent in [
            "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: WebSocket\r\nContent-Length: 1\r\n\r\n\nGET\n",
            "CONNECT t:1 HTTP/1.1\r\nHost: t\r\n\r\na\nb\n",
        ] {
            assert_eq!(pass(sent.as_bytes(), &[]), (sent.into(), 1));
        }
        // Neither of these is one.
        for sent in ["GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\na\nb\n", "CONNECTED t:1 HTTP/1.1\r\n\r\na\nb\n"] {
            assert!(pass(sent.as_bytes(), &[]).0.contains(&REFUSED), "{sent:?}");
        }
    }

    #[test]
    fn it_stops_where_so_many_heads_have_ended() {
        let mut sent = GET.repeat(3).into_bytes();
        let (mut framing, mut heads) = (Framing::default(), 2);
        assert_eq!(framing.pass(&mut sent, &mut heads), 2 * GET.len());
        assert_eq!((heads, framing.is_within_head()), (0, false));
        let mut begun = b"G".to_vec();
        assert_eq!(framing.pass(&mut begun, &mut heads), 0);
        assert_eq!(framing.pass(&mut begun, &mut 1), 1);
        assert!(framing.is_within_head());
    }

    proptest! {
        #[test]
        fn however_they_are_cut_sound_requests_pass_as_they_are(
            picked in proptest::collection::vec(0..SOUND.len(), 1..6),
            mut cuts in proptest::collection::vec(0_usize..600, 0..8),
        ) {
            let sent: String = picked.iter().map(|at| SOUND[*at].0).collect();
            let heads: usize = picked.iter().map(|at| SOUND[*at].1).sum();
            cuts.sort_unstable();
            prop_assert_eq!(pass(sent.as_bytes(), &cuts), (sent.into_bytes(), heads));
        }

        #[test]
        fn any_bytes_pass_without_a_panic(sent in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
            let (handed_on, _) = pass(&sent, &[cut]);
            prop_assert_eq!(handed_on.len(), sent.len());
        }
    }
}
