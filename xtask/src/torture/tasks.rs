//! What is trained: small trainings of seconds, with checkpoints as often as they can be written.

use crate::shell::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A training.
pub(super) struct Task {
    pub(super) name: &'static str,
    /// The recipe, or none for the settings file of this folder.
    recipe: Option<&'static str>,
    /// Samples and epochs of a training that is killed at random instants.
    long: [u32; 2],
    /// Samples of one epoch of four steps, in which each call fails once.
    pub(super) steps_of_four: u32,
}

pub(super) const TASKS: &[Task] = &[
    Task { name: "mnist-mlp", recipe: Some("mnist-mlp"), long: [3000, 12], steps_of_four: 4 * 32 },
    Task { name: "mnist-cnn", recipe: Some("mnist-cnn"), long: [640, 3], steps_of_four: 4 * 64 },
    Task { name: "char-lstm", recipe: Some("char-lstm"), long: [960, 2], steps_of_four: 4 * 32 },
    Task { name: "settings", recipe: None, long: [1600, 5], steps_of_four: 4 * 32 },
];

/// A size of a task's training.
#[derive(Clone, Copy)]
pub(super) enum Size {
    /// Seconds, with a checkpoint whenever the one before is written.
    Long,
    /// Four steps, with checkpoints before the first, after the third and at the end: always the same calls in the same order.
    Fixed,
}

/// The programs, and the folder in which they work.
pub(super) struct Place {
    pub(super) kiln: PathBuf,
    pub(super) faults: PathBuf,
    pub(super) folder: PathBuf,
}

impl Place {
    /// Makes the folder anew, and within it what all trainings need.
    pub(super) fn make(kiln: PathBuf, faults: PathBuf, folder: PathBuf) -> Result<Place> {
        let failed = |error| format!("{}: {error}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(failed)?;
        }
        // Weights that cannot be saved in a run are kept in the folder for temporary files.
        fs::create_dir_all(folder.join("temporary")).map_err(failed)?;
        fs::write(folder.join("settings.toml"), include_str!("settings.toml")).map_err(failed)?;
        Ok(Place { kiln, faults, folder })
    }

    fn command(&self, threads: usize) -> Command {
        let mut command = Command::new(&self.kiln);
        command.current_dir(&self.folder).env("TMPDIR", self.folder.join("temporary"));
        command.args(["train", "--quiet", "--threads", &threads.to_string()]);
        command
    }

    /// The training of a task, into a folder that is not there yet.
    pub(super) fn begin(&self, task: &Task, size: Size, run: &Path, threads: usize) -> Command {
        let mut command = self.command(threads);
        match task.recipe {
            Some(recipe) => command.arg(recipe),
            None => command.args(["--config", "settings.toml"]),
        };
        let ([limit, epochs], every) = match size {
            Size::Long => {
                command.args(["--keep-best", "val_loss"]);
                (task.long, "1-steps")
            }
            Size::Fixed => ([task.steps_of_four, 1], "3-steps"),
        };
        command.args(["--limit", &limit.to_string(), "--epochs", &epochs.to_string(), "--checkpoint-every", every]);
        command.arg("--out").arg(run);
        command
    }

    /// The same training, from its last checkpoint on.
    pub(super) fn resume(&self, run: &Path, threads: usize) -> Command {
        let mut command = self.command(threads);
        command.arg("--resume").arg(run);
        command
    }
}
