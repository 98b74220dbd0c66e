//! The form in which images of bytes are handed out.

use crate::augment::{Augmented, Transform, shares};
use crate::normalize::Normalization;
use crate::rows::{Rows, gather_normalized};
use crate::{Augmentation, Pass};
use kiln_cpu::Isa;
use kiln_cpu::rows::in_parts;
use kiln_tensor::{Device, MAX_RANK, Result, Tensor};

/// Shape and normalization of images, what is done to them in training, and whether their targets are rows.
#[derive(Clone, Debug)]
pub(crate) struct ImageForm {
    /// The axes of one image.
    pub(crate) shape: Vec<usize>,
    pub(crate) normalization: Normalization,
    pub(crate) augmented: Option<Augmented>,
    /// Whether classes are rows (n, classes) of f32.
    pub(crate) one_hot: bool,
}

impl ImageForm {
    /// byte / 255, without augmentation.
    pub(crate) fn new(shape: &[usize]) -> Self {
        ImageForm { shape: shape.to_vec(), normalization: Normalization::unit(), augmented: None, one_hot: false }
    }

    /// Bytes of an image.
    pub(crate) fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// The planes of an image: its first axis of three, else one.
    pub(crate) fn channels(&self) -> usize {
        if let [channels, _, _] = self.shape[..] { channels } else { 1 }
    }

    /// Augments images wherever they are trained on.
    ///
    /// # Errors
    /// Settings that make no sense, or do not go with images of this shape.
    pub(crate) fn augment(&mut self, augmentation: Augmentation) -> Result<()> {
        self.one_hot |= augmentation.mixes();
        self.augmented = Some(augmentation.of_images(&self.shape)?);
        Ok(())
    }

    /// The inputs of a batch, augmented where there is a pass and that is asked for: the rows are the images of these samples.
    pub(crate) fn inputs(
        &self,
        rows: Rows<'_>,
        samples: &[usize],
        pass: Option<Pass>,
        device: &Device,
    ) -> Result<(Tensor, Mixed)> {
        let mut dims = [0; MAX_RANK];
        dims[0] = samples.len();
        dims[1..=self.shape.len()].copy_from_slice(&self.shape);
        let augmented = self.augmented.as_ref().zip(pass);
        let (transforms, size): (Vec<Transform>, _) = augmented.map_or_else(Default::default, |(augmented, pass)| {
            let &Augmented { ref augmentation, height, width, .. } = augmented;
            let draw = |&sample| augmentation.draw(pass, sample, height, width);
            (samples.iter().map(draw).collect(), (height, width))
        });
        let inputs = Tensor::write_with(&dims[..=self.shape.len()], device, |to: &mut [f32]| {
            match augmented {
                Some((augmented, _)) => augmented.write(to, rows, &transforms, &self.normalization),
                None => self.write_plain(to, rows),
            }
            Ok(())
        })?;
        Ok((inputs, Mixed { shares: shares(&transforms, size).take(samples.len()).collect() }))
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

/// How much each sample of a batch counts in its own target; the rest is the target of the one before, of the first that of the last.
pub(crate) struct Mixed {
    shares: Vec<f64>,
}

impl Mixed {
    /// Rows (n, classes) of the samples' labels, by their places in the batch.
    pub(crate) fn one_hot(&self, classes: usize, label: impl Fn(usize) -> usize, device: &Device) -> Result<Tensor> {
        Tensor::write_with([self.shares.len(), classes], device, |to: &mut [f32]| {
            to.fill(0.0);
            for ((i, own, other), row) in self.each().zip(to.chunks_exact_mut(classes.max(1))) {
                row[label(i)] += own as f32;
                row[label(other.0)] += other.1 as f32;
            }
            Ok(())
        })
    }

    /// A column (n, 1) of the samples' numbers, by their places in the batch.
    #[cfg(feature = "images")]
    pub(crate) fn numbers(&self, number: impl Fn(usize) -> f32, device: &Device) -> Result<Tensor> {
        Tensor::write_with([self.shares.len(), 1], device, |to: &mut [f32]| {
            for ((i, own, other), to) in self.each().zip(to) {
                *to = own as f32 * number(i) + other.1 as f32 * number(other.0);
            }
            Ok(())
        })
    }

    /// Each place with its share, then the place before with the rest.
    fn each(&self) -> impl Iterator<Item = (usize, f64, (usize, f64))> {
        let last = self.shares.len().saturating_sub(1);
        self.shares.iter().enumerate().map(move |(i, &own)| (i, own, (i.checked_sub(1).unwrap_or(last), 1.0 - own)))
    }
}
