//! Images of bytes with labels of bytes, normalized as they are gathered.

use crate::augment::{Augmented, Transform, shares};
use crate::normalize::{ChannelStatistics, Normalization, Samplewise};
use crate::rows::{Rows, gather_normalized};
use crate::{Augmentation, Batch, Dataset, Pass};
use kiln_cpu::Isa;
use kiln_cpu::rows::in_parts;
use kiln_tensor::{Device, Error, ErrorKind, MAX_RANK, Result, Tensor};

/// Images kept as bytes (a quarter of the memory of floats) with their labels.
///
/// A batch is f32, `scale · byte + shift`; by default byte / 255, in [0, 1]. In training it is augmented, where that is asked for.
#[derive(Clone, Debug)]
pub struct ImageDataset {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    shape: Vec<usize>,
    classes: usize,
    normalization: Normalization,
    one_hot: bool,
    augmented: Option<Augmented>,
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
        let (shape, normalization) = (shape.to_vec(), Normalization::unit());
        Ok(ImageDataset { pixels, labels, shape, classes, normalization, one_hot: false, augmented: None })
    }

    /// The same images, handed out as `scale · byte + shift`.
    #[must_use]
    pub fn normalized(mut self, scale: f32, shift: f32) -> Self {
        self.normalization.planes = vec![[scale, shift]];
        self
    }

    /// The same images, each channel handed out as (byte / 255 − mean) / std: torchvision's `Normalize`, and with the
    /// [`channel_statistics`](Self::channel_statistics) of the training images what Keras's `featurewise_center` and
    /// `featurewise_std_normalization` do (which adds 10⁻⁶ to each std); without the latter each std is 1.
    ///
    /// # Errors
    /// Other than one mean and one std above 0 for each channel.
    pub fn normalized_channels(mut self, mean: &[f64], std: &[f64]) -> Result<Self> {
        let channels = self.channels();
        let finite = mean.iter().all(|mean| mean.is_finite()) && std.iter().all(|&std| std > 0.0 && std.is_finite());
        if mean.len() != channels || std.len() != channels || !finite {
            return Err(Error::value(
                "normalized_channels",
                format!(
                    "means {mean:?} and deviations {std:?}: a number and one above 0 for each of {channels} channels are expected"
                ),
            ));
        }
        let plane = |(mean, std): (&f64, &f64)| [(1.0 / (255.0 * std)) as f32, (-mean / std) as f32];
        self.normalization.planes = mean.iter().zip(std).map(plane).collect();
        Ok(self)
    }

    /// The same images, after their normalization each centered on its own mean, and divided by its own deviation where that is
    /// asked for.
    #[must_use]
    pub fn standardized(mut self, samplewise: Samplewise) -> Self {
        self.normalization.samplewise = Some(samplewise);
        self
    }

    /// The same images with one-hot rows (n, classes) of f32 as targets, for losses that take distributions.
    #[must_use]
    pub fn one_hot(self) -> Self {
        ImageDataset { one_hot: true, ..self }
    }

    /// The same images, augmented wherever they are trained on: in a [`Loader`](crate::Loader) that is not
    /// [`plain`](crate::Loader::plain), and in `fit`, but not in its validation.
    ///
    /// # Errors
    /// Settings that make no sense, or do not go with images of this shape.
    pub fn augment(mut self, augmentation: Augmentation) -> Result<Self> {
        self.one_hot |= augmentation.mixes();
        self.augmented = Some(augmentation.of_images(&self.shape)?);
        Ok(self)
    }

    /// Mean and standard deviation of each channel over all images, of byte / 255.
    pub fn channel_statistics(&self) -> ChannelStatistics {
        let channels = self.channels();
        let size = (self.shape.iter().product::<usize>() / channels.max(1)).max(1);
        // Whole numbers: exact, whatever the order.
        let mut sums = vec![[0u64; 2]; channels];
        for (plane, bytes) in self.pixels.chunks_exact(size).enumerate() {
            let [sum, squares] = &mut sums[plane % channels];
            *sum += bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
            *squares += bytes.iter().map(|&byte| u64::from(byte) * u64::from(byte)).sum::<u64>();
        }
        let count = (self.labels.len() * size).max(1) as u64;
        let mean = sums.iter().map(|[sum, _]| *sum as f64 / count as f64 / 255.0).collect();
        // n·Σx² − (Σx)² of whole numbers is exact as well: what it leaves of large numbers is all there is.
        let spread = |&[sum, squares]: &[u64; 2]| {
            (u128::from(count) * u128::from(squares)).saturating_sub(u128::from(sum) * u128::from(sum)) as f64
        };
        let std = sums.iter().map(|of| spread(of).sqrt() / count as f64 / 255.0).collect();
        ChannelStatistics { mean, std }
    }

    /// The planes of an image: its first axis of three, else one.
    fn channels(&self) -> usize {
        if let [channels, _, _] = self.shape[..] { channels } else { 1 }
    }

    /// The first `count` images, or all where there are fewer.
    #[must_use]
    pub fn limit(mut self, count: usize) -> Self {
        let count = count.min(self.labels.len());
        self.pixels.truncate(count * self.shape.iter().product::<usize>());
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
        &self.shape
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
        let mut dims = [0; MAX_RANK];
        dims[0] = indices.len();
        dims[1..=self.shape.len()].copy_from_slice(&self.shape);
        let rows = Rows { source: &self.pixels, width: self.shape.iter().product(), indices, upcoming };
        let augmented = self.augmented.as_ref().zip(pass);
        let (transforms, size): (Vec<Transform>, _) = augmented.map_or_else(Default::default, |(augmented, pass)| {
            let &Augmented { ref augmentation, height, width, .. } = augmented;
            let draw = |&index| augmentation.draw(pass, index, height, width);
            (indices.iter().map(draw).collect(), (height, width))
        });
        let inputs = Tensor::write_with(&dims[..=self.shape.len()], device, |to: &mut [f32]| {
            match augmented {
                Some((augmented, _)) => augmented.write(to, rows, &transforms, &self.normalization),
                None => self.write_plain(to, rows),
            }
            Ok(())
        })?;
        let labels = indices.iter().map(|&index| self.labels[index]);
        let targets = if self.one_hot {
            Tensor::write_with([indices.len(), self.classes], device, |to: &mut [f32]| {
                to.fill(0.0);
                let before = indices.last().into_iter().chain(indices).map(|&index| self.labels[index]);
                let shares = shares(&transforms, size);
                for (((row, own), other), share) in
                    to.chunks_exact_mut(self.classes.max(1)).zip(labels).zip(before).zip(shares)
                {
                    row[usize::from(own)] += share as f32;
                    row[usize::from(other)] += (1.0 - share) as f32;
                }
                Ok(())
            })?
        } else {
            Tensor::write_with([indices.len()], device, |to: &mut [u8]| {
                to.iter_mut().zip(labels).for_each(|(to, label)| *to = label);
                Ok(())
            })?
        };
        Ok(Batch::new(inputs, targets))
    }

    fn write_plain(&self, to: &mut [f32], rows: Rows<'_>) {
        gather_normalized(Isa::best(), to, rows, &self.normalization.planes);
        if self.normalization.samplewise.is_some() && rows.width > 0 {
            in_parts(to, rows.width, |_, part| {
                part.chunks_exact_mut(rows.width).for_each(|image| self.normalization.standardize(image));
            });
        }
    }
}

/// The error of an index past the end.
#[cold]
pub(crate) fn past_the_end(operation: &'static str, index: usize, length: usize) -> Error {
    Error::new(ErrorKind::Index, operation, format!("sample {index} was asked for, there are {length}"))
}
