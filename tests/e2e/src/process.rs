//! A child process that is killed when it is dropped.

use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::settled;

/// Linux counts a process's time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);
const PAGE: u64 = 4096;

/// A running program.
pub struct Process {
    child: Mutex<Child>,
    pid: u32,
}

impl Process {
    /// # Panics
    /// When the program cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { pid: child.id(), child: Mutex::new(child) }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// SIGKILL; the process is gone when this returns.
    pub fn kill(&self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // An ended process whose status was not taken yet keeps its pid, so this hits nobody else.
        let mut child = self.child();
        if let Ok(None) = child.try_wait() {
            let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).expect("a child has a pid");
            kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.pid));
        }
    }

    /// How the process ended, if it has.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// Waits for the end; `None` if it is still running after `deadline`.
    pub async fn wait_exit(&self, deadline: Duration) -> Option<ExitStatus> {
        settled(deadline, async || self.exited()).await
    }

    /// Memory in use; 0 once the process has ended.
    pub fn rss_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.pid)).unwrap_or_default();
        let pages: Option<u64> = text.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
        pages.unwrap_or(0) * PAGE
    }

    /// Time spent on a processor, user and system; zero once the process has ended.
    pub fn cpu_time(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: u32 = fields.split_whitespace().skip(11).take(2).filter_map(|part| part.parse::<u32>().ok()).sum();
        TICK * ticks
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
