//! Images of bytes with labels of bytes, normalised as they are gathered.

use crate::{Batch, Dataset};
use kiln_cpu::{Isa, gather};
use kiln_tensor::{Device, Error, ErrorKind, MAX_RANK, Result, Tensor};

/// Images kept as bytes (a quarter of the memory of floats) with their labels.
///
/// A batch is f32, `scale · byte + shift`; by default byte / 255, in [0, 1].
#[derive(Clone, Debug)]
pub struct ImageDataset {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    shape: Vec<usize>,
    classes: usize,
    scale: f32,
    shift: f32,
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
        Ok(ImageDataset { pixels, labels, shape: shape.to_vec(), classes, scale: 1.0 / 255.0, shift: 0.0 })
    }

    /// The same images, handed out as `scale · byte + shift`.
    #[must_use]
    pub fn normalised(self, scale: f32, shift: f32) -> Self {
        ImageDataset { scale, shift, ..self }
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

    fn batch(&self, indices: &[usize], upcoming: &[usize], device: &Device) -> Result<Batch> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.len()) {
            return Err(past_the_end("ImageDataset", index, self.len()));
        }
        let mut dims = [0; MAX_RANK];
        dims[0] = indices.len();
        dims[1..=self.shape.len()].copy_from_slice(&self.shape);
        let size = self.shape.iter().product();
        let inputs = Tensor::write_with(&dims[..=self.shape.len()], device, |to: &mut [f32]| {
            let rows = gather::Rows { source: &self.pixels, width: size, indices, upcoming };
            gather::gather_normalised(Isa::best(), to, rows, &[[self.scale, self.shift]]);
            Ok(())
        })?;
        let targets = Tensor::write_with([indices.len()], device, |to: &mut [u8]| {
            to.iter_mut().zip(indices).for_each(|(to, &index)| *to = self.labels[index]);
            Ok(())
        })?;
        Ok(Batch::new(inputs, targets))
    }
}

/// The error of an index past the end.
#[cold]
pub(crate) fn past_the_end(operation: &'static str, index: usize, length: usize) -> Error {
    Error::new(ErrorKind::Index, operation, format!("sample {index} was asked for, there are {length}"))
}
