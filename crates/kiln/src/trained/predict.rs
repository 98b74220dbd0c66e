//! What a trained model says about samples.

use super::batches::Batches;
use super::{Input, Predictions, Trained};
use crate::Result;
use crate::autograd::Var;
use crate::datasets::Csv;
use crate::nn::{Ctx, Mask, Module, Value};
use crate::tensor::{DType, Device, Tensor};
use std::path::Path;

impl Trained {
    /// What the model says about each row of a table. It need not have the target.
    ///
    /// # Errors
    /// A model that was not trained on tables; columns that are missing, values that cannot be read, with line and column.
    pub fn predict_csv(&self, csv: &Csv) -> Result<Predictions> {
        let table = match &self.input {
            Some(Input::Table(table)) => table,
            other => return Err(Input::expected("the rows of a table", other.as_ref())),
        };
        let rows = |first, end| table.inputs(&csv.select(first..end)?, &Device::cpu()).map(Value::from);
        self.predict_parts(csv.len(), rows)
    }

    /// Opens a CSV file that is written as those that the model was trained on: delimiter, header, words for missing values.
    ///
    /// # Errors
    /// As [`CsvOptions::open`](crate::datasets::CsvOptions::open).
    pub fn open_csv(&self, file: impl AsRef<Path>) -> Result<Csv> {
        self.csv.clone().open(file)
    }

    /// What comes after the newest rows of a time series: for each target, as many numbers as the horizon has, the first step first.
    ///
    /// # Errors
    /// A model that was not trained on series; fewer rows than a window, columns that are missing, values that cannot be read.
    pub fn predict_series(&self, csv: &Csv) -> Result<Predictions> {
        match &self.input {
            Some(Input::Series(series)) => self.predict(&series.inputs(csv, &Device::cpu())?),
            other => Err(Input::expected("time series", other.as_ref())),
        }
    }

    /// What the model says about each of some image files.
    ///
    /// # Errors
    /// A model that was not trained on images; files that cannot be read, by name.
    #[cfg(feature = "images")]
    pub fn predict_images<P: AsRef<Path> + Sync>(&self, files: &[P]) -> Result<Predictions> {
        let Some(input) = &self.input else { return Err(Input::expected("images", None)) };
        self.predict_parts(files.len(), |first, end| input.images(&files[first..end], &Device::cpu()).map(Value::from))
    }

    /// What the model says about each of some texts.
    ///
    /// # Errors
    /// A model that was not trained on texts.
    pub fn predict_texts<T: AsRef<str>>(&self, texts: &[T]) -> Result<Predictions> {
        let device = self.device();
        match &self.input {
            Some(Input::Text(encoder)) => self.predict_parts(texts.len(), |first, end| {
                let padded = encoder.padded(&texts[first..end], &device)?;
                Ok(Value::One(Var::from(padded.values), Some(Mask::from(padded.mask))))
            }),
            Some(Input::WholeText(inputs)) => self.predict_parts(texts.len(), |first, end| {
                let encoded = inputs.texts(&texts[first..end], &device)?;
                Ok(Value::One(Var::from(encoded.tokens), Some(Mask::from(encoded.mask))))
            }),
            other => Err(Input::expected("texts", other.as_ref())),
        }
    }

    /// The outputs for a batch of inputs.
    ///
    /// # Errors
    /// Inputs of another shape than the model takes.
    pub fn predict(&self, inputs: &Tensor) -> Result<Predictions> {
        self.predict_parts(inputs.dims().first().copied().unwrap_or(0), |first, end| {
            inputs.slice(0, first..end).map(Value::from)
        })
    }

    /// The outputs for `count` samples, of which `inputs` makes those from one number to before another.
    pub(crate) fn predict_parts(
        &self,
        count: usize,
        mut inputs: impl FnMut(usize, usize) -> Result<Value>,
    ) -> Result<Predictions> {
        let (device, step) = (self.device(), self.batch_size.max(1));
        let (mut parts, mut batches) = (Vec::new(), Batches::of(self));
        for first in (0..count).step_by(step) {
            let output = match inputs(first, (first + step).min(count))? {
                Value::One(values, mask) => {
                    let to_come = ((count - first) / step).max(1);
                    batches.run(values.tensor().to_device(&device)?, mask, to_come)?
                }
                several => self.model.forward(several, &Ctx::eval())?.into_tensor(),
            };
            let output = if self.logits { probabilities(&output)? } else { output };
            parts.push(output.to_dtype(DType::F64)?.to_device(&Device::cpu())?);
        }
        let refs: Vec<&Tensor> = parts.iter().collect();
        let values = if refs.is_empty() {
            Tensor::zeros([0, 0], DType::F64, &Device::cpu())?
        } else {
            Tensor::concat(&refs, 0)?
        };
        Predictions::new(values, &self.classes)
    }

    pub(crate) fn device(&self) -> Device {
        self.model.parameters().first().map_or_else(Device::cpu, |(_, parameter)| parameter.value().device().clone())
    }
}

/// Of logits: one number a sample is that of class 1 of two.
fn probabilities(logits: &Tensor) -> Result<Tensor> {
    match logits.dims().last() {
        Some(&1) => logits.sigmoid(),
        _ => logits.softmax(-1),
    }
}
