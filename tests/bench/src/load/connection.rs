//! As much of HTTP/1.1 as it takes to be asked the same thing many times.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server that does not answer within this is broken, not slow.
const PATIENCE: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: usize = 1024 * 1024;

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A whole answer.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.body[..self.body.len().min(300)];
        write!(f, "status {}, {}", self.status, String::from_utf8_lossy(shown))
    }
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, received: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When the connection breaks or what comes is no answer with a length.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.received.clear();
        self.stream.write_all(request).await?;
        match tokio::time::timeout(PATIENCE, read(&mut self.stream, &mut self.received)).await {
            Ok(head) => {
                let head = head?;
                Ok(Answer { status: head.status, body: &self.received[head.length..head.length + head.body] })
            }
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {PATIENCE:?}"))),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// In bytes, with the empty line.
    length: usize,
    /// The body's length in bytes.
    body: usize,
}

async fn read(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<Head> {
    let mut head = None;
    loop {
        if stream.read_buf(received).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed before the answer's end",
            ));
        }
        if head.is_none() {
            head = parse(received)?;
        }
        match &head {
            Some(found) if received.len() >= found.length + found.body => break,
            _ if received.len() > ANSWER_LIMIT => return Err(invalid("the answer is too long")),
            _ => {}
        }
    }
    head.ok_or_else(|| invalid("the answer has no head"))
}

/// The answer's head, once all of it is there.
fn parse(received: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&received[..end]).map_err(|_| invalid("the answer's head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status: u16 = status.ok_or_else(|| invalid("the answer has no status"))?;
    let mut body = if status == 204 { Some(0) } else { None };
    for line in lines {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body = value.trim().parse().ok();
        }
    }
    let body =
        body.filter(|body| *body <= ANSWER_LIMIT).ok_or_else(|| invalid("the answer has no usable content-length"))?;
    Ok(Some(Head { status, length: end + 4, body }))
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_when_they_are_whole() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        assert_eq!(parse(whole).unwrap(), Some(Head { status: 201, length: whole.len() - 2, body: 2 }));
        assert_eq!(parse(&whole[..40]).unwrap(), None);
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Some(Head { status: 204, length: 27, body: 0 }));
        for broken in ["HTTP/2 200\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
        {
            assert!(parse(broken.as_bytes()).is_err(), "{broken:?}");
        }
    }
}
