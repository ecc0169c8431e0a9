//! Requests as they cross the wire, made before the clock starts.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests that connections take one after another.
pub struct Requests {
    all: Vec<Vec<u8>>,
    next: AtomicUsize,
    again: bool,
}

impl Requests {
    /// Each is sent once.
    pub fn once(all: Vec<Vec<u8>>) -> Self {
        Requests { all, next: AtomicUsize::new(0), again: false }
    }

    /// From the beginning again after the last.
    pub fn over_and_over(all: Vec<Vec<u8>>) -> Self {
        Requests { all, next: AtomicUsize::new(0), again: true }
    }

    /// The next one and its place, `None` after the last.
    pub(super) fn take(&self) -> Option<(usize, &[u8])> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let at = if self.again && !self.all.is_empty() { place % self.all.len() } else { place };
        self.all.get(at).map(|request| (place, request.as_slice()))
    }

    /// How many were taken.
    pub fn taken(&self) -> usize {
        let next = self.next.load(Ordering::Relaxed);
        if self.again { next } else { next.min(self.all.len()) }
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }
}

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// `headers` as lines, each with its end.
pub fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_ends_and_again_begins_anew() {
        let all = || vec![b"a".to_vec(), b"b".to_vec()];
        let once = Requests::once(all());
        let taken: Vec<_> = std::iter::from_fn(|| once.take()).collect();
        assert_eq!(taken, [(0, &b"a"[..]), (1, &b"b"[..])]);
        assert_eq!(once.taken(), 2);
        let again = Requests::over_and_over(all());
        let taken: Vec<_> = std::iter::from_fn(|| again.take()).take(3).collect();
        assert_eq!(taken, [(0, &b"a"[..]), (1, &b"b"[..]), (2, &b"a"[..])]);
        assert_eq!(again.taken(), 3);
    }

    #[test]
    fn a_post_names_its_length() {
        let request = String::from_utf8(post("/a", "x: y\r\n", "{}")).unwrap();
        assert_eq!(request, "POST /a HTTP/1.1\r\nhost: 127.0.0.1\r\nx: y\r\ncontent-length: 2\r\n\r\n{}");
    }
}
