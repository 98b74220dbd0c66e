//! Signals that end a training, or ask it to be saved.
//!
//! SIGINT (Ctrl-C), SIGTERM and SIGHUP end it after the batch; a second one ends the process at once. SIGUSR1 asks for a checkpoint. Where
//! the process was started with SIGHUP or SIGTERM ignored, as `nohup` does, they stay so. On Windows there is Ctrl-C alone.

use kiln::{Error, ErrorKind, Result};
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use std::io;
use std::os::raw::c_int;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

#[cfg(unix)]
const ENDING: [c_int; 3] = [SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP];
#[cfg(not(unix))]
const ENDING: [c_int; 1] = [SIGINT];

/// What signals ask for.
#[derive(Clone, Default)]
pub(crate) struct Signals {
    stop: Arc<AtomicBool>,
    save: Arc<AtomicBool>,
    /// Which signal set `stop`.
    signal: Arc<AtomicUsize>,
}

impl Signals {
    /// Catches them from now on.
    pub(crate) fn catch() -> Result<Signals> {
        let signals = Signals::default();
        signals.register().map_err(|error| {
            Error::new(ErrorKind::Io, "", format!("signals cannot be caught: {error}")).with_source(error)
        })?;
        Ok(signals)
    }

    fn register(&self) -> io::Result<()> {
        for signal in ENDING.into_iter().filter(|signal| *signal == SIGINT || !is_ignored(*signal)) {
            // In this order: the first signal meets a flag that is not set yet.
            flag::register_conditional_shutdown(signal, exit_code(signal).into(), Arc::clone(&self.stop))?;
            flag::register_usize(signal, Arc::clone(&self.signal), signal.unsigned_abs() as usize)?;
            flag::register(signal, Arc::clone(&self.stop))?;
        }
        #[cfg(unix)]
        flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&self.save))?;
        Ok(())
    }

    /// Set once the training is to end.
    pub(crate) fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    /// What shells say of a command that a signal has ended, if one has.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        self.stop.load(Relaxed).then(|| exit_code(self.signal.load(Relaxed) as c_int))
    }

    /// Whether a checkpoint is asked for, which is then answered.
    pub(crate) fn take_save(&self) -> bool {
        self.save.load(Relaxed) && self.save.swap(false, Relaxed)
    }
}

/// 130 of SIGINT.
fn exit_code(signal: c_int) -> u8 {
    u8::try_from(signal).map_or(u8::MAX, |signal| signal.saturating_add(128))
}

/// Whether a signal is ignored, as far as the system says it (Linux).
fn is_ignored(signal: c_int) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    signal > 0 && mask >> (signal - 1) & 1 == 1
}
