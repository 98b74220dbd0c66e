//! Images of bytes with labels of bytes, normalized as they are gathered.

use crate::image_form::ImageForm;
use crate::normalize::{ChannelStatistics, ChannelSums, Samplewise};
use crate::rows::Rows;
use crate::{Augmentation, Batch, Dataset, Pass};
use kiln_tensor::{Device, Error, ErrorKind, MAX_RANK, Result, Tensor};

/// Images kept as bytes (a quarter of the memory of floats) with their labels.
///
/// A batch is f32, `scale · byte + shift`; by default byte / 255, in [0, 1]. In training it is augmented, where that is asked for.
#[derive(Clone, Debug)]
pub struct ImageDataset {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    classes: usize,
    form: ImageForm,
}

impl ImageDataset {
    /// Images of `shape` (the axes of one image), row-major in `pixels`, each with a label below `classes`.
    ///
    /// # Errors
    /// Pixels that do not make up as many images as there are labels; a label past the classes.
    pub fn new(pixels: Vec<u8>, labels: Vec<u8>, shape: &[usize], classes: usize) -> Result<Self> {
        if shape.len() >= MAX_RANK {
            return Err(Error::shape(
                "ImageDataset",
                format!(
                    "images of {} axes: at most {} are possible beside that of the batch",
                    shape.len(),
                    MAX_RANK - 1
                ),
            ));
        }
        let needed = shape.iter().try_fold(labels.len(), |size, &axis| size.checked_mul(axis));
        if needed != Some(pixels.len()) {
            return Err(Error::value(
                "ImageDataset",
                format!("{} bytes are not {} images of {shape:?}, one for each label", pixels.len(), labels.len()),
            ));
        }
        if let Some(row) = labels.iter().position(|&label| usize::from(label) >= classes) {
            return Err(Error::new(
                ErrorKind::Index,
                "ImageDataset",
                format!("image {row} has label {}, expected 0 to {}", labels[row], classes.saturating_sub(1)),
            ));
        }
        Ok(ImageDataset { pixels, labels, classes, form: ImageForm::new(shape) })
    }

    /// The same images, handed out as `scale · byte + shift`.
    #[must_use]
    pub fn normalized(mut self, scale: f32, shift: f32) -> Self {
        self.form.normalization.planes = vec![[scale, shift]];
        self
    }

    /// The same images, each channel handed out as (byte / 255 − mean) / std: torchvision's `Normalize`, and with the
    /// [`channel_statistics`](Self::channel_statistics) of the training images what Keras's `featurewise_center` and
    /// `featurewise_std_normalization` do (which adds 10⁻⁶ to each std); without the latter each std is 1.
    ///
    /// # Errors
    /// Other than one mean and one std above 0 for each channel.
    pub fn normalized_channels(mut self, mean: &[f64], std: &[f64]) -> Result<Self> {
        self.form.normalization.by_channel(self.form.channels(), mean, std)?;
        Ok(self)
    }

    /// The same images, after their normalization each centered on its own mean, and divided by its own deviation where that is
    /// asked for.
    #[must_use]
    pub fn standardized(mut self, samplewise: Samplewise) -> Self {
        self.form.normalization.samplewise = Some(samplewise);
        self
    }

    /// The same images with one-hot rows (n, classes) of f32 as targets, for losses that take distributions.
    #[must_use]
    pub fn one_hot(mut self) -> Self {
        self.form.one_hot = true;
        self
    }

    /// The same images, augmented wherever they are trained on: in a [`Loader`](crate::Loader) that is not
    /// [`plain`](crate::Loader::plain), and in `fit`, but not in its validation.
    ///
    /// # Errors
    /// Settings that make no sense, or do not go with images of this shape.
    pub fn augment(mut self, augmentation: Augmentation) -> Result<Self> {
        self.form.augment(augmentation)?;
        Ok(self)
    }

    /// Mean and standard deviation of each channel over all images, of byte / 255.
    pub fn channel_statistics(&self) -> ChannelStatistics {
        let mut sums = ChannelSums::new(self.form.channels());
        self.pixels.chunks_exact(self.form.size().max(1)).for_each(|image| sums.add(image));
        sums.statistics()
    }

    /// The first `count` images, or all where there are fewer.
    #[must_use]
    pub fn limit(mut self, count: usize) -> Self {
        let count = count.min(self.labels.len());
        self.pixels.truncate(count * self.form.size());
        self.labels.truncate(count);
        self
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The labels of all images.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The bytes of all images.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

impl Dataset for ImageDataset {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn input_shape(&self) -> &[usize] {
        &self.form.shape
    }

    fn class_labels(&self) -> Result<Option<Vec<i64>>> {
        Ok(Some(self.labels.iter().map(|&label| i64::from(label)).collect()))
    }

    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        self.gather(indices, upcoming, None, device)
    }

    fn training_batch(&self, indices: &[usize], upcoming: &[usize], pass: Pass, device: &Device) -> Result<Batch> {
        self.gather(indices, upcoming, Some(pass), device)
    }
}

impl ImageDataset {
    /// The samples at `indices`, augmented where there is a pass and that is asked for.
    fn gather(&self, indices: &[usize], upcoming: &[usize], pass: Option<Pass>, device: &Device) -> Result<Batch> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(past_the_end("ImageDataset", index, self.len()));
        }
        let rows = Rows { source: &self.pixels, width: self.form.size(), indices, upcoming };
        let (inputs, mixed) = self.form.inputs(rows, indices, pass, device)?;
        let targets = if self.form.one_hot {
            mixed.one_hot(self.classes, |i| usize::from(self.labels[indices[i]]), device)?
        } else {
            let labels = indices.iter().map(|&index| self.labels[index]);
            Tensor::write_with([indices.len()], device, |to: &mut [u8]| {
                to.iter_mut().zip(labels).for_each(|(to, label)| *to = label);
                Ok(())
            })?
        };
        Ok(Batch::new(inputs, targets))
    }
}

/// The error of an index past the end.
#[cold]
pub(crate) fn past_the_end(operation: &'static str, index: usize, length: usize) -> Error {
    Error::new(ErrorKind::Index, operation, format!("sample {index} was asked for, there are {length}"))
}
