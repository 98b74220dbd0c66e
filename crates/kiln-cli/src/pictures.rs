//! What a model makes, as a sheet of images: during its training, a row after some epochs, and by `kiln generate`.

use crate::drawing::{Row, Sheet, sheet};
use crate::run_folder::SAMPLES;
use kiln::nn::{StateDict, Stateful};
use kiln::prelude::*;

/// Images in a row.
pub(crate) const COLUMNS: usize = 10;
/// Epochs of a training that are drawn, at most.
const EPOCHS: usize = 10;

/// How to get images from a model.
pub(crate) struct Pictures {
    /// What the model is given, one sample for each image.
    pub(crate) given: Given,
    /// The images (n, height, width), with values from 0 to 1, that a model makes of samples.
    pub(crate) make: fn(&Sequential, &Tensor) -> Result<Tensor>,
}

/// What a model makes images of.
pub(crate) enum Given {
    Noise(Tensor),
    /// Images (n, height, width), which are drawn too.
    Images(Tensor),
}

impl Pictures {
    fn samples(&self) -> &Tensor {
        match &self.given {
            Given::Noise(samples) | Given::Images(samples) => samples,
        }
    }

    /// How many images there are.
    pub(crate) fn count(&self) -> usize {
        self.samples().dims()[0]
    }

    /// The samples of a row, from `first` on.
    fn of_row(&self, first: usize) -> Result<Tensor> {
        self.samples().slice(0, first..(first + COLUMNS).min(self.count()))
    }

    /// The model's images for the samples from `first` on.
    fn made(&self, model: &Sequential, first: usize, name: &str) -> Result<Row> {
        row(name, &(self.make)(model, &self.of_row(first)?)?)
    }

    /// The images from `first` on, where such are given.
    fn given(&self, first: usize) -> Result<Option<Row>> {
        match &self.given {
            Given::Noise(_) => Ok(None),
            Given::Images(_) => row("image", &self.of_row(first)?).map(Some),
        }
    }

    fn sheet(&self, rows: Vec<Row>, model: &Sequential) -> Result<Vec<u8>> {
        let size = (self.make)(model, &self.samples().slice(0, 0..1)?)?;
        let [_, height, width] = *size.dims() else {
            return Err(Error::shape("", format!("images (n, height, width) are expected, got {}", size.shape())));
        };
        let heading = match self.given {
            Given::Noise(_) => "images made of noise",
            Given::Images(_) => "images, and what is made of them",
        };
        sheet(&Sheet { rows, height, width, heading: ["", heading] })
    }

    /// The PNG file of all images that a model makes.
    pub(crate) fn draw(&self, model: &Sequential) -> Result<Vec<u8>> {
        let mut rows = Vec::new();
        for first in (0..self.count()).step_by(COLUMNS) {
            let given = self.given(first)?;
            let name = if given.is_some() { "model" } else { "" };
            rows.extend(given);
            rows.push(self.made(model, first, name)?);
        }
        self.sheet(rows, model)
    }
}

/// Images (n, height, width) as bytes.
fn row(name: &str, images: &Tensor) -> Result<Row> {
    let values = images.to_f64_vec()?;
    let size = (values.len() / images.dims()[0].max(1)).max(1);
    let byte = |value: &f64| (value * 255.0).round().clamp(0.0, 255.0) as u8;
    let pictures = values.chunks(size).map(|image| image.iter().map(byte).collect()).collect();
    Ok(Row { name: name.to_owned(), pictures })
}

/// The model's images for the same samples after some of the epochs, one row per epoch.
pub(crate) struct Progression {
    pictures: Pictures,
    /// Where the trained weights are copied to.
    model: Sequential,
    rows: Vec<Row>,
    /// Why a row could not be drawn. No more are drawn then, and the training goes on.
    failed: Option<Error>,
}

impl Progression {
    /// Of a model of the same architecture as the trained one.
    pub(crate) fn new(pictures: Pictures, model: Sequential) -> Result<Self> {
        let rows = pictures.given(0)?.into_iter().collect();
        Ok(Progression { pictures, model, rows, failed: None })
    }

    /// The PNG file of the rows so far.
    fn png(&self) -> Result<Vec<u8>> {
        self.pictures.sheet(self.rows.clone(), &self.model)
    }

    /// Why a row could not be drawn.
    pub(crate) fn take_error(&mut self) -> Option<Error> {
        self.failed.take()
    }

    fn add_row(&mut self, run: &mut Run<'_>, epoch: usize) -> Result<()> {
        self.model.load_state_dict(&run.model.state_dict(), true)?;
        self.rows.push(self.pictures.made(&self.model, 0, &format!("epoch {epoch}"))?);
        run.attach(SAMPLES, self.png()?);
        Ok(())
    }
}

impl Callback for Progression {
    fn on_fit_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.rows.iter().any(|row| row.name.starts_with("epoch")) {
            run.attach(SAMPLES, self.png()?);
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>, record: &EpochRecord) -> Result<()> {
        // The rest of an epoch that was left is trained later.
        let completed = run.has_completed(record);
        let last = record.epoch == run.epochs() || run.is_stopping();
        let drawn = completed && (last || record.epoch.is_multiple_of(run.epochs().div_ceil(EPOCHS)));
        if drawn && self.failed.is_none() {
            // A picture is not worth a training: the error is reported once the weights are saved.
            self.failed = self.add_row(run, record.epoch).err();
        }
        Ok(())
    }

    fn state(&mut self) -> Option<(&'static str, &mut dyn Stateful)> {
        Some(("Progression", self))
    }
}

/// The rows, for a training that goes on.
impl Stateful for Progression {
    /// `POSITION.NAME` of each row, u8 (images, pixels).
    fn state_dict(&self) -> Result<StateDict> {
        let tensor = |row: &Row| {
            let (count, size) = (row.pictures.len(), row.pictures.first().map_or(0, Vec::len));
            Tensor::from_vec(row.pictures.concat(), [count, size], &Device::cpu())
        };
        self.rows.iter().enumerate().map(|(at, row)| Ok((format!("{at:03}.{}", row.name), tensor(row)?))).collect()
    }

    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let row = |(key, value): (&String, &Tensor)| {
            let name = key.split_once('.').map_or("", |(_, name)| name).to_owned();
            let size = value.dims().get(1).copied().unwrap_or(0).max(1);
            Ok(Row { name, pictures: value.to_vec::<u8>()?.chunks(size).map(<[u8]>::to_vec).collect() })
        };
        self.rows = state.iter().map(row).collect::<Result<_>>()?;
        Ok(())
    }
}
