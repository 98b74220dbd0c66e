//! Processes that a sweep which was killed has left in the trials' folders.

use super::folder::{Folder, failed};
use super::process::{Signal, send};
use kiln::Result;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long they may take to save and end.
const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// Ends the processes that the sweep has left in these trials' folders, and waits for them until it is asked to stop. A process that somebody
/// else has started stays.
///
/// # Errors
/// A process that does not end.
pub(super) fn end(folder: &Folder, trials: impl Iterator<Item = usize> + Clone, stop: &AtomicBool) -> Result<()> {
    let (begin, mut asked) = (Instant::now(), BTreeSet::new());
    loop {
        let left = trials.clone().filter_map(|trial| match folder.holder(trial) {
            Some((holder, true)) => Some((trial, holder)),
            _ => None,
        });
        let left: Vec<_> = left.collect();
        let Some((first, holder)) = left.first().filter(|_| !stop.load(Relaxed)) else { return Ok(()) };
        if begin.elapsed() > PATIENCE {
            let why =
                format!("{holder} of this sweep was asked to end and trains on; end it and run the same command again");
            return Err(failed(&folder.path_of(*first), &why));
        }
        for process in left.iter().filter_map(|(_, holder)| holder.process) {
            if asked.insert(process) {
                // One that has just ended cannot be told any more.
                send(Signal::Stop, process);
            }
        }
        sleep(PAUSE);
    }
}

/// Fails where a process that this sweep has not started is training a trial.
pub(super) fn expect_free(folder: &Folder, trial: usize) -> Result<()> {
    let Some((holder, _)) = folder.holder(trial) else { return Ok(()) };
    let why = format!(
        "{holder} is training this trial and was not started by this sweep; wait until it ends, then run the same command again"
    );
    Err(failed(&folder.path_of(trial), &why))
}
