//! `Checkpoint`, and what it can be told.

use super::every::Clock;
use super::saver::Saver;
use super::{Best, Every, Phase, Status};
use kiln_tensor::Error;
use std::path::PathBuf;

/// Called when a checkpoint could not be written during the training.
type OnFailure<'a> = Box<dyn FnMut(&Error) + Send + 'a>;
/// Called when a checkpoint was written.
type OnSaved<'a> = Box<dyn FnMut(&Status) + Send + 'a>;

/// Saves the complete state of a training to a folder at intervals: weights, optimizer, counters, callbacks' state, position in the data and
/// metrics so far. After a crash or a kill, [`Trainer::resume`](crate::Trainer::resume) continues from the last checkpoint, and the results
/// are bit for bit those of an uninterrupted training.
///
/// A checkpoint is taken before the first batch, after each epoch (at most one per second), every 60 seconds, and at the end. A new folder
/// appears once its first checkpoint is complete. A background thread writes the files `model.safetensors`, `training.safetensors`,
/// `history.csv` and `progress.json`, which always change together ([`kiln_store`]). Older checkpoints are kept in `checkpoints/NUMBER`; if
/// the newest one is damaged, the one before it is used.
///
/// If a checkpoint cannot be written, the previous one stays, the training continues, and the next checkpoint tries again
/// ([`on_failure`](Checkpoint::on_failure)). If the last one cannot be written, `fit` returns an error.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Adam;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, compile};
/// use kiln_train::{Checkpoint, Every};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let (cpu, parent) = (Device::cpu(), tempfile::tempdir().unwrap());
/// # let folder = parent.path().join("run");
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # for _ in 0..2 {
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// // This program can be killed and started again.
/// let mut trainer = compile(model, Adam::new(0.1), MeanSquaredError::new());
/// if folder.exists() {
///     trainer.resume(&folder)?;
/// }
/// let checkpoint = Checkpoint::new(&folder).every(Every::Steps(100)).keep_best("val_loss");
/// trainer.fit(&data, FitOptions::new().until_epoch(5).validation_split(0.2).callback(checkpoint))?;
/// # assert_eq!(trainer.state.epoch, 5);
/// # }
/// # Ok(())
/// # }
/// ```
#[doc(alias = "ModelCheckpoint")]
#[doc(alias = "BackupAndRestore")]
pub struct Checkpoint<'a> {
    pub(super) folder: PathBuf,
    pub(super) clock: Clock,
    pub(super) keep_last: usize,
    pub(super) monitor: Option<String>,
    pub(super) larger_is_better: Option<bool>,
    pub(super) replaces: bool,
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) on_failure: Option<OnFailure<'a>>,
    pub(super) on_saved: Option<OnSaved<'a>>,
    pub(super) saver: Option<Saver>,
    /// Whether the last one that was tried could not be written.
    pub(super) failed: bool,
    /// The number of the next generation.
    pub(super) next: u64,
    pub(super) best: Option<Best>,
    /// The best one before that which is being written.
    pub(super) best_before: Option<Best>,
    /// The generation that the training was resumed from.
    pub(super) resumed: Option<u64>,
    /// The generation that was written last.
    pub(super) saved: Option<u64>,
    pub(super) phase: Phase,
    /// What the checkpoint that is being written says.
    pub(super) writing: Option<Status>,
    /// Whether there was a run in the folder that the first checkpoint replaces.
    pub(super) replacing: bool,
    /// Whether the next checkpoint is waited for.
    pub(super) waits: bool,
}

impl<'a> Checkpoint<'a> {
    /// Checkpoints in a folder, which need not be there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Checkpoint {
            folder: folder.into(),
            clock: Clock::default(),
            keep_last: 2,
            monitor: None,
            larger_is_better: None,
            replaces: false,
            files: Vec::new(),
            on_failure: None,
            on_saved: None,
            saver: None,
            failed: false,
            next: 1,
            best: None,
            best_before: None,
            resumed: None,
            saved: None,
            phase: Phase::Training,
            writing: None,
            replacing: false,
            waits: false,
        }
    }

    /// Takes checkpoints at these times only, and at the beginning and the end, instead of after each epoch and every 60 seconds.
    #[must_use]
    pub fn every(self, every: Every) -> Self {
        Checkpoint { clock: Clock::only(every), ..self }
    }

    /// Number of checkpoints to keep, at least 1. The default is 2, so that one is left if the newest is damaged.
    #[must_use]
    pub fn keep_last(self, checkpoints: usize) -> Self {
        Checkpoint { keep_last: checkpoints, ..self }
    }

    /// Takes a checkpoint after each epoch with the best value so far of a number that epochs report (`val_loss`, `val_accuracy`), and keeps
    /// the best one beside the last ones: `checkpoints/NUMBER`, by the number that `progress.json` says ([`Checkpoint::best`]).
    #[doc(alias = "save_best_only")]
    #[must_use]
    pub fn keep_best(self, monitor: &str) -> Self {
        Checkpoint { monitor: Some(monitor.to_owned()), ..self }
    }

    /// Whether larger is better (`mode="max"`). It is known of losses and of Kiln's metrics; set it for other metrics.
    #[must_use]
    pub fn larger_is_better(self, larger: bool) -> Self {
        Checkpoint { larger_is_better: Some(larger), ..self }
    }

    /// Whether to replace a run that is already in the folder; by default that is an error. The old run stays until the first checkpoint
    /// after a step.
    #[must_use]
    pub fn replace(self, replaces: bool) -> Self {
        Checkpoint { replaces, ..self }
    }

    /// Puts a further file into each checkpoint.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), bytes.into()));
        self
    }

    /// Calls a closure with the error when a checkpoint could not be written and the training continues.
    #[must_use]
    pub fn on_failure(self, f: impl FnMut(&Error) + Send + 'a) -> Self {
        Checkpoint { on_failure: Some(Box::new(f)), ..self }
    }

    /// Calls a closure for each checkpoint that was written, at the end of a batch.
    #[must_use]
    pub fn on_saved(self, f: impl FnMut(&Status) + Send + 'a) -> Self {
        Checkpoint { on_saved: Some(Box::new(f)), ..self }
    }

    /// The best checkpoint so far, with [`keep_best`](Checkpoint::keep_best).
    pub fn best(&self) -> Option<&Best> {
        self.best.as_ref()
    }

    /// The generation that was written last, or that the training was resumed from.
    pub fn saved(&self) -> Option<u64> {
        self.saved
    }
}
