//! The process of a trial: `kiln train`, whose lines are read.

use crate::report::tell;
use kiln::{Error, ErrorKind, Result};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
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
    id: u32,
    child: Arc<Mutex<Child>>,
    /// Whether it was asked to end: the sweep says what was interrupted.
    stopped: Arc<AtomicBool>,
}

/// What a process is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// To save and to end.
    Stop,
    /// To save and to go on.
    Save,
}

impl Process {
    /// This executable with these words; its epochs are sent as events of the trial, and what it says on stderr is said with the trial's
    /// name.
    pub(super) fn start(words: &[OsString], trial: usize, name: &str, events: &Sender<Event>) -> Result<Process> {
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
        let (id, child) = (child.id(), Arc::new(Mutex::new(child)));
        let (shared, events) = (Arc::clone(&child), events.clone());
        let stopped = Arc::new(AtomicBool::new(false));
        let (name, asked) = (name.to_owned(), Arc::clone(&stopped));
        let errors = thread::spawn(move || err.and_then(|err| read_errors(err, &name, &asked)));
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
        Ok(Process { id, child, stopped })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Asks it to save and to end: by SIGTERM; on Windows, where there is none, it ends at once, and its last checkpoint is what
    /// is kept.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Relaxed);
        self.send(Signal::Stop);
    }

    /// Tells it something, where it has not ended.
    pub(super) fn send(&self, signal: Signal) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // Only of a process that has not been waited for is the id its own.
        if matches!(child.try_wait(), Ok(None)) && !send(signal, self.id) && signal == Signal::Stop {
            let _ = child.kill();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends SIGTERM or SIGUSR1; whether that was done. The program `kill` does it, which every Unix has: the call of the system would be
/// unsafe code.
pub(super) fn send(signal: Signal, process: u32) -> bool {
    let name = match signal {
        Signal::Stop => "-TERM",
        Signal::Save => "-USR1",
    };
    let sent = || Command::new("kill").args([name, &process.to_string()]).stderr(Stdio::null()).status();
    cfg!(unix) && sent().is_ok_and(|status| status.success())
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

/// Says the lines of a process with its name before each of them; gives the last sentence after `error: `, which the sweep reports.
fn read_errors(stderr: impl Read, name: &str, stopped: &AtomicBool) -> Option<String> {
    let (mut reader, mut line, mut error) = (BufReader::new(stderr), Vec::new(), None);
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        let said = text.trim_end();
        if let Some(why) = said.strip_prefix("error: ") {
            error = Some(why.to_owned());
        } else if !(said.starts_with("interrupted") && stopped.load(Relaxed)) {
            tell(&format!("{name}: {said}"));
        }
        line.clear();
    }
    error
}
