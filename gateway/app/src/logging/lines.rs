//! Log lines on their way out, gathered for a moment so that a busy gateway writes many at once: a
//! system call for each line of each request costs more than the line.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long an informing line may wait for others. A warning or an error waits for none; nor do the
/// details that somebody asked for who looks for a fault, and wants the last line before it.
const DELAY: Duration = Duration::from_millis(20);
/// Bytes that are written without waiting any longer.
const MOST: usize = 64 * 1024;

/// Where log lines are gathered. Cheap to copy; all copies are the same.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    some: Condvar,
}

struct Waiting {
    bytes: Vec<u8>,
    out: Box<dyn Write + Send>,
}

impl Lines {
    /// Lines go to `out`, and a thread of its own sees to it that none waits for long. Where the
    /// system refuses one, every line is written at once.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        let waiting = Waiting { bytes: Vec::with_capacity(MOST), out: Box::new(out) };
        let shared = Arc::new(Shared { waiting: Mutex::new(waiting), some: Condvar::new() });
        let thread = Arc::downgrade(&shared);
        let started = thread::Builder::new().name("log".into()).spawn(move || {
            while let Some(shared) = thread.upgrade() {
                shared.write_soon();
            }
        });
        if started.is_err() {
            shared.lock().bytes = Vec::new();
        }
        Lines(shared)
    }

    /// Writes what waits; to be called before the process ends.
    pub fn flush(&self) {
        self.0.lock().write();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_soon(&self) {
        let waiting = self.lock();
        let (waiting, _) = self
            .some
            .wait_timeout_while(waiting, Duration::from_secs(1), |waiting| waiting.bytes.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if waiting.bytes.is_empty() {
            return;
        }
        drop(waiting);
        thread::sleep(DELAY);
        self.lock().write();
    }
}

impl Waiting {
    /// A log that cannot be written has nowhere to say so.
    fn write(&mut self) {
        let _ = self.out.write_all(&self.bytes);
        self.bytes.clear();
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, at_once: true }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, at_once: *metadata.level() != Level::INFO }
    }
}

/// One line.
pub struct Line<'a> {
    shared: &'a Shared,
    at_once: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.shared.lock();
        let first = waiting.bytes.is_empty();
        let full = waiting.bytes.len() + line.len() > waiting.bytes.capacity();
        if full {
            waiting.write();
        }
        if line.len() > waiting.bytes.capacity() {
            let _ = waiting.out.write_all(line);
            return Ok(line.len());
        }
        waiting.bytes.extend_from_slice(line);
        if self.at_once {
            waiting.write();
        } else if first {
            self.shared.some.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    struct Out(Sender<String>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (Lines, Receiver<String>) {
        let (sender, receiver) = channel();
        (Lines::to(Out(sender)), receiver)
    }

    fn line(lines: &Lines, at_once: bool, text: &str) {
        Line { shared: &lines.0, at_once }.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_line_is_written_soon_and_a_warning_at_once_with_all_before_it() {
        let (lines, written) = lines();
        line(&lines, false, "a\n");
        assert_eq!(written.recv().unwrap(), "a\n");
        line(&lines, false, "b\n");
        line(&lines, true, "c\n");
        let mut text = written.recv().unwrap();
        while !text.ends_with("c\n") {
            text += &written.recv().unwrap();
        }
        assert_eq!(text, "b\nc\n");
    }

    #[test]
    fn nothing_is_lost_however_much_comes() {
        let (lines, written) = lines();
        let long = format!("{}\n", "x".repeat(MOST + 1));
        let mut expected = String::new();
        for number in 0..5_000 {
            let text = if number == 2_500 { long.clone() } else { format!("line {number}\n") };
            line(&lines, false, &text);
            expected += &text;
        }
        lines.flush();
        assert!(written.try_iter().collect::<String>() == expected);
    }
}
