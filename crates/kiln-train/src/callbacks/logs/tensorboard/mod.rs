//! Event files for TensorBoard.

mod event_file;
mod font;
mod histogram;
mod picture;
mod predictions;
mod settings;
mod values;
mod wire;

pub use settings::HyperParameter;

use super::{is_completed, is_due, is_within_epoch};
use crate::{Callback, EpochRecord, Evaluation, Run, Scalar};
use event_file::EventFile;
use histogram::Histogram;
use kiln_nn::{Module, StateDict, Stateful};
use kiln_tensor::{Error, ErrorKind, Result, Tensor};
use picture::Picture;
use std::fmt::Write;
use std::path::PathBuf;
use wire::Message;

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
/// | numbers that callbacks report with [`Run::log`] | `gradient_norm/conv1` for `gradient_norm.conv1` | steps | `train` |
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
/// are cut off and written again, so the files are those of a training that was never interrupted, but for the times. Of a file that
/// has become shorter meanwhile the whole events are kept; one that is gone begins anew.
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
    every_steps: usize,
    histogram_epochs: usize,
    histogram_steps: usize,
    images: usize,
    classes: Vec<String>,
    texts: Vec<(String, String)>,
    hyperparameters: Vec<(String, HyperParameter)>,
    /// Of the last step.
    learning_rate: f64,
}

impl TensorBoard {
    /// Writes into this folder, which is made where it is not there: losses of every 50th step, histograms after each epoch, 16 images.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder: PathBuf = folder.into();
        TensorBoard {
            root: EventFile::new(&folder),
            train: EventFile::new(&folder.join("train")),
            validation: EventFile::new(&folder.join("validation")),
            every_steps: 50,
            histogram_epochs: 1,
            histogram_steps: 0,
            images: 16,
            classes: Vec::new(),
            texts: Vec::new(),
            hyperparameters: Vec::new(),
            learning_rate: 0.0,
        }
    }

    /// Writes loss and learning rate after every so many steps; 0 writes none (Keras's `update_freq`).
    #[must_use]
    pub fn every_steps(self, steps: usize) -> Self {
        TensorBoard { every_steps: steps, ..self }
    }

    /// Writes histograms at the end of every so many epochs; 0 writes none (Keras's `histogram_freq`).
    #[must_use]
    pub fn histogram_epochs(self, epochs: usize) -> Self {
        TensorBoard { histogram_epochs: epochs, ..self }
    }

    /// Writes histograms after every so many steps too; 0, the default, writes none.
    #[must_use]
    pub fn histogram_steps(self, steps: usize) -> Self {
        TensorBoard { histogram_steps: steps, ..self }
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

    /// Begins the files, which is done before the first epoch: until then the folder of a run may have another name.
    fn begin(&mut self, run: &Run<'_>) -> Result<()> {
        if self.root.begin()? {
            let parameters = ("parameters".to_owned(), table(run.model));
            let texts = self.texts.iter().chain([&parameters]).map(|(name, text)| values::text(name, text));
            let settings = values::hyperparameters(&settings::all(run, &self.hyperparameters));
            self.root.write(0, &texts.chain([settings]).collect::<Vec<_>>())?;
        }
        self.train.begin()?;
        if run.validation().is_some() {
            self.validation.begin()?;
            return Ok(());
        }
        self.validation.clear()
    }

    fn write_histograms(&mut self, run: &Run<'_>) -> Result<()> {
        let mut histograms = Vec::new();
        let mut add = |kind: &str, path: &str, tensor: &Tensor| {
            let found = Histogram::of(tensor)?;
            histograms.extend(found.map(|found| values::histogram(&format!("{kind}/{path}"), &found)));
            Ok::<_, Error>(())
        };
        for (path, parameter) in run.model.parameters() {
            add("weights", &path, parameter.value())?;
        }
        for (path, gradient) in run.model.named_gradients(&run.gradients) {
            add("gradients", &path, gradient)?;
        }
        self.train.write(run.state.step, &histograms)
    }

    /// What a validation came to, at its step.
    fn write_validation(&mut self, run: &Run<'_>, evaluation: &Evaluation) -> Result<()> {
        if self.every_steps == 0 {
            return Ok(());
        }
        let numbers = evaluation.numbers().map(|(name, value)| values::scalar(&name, value));
        self.validation.write(run.state.step, &numbers.collect::<Vec<_>>())
    }

    fn write_images(&mut self, run: &Run<'_>) -> Result<()> {
        let Some(picture) = predictions::predictions(run, self.images, &self.classes)? else { return Ok(()) };
        let png = picture.png().map_err(|error| {
            Error::new(ErrorKind::Io, "TensorBoard", format!("the image cannot be encoded: {error}")).with_source(error)
        })?;
        self.validation.write(run.state.step, &[values::image("predictions", &picture, &png)])
    }
}

impl Callback for TensorBoard {
    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.begin(run)
    }

    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        let (step, progress) = (run.state.step, run.progress());
        self.learning_rate = run.learning_rate();
        if is_due(step, self.every_steps) {
            let mut numbers = vec![values::scalar("learning_rate", self.learning_rate)];
            numbers.extend(run.loss().map(|loss| values::scalar("loss", loss)));
            self.train.write(step, &numbers)?;
        }
        let ends_epoch = progress.batch == progress.batches && is_due(progress.epoch as u64, self.histogram_epochs);
        if ends_epoch || is_due(step, self.histogram_steps) {
            self.write_histograms(run)?;
        }
        Ok(())
    }

    fn on_log(&mut self, run: &mut Run<'_>, scalars: &[Scalar]) -> Result<()> {
        // TensorBoard puts the charts together whose names begin alike before a slash.
        let numbers = scalars.iter().map(|scalar| values::scalar(&scalar.name.replacen('.', "/", 1), scalar.value));
        self.train.write(run.state.step, &numbers.collect::<Vec<_>>())
    }

    fn on_validation_end(&mut self, run: &mut Run<'_>, evaluation: &Evaluation) -> Result<()> {
        if is_within_epoch(run) { self.write_validation(run, evaluation) } else { Ok(()) }
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        if !is_completed(run, record) {
            return Ok(());
        }
        let scalars = |evaluation: &Evaluation| -> Vec<Message> {
            evaluation.numbers().map(|(name, value)| values::scalar(&format!("epoch_{name}"), value)).collect()
        };
        let mut train = scalars(&record.train);
        train.push(values::scalar("epoch_learning_rate", self.learning_rate));
        self.train.write(record.epoch as u64, &train)?;
        let Some(validation) = &record.validation else { return Ok(()) };
        self.validation.write(record.epoch as u64, &scalars(validation))?;
        self.write_validation(run, validation)?;
        self.write_images(run)
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("TensorBoard", self))
    }
}

impl Stateful for TensorBoard {
    /// The lengths of the files, `root`, `train` and `validation`, and the `learning_rate` of the last step.
    fn state_dict(&self) -> Result<StateDict> {
        let mut state = StateDict::new();
        self.root.save("root", &mut state)?;
        self.train.save("train", &mut state)?;
        self.validation.save("validation", &mut state)?;
        super::save_rate(self.learning_rate, &mut state)?;
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.root.load("root", state)?;
        self.train.load("train", state)?;
        self.validation.load("validation", state)?;
        super::load_rate(&mut self.learning_rate, state)
    }
}

/// The parameters of a model, in Markdown.
fn table(model: &(impl Module + ?Sized)) -> String {
    let mut table = "| parameter | shape | elements |\n|---|---|---|\n".to_owned();
    let mut all = 0;
    for (path, parameter) in model.parameters() {
        let value = parameter.value();
        all += value.elements();
        let _ = writeln!(table, "| {path} | {} | {} |", value.shape(), value.elements());
    }
    let _ = writeln!(table, "| all | | {all} |");
    table
}
