//! What options of `fit` come to.

use super::FitOptions;
use crate::Callback;
use crate::callbacks::{ClassWeights, NanGuard, StopFlag};
use kiln_datasets::{Dataset, Loader, Subset};
use kiln_tensor::{Device, Error, Result};

/// What is trained on and what is validated with.
type Split<'d> = [Subset<&'d &'d dyn Dataset>; 2];

impl<'a> FitOptions<'a> {
    /// Refuses what makes no sense.
    pub(crate) fn check(&self, data: &dyn Dataset) -> Result<()> {
        let refused = |message: &str| Err(Error::value("fit", message));
        if self.epochs == 0 {
            return refused("0 epochs: at least 1 is needed");
        }
        if self.steps_per_epoch == Some(0) {
            return refused("steps_per_epoch(0): at least 1 is needed");
        }
        if self.accumulate == 0 {
            return refused("accumulate(0): at least 1 batch makes a step");
        }
        if self.validate_every == Some(0) {
            return refused("validate_every(0): at least 1 step is needed");
        }
        if self.validate_every.is_some() && self.validation.is_none() && self.validation_split.is_none() {
            return refused(
                "validate_every without data to validate on: give it with `validation` or `validation_split`",
            );
        }
        if self.steps_per_epoch.is_none() && data.len() == usize::MAX {
            return refused("the data has no end: say with `steps_per_epoch` how many batches make an epoch");
        }
        if self.validation.is_some_and(|data| data.len() == usize::MAX) {
            return refused("the validation data has no end: give a part of it, `Subset::new(data, 0..1000)`");
        }
        Ok(())
    }

    /// The training batches.
    pub(crate) fn loader<'d>(&self, data: &'d dyn Dataset, seed: u64, device: &Device) -> Loader<&'d dyn Dataset> {
        let mut loader = Loader::new(data).batch_size(self.batch_size).workers(self.workers).device(device);
        loader = loader.seed(seed).drop_last(self.drop_last);
        if let Some(steps) = self.steps_per_epoch {
            loader = loader.steps_per_epoch(steps);
        }
        if self.shuffle { loader.shuffle(seed) } else { loader }
    }

    /// All callbacks in their order: those that belong to `fit`, the user's, and clipping, which comes last.
    pub(crate) fn into_callbacks(self, device: &Device) -> Result<Vec<Box<dyn Callback + 'a>>> {
        let mut all: Vec<Box<dyn Callback + 'a>> = vec![Box::new(NanGuard::new(self.snapshot))];
        if !self.class_weight.is_empty() {
            all.push(Box::new(ClassWeights::new(&self.class_weight, device)?));
        }
        if !self.progress.is_hidden() {
            all.push(Box::new(self.progress));
        }
        all.extend(self.callbacks);
        if let Some(flag) = self.stop {
            all.push(Box::new(StopFlag(flag)));
        }
        if let Some(clip) = self.clip {
            all.push(Box::new(clip));
        }
        Ok(all)
    }

    /// As options of a search for a learning rate of so many steps: one epoch without validation, with this callback alone.
    pub(crate) fn for_search(self, steps: usize, callback: impl Callback + 'a) -> Self {
        let batches = Some(steps.saturating_mul(self.accumulate.max(1)));
        FitOptions {
            epochs: 1,
            until_epoch: None,
            steps_per_epoch: batches,
            validate_every: None,
            snapshot: false,
            validation: None,
            callbacks: vec![Box::new(callback)],
            ..self
        }
    }

    /// What to train on and, by [`FitOptions::validation_split`], what to validate with.
    pub(crate) fn split<'d>(&self, data: &'d &'d dyn Dataset, seed: u64) -> Result<Option<Split<'d>>> {
        let Some(fraction) = self.validation_split else { return Ok(None) };
        let refused = |message: &str| Error::value("validation_split", message);
        if self.validation.is_some() {
            return Err(refused("there is validation data too: give one or the other"));
        }
        if data.len() == usize::MAX {
            return Err(refused("data without an end cannot be split: give other data with `validation`"));
        }
        let by_class = !data.sequential() && data.class_labels()?.is_some();
        let split = match by_class {
            true => data.split_stratified(fraction, seed),
            false => data.split(fraction, seed),
        };
        let named = |error: Error| {
            // Where the classes are in the way, and not the fraction alone.
            let remedy = match by_class && data.split(fraction, seed).is_ok() {
                true => ", and FitOptions::validation takes one of its parts",
                false => "",
            };
            Error::new(error.kind(), "validation_split", format!("{}{remedy}", error.message()))
        };
        split.map(Some).map_err(named)
    }
}
