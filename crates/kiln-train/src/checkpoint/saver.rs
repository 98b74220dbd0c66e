//! What writes checkpoints: a thread beside the training.

use super::Status;
use super::files::encode;
use crate::EpochRecord;
use kiln_nn::StateDict;
use kiln_store::{Keep, Writer};
use kiln_tensor::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A checkpoint on its way to the disk. Its tensors are shared with the training, whose next step moves away from them.
pub(super) struct Job {
    pub(super) state: StateDict,
    pub(super) history: Vec<EpochRecord>,
    pub(super) status: Status,
    /// Further files.
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) keep: Keep,
}

impl Job {
    fn write(self, writer: &mut Writer) -> Result<u64> {
        let Job { state, history, status, files, keep } = self;
        let mut all = encode(&state, history, &status)?;
        // Before the disk is waited for: until then the training's next step has to move every tensor.
        drop(state);
        all.extend(files);
        let all: Vec<(&str, &[u8])> = all.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        writer.commit_keeping(&all, &keep)
    }
}

/// The folder's writer, here or with the thread that is writing.
pub(super) enum Saver {
    Idle(Writer),
    Writing(Joined),
    /// A checkpoint was written, and nobody has asked for the result yet.
    Written(Writer, Result<u64>),
    /// The thread has panicked, and the lock is gone with it.
    Gone,
}

type Handle = JoinHandle<Option<(Writer, Result<u64>)>>;

/// A thread that is waited for in any case.
pub(super) struct Joined(Option<Handle>);

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

impl Saver {
    /// Whether a checkpoint is being written.
    pub(super) fn is_writing(&self) -> bool {
        matches!(self, Saver::Writing(Joined(Some(thread))) if !thread.is_finished())
    }

    /// The result of the checkpoint that was being written, once it is; none where there was none.
    pub(super) fn finish(&mut self) -> Option<Result<u64>> {
        match std::mem::replace(self, Saver::Gone) {
            Saver::Writing(mut thread) => match thread.0.take().map(JoinHandle::join) {
                Some(Ok(Some((writer, result)))) => {
                    *self = Saver::Idle(writer);
                    Some(result)
                }
                _ => Some(Err(gone())),
            },
            Saver::Written(writer, result) => {
                *self = Saver::Idle(writer);
                Some(result)
            }
            other => {
                *self = other;
                None
            }
        }
    }

    /// Writes a checkpoint and waits for it.
    pub(super) fn write(&mut self, job: Job) -> Result<u64> {
        match self {
            Saver::Idle(writer) => job.write(writer),
            _ => Err(gone()),
        }
    }

    /// Writes a checkpoint beside the training; here, where no thread can be started.
    pub(super) fn start(&mut self, job: Job) {
        let Saver::Idle(writer) = std::mem::replace(self, Saver::Gone) else { return };
        let work = Arc::new(Mutex::new(Some((writer, job))));
        let taken = Arc::clone(&work);
        let run = move || {
            let (mut writer, job) = taken.lock().unwrap_or_else(PoisonError::into_inner).take()?;
            let result = job.write(&mut writer);
            Some((writer, result))
        };
        *self = match thread::Builder::new().name("kiln-checkpoint".to_owned()).spawn(run.clone()) {
            Ok(thread) => Saver::Writing(Joined(Some(thread))),
            Err(_) => run().map_or(Saver::Gone, |(writer, result)| Saver::Written(writer, result)),
        };
    }
}

#[cold]
fn gone() -> Error {
    Error::new(ErrorKind::Io, "checkpoint", "the thread that writes checkpoints is gone")
}
