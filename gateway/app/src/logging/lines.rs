//! Log lines on their way out, gathered for a moment so that a busy gateway writes many at once: a
//! system call for each line of each request costs more than the line.
//!
//! The log's own thread writes them. Whoever has something to log leaves it here and goes on: a reader that hangs (a
//! container's runtime, a journal on a full disk) must hold up neither a payment nor the end of the process.

use std::io::{self, Write};
use std::mem;
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
/// Bytes that wait for a reader. Lines that do not fit are left out and counted.
const LIMIT: usize = 1024 * 1024;
/// How long the end of the process waits for the last lines to be taken.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the thread looks whether anybody can still log.
const LOOK: Duration = Duration::from_secs(1);

/// Where log lines are gathered. Cheap to copy; all copies are the same.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write, or it is due.
    some: Condvar,
    /// Something was written.
    fewer: Condvar,
    /// Held for as long as the reader takes, and therefore, but where there is no thread, only by the thread.
    out: Mutex<Box<dyn Write + Send>>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Nothing of it may wait for others.
    at_once: bool,
    /// Lines that did not fit since this was last told.
    left_out: u64,
    /// How many bytes ever came here, and how many of them are out.
    came: u64,
    out: u64,
    /// The system refused a thread, so that every line is written where it is logged.
    without_thread: bool,
}

impl Lines {
    /// Lines go to `out`, and a thread of its own sees to it that none waits for long. Where the
    /// system refuses one, every line is written at once.
    ///
    /// When the reader goes on after lines were left out, that thread says how many to `left_out`, which may log it.
    pub fn to(out: impl Write + Send + 'static, left_out: impl Fn(u64) + Send + 'static) -> Self {
        let waiting = Waiting { bytes: Vec::with_capacity(MOST), ..Waiting::default() };
        let shared = Arc::new(Shared {
            waiting: Mutex::new(waiting),
            some: Condvar::new(),
            fewer: Condvar::new(),
            out: Mutex::new(Box::new(out)),
        });
        let thread = Arc::downgrade(&shared);
        let started = thread::Builder::new().name("log".into()).spawn(move || {
            let mut taken = Vec::with_capacity(MOST);
            while let Some(shared) = thread.upgrade() {
                shared.write_soon(&mut taken, &left_out);
            }
        });
        if started.is_err() {
            shared.lock().without_thread = true;
        }
        Lines(shared)
    }

    /// Waits until what was logged is written, but not for ever; to be called before the process ends.
    pub fn flush(&self) {
        let mut waiting = self.0.lock();
        let last = waiting.came;
        waiting.at_once = true;
        self.0.some.notify_one();
        drop(self.0.fewer.wait_timeout_while(waiting, PATIENCE, |waiting| waiting.out < last));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One turn of the thread: `taken` is empty before and after it, and kept for its memory.
    fn write_soon(&self, taken: &mut Vec<u8>, left_out: &impl Fn(u64)) {
        let waiting = self.lock();
        let (waiting, _) = self
            .some
            .wait_timeout_while(waiting, LOOK, |waiting| waiting.bytes.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if waiting.bytes.is_empty() {
            return;
        }
        let (mut waiting, _) = self
            .some
            .wait_timeout_while(waiting, DELAY, |waiting| !waiting.is_due())
            .unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut waiting.bytes, taken);
        waiting.at_once = false;
        let lines = mem::take(&mut waiting.left_out);
        drop(waiting);
        if lines > 0 {
            // Stands where they would have stood: after all that fitted, before all that comes now.
            left_out(lines);
        }
        self.write(taken);
        self.lock().out += taken.len() as u64;
        self.fewer.notify_all();
        taken.clear();
        // A reader that hung once is no reason to keep so much for good.
        taken.shrink_to(MOST);
    }

    /// A log that cannot be written has nowhere to say so.
    fn write(&self, bytes: &[u8]) {
        let _ = self.out.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes);
    }
}

impl Waiting {
    fn is_due(&self) -> bool {
        self.at_once || self.bytes.len() >= MOST
    }

    /// A single line may be longer than everything that may wait.
    fn has_room(&self, line: &[u8]) -> bool {
        self.bytes.is_empty() || self.bytes.len() + line.len() <= LIMIT
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
        if waiting.without_thread {
            drop(waiting);
            self.shared.write(line);
            return Ok(line.len());
        }
        if !waiting.has_room(line) {
            waiting.left_out += 1;
            return Ok(line.len());
        }
        let (first, was_due) = (waiting.bytes.is_empty(), waiting.is_due());
        waiting.bytes.extend_from_slice(line);
        waiting.came += line.len() as u64;
        waiting.at_once |= self.at_once;
        if first || (waiting.is_due() && !was_due) {
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

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(20);

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

    /// A reader that takes nothing before `go_on` is gone.
    struct Hanging {
        out: Out,
        started: Sender<()>,
        go_on: Receiver<()>,
    }

    impl Write for Hanging {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.started.send(());
            let _ = self.go_on.recv();
            self.out.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (Lines, Receiver<String>) {
        let (sender, receiver) = channel();
        (Lines::to(Out(sender), |_| ()), receiver)
    }

    /// Lines to a reader that has hung since the line `first`: what it takes, what it is told was left out, and what
    /// makes it go on.
    fn hanging() -> (Lines, Receiver<String>, Receiver<u64>, Sender<()>) {
        let (sender, written) = channel();
        let (started, starts) = channel();
        let (going_on, go_on) = channel();
        let (told, left_out) = channel();
        let out = Hanging { out: Out(sender), started, go_on };
        let lines = Lines::to(out, move |lines| told.send(lines).unwrap());
        let other = lines.clone();
        thread::spawn(move || line(&other, true, "first\n"));
        starts.recv_timeout(LONG).expect("a warning is written");
        (lines, written, left_out, going_on)
    }

    fn line(lines: &Lines, at_once: bool, text: &str) {
        Line { shared: &lines.0, at_once }.write_all(text.as_bytes()).unwrap();
    }

    /// Whether something ends while the reader hangs.
    fn ends(something: impl FnOnce() + Send + 'static) {
        let (done, end) = channel();
        thread::spawn(move || {
            something();
            done.send(())
        });
        end.recv_timeout(LONG).expect("it waits for the reader");
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

    #[test]
    fn a_line_longer_than_all_that_may_wait_is_written() {
        let (lines, written) = lines();
        let long = format!("{}\n", "x".repeat(LIMIT));
        line(&lines, false, &long);
        assert!(written.recv_timeout(LONG).expect("a line") == long);
    }

    #[test]
    fn no_line_waits_for_the_reader_and_whole_lines_are_left_out_and_counted() {
        let (lines, written, left_out, going_on) = hanging();
        let (text, count) = ("x".repeat(1023) + "\n", 2 * LIMIT / 1024);
        let (logging, same) = (lines.clone(), text.clone());
        ends(move || (0..count).for_each(|number| line(&logging, number % 2 == 0, &same)));
        assert!(left_out.try_recv().is_err(), "the reader cannot know it yet");
        drop(going_on);
        assert_eq!(written.recv_timeout(LONG).expect("a line"), "first\n");
        // All that waited by one system call.
        assert!(written.recv_timeout(LONG).expect("lines") == text.repeat(LIMIT / 1024));
        assert_eq!(left_out.recv_timeout(LONG), Ok((count - LIMIT / 1024) as u64));
        line(&lines, false, "last\n");
        assert_eq!(written.recv_timeout(LONG).expect("a line"), "last\n");
        assert!(left_out.try_recv().is_err(), "told once");
    }

    #[test]
    fn the_end_waits_for_a_reader_that_hangs_for_a_moment_only() {
        let (lines, written, _, going_on) = hanging();
        let ending = lines.clone();
        ends(move || ending.flush());
        drop(going_on);
        lines.flush();
        assert_eq!(written.try_recv().expect("written before the end"), "first\n");
    }
}
