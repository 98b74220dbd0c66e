//! Processes that end by themselves, are killed, or take too long.

use crate::shell::Result;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than any training takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// How a process ended.
pub(super) struct Outcome {
    status: ExitStatus,
    pub(super) stderr: String,
    pub(super) time: Duration,
}

impl Outcome {
    pub(super) fn is_success(&self) -> bool {
        self.status.success()
    }

    /// Whether SIGKILL has ended it.
    #[cfg(unix)]
    pub(super) fn was_killed(&self) -> bool {
        std::os::unix::process::ExitStatusExt::signal(&self.status) == Some(9)
    }

    /// Whether it was ended: there are no signals.
    #[cfg(not(unix))]
    pub(super) fn was_killed(&self) -> bool {
        !self.status.success() && self.stderr.is_empty()
    }

    /// What is wrong with the way it ended, if it was not killed: success, or an exit code of 1 with one sentence, are fine.
    pub(super) fn fault(&self) -> Option<String> {
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        let said = || format!("it printed:\n{}", self.stderr.trim_end());
        if self.stderr.contains("panicked at") {
            return Some(format!("the process panicked: {}", said()));
        }
        match self.status.code() {
            Some(0) if errors == 0 => None,
            Some(1) if errors == 1 => None,
            _ => Some(format!("the process ended with {}: {}", self.status, said())),
        }
    }

    /// Fails unless it ended well.
    pub(super) fn expect_success(&self, what: &str) -> Result<()> {
        if self.is_success() {
            return Ok(());
        }
        Err(format!("{what} ended with {}: {}", self.status, self.stderr.trim_end()))
    }
}

/// Runs a process to its end.
pub(super) fn run(command: &mut Command) -> Result<Outcome> {
    run_until(command, |_| false)
}

/// Runs a process until it ends, or until `now`, which is given the time since its start, says that it is to be killed.
pub(super) fn run_until(command: &mut Command, mut now: impl FnMut(Duration) -> bool) -> Result<Outcome> {
    let start = Instant::now();
    let mut child = spawn(command)?;
    loop {
        let ended = child.try_wait().map_err(|error| format!("a process cannot be waited for: {error}"))?;
        if ended.is_some() || now(start.elapsed()) {
            return end(child, start);
        }
        if start.elapsed() > PATIENCE {
            let stderr = end(child, start)?.stderr;
            return Err(format!("{command:?} was still running after {} s: {stderr}", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|error| format!("{} could not be started: {error}", command.get_program().display()))
}

/// Kills a process that has not ended.
fn end(mut child: Child, start: Instant) -> Result<Outcome> {
    let failed = |error| format!("a process cannot be waited for: {error}");
    child.kill().map_err(failed)?;
    let output = child.wait_with_output().map_err(failed)?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Outcome { status: output.status, stderr, time: start.elapsed() })
}
