//! How far a training has got: the file `progress.json` of a checkpoint.

use kiln_tensor::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// The version of the format that this crate writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// How far a training had got when a checkpoint was taken: what `progress.json` in its folder says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    pub(super) format: u32,
    /// Whether it was still going on.
    pub phase: Phase,
    /// Epochs completed.
    pub epoch: u64,
    /// Epochs that were asked for.
    pub epochs: u64,
    /// Batches done of the epoch that follows.
    pub batch: u64,
    /// Batches of an epoch.
    pub batches: u64,
    /// Steps of the optimizer.
    pub step: u64,
    /// Time of training so far, over all sessions of the run.
    pub seconds: f64,
    /// The best value of the number that the checkpoints are kept by, where they are.
    pub best: Option<Best>,
}

/// What became of a training.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It was going on. If no process is writing in the folder, it was killed.
    Training,
    /// It was stopped: by a signal, or by a callback in the middle of an epoch.
    Stopped,
    /// All epochs were trained, or a callback has ended the training after one.
    Complete,
    /// The loss became NaN or infinite; the weights are those of the last completed epoch.
    Diverged,
}

/// The best checkpoint so far.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Best {
    /// The number: `val_loss`.
    pub monitor: String,
    /// Its value.
    pub value: f64,
    /// The epoch that reported it, from 1.
    pub epoch: u64,
    /// The generation of the folder that has the weights after this epoch.
    pub generation: u64,
}

impl Status {
    /// Its file.
    pub const FILE: &str = "progress.json";

    /// A training that has not begun.
    pub(crate) fn new(phase: Phase) -> Status {
        let best = None;
        Status { format: FORMAT, phase, epoch: 0, epochs: 0, batch: 0, batches: 0, step: 0, seconds: 0.0, best }
    }

    /// The file's bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_string_pretty(self).map_err(|error| {
            Error::new(ErrorKind::Format, "checkpoint", format!("{}: {error}", Status::FILE)).with_source(error)
        })?;
        Ok((text + "\n").into_bytes())
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Bytes of something else, or of a newer version.
    pub fn decode(bytes: &[u8]) -> Result<Status> {
        let wrong = |why: String| Error::new(ErrorKind::Format, "checkpoint", format!("{}: {why}", Status::FILE));
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| wrong(format!("this is not JSON: {error}")))?;
        if let Some(format) = value["format"].as_u64().filter(|format| *format > u64::from(FORMAT)) {
            return Err(wrong(format!("format {format} is newer than this version of Kiln reads ({FORMAT})")));
        }
        serde_json::from_value(value).map_err(|error| wrong(format!("this is not the progress of a training: {error}")))
    }
}
