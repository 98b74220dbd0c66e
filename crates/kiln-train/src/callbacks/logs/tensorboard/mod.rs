//! Event files for TensorBoard.

mod callback;
mod event_file;
mod font;
mod histogram;
mod picture;
mod predictions;
mod settings;
mod values;
mod wire;

pub use settings::HyperParameter;

use super::{Every, Failures, on_failure};
use event_file::EventFile;
use picture::Picture;
use std::path::PathBuf;

/// Writes event files for TensorBoard: `tensorboard --logdir FOLDER` shows them, also while the training runs.
///
/// The files are in three folders, which TensorBoard shows as runs: FOLDER itself, `train` and `validation`. What has the same name in
/// both of these is drawn in one chart.
///
/// | what | name | step | from |
/// |---|---|---|---|
/// | loss and metrics of each epoch | `epoch_loss`, `epoch_accuracy`, … | the epoch, from 1 | both |
/// | loss of steps, and all numbers of validations | `loss`, `accuracy`, … | the optimizer's steps | both |
/// | learning rate | `learning_rate`, `epoch_learning_rate` | as above | `train` |
/// | numbers that callbacks report with [`Run::log`](crate::Run::log) | `gradient_norm/conv1` for `gradient_norm.conv1` | steps | `train` |
/// | histograms of parameters, and of the gradients that the last step of an epoch used, clipped where they are | `weights/PATH`, `gradients/PATH` | steps | `train` |
/// | images of the validation set with their true class, the predicted one and its probability, where samples are images (H, W) or (C, H, W) and targets are classes | `predictions` | steps | `validation` |
/// | parameters with their shapes, and texts of the user | `parameters`, … | 0 | FOLDER |
/// | hyperparameters | the tab HPARAMS | | FOLDER |
///
/// The names with `epoch_` are those of Keras. The loss of a step is that of its last batch, where the host sees it without waiting for
/// a device. Values that are not finite are left out of histograms.
///
/// Event files of this callback that are there are replaced; those of other programs are refused, as TensorBoard would show them as
/// one with the new ones. A training that is resumed from a checkpoint goes on with its files: events that are newer than the checkpoint
/// are cut off and written again, so the files are those of a training that was never interrupted, but for the times. If a file has become
/// shorter meanwhile, its whole events are kept; if it is gone, a new one begins.
///
/// ```
/// # use kiln_datasets::TensorDataset;
/// # use kiln_nn::{Dense, MeanSquaredError, Sequential};
/// # use kiln_optim::Sgd;
/// # use kiln_tensor::{DType, Device, Tensor};
/// # use kiln_train::{FitOptions, TensorBoard, compile};
/// # fn main() -> Result<(), kiln_tensor::Error> {
/// # let cpu = Device::cpu();
/// # let model = Sequential::new().push(Dense::new(1)).build([2], &cpu, 1)?;
/// # let ones = |columns| Tensor::ones([50, columns], DType::F32, &cpu);
/// # let data = TensorDataset::new(ones(2)?, ones(1)?)?;
/// # let folder = std::env::temp_dir().join(format!("kiln-tensorboard-{}", std::process::id()));
/// let board = TensorBoard::new(&folder)
///     .text("model", &format!("```\n{}```", model.summary("line")))
///     .hyperparameter("units", 1);
/// # let mut trainer = compile(model, Sgd::new(0.1), MeanSquaredError::new());
/// trainer.fit(&data, FitOptions::new().epochs(3).callback(board))?;
/// # assert!(folder.join("train/events.out.tfevents.kiln").is_file());
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    root: EventFile,
    train: EventFile,
    validation: EventFile,
    every_steps: Every,
    histogram_epochs: Every,
    histogram_steps: Every,
    images: usize,
    classes: Vec<String>,
    texts: Vec<(String, String)>,
    hyperparameters: Vec<(String, HyperParameter)>,
    /// Of the last step.
    learning_rate: f64,
    /// The images of the validation that is running.
    drawn: Option<Picture>,
    failures: Failures,
}

on_failure!(TensorBoard);

impl TensorBoard {
    /// Writes into this folder, which is made where it is not there: losses of every 50th step, histograms after each epoch, 16 images.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder: PathBuf = folder.into();
        TensorBoard {
            root: EventFile::new(&folder),
            train: EventFile::new(&folder.join("train")),
            validation: EventFile::new(&folder.join("validation")),
            every_steps: Every(50),
            histogram_epochs: Every(1),
            histogram_steps: Every(0),
            images: 16,
            classes: Vec::new(),
            texts: Vec::new(),
            hyperparameters: Vec::new(),
            learning_rate: 0.0,
            drawn: None,
            failures: Failures::default(),
        }
    }

    /// Writes loss and learning rate after every so many steps; 0 writes none, and no numbers of validations by
    /// steps (Keras's `update_freq`).
    #[must_use]
    pub fn every_steps(self, steps: usize) -> Self {
        TensorBoard { every_steps: Every(steps as u64), ..self }
    }

    /// Writes histograms at the end of every so many epochs; 0 writes none (Keras's `histogram_freq`).
    #[must_use]
    pub fn histogram_epochs(self, epochs: usize) -> Self {
        TensorBoard { histogram_epochs: Every(epochs as u64), ..self }
    }

    /// Writes histograms after every so many steps too; 0, the default, writes none.
    #[must_use]
    pub fn histogram_steps(self, steps: usize) -> Self {
        TensorBoard { histogram_steps: Every(steps as u64), ..self }
    }

    /// Draws so many images of the validation set; 0 draws none.
    #[must_use]
    pub fn images(self, count: usize) -> Self {
        TensorBoard { images: count, ..self }
    }

    /// The names of the classes, which images have in the place of numbers.
    #[must_use]
    pub fn class_names<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        TensorBoard { classes: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Writes a text in Markdown at the beginning, under the tab TEXT.
    #[must_use]
    pub fn text(mut self, name: &str, markdown: &str) -> Self {
        self.texts.push((name.to_owned(), markdown.to_owned()));
        self
    }

    /// Sets a hyperparameter, to compare trainings by it under the tab HPARAMS. Known without it are `optimizer`, `learning_rate`,
    /// `batch_size` and `seed`.
    #[must_use]
    pub fn hyperparameter(mut self, name: &str, value: impl Into<HyperParameter>) -> Self {
        self.hyperparameters.retain(|(known, _)| known != name);
        self.hyperparameters.push((name.to_owned(), value.into()));
        self
    }
}
