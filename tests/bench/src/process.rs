//! Child processes: what they use, and their end. Linux's `/proc` is the source.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// `/proc` counts CPU time in these, whatever the kernel's own clock is (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);
/// How long a child may take to end by itself.
const END: Duration = Duration::from_secs(20);

/// A child that does not outlive this value.
pub struct Process(Child);

impl Process {
    pub fn new(child: Child) -> Self {
        Process(child)
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// CPU time used so far, in user and kernel mode, by all threads.
    pub fn cpu(&self) -> Result<Duration> {
        cpu(self.0.id())
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.0.id());
        std::fs::read_to_string(&path).with_context(|| path)
    }

    /// Asks the child to end, waits, and in the end kills it. Whether it ended by itself, well.
    pub fn end(&mut self) -> Result<bool> {
        let asked = Command::new("kill").arg("-TERM").arg(self.0.id().to_string()).status();
        let deadline = Instant::now() + END;
        while asked.as_ref().is_ok_and(|status| status.success()) && Instant::now() < deadline {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status.success());
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.0.kill()?;
        self.0.wait()?;
        Ok(false)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; otherwise nothing else would end it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// CPU time that a process has used so far, in user and kernel mode, by all threads.
pub fn cpu(pid: u32) -> Result<Duration> {
    ticks(pid, 2)
}

/// The same, with that of its children that have ended.
pub fn cpu_with_ended_children(pid: u32) -> Result<Duration> {
    ticks(pid, 4)
}

/// Who started a process.
pub fn parent(pid: u32) -> Result<u32> {
    Ok(stat(pid)?.get(1).context("no ppid")?.parse()?)
}

/// The first of `utime stime cutime cstime` together.
fn ticks(pid: u32, fields: usize) -> Result<Duration> {
    let stat = stat(pid)?;
    let times = stat.get(11..11 + fields).context("no times")?;
    let ticks: Vec<u32> = times.iter().map(|field| field.parse()).collect::<Result<_, _>>()?;
    Ok(TICK * ticks.iter().sum::<u32>())
}

/// The fields after the program's name, which may hold spaces and ends with a bracket.
fn stat(pid: u32) -> Result<Vec<String>> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| path)?;
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}
