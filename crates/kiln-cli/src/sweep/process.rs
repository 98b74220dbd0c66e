//! The process of a trial: `kiln train`, whose lines are read.

use kiln::{Error, ErrorKind, Result};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::Duration;

/// How often it is looked whether a process that has closed its output has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// What a process says.
pub(super) enum Event {
    /// An epoch is done: its line.
    Epoch { trial: usize, line: Value },
    /// The exit code, where it was not ended by a signal, and the sentence that it gave as its error.
    Ended { trial: usize, code: Option<i32>, error: Option<String> },
}

/// A process that is running. It is asked to end where this is dropped.
pub(super) struct Process {
    child: Arc<Mutex<Child>>,
}

impl Process {
    /// This executable with these words; what it says is sent as events of the trial.
    pub(super) fn start(words: &[OsString], trial: usize, events: &Sender<Event>) -> Result<Process> {
        let failed = |error: io::Error| {
            Error::new(ErrorKind::Io, "", format!("a trial cannot be started: {error}")).with_source(error)
        };
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C goes to all processes of a terminal's group; trials are told by the sweep.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(failed)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let child = Arc::new(Mutex::new(child));
        let (shared, events) = (Arc::clone(&child), events.clone());
        let errors = thread::spawn(move || err.map(read_error).unwrap_or_default());
        thread::spawn(move || {
            for line in out.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(io::Result::ok) {
                if let Ok(line) = serde_json::from_str::<Value>(&line)
                    && line["epoch"].is_u64()
                {
                    // Whoever does not listen any more wants no events.
                    let _ = events.send(Event::Epoch { trial, line });
                }
            }
            let code = wait(&shared);
            let _ = events.send(Event::Ended { trial, code, error: errors.join().unwrap_or_default() });
        });
        Ok(Process { child })
    }

    /// Asks it to save and to end: by SIGTERM; on Windows, where there is none, it ends at once, and its last checkpoint is what
    /// is kept.
    pub(super) fn stop(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // Only of a process that has not been waited for is the id its own.
        if matches!(child.try_wait(), Ok(None)) && !(cfg!(unix) && terminate(child.id())) {
            let _ = child.kill();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends SIGTERM; whether that was done. The program `kill` does it, which every Unix has: the call of the system would be unsafe code.
pub(super) fn terminate(process: u32) -> bool {
    let quiet = Command::new("kill").args(["-TERM", &process.to_string()]).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

fn wait(child: &Mutex<Child>) -> Option<i32> {
    loop {
        match child.lock().unwrap_or_else(PoisonError::into_inner).try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => return status.code(),
            Err(_) => return None,
        }
        sleep(PAUSE);
    }
}

/// The sentence after `error: `.
fn read_error(mut stderr: impl Read) -> Option<String> {
    let mut text = Vec::new();
    let _ = stderr.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    text.lines().rev().find_map(|line| line.strip_prefix("error: ")).map(str::to_owned)
}
