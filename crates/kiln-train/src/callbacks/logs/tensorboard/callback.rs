//! When the event files are written, and with what.

use super::super::{is_within_epoch, load_rate, save_rate};
use super::histogram::Histogram;
use super::wire::Message;
use super::{TensorBoard, predictions, settings, values};
use crate::{Callback, EpochRecord, Evaluation, Run, Scalar};
use kiln_nn::{Module, StateDict, Stateful};
use kiln_tensor::{Error, ErrorKind, Result, Tensor};
use std::fmt::Write;

impl TensorBoard {
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
        if self.every_steps.0 == 0 {
            return Ok(());
        }
        let numbers = evaluation.numbers().map(|(name, value)| values::scalar(&name, value));
        self.validation.write(run.state.step, &numbers.collect::<Vec<_>>())
    }

    fn write_images(&mut self, run: &Run<'_>) -> Result<()> {
        let Some(picture) = self.drawn.take() else { return Ok(()) };
        let png = picture.png().map_err(|error| {
            Error::new(ErrorKind::Io, "TensorBoard", format!("the image cannot be encoded: {error}")).with_source(error)
        })?;
        self.validation.write(run.state.step, &[values::image("predictions", &picture, &png)])
    }

    fn write_step(&mut self, run: &Run<'_>) -> Result<()> {
        let (step, progress) = (run.state.step, run.progress());
        if self.every_steps.is_due(step) {
            let mut numbers = vec![values::scalar("learning_rate", self.learning_rate)];
            numbers.extend(run.loss().map(|loss| values::scalar("loss", loss)));
            self.train.write(step, &numbers)?;
        }
        let ends_epoch = progress.batch == progress.batches && self.histogram_epochs.is_due(progress.epoch as u64);
        if ends_epoch || self.histogram_steps.is_due(step) {
            self.write_histograms(run)?;
        }
        Ok(())
    }

    fn write_epoch(&mut self, run: &Run<'_>, record: &EpochRecord) -> Result<()> {
        let scalars = |evaluation: &Evaluation| -> Vec<Message> {
            evaluation.numbers().map(|(name, value)| values::scalar(&format!("epoch_{name}"), value)).collect()
        };
        let mut train = scalars(&record.train);
        train.push(values::scalar("epoch_learning_rate", self.learning_rate));
        self.train.write(record.epoch as u64, &train)?;
        let Some(validation) = &record.validation else { return Ok(()) };
        self.validation.write(record.epoch as u64, &scalars(validation))?;
        self.write_validation(run, validation)
    }
}

impl Callback for TensorBoard {
    fn on_fit_begin(&mut self, _: &mut Run<'_>) -> Result<()> {
        self.failures.begin_fit();
        Ok(())
    }

    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        let begun = self.begin(run);
        self.failures.begin_epoch(begun)
    }

    fn on_step_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.learning_rate = run.learning_rate();
        let written = self.write_step(run);
        self.failures.written(written)
    }

    fn on_log(&mut self, run: &mut Run<'_>, scalars: &[Scalar]) -> Result<()> {
        // TensorBoard puts the charts together whose names begin alike before a slash.
        let numbers = scalars.iter().map(|scalar| values::scalar(&scalar.name.replacen('.', "/", 1), scalar.value));
        let written = self.train.write(run.state.step, &numbers.collect::<Vec<_>>());
        self.failures.written(written)
    }

    /// Draws the images with the weights that are validated: between `on_validation_begin` and `on_validation_end` the model has the
    /// average of [`Ema`](crate::Ema), whatever the order of the callbacks.
    fn on_validation_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        let is_first = run.validating.as_ref().is_some_and(|(_, done)| *done == 1);
        if is_first && !is_within_epoch(run) {
            self.drawn = predictions::predictions(run, self.images, &self.classes)?;
        }
        Ok(())
    }

    fn on_validation_end(&mut self, run: &mut Run<'_>, evaluation: &Evaluation) -> Result<()> {
        let written =
            if is_within_epoch(run) { self.write_validation(run, evaluation) } else { self.write_images(run) };
        self.failures.written(written)
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        if !run.has_completed(record) {
            return Ok(());
        }
        let written = self.write_epoch(run, record);
        self.failures.written(written)
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
        save_rate(self.learning_rate, &mut state)?;
        Ok(state)
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        self.root.load("root", state)?;
        self.train.load("train", state)?;
        self.validation.load("validation", state)?;
        load_rate(&mut self.learning_rate, state)
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
